package plan

// Parts are parts of a plan that are looked at apart.
type Parts uint16

const (
	// item is the item of a Peering; end is what is made of its other end: who is exported to, whose gateways there are.
	item Parts = 1 << iota
	end
	// header is what is no item.
	header
	// exports are which ServiceExports choose the datacenter, consumers what is exported to whom, entries and mesh its config entries.
	exports
	consumers
	entries
	mesh
	// membership is what is done for its federation, gateways what is told of those of all others: probes, or routes.
	membership
	gateways

	all = exports | consumers | entries | mesh | membership | gateways | header
)

// Part is what one change may alter of a datacenter's plan: parts of all of it, or of what is made of one Peering.
type Part struct {
	// Peering is its name; empty: all other parts.
	Peering string
	of      Parts
}

// Touch is what of a datacenter's plan may be another. The zero value is nothing.
type Touch struct {
	peerings map[string]Parts
	rest     Parts
}

// Add adds what Touched gives.
func (t *Touch) Add(part Part) {
	if part.Peering == "" {
		t.rest |= part.of
		return
	}
	if t.peerings == nil {
		t.peerings = map[string]Parts{}
	}
	t.peerings[part.Peering] |= part.of
}

// Empty tells that there is nothing to look at.
func (t *Touch) Empty() bool { return t.rest == 0 && len(t.peerings) == 0 }
