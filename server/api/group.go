package api

import (
	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store/snapshot"
)

// checkGroups looks at what groups will do because of the edits: it fills in the batch's expansion, and refuses when one
// would lose more peerings than its limit. With force it writes down that the operator has allowed it.
func checkGroups(v *snapshot.View, next *prospect, b *batch) error {
	for _, g := range concernedGroups(v, next, b) {
		x := peering.Expand(next, g)
		b.expansions = append(b.expansions, x)
		if !deletesMore(v, x) {
			continue
		}
		err := x.Check(int(g.GetStatus().GetAllowedDeletions()))
		if err == nil {
			continue
		}
		if !b.force {
			return err
		}
		b.allow(g, len(x.Delete))
	}
	return nil
}

// concernedGroups are those whose expansion an edit may alter, as they will be, in order of their names.
func concernedGroups(v *snapshot.View, next *prospect, b *batch) []*isthmusv1.PeeringGroup {
	if !anyGroup(v) && len(next.edited[resource.KindPeeringGroup]) == 0 {
		return nil
	}
	concerned := map[string]bool{}
	for _, choosers := range []peering.Choosers{peering.ChoosersOf(v), peering.ChoosersOf(next)} {
		for _, e := range b.edits {
			if !e.changes() {
				continue
			}
			for _, g := range choosers.Concerned(e.before, e.after) {
				concerned[g.GetName()] = true
			}
		}
	}
	var out []*isthmusv1.PeeringGroup
	for g := range resource.All[*isthmusv1.PeeringGroup](next, resource.KindPeeringGroup) {
		if concerned[g.GetName()] {
			out = append(out, g)
		}
	}
	return out
}

func anyGroup(v *snapshot.View) bool {
	for range v.ListAfter(resource.KindPeeringGroup, "") {
		return true
	}
	return false
}

// deletesMore tells whether a group would lose peerings that it does not lose already: what is held back for an earlier
// change is not this one's fault.
func deletesMore(v *snapshot.View, x peering.Expansion) bool {
	before, ok := resource.Lookup[*isthmusv1.PeeringGroup](v, resource.KindPeeringGroup, x.Group.GetName())
	if !ok {
		return len(x.Delete) > 0
	}
	lost := map[string]bool{}
	for _, p := range peering.Expand(v, before).Delete {
		lost[p.GetUid()] = true
	}
	for _, p := range x.Delete {
		if !lost[p.GetUid()] {
			return true
		}
	}
	return false
}

// allow writes into a group's status how many deletions an operator has allowed.
func (b *batch) allow(g *isthmusv1.PeeringGroup, deletions int) {
	status := func(g *isthmusv1.PeeringGroup) {
		if g.Status == nil {
			g.Status = &isthmusv1.PeeringGroupStatus{}
		}
		g.Status.AllowedDeletions = int32(deletions)
	}
	for _, e := range b.edits {
		if after, ok := e.after.(*isthmusv1.PeeringGroup); ok && after.GetName() == g.GetName() {
			status(after)
			e.status = true
			return
		}
	}
	after := resource.Clone(g)
	status(after)
	b.edits = append(b.edits, &edit{
		kind: resource.KindOf(g), before: g, after: after, action: "update", status: true,
		message: "more deletions than its limit are allowed, by force",
	})
}

// expansionOf says what a group will do.
func expansionOf(x peering.Expansion) []*isthmusv1.Change {
	var out []*isthmusv1.Change
	add := func(action string, p *isthmusv1.Peering, fields []*isthmusv1.FieldChange) {
		out = append(out, &isthmusv1.Change{Kind: resource.KindPeering, Name: p.GetName(), Action: action, Group: x.Group.GetName(), Fields: fields})
	}
	for _, p := range x.Create {
		add(changeCreate, p, resource.Diff(nil, p))
	}
	owned := make(map[string]*isthmusv1.Peering, len(x.Owned))
	for _, p := range x.Owned {
		owned[p.GetName()] = p
	}
	for _, p := range x.Update {
		add(changeUpdate, p, resource.Diff(owned[p.GetName()], p))
	}
	for _, p := range x.Delete {
		add(changeDelete, p, resource.Diff(p, nil))
	}
	return out
}
