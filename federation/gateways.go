package federation

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// maxRetired is how many addresses of a member's gateways are kept that Consul no longer knows.
const maxRetired = 16

// gateways are the addresses at which others reach a member. One that is gone stays behind the others, retired: see forget.
func (j *judge) gateways(m *isthmusv1.FederationMember) []*isthmusv1.MemberGateway {
	out := gatewaysOf(j.r, m.GetDatacenter())
	known := map[string]*isthmusv1.MemberGateway{}
	for _, g := range m.GetGateways() {
		known[g.GetWanAddress()] = g
	}
	present, unproven := map[string]bool{}, j.unproven(m.GetDatacenter())
	for _, g := range out {
		present[g.GetWanAddress()] = true
		old := known[g.GetWanAddress()]
		g.Used = healthy(g) && !unproven[g.GetWanAddress()] || old.GetUsed() && old.GetHealth() != resource.GatewayRetired
	}
	var retired []*isthmusv1.MemberGateway
	for _, g := range m.GetGateways() {
		if present[g.GetWanAddress()] {
			continue
		}
		if g.GetHealth() != resource.GatewayRetired {
			g = &isthmusv1.MemberGateway{
				WanAddress: g.GetWanAddress(), LanAddress: g.GetLanAddress(), Used: g.GetUsed(),
				Health: resource.GatewayRetired, RetireTime: timestamppb.New(j.now),
			}
		}
		retired = append(retired, g)
	}
	slices.SortFunc(retired, func(a, b *isthmusv1.MemberGateway) int {
		return cmp.Or(b.GetRetireTime().AsTime().Compare(a.GetRetireTime().AsTime()), cmp.Compare(a.GetWanAddress(), b.GetWanAddress()))
	})
	return append(out, retired[:min(len(retired), maxRetired)]...)
}

// forget drops a member's retired gateways once everybody who dials it has proven each of the present ones: what was reached through an
// old one is never cut off before. When no present one is healthy, all the old ones stay. Who begins to dial in this very look is asked,
// too: phases have to be decided before.
func (j *judge) forget(m *isthmusv1.FederationMember) {
	if j.proven(m) {
		m.Gateways = slices.DeleteFunc(m.GetGateways(), func(g *isthmusv1.MemberGateway) bool { return g.GetHealth() == resource.GatewayRetired })
	}
}

func healthy(g *isthmusv1.MemberGateway) bool {
	return g.GetHealth() != healthCritical && g.GetHealth() != resource.GatewayRetired
}

// unproven are the WAN addresses of a datacenter's gateways that nothing but discovery speaks for, and whose health is not known to be
// good. What bundles name changes what servers are configured with: no such address is among it yet. An enrolled gateway speaks for itself:
// it is there before the Consul that could tell its health, and which cannot join without it.
func (j *judge) unproven(datacenter string) map[string]bool {
	out := map[string]bool{}
	for g := range resource.AllTouching[*isthmusv1.Gateway](j.r, resource.KindGateway, datacenter) {
		if g.GetDeleteTime() == nil && g.GetSpec().GetSource() == resource.SourceDiscovered {
			out[g.GetSpec().GetWanAddress()] = true
		}
	}
	for g := range resource.AllTouching[*isthmusv1.Gateway](j.r, resource.KindGateway, datacenter) {
		named := g.GetDeleteTime() == nil && g.GetSpec().GetSource() != resource.SourceDiscovered
		if a, ok := resource.Lookup[*isthmusv1.Agent](j.r, resource.KindAgent, g.GetName()); ok {
			named = named || a.GetDeleteTime() == nil && a.GetSpec().GetKind() == resource.AgentKindGateway
		}
		if named || g.GetStatus().GetHealth() == healthPassing {
			delete(out, g.GetSpec().GetWanAddress())
		}
	}
	return out
}

// proven: a member's present gateways that are healthy, of which there is one at least, have each been reached by every other member
// that dials it.
func (j *judge) proven(m *isthmusv1.FederationMember) bool {
	good := slices.DeleteFunc(slices.Clone(m.GetGateways()), func(g *isthmusv1.MemberGateway) bool { return !healthy(g) })
	if len(good) == 0 {
		return false
	}
	for _, other := range j.next.GetMembers() {
		if other.GetDatacenter() == m.GetDatacenter() || !j.dials(other, m) {
			continue
		}
		for _, g := range good {
			if p := j.probe(other.GetDatacenter(), m.GetDatacenter(), g.GetWanAddress()); !p.GetOk() {
				return false
			}
		}
	}
	return true
}

// dials: the servers or gateways of one member go through the other's gateways now.
func (j *judge) dials(from, to *isthmusv1.FederationMember) bool {
	if j.GetSpec().GetMode() != resource.ModeMeshGateway {
		return false
	}
	in := func(m *isthmusv1.FederationMember) bool { return m.GetRole() == resource.RolePrimary || delivers(m) }
	return in(from) && in(to) && from.GetPhase() != resource.PhaseLeaving && to.GetPhase() != resource.PhaseLeaving
}

// probed is what one datacenter says of another's addresses: its agent, and its gateways.
type probed struct{ agent, gateways []*isthmusv1.ObservedProbe }

// probesFrom are a datacenter's probes by whom they are of; none when nobody is heard of there.
func (j *judge) probesFrom(datacenter string) map[string]*probed {
	if known, ok := j.probes[datacenter]; ok {
		return known
	}
	out := map[string]*probed{}
	of := func(to string) *probed {
		if out[to] == nil {
			out[to] = &probed{}
		}
		return out[to]
	}
	if s := j.seen[datacenter]; s.Online {
		for _, p := range s.Federation.GetProbes() {
			of(p.GetDatacenter()).agent = append(of(p.GetDatacenter()).agent, p)
		}
		for _, g := range s.Gateways {
			for _, p := range g.GetProbes() {
				of(p.GetDatacenter()).gateways = append(of(p.GetDatacenter()).gateways, p)
			}
		}
	}
	j.probes[datacenter] = out
	return out
}

// probe is what the agent of one datacenter says of an address of another; nil: nothing, or nobody is heard of there.
func (j *judge) probe(from, to, address string) *isthmusv1.ObservedProbe {
	if said := j.probesFrom(from)[to]; said != nil {
		for _, p := range said.agent {
			if p.GetAddress() == address {
				return p
			}
		}
	}
	return nil
}

// probesTo are all that one datacenter says of the addresses at which another is reached: its agent, or its gateways.
func (j *judge) probesTo(from string, to *isthmusv1.FederationMember) []*isthmusv1.ObservedProbe {
	said := j.probesFrom(from)[to.GetDatacenter()]
	if said == nil {
		return nil
	}
	reached := j.dialled(to)
	return slices.DeleteFunc(slices.Concat(said.agent, said.gateways), func(p *isthmusv1.ObservedProbe) bool {
		return !slices.Contains(reached, p.GetAddress())
	})
}
