package controller

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"isthmus/inventory"
	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/evidence"
	"isthmus/server/observation"
	"isthmus/store/snapshot"
)

// datacenter brings what is known of a datacenter up to date: its agents, its status, its gateways; or its deletion to
// its end.
func (l *leader) datacenter(v *snapshot.View, name string) []edit {
	acting, out := l.agents(v, name)
	d, ok := resource.Lookup[*isthmusv1.Datacenter](v, resource.KindDatacenter, name)
	if !ok {
		delete(l.departing, name)
		delete(l.told, name)
		for _, part := range []string{observation.PartPolicy, observation.PartExports} {
			delete(l.judged, [2]string{part, name})
		}
		return out
	}
	departing := d.GetStatus().GetRemoval() != nil
	if d.GetDeleteTime() != nil && !departing && !touched(v, name) {
		return append(out, l.datacenterGoes(v, d, "nothing holds it any more")...)
	}
	next := d
	var events []*isthmusv1.Event
	if departing {
		next = resource.Clone(d)
		steps := l.depart(v, next)
		if out = append(out, steps.edits...); steps.gone {
			return append(out, l.datacenterGoes(v, d, "nothing of it is left in the others", steps.events...)...)
		}
		events = steps.events
	}
	seen, _ := l.Observations.Get(name, observation.PartEntries)
	status := evidence.Datacenter(next, l.inventory(v, d, acting), seen.Entries, l.now())
	events = append(events, l.settingEvents(d, status)...)
	if !proto.Equal(d.GetStatus(), status) {
		next = resource.Clone(d)
		next.Status = status
		if was, is := d.GetStatus().GetAgent(), next.GetStatus().GetAgent(); was != is && was != "" {
			since := func(s *isthmusv1.DatacenterStatus) string {
				if s.GetAgentSince() == nil {
					return ""
				}
				return s.GetAgentSince().AsTime().Format(time.RFC3339Nano)
			}
			events = append(events, l.moved(d, fmt.Sprintf("agents %s → %s", was, is),
				resource.FieldAgent, was, is, resource.FieldAgentSince, since(d.GetStatus()), since(next.GetStatus())))
		}
		out = append(out, statusChange(next, events...))
	}
	if d.GetDeleteTime() == nil {
		out = append(out, l.gateways(v, d)...)
	}
	return out
}

// newborn tells whether nothing is known of a datacenter but that it is declared: its status says so since it was stored (evidence.Datacenter),
// and there is nothing to look at.
func (l *leader) newborn(v *snapshot.View, d *isthmusv1.Datacenter) bool {
	if d.GetStatus() == nil || d.GetGeneration() != 1 || d.GetDeleteTime() != nil || d.GetStatus().GetRemoval() != nil || l.Observations.Knows(d.GetName()) {
		return false
	}
	for _, kind := range [...]string{resource.KindAgent, resource.KindGateway} {
		for range v.Touching(kind, d.GetName()) {
			return false
		}
	}
	_, member := resource.MembershipOf(v, d.GetName())
	return !member
}

// touched tells whether something of it is still in a Consul: a peering's end, or its part in a federation.
func touched(v *snapshot.View, datacenter string) bool {
	for range v.Touching(resource.KindPeering, datacenter) {
		return true
	}
	m, ok := resource.MembershipOf(v, datacenter)
	return ok && resource.Engaged(resource.MemberOf(m.Federation, datacenter))
}

// datacenterGoes removes a datacenter with the gateways that were found in it; before are events that come before its own.
func (l *leader) datacenterGoes(v *snapshot.View, d *isthmusv1.Datacenter, why string, before ...*isthmusv1.Event) []edit {
	delete(l.departing, d.GetName())
	var out []edit
	for g := range resource.AllTouching[*isthmusv1.Gateway](v, resource.KindGateway, d.GetName()) {
		if g.GetSpec().GetSource() == resource.SourceDiscovered {
			out = append(out, removal(g, l.gone(g, "with its datacenter")))
		}
	}
	return append(out, removal(d, append(before, l.gone(d, why))...))
}

// inventory is what is known of a datacenter.
func (l *leader) inventory(v *snapshot.View, d *isthmusv1.Datacenter, acting []*isthmusv1.Agent) inventory.Evidence {
	e := inventory.Evidence{Agents: acting, Leading: evidence.Leading(l.Observations, d.GetName(), acting).AgentReport}
	if m, ok := resource.MembershipOf(v, d.GetName()); ok {
		e.Federation = m.Federation.GetName()
	}
	seen, _ := l.Observations.Get(d.GetName(), observation.PartInventory)
	e.Inventory = seen.Inventory
	seen, _ = l.Observations.Get(d.GetName(), observation.PartPeerings)
	e.Peerings = seen.Peerings
	if outdatedAgent(e.Leading) {
		_, e.Omitted = plan.For(v, d.GetName(), e.Leading.GetFeatures())
	}
	return e
}

// outdatedAgent tells whether an agent lacks a feature, which makes it worth to plan what is left out for it.
func outdatedAgent(report *isthmusv1.AgentReport) bool {
	return report != nil && slices.ContainsFunc(plan.Features(), func(f string) bool { return !slices.Contains(report.GetFeatures(), f) })
}
