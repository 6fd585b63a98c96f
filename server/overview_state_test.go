package server_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"isthmus/datacenterstate"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// state is what the API says of a datacenter.
func (n *node) state(datacenter string) *isthmusv1.DatacenterState {
	n.t.Helper()
	out := &isthmusv1.DatacenterState{}
	body := n.want(http.StatusOK, n.call(http.MethodGet, "/v1/datacenters/"+datacenter+"/state", "")).body
	if err := protojson.Unmarshal([]byte(body), out); err != nil {
		n.t.Fatalf("%v\n%s", err, body)
	}
	// The small agent probes nothing.
	out.Items = slices.DeleteFunc(out.Items, func(i *isthmusv1.ItemState) bool { return i.GetType() == resource.ItemProbes })
	return out
}

// What is wanted of a datacenter stands beside what its agents told, until they are silent; and no sealed secret is named.
func TestDatacenterState(t *testing.T) {
	t.Parallel()
	clock := newClock()
	n := start(t, func(c *serverConfig) { c.Now = clock.now })
	n.apply(datacenters("dc1", "dc2"))
	n.want(http.StatusNotFound, n.call(http.MethodGet, "/v1/datacenters/dc9/state", ""))
	n.apply("kind: Peering\nname: p\nspec: {acceptor: dc1, dialer: dc2}\n---\nkind: ServiceExport\nname: web\nspec: {service: web, datacenters: [dc1], consumers: {datacenters: [dc2]}}\n")
	for _, i := range n.state("dc1").GetItems() {
		if i.GetState() != datacenterstate.Pending || i.GetReason() != datacenterstate.ReasonNoAgent || i.GetFix() == "" {
			t.Errorf("nobody is there: %v", i)
		}
	}
	w, fleet := newWorld(), fleetKey(t)
	a := n.enrol(w, fleet, "dc1").run()
	n.enrol(w, fleet, "dc2").run()
	n.until("all of it is applied", func() error {
		s := n.state("dc1")
		if len(s.GetItems()) != 2 || len(s.GetReports()) < 3 {
			return fmt.Errorf("%v", s)
		}
		for _, i := range s.GetItems() {
			if i.GetState() != datacenterstate.Applied || len(i.GetWantedBy()) == 0 || i.GetDifferences() != nil {
				return fmt.Errorf("%v", i)
			}
		}
		if agents := s.GetAgents(); len(agents) != 1 || !agents[0].GetCurrent() {
			return fmt.Errorf("agents %v", agents)
		}
		return nil
	})
	p := n.peering("p")
	body := n.call(http.MethodGet, "/v1/datacenters/dc2/state", "").body
	for _, e := range p.GetStatus().GetToken().GetLedger() {
		if e.GetSecretDigest() == "" || strings.Contains(body, e.GetSecretDigest()) {
			t.Errorf("digest %q in %s", e.GetSecretDigest(), body)
		}
	}
	a.stop()
	n.inFlight("isthmus.v1.SyncService/Pull", 1)
	clock.advance(resource.Silence + time.Minute)
	n.until("nobody vouches for it", func() error {
		for _, i := range n.state("dc1").GetItems() {
			if i.GetState() != datacenterstate.Unknown || i.GetReason() != datacenterstate.ReasonAgentSilent {
				return fmt.Errorf("%v", i)
			}
		}
		for _, r := range n.state("dc1").GetReports() {
			if r.GetReceiveTime() == nil || r.GetHeardTime() == nil || r.GetAgent() == "" {
				return errors.New(r.String())
			}
		}
		return nil
	})
}
