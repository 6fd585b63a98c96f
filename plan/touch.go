package plan

import (
	"maps"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

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

// Pending tells that it is to be looked at which ServiceExports choose the datacenter.
func (t *Touch) Pending() bool { return t.rest&exports != 0 }

// Spoilt tells whether another change, whose parts are not added yet, makes the plan not go on from where it is: it has to be made anew. So does a
// datacenter with other labels while it is Pending which exports there are. The plan may still hold whom an export chose that has gone, and whose
// selector is nobody's any more, so that Touched tells nobody of labels which only that tells apart; then another comes that chooses alike.
func (t *Touch) Spoilt(before, after resource.Object) bool {
	was, _ := before.(*isthmusv1.Datacenter)
	is, _ := after.(*isthmusv1.Datacenter)
	return t.Pending() && was != nil && is != nil && !maps.Equal(was.GetLabels(), is.GetLabels())
}
