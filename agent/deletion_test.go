package agent_test

import (
	"fmt"
	"net/http"
	"testing"

	"golang.org/x/sync/errgroup"

	"isthmus/test/consultest"
)

// Consul's leader removes deleted peerings one after the other, a few each second. An end that waits for its turn when the other end says
// TERMINATED is left alone by it for ever, unless it is deleted once more.
func TestDeletionThatConsulGivesUp(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	east, west := consultest.Start(t, "east"), consultest.Start(t, "west")
	h.agentOf(east)
	h.agentOf(west)
	h.peer("u1", "east", "west", 1)
	h.healthy("u1", 1)

	// More than it removes until the ends have told each other, which takes them up to 5 s.
	const others, begun = 60, 15
	name := func(i int) string { return fmt.Sprintf("other-%d", i) }
	for i := range others {
		var made struct{ PeeringToken string }
		east.Do(http.MethodPost, "/v1/peering/token", map[string]any{"PeerName": name(i)}, &made)
		west.Do(http.MethodPost, "/v1/peering/establish", map[string]any{"PeerName": name(i), "PeeringToken": made.PeeringToken}, nil)
	}
	var all errgroup.Group
	for i := range others {
		for _, c := range []*consultest.Cluster{east, west} {
			all.Go(func() error { return c.Call(t.Context(), http.MethodDelete, "/v1/peering/"+name(i), nil, nil) })
		}
	}
	need(t, all.Wait())
	for _, c := range []*consultest.Cluster{east, west} {
		eventually(t, c.Datacenter+" is at it", func() bool { return len(c.Peerings()) <= 1+others-begun })
	}

	acceptor, dialer := h.acceptor("u1", "west", 1), h.dialer("u1", "east", 1)
	acceptor.PeeringAcceptor.Delete, dialer.PeeringDialer.Delete = true, true
	h.want("east", acceptor)
	h.want("west", dialer)
	for _, c := range []*consultest.Cluster{east, west} {
		eventually(t, "no peering is left in "+c.Datacenter, func() bool { return len(c.Peerings()) == 0 })
		eventually(t, c.Datacenter+" says so", func() bool { return h.observed(c.Datacenter, "u1").GetDeleted() })
	}
}
