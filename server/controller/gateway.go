package controller

import (
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/inventory"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/observation"
	"isthmus/store"
	"isthmus/store/snapshot"
)

// gateways keeps a Gateway for each mesh gateway that the agent found in its Consul. An operator's are left alone, also
// where one has the name that a found one would get.
func (l *leader) gateways(v *snapshot.View, d *isthmusv1.Datacenter) []change {
	seen, ok := l.Observations.Get(d.GetName(), observation.PartInventory)
	if !ok || seen.Inventory == nil {
		return nil
	}
	var out []change
	found := map[string]bool{}
	for _, want := range inventory.Gateways(d.GetName(), seen.Inventory) {
		resource.Default(want)
		if resource.Validate(want) != nil {
			continue
		}
		found[want.GetName()] = true
		out = append(out, l.gateway(v, want)...)
	}
	for g := range resource.AllTouching[*isthmusv1.Gateway](v, resource.KindGateway, d.GetName()) {
		if g.GetSpec().GetSource() == resource.SourceDiscovered && !found[g.GetName()] {
			out = append(out, removal(g, l.event("delete", g, "no longer in Consul")))
		}
	}
	return out
}

// gateway creates or updates one that was found.
func (l *leader) gateway(v *snapshot.View, want *isthmusv1.Gateway) []change {
	now := timestamppb.New(l.now())
	old, ok := resource.Lookup[*isthmusv1.Gateway](v, resource.KindGateway, want.GetName())
	switch {
	case !ok:
		resource.SetMetadata(want, resource.Metadata{UID: uuid.NewString(), Generation: 1, CreateTime: now, UpdateTime: now})
		return []change{{
			put:      &store.Put{Object: want, Part: store.PartAll},
			requires: []store.Require{{Key: keyOf(want), Absent: true}},
			events:   []*isthmusv1.Event{l.event("create", want, "found in Consul")},
		}}
	case old.GetSpec().GetSource() != resource.SourceDiscovered,
		proto.Equal(old.GetSpec(), want.GetSpec()) && proto.Equal(old.GetStatus(), want.GetStatus()):
		return nil
	}
	m := resource.MetadataOf(old)
	c := change{requires: []store.Require{{Key: keyOf(old), Index: old.GetIndex()}}}
	if !proto.Equal(old.GetSpec(), want.GetSpec()) {
		m.Generation++
		m.UpdateTime = now
		c.events = []*isthmusv1.Event{l.event("update", want, "changed in Consul")}
	}
	resource.SetMetadata(want, m)
	resource.SetLabels(want, old.GetLabels())
	c.put = &store.Put{Object: want, Part: store.PartAll}
	return []change{c}
}
