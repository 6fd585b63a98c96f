package controller

import (
	"cmp"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/observation"
	"isthmus/store/snapshot"
)

const (
	// conditionReady sums a resource up.
	conditionReady = "Ready"
	// maxForeign bounds the list of peerings that isthmus did not make.
	maxForeign = 100
	// Whose a peering is that is nobody's desired one: see ObservedPeering.origin.
	originOwn = "own"
)

// datacenter brings what is known of a datacenter up to date: its agents, its status, its gateways; or its deletion to
// its end.
func (l *leader) datacenter(v *snapshot.View, name string) []change {
	out := l.agents(v, name)
	d, ok := resource.Lookup[*isthmusv1.Datacenter](v, resource.KindDatacenter, name)
	if !ok {
		return out
	}
	if d.GetDeleteTime() != nil && !touched(v, name) {
		return append(out, l.datacenterGoes(v, d)...)
	}
	next := resource.Clone(d)
	next.Status = l.datacenterStatus(v, d)
	if !proto.Equal(d.GetStatus(), next.GetStatus()) {
		var events []*isthmusv1.Event
		if was, is := d.GetStatus().GetAgent(), next.GetStatus().GetAgent(); was != is && was != "" {
			events = append(events, l.event("transition", d, fmt.Sprintf("agents %s → %s", was, is)))
		}
		out = append(out, statusChange(next, events...))
	}
	if d.GetDeleteTime() == nil {
		out = append(out, l.gateways(v, d)...)
	}
	return out
}

func touched(v *snapshot.View, datacenter string) bool {
	for range v.Touching(resource.KindPeering, datacenter) {
		return true
	}
	return false
}

// datacenterGoes removes a datacenter with the gateways that were found in it.
func (l *leader) datacenterGoes(v *snapshot.View, d *isthmusv1.Datacenter) []change {
	c := removal(d, l.event("delete", d, "its last peering is gone"))
	out := make([]change, 0, 1)
	for g := range resource.AllTouching[*isthmusv1.Gateway](v, resource.KindGateway, d.GetName()) {
		if g.GetSpec().GetSource() == resource.SourceDiscovered {
			out = append(out, removal(g, l.event("delete", g, "with its datacenter")))
		}
	}
	return append(out, c)
}

func (l *leader) datacenterStatus(v *snapshot.View, d *isthmusv1.Datacenter) *isthmusv1.DatacenterStatus {
	next := &isthmusv1.DatacenterStatus{}
	if d.GetStatus() != nil {
		next = proto.CloneOf(d.GetStatus())
	}
	leading := l.countAgents(v, d, next)
	if next.GetAgent() != d.GetStatus().GetAgent() || next.GetAgentSince() == nil {
		next.AgentSince = timestamppb.New(l.now())
	}
	if seen, ok := l.Observations.Get(d.GetName(), observation.PartInventory); ok && seen.Inventory != nil {
		takeInventory(next, seen.Inventory)
	}
	if seen, ok := l.Observations.Get(d.GetName(), observation.PartPeerings); ok {
		next.ForeignPeerings = foreign(seen.Peerings)
	}
	next.Conditions = resource.SetCondition(d, next.GetConditions(), l.datacenterReady(v, d, next, leading), l.now())
	return next
}

// countAgents counts those that act for the datacenter, and gives the report of the leading one.
func (l *leader) countAgents(v *snapshot.View, d *isthmusv1.Datacenter, next *isthmusv1.DatacenterStatus) (leading *isthmusv1.AgentReport) {
	next.Agents, next.AgentsOnline, next.Agent = 0, 0, resource.LivenessUnknown
	unknown := 0
	for a := range resource.AllTouching[*isthmusv1.Agent](v, resource.KindAgent, d.GetName()) {
		if a.GetSpec().GetKind() != resource.AgentKindAgent {
			continue
		}
		next.Agents++
		switch l.liveness(a) {
		case resource.LivenessOnline:
			next.AgentsOnline++
		case resource.LivenessUnknown:
			unknown++
			continue
		default:
			continue
		}
		seen, _ := l.Observations.Get(d.GetName(), observation.AgentPart(a.GetName()))
		if report := seen.AgentReport; leading == nil || report.GetLeader() {
			leading = report
		}
	}
	switch {
	case next.GetAgentsOnline() > 0:
		next.Agent = resource.LivenessOnline
	case next.GetAgents() > 0 && unknown == 0:
		next.Agent = resource.LivenessOffline
	}
	return leading
}

func takeInventory(s *isthmusv1.DatacenterStatus, i *isthmusv1.InventoryReport) {
	s.ConsulVersion, s.Servers, s.Leader = i.GetConsulVersion(), i.GetServers(), i.GetLeader()
	s.AclEnabled, s.TlsEnabled, s.GossipEncrypted = i.AclEnabled, i.TlsEnabled, i.GossipEncrypted
	s.ConnectEnabled, s.PeeringEnabled = i.ConnectEnabled, i.PeeringEnabled
	s.WanMembers, s.Services, s.TrustDomain = i.GetWanMembers(), i.GetServices(), i.GetTrustDomain()
	s.CaExpireTime, s.AclReplication = i.GetCaExpireTime(), i.GetAclReplication()
}

// foreign are the peerings in a datacenter's Consul that no Peering stands for.
func foreign(r *isthmusv1.PeeringsReport) []*isthmusv1.ForeignPeering {
	var out []*isthmusv1.ForeignPeering
	for _, p := range r.GetPeerings() {
		if p.GetOrigin() == originOwn || p.GetOrigin() == "" || p.GetState() == "" {
			continue
		}
		out = append(out, &isthmusv1.ForeignPeering{PeerName: p.GetPeerName(), PeerId: p.GetPeerId(), State: p.GetState(), Origin: p.GetOrigin()})
	}
	slices.SortFunc(out, func(a, b *isthmusv1.ForeignPeering) int { return cmp.Compare(a.GetPeerName(), b.GetPeerName()) })
	return out[:min(len(out), maxForeign)]
}

// datacenterReady tells whether isthmus can act in the datacenter, and if not, what a person can do about it.
func (l *leader) datacenterReady(v *snapshot.View, d *isthmusv1.Datacenter, s *isthmusv1.DatacenterStatus, leading *isthmusv1.AgentReport) *isthmusv1.Condition {
	c := &isthmusv1.Condition{Type: conditionReady, Status: resource.ConditionFalse}
	say := func(reason, format string, args ...any) { c.Reason, c.Message = reason, fmt.Sprintf(format, args...) }
	switch {
	case s.GetAgents() == 0:
		c.Status = resource.ConditionUnknown
		say("NoAgent", "no agent has enrolled: isthmus join-token create --datacenter %s", d.GetName())
	case s.GetAgent() == resource.LivenessUnknown:
		c.Status = resource.ConditionUnknown
		say("AgentUnknown", "no agent was heard of since this server took over")
	case s.GetAgent() == resource.LivenessOffline:
		say("AgentOffline", "none of its %d agents is heard of; its Consul keeps its last state", s.GetAgents())
	case leading.GetErrorReason() != "":
		say(leading.GetErrorReason(), "%s", leading.GetError())
	case leading.GetHeldRemovals() > 0:
		say("RemovalsHeld", "the store was restored, and %d removals wait for a person: isthmus datacenter confirm %s", leading.GetHeldRemovals(), d.GetName())
	case len(l.tooNew(v, d, leading)) > 0:
		say("AgentTooOld", "the agent's version %s cannot do %s: update it", leading.GetVersion(), l.tooNew(v, d, leading)[0])
	case len(leading.GetUnknownItems()) > 0:
		say("AgentTooOld", "the agent's version %s does not know %s: update it", leading.GetVersion(), leading.GetUnknownItems()[0])
	case s.GetConsulVersion() == "":
		c.Status = resource.ConditionUnknown
		say("NoInventory", "the agent has not reported what it sees in Consul yet")
	default:
		c.Status = resource.ConditionTrue
		say("AgentOnline", "")
	}
	return c
}

// tooNew are the items of the datacenter's plan that its agent's version cannot do.
func (l *leader) tooNew(v *snapshot.View, d *isthmusv1.Datacenter, leading *isthmusv1.AgentReport) []string {
	if leading == nil || !slices.ContainsFunc(plan.Features(), func(f string) bool { return !slices.Contains(leading.GetFeatures(), f) }) {
		return nil
	}
	_, omitted := plan.For(v, d.GetName(), leading.GetFeatures())
	return omitted
}
