package e2e_test

import "testing"

// Servers that can route to each other need no gateways.
func TestTraditionalFederation(t *testing.T) {
	f := NewWorld(t, 3, "dc1", "dc2", "dc3")
	dc1 := f.Site("dc1", Site{Primary: true, Routable: true, Gateways: -1})
	fresh := f.Site("dc2", Site{Fresh: true, Routable: true, Gateways: -1})
	running := f.Site("dc3", Site{CA: dc1, Routable: true, Gateways: -1})
	f.Declare("dc1", "dc2", "dc3")
	const manifest = "kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc2, dc3], mode: traditional"
	f.Apply(manifest + "}\n")
	f.Apply(manifest + ", acceptDataLoss: [{datacenter: dc3, planDigest: " + f.Planned("global", "dc3").GetDigest() + "}]}\n")
	f.Joined("global", dc1, fresh, running)
	for _, d := range []*Datacenter{fresh, running} {
		dc1.Reads(d)
		d.Reads(dc1)
		d.Alive("s1.dc1", "s1.dc2", "s1.dc3")
	}
	fresh.Reads(running)
}
