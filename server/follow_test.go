package server_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"isthmus/desired"
	"isthmus/identity"
	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server"
)

// stream is a call to Follow, and what has come of it.
type stream struct {
	isthmusv1.SyncService_FollowClient
	t     *testing.T
	state *isthmusv1.DesiredState
	last  *isthmusv1.PullResponse
}

func (a *agent) follow(t *testing.T, r *isthmusv1.PullRequest) *stream {
	t.Helper()
	r.Features = plan.Features()
	client, err := a.sync.Follow(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return &stream{SyncService_FollowClient: client, t: t}
}

// takes waits for one answer and merges it.
func (s *stream) takes() *isthmusv1.PullResponse {
	s.t.Helper()
	answer, err := s.Recv()
	if err != nil {
		s.t.Fatal(err)
	}
	switch {
	case answer.GetState() != nil:
		s.state = answer.GetState()
	case answer.GetDelta() != nil:
		if base := answer.GetDelta().GetBase(); base != s.last.GetDigest() {
			s.t.Fatalf("a delta from %s to who has %s", base, s.last.GetDigest())
		}
		s.state = desired.Merge(s.state, answer.GetDelta())
	}
	if s.state != nil && desired.Digest(s.state) != answer.GetDigest() {
		s.t.Fatalf("%v leads to %v", answer, s.state)
	}
	s.last = answer
	return answer
}

// One call has an answer for each state that the agent does not have, and ends with one without, when its time is over.
func TestFollowTellsEachState(t *testing.T) {
	t.Parallel()
	n, w, fleet := start(t), newWorld(), fleetKey(t)
	n.apply(datacenters("dc1", "dc2", "dc3", "dc4"))
	a := n.enrol(w, fleet, "dc1")
	s, whole := a.follow(t, &isthmusv1.PullRequest{Deltas: true}), a.follow(t, &isthmusv1.PullRequest{})
	if first := s.takes(); first.GetState() == nil {
		t.Fatalf("the first answer: %v", first)
	}
	for i := range 20 {
		n.apply(fmt.Sprintf("kind: Peering\nname: dc3-dc4\nspec: {acceptor: dc3, dialer: dc4, throughGateways: %t}\n", i%2 == 0)) // not its own
		n.apply(fmt.Sprintf("kind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2, throughGateways: %t}\n", i%2 == 0))
		want := a.mustPull(nil, "0s")
		for s.last.GetIndex() < want.GetIndex() && s.last.GetDigest() != want.GetDigest() {
			if before, answer := s.last.GetDigest(), s.takes(); answer.GetDelta() == nil || answer.GetDigest() == before {
				t.Fatalf("change %d: %v", i, answer)
			}
		}
	}
	want := a.mustPull(nil, "0s")
	for whole.last.GetDigest() != want.GetDigest() {
		if answer := whole.takes(); answer.GetState() == nil {
			t.Fatalf("to who does not merge: %v", answer)
		}
	}
	if !proto.Equal(whole.state, want.GetState()) {
		t.Errorf("followed to %v, want %v", whole.state, want.GetState())
	}

	short := a.follow(t, &isthmusv1.PullRequest{Epoch: want.GetEpoch(), MinIndex: want.GetIndex(), Have: want.GetDigest(), Wait: "1ms"})
	if end := short.takes(); end.GetState() != nil || end.GetDigest() != want.GetDigest() || end.GetEpoch() != want.GetEpoch() {
		t.Errorf("the last answer: %v", end)
	}
	if answer, err := short.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last answer: %v, %v", answer, err)
	}
}

// The first answer says whether the agent shall report again, at once when it shall, and the call goes on.
func TestFollowTellsWhetherReportsAreKnown(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1"))
	a := n.enrol(newWorld(), fleetKey(t), "dc1")
	have := a.mustPull(nil, "0s")
	s := a.follow(t, &isthmusv1.PullRequest{Epoch: have.GetEpoch(), Have: have.GetDigest(), Reported: "other", Deltas: true})
	s.last = have
	if answer := s.takes(); answer.GetReports() != resource.ReportsWanted || answer.GetState() != nil || answer.GetDigest() != have.GetDigest() {
		t.Fatalf("the first answer: %v", answer)
	}
	s.state = have.GetState()
	n.apply("kind: Datacenter\nname: dc1\nspec: {runtime: vm, drift: report}\n")
	if answer := s.takes(); answer.GetReports() != "" || s.state.GetDrift() != "report" {
		t.Errorf("the second answer: %v", answer)
	}
}

// Who may not follow is refused, and so is an agent that is deleted meanwhile.
func TestFollowRefused(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1"))
	a := n.enrol(newWorld(), fleetKey(t), "dc1")
	s := a.follow(t, &isthmusv1.PullRequest{})
	s.takes()
	for name, call := range map[string]struct {
		ask  *isthmusv1.PullRequest
		code codes.Code
	}{
		"a wait that is none": {&isthmusv1.PullRequest{Wait: "soon"}, codes.InvalidArgument},
		"from the future":     {&isthmusv1.PullRequest{Epoch: s.last.GetEpoch(), MinIndex: 1 << 40}, codes.Unavailable},
	} {
		if _, err := a.follow(t, call.ask).Recv(); status.Code(err) != call.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	stranger, err := isthmusv1.NewSyncServiceClient(n.shared()).Follow(t.Context(), &isthmusv1.PullRequest{})
	if err == nil {
		_, err = stranger.Recv()
	}
	if status.Code(err) != codes.Unauthenticated {
		t.Errorf("a stranger: %v", err)
	}
	n.want(200, n.call("DELETE", "/v1/agents/"+a.id.Agent(), ""))
	if _, err := s.Recv(); status.Code(err) != codes.PermissionDenied || reason(err) != identity.ReasonAgentDeleted {
		t.Errorf("deleted: %v", err)
	}
}

// What an agent is told ends with its certificate.
func TestFollowEndsWithTheCertificate(t *testing.T) {
	t.Parallel()
	clock := &frozen{at: time.Now()}
	n := start(t, func(c *server.Config) { c.Now = clock.now })
	n.apply(datacenters("dc1"))
	a := n.enrolAt(clock.now(), fleetKey(t), "dc1", identity.KindAgent)
	have := a.mustPull(nil, "0s")
	clock.advance(time.Until(a.cred.Leaf().NotAfter) - time.Second)
	s := a.follow(t, &isthmusv1.PullRequest{Epoch: have.GetEpoch(), Have: have.GetDigest(), Wait: "15m"})
	s.last = have
	if end := s.takes(); end.GetState() != nil {
		t.Errorf("the last answer: %v", end)
	}
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last answer: %v", err)
	}
}
