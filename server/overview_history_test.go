package server_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// was is the states that a resource had, in turn, without gaps; the last one is now.
func (n *node) was(kind, name string, states ...string) {
	n.t.Helper()
	n.until(fmt.Sprintf("%s was %v", name, states), func() error {
		out := &isthmusv1.History{}
		body := n.want(http.StatusOK, n.call(http.MethodGet, "/v1/history?kind="+kind+"&name="+name, "")).body
		if err := protojson.Unmarshal([]byte(body), out); err != nil {
			return fmt.Errorf("%w\n%s", err, body)
		}
		if len(out.GetSpans()) != len(states) {
			return fmt.Errorf("%v", out)
		}
		for i, s := range out.GetSpans() {
			last := i == len(states)-1
			if s.GetState() != states[i] || last != (s.GetEnd() == nil) || !last && !s.GetEnd().AsTime().Equal(out.GetSpans()[i+1].GetStart().AsTime()) {
				return fmt.Errorf("%d: %v", i, out)
			}
		}
		return nil
	})
}

// The history of a Peering and of a Datacenter through a silence, and what has none.
func TestHistory(t *testing.T) {
	t.Parallel()
	clock := newClock()
	n := start(t, func(c *serverConfig) { c.Now = clock.now })
	n.want(http.StatusBadRequest, n.call(http.MethodGet, "/v1/history?kind=APIToken&name=admin", ""))
	n.want(http.StatusBadRequest, n.call(http.MethodGet, "/v1/history?kind=Peering", ""))
	n.want(http.StatusNotFound, n.call(http.MethodGet, "/v1/history?kind=Peering&name=p", ""))
	n.apply(datacenters("dc1", "dc2"))
	n.was("Datacenter", "dc1", "unknown")
	n.was("Datacenter", "dc2", "unknown")
	w, fleet := newWorld(), fleetKey(t)
	a := n.enrol(w, fleet, "dc1").run()
	n.enrol(w, fleet, "dc2").run()
	n.was("Datacenter", "dc1", "unknown", "online")
	n.was("Datacenter", "dc2", "unknown", "online")
	n.apply("kind: Peering\nname: p\nspec: {acceptor: dc1, dialer: dc2}\n")
	n.becomes("p", "healthy")
	a.stop()
	n.inFlight("isthmus.v1.SyncService/Pull", 1)
	clock.advance(resource.Silence + time.Minute)
	n.becomes("p", "unknown")
	n.was("Datacenter", "dc1", "unknown", "online", "offline")
	a.run()
	n.becomes("p", "healthy")
	n.was("Datacenter", "dc1", "unknown", "online", "offline", "online")
	n.was("Peering", "p", "pending", "healthy", "unknown", "healthy")
}
