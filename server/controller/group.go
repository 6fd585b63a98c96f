package controller

import (
	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
	"isthmus/store/snapshot"
)

// group makes a group's peerings what it stands for, as far as its deletion limit allows.
func (l *leader) group(v *snapshot.View, name string) []change {
	g, ok := resource.Lookup[*isthmusv1.PeeringGroup](v, resource.KindPeeringGroup, name)
	if !ok {
		return nil
	}
	x := peering.Expand(v, g)
	if g.GetDeleteTime() != nil && len(x.Owned)+len(x.Delete)+x.Leaving == 0 {
		return []change{removal(g, l.event("delete", g, "its last peering is gone"))}
	}
	var out []change
	for _, p := range x.Create {
		out = append(out, l.created(v, g, p))
	}
	for _, p := range x.Update {
		out = append(out, l.revised(p, "follows PeeringGroup "+name))
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
func (l *leader) created(v *snapshot.View, g *isthmusv1.PeeringGroup, p *isthmusv1.Peering) change {
	now := timestamppb.New(l.now())
	resource.SetMetadata(p, resource.Metadata{UID: uuid.NewString(), Generation: 1, CreateTime: now, UpdateTime: now})
	evidence, _ := l.evidence(v, p)
	p.Status = peering.Next(p, evidence, l.now())
	created := l.event("create", p, "wanted by PeeringGroup "+g.GetName())
	created.Spec.DigestAfter = resource.SpecDigest(p)
	return change{
		put:      &store.Put{Object: p, Part: store.PartAll},
		requires: []store.Require{{Key: keyOf(p), Absent: true}, {Key: keyOf(g)}},
		events:   []*isthmusv1.Event{created},
	}
}

// revised is a new version of a peering's spec.
func (l *leader) revised(p *isthmusv1.Peering, why string) change {
	m := resource.MetadataOf(p)
	m.Generation++
	m.UpdateTime = timestamppb.New(l.now())
	resource.SetMetadata(p, m)
	updated := l.event("update", p, why)
	updated.Spec.DigestAfter = resource.SpecDigest(p)
	return change{
		put:      &store.Put{Object: p, Part: store.PartSpec},
		requires: []store.Require{{Key: keyOf(p), Index: p.GetIndex()}},
		events:   []*isthmusv1.Event{updated},
	}
}

// leaving begins the deletion of a peering: its ends in Consul go first.
func (l *leader) leaving(p *isthmusv1.Peering, why string) change {
	next := resource.Clone(p)
	m := resource.MetadataOf(next)
	m.DeleteTime = timestamppb.New(l.now())
	m.UpdateTime = m.DeleteTime
	resource.SetMetadata(next, m)
	deleted := l.event("delete", next, why)
	deleted.Spec.DigestBefore = resource.SpecDigest(p)
	return change{
		put:      &store.Put{Object: next, Part: store.PartSpec},
		requires: []store.Require{{Key: keyOf(p), Index: p.GetIndex()}},
		events:   []*isthmusv1.Event{deleted},
	}
}
