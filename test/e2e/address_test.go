package e2e_test

import (
	"fmt"
	"testing"
)

// The primary's gateways change address: all at once, and one by one. No Consul server is touched.
func TestGatewayAddressChanges(t *testing.T) {
	f := NewWorld(t, 2, "dc1", "dc2")
	dc1, dc2 := f.Site("dc1", Site{Primary: true}), f.Site("dc2", Site{Fresh: true})
	f.Declare("dc1", "dc2")
	f.Apply("kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc2]}\n")
	f.Joined("global", dc1, dc2)
	dc1.Reads(dc2)
	dc2.Reads(dc1)
	servers := []int{dc1.PID(), dc2.PID()}

	t.Log("the old one is gone before there is another: what Consul knows by itself leads nowhere")
	first := dc1.Gateways[0]
	first.kill()
	f.Eventually("dc2 cannot read dc1", func() error {
		if dc2.read("dc1") == nil {
			return fmt.Errorf("it can")
		}
		return nil
	})
	second := dc1.StartGateway()
	dc2.Reads(dc1)
	dc1.Reads(dc2)

	t.Log("the next one is there before the old one is gone")
	first.Restart()
	f.Eventually("dc2 reaches the gateway that came back", func() error { return f.reaches("dc2", first.WAN) })
	second.stop()
	for range 20 {
		if err := dc2.read("dc1"); err != nil {
			t.Logf("while it changed: %v", err)
		}
	}
	dc2.Reads(dc1)
	dc1.Reads(dc2)
	f.Must("delete", "agent", second.Name())
	f.Eventually("who is gone is forgotten once all have proven the other", func() error {
		if len(f.Member("global", "dc1").GetGateways()) != 1 {
			return fmt.Errorf("dc1 has %v", f.Member("global", "dc1").GetGateways())
		}
		return nil
	})
	if now := []int{dc1.PID(), dc2.PID()}; now[0] != servers[0] || now[1] != servers[1] {
		t.Errorf("Consul was restarted: processes %v, before %v", now, servers)
	}
}

// reaches tells whether a datacenter reaches a gateway.
func (f *Fleet) reaches(from, address string) error {
	f.t.Helper()
	matrix, err := f.Client.Reachability(f.t.Context(), "global")
	if err != nil {
		return err
	}
	for _, c := range matrix.GetCells() {
		if c.GetFrom() == from && c.GetAddress() == address && c.GetReached() == "yes" {
			return nil
		}
	}
	return fmt.Errorf("the matrix is %v", matrix.GetCells())
}
