package e2e_test

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Without a control plane what is joined stays joined, whatever is restarted; and what it did when it died, it goes on with.
func TestFederationWithoutItsControlPlane(t *testing.T) {
	f := NewWorld(t, 3, "dc1", "dc2", "dc3")
	dc1, dc2 := f.Site("dc1", Site{Primary: true}), f.Site("dc2", Site{Fresh: true})
	dc3 := f.Site("dc3", Site{Fresh: true})
	f.Declare("dc1", "dc2", "dc3")
	f.Apply("kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc2]}\n")
	f.Joined("global", dc1, dc2)
	dc1.Reads(dc2)

	t.Log("down after it converged")
	f.KillServer()
	for _, d := range []*Datacenter{dc1, dc2} {
		d.Agents[0].stop()
		d.Agents[0].Restart()
		d.Gateways[0].stop()
		d.Gateways[0].Restart()
		if err := d.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	dc1.Reads(dc2)
	dc2.Reads(dc1)

	t.Log("down while dc3 joins, at any moment")
	f.StartServer()
	f.Apply("kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc2, dc3]}\n")
	pause := time.Duration(rand.IntN(3000)) * time.Millisecond
	after(t, pause)
	t.Logf("killed %s after the change", pause)
	f.KillServer()
	f.StartServer()
	f.Joined("global", dc1, dc3)
	dc3.Reads(dc2)
	dc1.Alive("s1.dc1", "s1.dc2", "s1.dc3")
}
