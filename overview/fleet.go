package overview

import (
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/connection"
	"isthmus/inventory"
	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Fleet is all datacenters, with what is seen of each, and how they are connected: links are connection.Links of the same moment.
func Fleet(r resource.Reader, seen func(datacenter string) Seen, links []*isthmusv1.Connection, now time.Time) *isthmusv1.Fleet {
	out := &isthmusv1.Fleet{Links: make([]*isthmusv1.FleetLink, len(links)), Time: timestamppb.New(now)}
	for i, c := range links {
		out.Links[i] = linkOf(c)
	}
	unheard := unheardOf(links)
	memberships := resource.Memberships(r)
	others := &witnesses{seen: seen, now: now, known: map[string]*isthmusv1.FederationReport{}}
	for dc := range resource.All[*isthmusv1.Datacenter](r, resource.KindDatacenter) {
		out.Datacenters = append(out.Datacenters, datacenterOf(dc, memberships[dc.GetName()], seen(dc.GetName()), unheard[dc.GetName()], others))
	}
	return out
}

// linkOf is a connection without its evidence.
func linkOf(c *isthmusv1.Connection) *isthmusv1.FleetLink {
	out := &isthmusv1.FleetLink{
		Kind: c.GetKind(), Name: c.GetName(), A: c.GetA(), B: c.GetB(),
		Verdict: c.GetVerdict(), Broken: c.GetBroken(), Since: c.GetSince(), Reason: c.GetReason(),
	}
	if c.GetVerdict() != peering.VerdictHealthy {
		out.Message = c.GetMessage()
	}
	return out
}

// unheardOf are, by datacenter, those that hear nothing from it over a connection that was there. Sorted.
func unheardOf(links []*isthmusv1.Connection) map[string][]string {
	out := map[string][]string{}
	for _, c := range links {
		if c.GetBroken() == connection.BrokenAToB || c.GetBroken() == connection.BrokenBoth {
			out[c.GetA()] = append(out[c.GetA()], c.GetB())
		}
		if c.GetBroken() == connection.BrokenBToA || c.GetBroken() == connection.BrokenBoth {
			out[c.GetB()] = append(out[c.GetB()], c.GetA())
		}
	}
	for name, others := range out {
		slices.Sort(others)
		out[name] = slices.Compact(others)
	}
	return out
}

func datacenterOf(dc *isthmusv1.Datacenter, m resource.Membership, s Seen, unheard []string, others *witnesses) *isthmusv1.FleetDatacenter {
	last, online := s.heard(others.now)
	health := HealthOf(dc, m.Role, s, others.now)
	if others.now.Sub(last) > quiet && (health.Word == Healthy || health.Reason == inventory.ReasonAgentOffline) {
		unheard = append(slices.Clip(unheard), others.missing(m)...)
		slices.Sort(unheard)
		if unheard = slices.Compact(unheard); len(unheard) > 0 {
			health = cutOff(dc, health, last, unheard)
		}
	}
	status := dc.GetStatus()
	out := &isthmusv1.FleetDatacenter{
		Name: dc.GetName(), Labels: dc.GetLabels(), Runtime: dc.GetSpec().GetRuntime(),
		Health: health.Word, Since: timestamppb.New(health.Since), Reason: health.Reason, Message: health.Message, Fix: health.Fix,
		ConsulVersion: status.GetConsulVersion(), Servers: status.GetServers(), Leader: status.GetLeader(), Services: status.GetServices(),
		Federation: m.Federation.GetName(), Role: m.Role, Agents: int32(len(s.Agents)), AgentsOnline: int32(online),
	}
	if i := s.Inventory; i != nil { // newer than what the status has of it
		out.ConsulVersion, out.Servers, out.Leader, out.Services = i.GetConsulVersion(), i.GetServers(), i.GetLeader(), i.GetServices()
	}
	return out
}
