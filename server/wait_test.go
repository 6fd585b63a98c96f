package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// eventually polls until a condition holds, and fails with what it saw last.
func eventually(t testing.TB, what string, holds func() (bool, string)) {
	t.Helper()
	deadline := time.Now().Add(patience)
	seen := ""
	for time.Now().Before(deadline) {
		ok, saw := holds()
		if ok {
			return
		}
		seen = saw
		pause(t.Context(), 5*time.Millisecond)
	}
	t.Fatalf("%s did not come about: %s", what, seen)
}

// inFlight waits until the server answers a number of calls of an RPC at the same time.
func (n *node) inFlight(rpc string, count int) {
	n.t.Helper()
	want := fmt.Sprintf("isthmus_requests_in_flight{rpc=%q} %d\n", rpc, count)
	eventually(n.t, want, func() (bool, string) {
		a := n.callAs("", http.MethodGet, "/metrics", "")
		return strings.Contains(a.body, want), ""
	})
}

// peering reads a Peering.
func (n *node) peering(name string) *isthmusv1.Peering {
	n.t.Helper()
	p, err := isthmusv1.NewPeeringServiceClient(n.shared()).GetPeering(n.as(n.token), &isthmusv1.GetRequest{Name: name})
	if err != nil && status.Code(err) != codes.NotFound {
		n.t.Fatal(err)
	}
	return p
}

// becomes waits for a verdict.
func (n *node) becomes(name, verdict string) *isthmusv1.Peering {
	n.t.Helper()
	var p *isthmusv1.Peering
	eventually(n.t, name+" "+verdict, func() (bool, string) {
		p = n.peering(name)
		return p.GetStatus().GetVerdict() == verdict, p.GetStatus().String()
	})
	return p
}

// uses waits until a Peering is healthy with the token of a generation in use.
func (n *node) uses(name string, generation int32) {
	n.t.Helper()
	eventually(n.t, name+" healthy with another token", func() (bool, string) {
		s := n.peering(name).GetStatus()
		entry := peering.Current(s.GetToken())
		return entry.GetGeneration() == generation && entry.GetOutcome() == resource.OutcomeUsed && s.GetVerdict() == peering.VerdictHealthy, s.String()
	})
}

// gone waits until a Peering is gone.
func (n *node) gone(name string) {
	n.t.Helper()
	eventually(n.t, name+" gone", func() (bool, string) {
		p := n.peering(name)
		return p == nil, p.GetStatus().String()
	})
}

// reason is the first reason that an error carries.
func reason(err error) string {
	for _, d := range status.Convert(err).Details() {
		if v, ok := d.(interface {
			GetFieldViolations() []*errdetails.BadRequest_FieldViolation
		}); ok && len(v.GetFieldViolations()) > 0 {
			return v.GetFieldViolations()[0].GetReason()
		}
	}
	return ""
}
