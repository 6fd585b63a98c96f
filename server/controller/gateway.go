package controller

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/inventory"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/change"
	"isthmus/server/observation"
	"isthmus/store"
	"isthmus/store/snapshot"
)

// gateways keeps a Gateway for each mesh gateway that the agent found in its Consul, and for each enrolled one, which may be there before
// Consul is. An operator's are left alone, also where one has the name that a found one would get, and so is what is another
// datacenter's.
func (l *leader) gateways(v *snapshot.View, d *isthmusv1.Datacenter) []edit {
	seen, _ := l.Observations.Get(d.GetName(), observation.PartInventory)
	elsewhere := func(name string) bool {
		g, ok := resource.Lookup[*isthmusv1.Gateway](v, resource.KindGateway, name)
		return ok && g.GetSpec().GetDatacenter() != d.GetName()
	}
	var out []edit
	found := map[string]bool{}
	for _, want := range inventory.Enrol(d.GetName(), inventory.Gateways(d.GetName(), seen.Inventory, elsewhere), l.enrolled(v, d.GetName())) {
		resource.Default(want)
		if resource.Validate(want) != nil || elsewhere(want.GetName()) {
			continue
		}
		found[want.GetName()] = true
		out = append(out, l.gateway(v, want)...)
	}
	for g := range resource.AllTouching[*isthmusv1.Gateway](v, resource.KindGateway, d.GetName()) {
		// What Consul knew stays as long as nobody has told what it knows now.
		told := seen.Inventory != nil || g.GetStatus().GetServiceId() == ""
		if g.GetSpec().GetSource() == resource.SourceDiscovered && !found[g.GetName()] && told {
			why := "no longer in Consul, and no enrolled gateway"
			if g.GetStatus().GetServiceId() == "" {
				why = "the enrolled gateway is gone, or its Consul knows it now: then it is there by the name that it has in Consul"
			}
			out = append(out, removal(g, l.gone(g, why)))
		}
	}
	return out
}

// enrolled are the gateways of a datacenter that have said something.
func (l *leader) enrolled(v *snapshot.View, datacenter string) []inventory.Enrolled {
	var out []inventory.Enrolled
	for a := range resource.AllTouching[*isthmusv1.Agent](v, resource.KindAgent, datacenter) {
		if a.GetSpec().GetKind() != resource.AgentKindGateway || a.GetDeleteTime() != nil || !resource.Trusted(a) {
			continue
		}
		if seen, ok := l.Observations.Get(datacenter, observation.GatewayPart(a.GetName())); ok && seen.Gateway != nil {
			online := l.heard(a).Liveness(l.now()) == resource.LivenessOnline
			out = append(out, inventory.Enrolled{Agent: a.GetName(), Online: online, Report: seen.Gateway})
		}
	}
	return out
}

// gateway creates or updates one that was found.
func (l *leader) gateway(v *snapshot.View, want *isthmusv1.Gateway) []edit {
	old, ok := resource.Lookup[*isthmusv1.Gateway](v, resource.KindGateway, want.GetName())
	switch {
	case !ok:
		change.Fresh(want, l.now())
		why := "found in Consul"
		if want.GetStatus().GetServiceId() == "" {
			why = "an enrolled gateway, which its Consul does not know yet"
		}
		return []edit{{
			put:      &store.Put{Object: want, Part: store.PartAll},
			requires: []store.Require{{Key: keyOf(want), Absent: true}},
			events:   []*isthmusv1.Event{author().SpecEvent(resource.ActionCreate, nil, want, why, l.now())},
		}}
	case old.GetSpec().GetSource() != resource.SourceDiscovered:
		return nil
	}
	next := resource.Clone(old)
	next.Status = want.GetStatus()
	switch {
	case !proto.Equal(old.GetSpec(), want.GetSpec()):
		next.Spec = want.GetSpec()
		m := resource.MetadataOf(old)
		m.Generation++
		m.UpdateTime = timestamppb.New(l.now())
		resource.SetMetadata(next, m)
		return []edit{{
			put:      &store.Put{Object: next, Part: store.PartAll},
			requires: []store.Require{{Key: keyOf(old), Index: old.GetIndex()}},
			events:   []*isthmusv1.Event{author().SpecEvent(resource.ActionUpdate, old, next, "changed in Consul", l.now())},
		}}
	case !proto.Equal(old.GetStatus(), next.GetStatus()):
		return []edit{statusChange(next)}
	}
	return nil
}
