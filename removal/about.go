package removal

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// about is what the plan that was confirmed says of the datacenter: what is looked for in the others, also when the resources that said so are
// gone.
type about struct {
	name string
	// consul is what Consul calls the datacenter.
	consul string
	lost   bool
	// peers are the names that others' Consul had for it, by datacenter.
	peers map[string]string
	// peerings and groups are the names of what connected it; secondaryOf and primaryOf of the federations that it was in.
	peerings, groups       []string
	secondaryOf, primaryOf []string
}

func aboutOf(dc *isthmusv1.Datacenter, plan *isthmusv1.DatacenterRemoval) about {
	a := about{
		name: dc.GetName(), consul: cmp.Or(dc.GetSpec().GetConsulDatacenter(), dc.GetName()), lost: plan.GetLost(), peers: map[string]string{},
	}
	for _, c := range plan.GetChanges() {
		switch c.GetKind() {
		case resource.KindPeering:
			a.peerings = append(a.peerings, c.GetName())
			if other, name := otherEnd(peeringOf(c), dc.GetName()); other != "" {
				a.peers[other] = name
			}
		case resource.KindPeeringGroup:
			a.groups = append(a.groups, c.GetName())
		case resource.KindFederation:
			if c.GetAction() == resource.ActionDelete {
				a.primaryOf = append(a.primaryOf, c.GetName())
			} else {
				a.secondaryOf = append(a.secondaryOf, c.GetName())
			}
		}
	}
	return a
}

// peeringOf is as much of a Peering as its change tells.
func peeringOf(c *isthmusv1.Change) *isthmusv1.Peering {
	spec := &isthmusv1.PeeringSpec{}
	for _, f := range c.GetFields() {
		var text string
		if json.Unmarshal([]byte(f.GetBefore()), &text) != nil {
			continue
		}
		switch f.GetField() {
		case fieldAcceptor:
			spec.Acceptor = text
		case fieldDialer:
			spec.Dialer = text
		case fieldAcceptorPeerName:
			spec.AcceptorPeerName = text
		case fieldDialerPeerName:
			spec.DialerPeerName = text
		}
	}
	return &isthmusv1.Peering{Name: c.GetName(), Spec: spec}
}

// skips tells that there is nothing to do in a step.
func (a about) skips(step string) bool {
	switch step {
	case resource.StepPeerings:
		return len(a.peerings)+len(a.groups) == 0
	case resource.StepFederation:
		return len(a.secondaryOf)+len(a.primaryOf) == 0
	case resource.StepTokens, resource.StepWANPool:
		return len(a.secondaryOf) == 0
	}
	return false
}

// witnesses are the other datacenters in whose Consul something of it may be, sorted: its peers, the members of its federations, and the
// primaries that hold the config entries of its peers. Of who is lost, too, nobody can tell anything.
func (a about) witnesses(r resource.Reader) []string {
	set := map[string]bool{}
	for other := range a.peers {
		set[other] = true
		if m, ok := resource.MembershipOf(r, other); ok {
			set[m.Federation.GetSpec().GetPrimary()] = true
		}
	}
	for _, other := range a.members(r) {
		set[other] = true
	}
	maps.DeleteFunc(set, func(name string, _ bool) bool {
		dc, ok := resource.Lookup[*isthmusv1.Datacenter](r, resource.KindDatacenter, name)
		return !ok || name == a.name || resource.Lost(dc)
	})
	return slices.Sorted(maps.Keys(set))
}

// members are the others in the federations in which it was a secondary.
func (a about) members(r resource.Reader) []string {
	var out []string
	for _, name := range a.secondaryOf {
		f, ok := resource.Lookup[*isthmusv1.Federation](r, resource.KindFederation, name)
		if !ok {
			continue
		}
		for _, member := range resource.MembersOf(r, f) {
			dc, declared := resource.Lookup[*isthmusv1.Datacenter](r, resource.KindDatacenter, member)
			if declared && member != a.name && !resource.Lost(dc) && !slices.Contains(out, member) {
				out = append(out, member)
			}
		}
	}
	slices.Sort(out)
	return out
}
