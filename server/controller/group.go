package controller

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/change"
	"isthmus/store"
	"isthmus/store/snapshot"
)

// group makes a group's peerings what it stands for, as far as its deletion limit allows.
func (l *leader) group(v *snapshot.View, name string) []edit {
	g, ok := resource.Lookup[*isthmusv1.PeeringGroup](v, resource.KindPeeringGroup, name)
	if !ok {
		return nil
	}
	x := peering.Expand(v, g)
	if g.GetDeleteTime() != nil && len(x.Owned)+len(x.Delete)+x.Leaving == 0 {
		return []edit{removal(g, l.gone(g, "its last peering is gone"))}
	}
	var out []edit
	for _, p := range x.Create {
		out = append(out, l.created(g, p))
	}
	for _, p := range x.Update {
		out = append(out, l.revised(v, p, "follows PeeringGroup "+name))
	}
	if x.Check(int(g.GetStatus().GetAllowedDeletions())) == nil {
		for _, p := range x.Delete {
			out = append(out, l.leaving(p, "no longer wanted by PeeringGroup "+name))
		}
	}
	next := resource.Clone(g)
	if status := peering.GroupStatus(x, l.now()); status != g.GetStatus() {
		next.Status = status
		out = append(out, statusChange(next))
	}
	return out
}

// created is a new peering of a group, with the status that it would get a moment later.
func (l *leader) created(g *isthmusv1.PeeringGroup, p *isthmusv1.Peering) edit {
	change.Fresh(p, l.now())
	seen, _ := l.seen.Of(p)
	p.Status = peering.Next(p, seen, l.now())
	now := l.now()
	return edit{
		put:      &store.Put{Object: p, Given: true, Part: store.PartAll},
		requires: []store.Require{{Key: keyOf(p), Absent: true}, {Key: keyOf(g)}},
		told: func() *isthmusv1.Event {
			return author().SpecEvent(resource.ActionCreate, nil, p, "wanted by PeeringGroup "+g.GetName(), now)
		},
	}
}

// revised is a new version of a resource's spec.
func (l *leader) revised(v *snapshot.View, o resource.Object, why string) edit {
	m := resource.MetadataOf(o)
	m.Generation++
	m.UpdateTime = timestamppb.New(l.now())
	resource.SetMetadata(o, m)
	before, _ := v.Get(resource.KindOf(o).Name, o.GetName())
	return edit{
		put:      &store.Put{Object: o, Part: store.PartSpec},
		requires: []store.Require{{Key: keyOf(o), Index: o.GetIndex()}},
		events:   []*isthmusv1.Event{author().SpecEvent(resource.ActionUpdate, before, o, why, l.now())},
	}
}

// leaving begins the deletion of a resource of which something may be in a Consul, as a peering's ends: that goes first.
func (l *leader) leaving(o resource.Object, why string) edit {
	next := resource.Clone(o)
	m := resource.MetadataOf(next)
	m.DeleteTime = timestamppb.New(l.now())
	m.UpdateTime = m.DeleteTime
	resource.SetMetadata(next, m)
	return edit{
		put:      &store.Put{Object: next, Part: store.PartSpec},
		requires: []store.Require{{Key: keyOf(o), Index: o.GetIndex()}},
		events:   []*isthmusv1.Event{author().SpecEvent(resource.ActionDelete, o, nil, why, l.now())},
	}
}
