package policy

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Reasons that only TrafficPolicies have.
const (
	// ReasonPeerNotShared: a target is a peer of some members of a federation only, or under another name.
	ReasonPeerNotShared = "PeerNotShared"
	// ReasonOrderDiffers: failover goes by labels, and two members of a federation would need another order each.
	ReasonOrderDiffers = "OrderDiffers"
	// ReasonCircular: calls would be sent round in a circle.
	ReasonCircular = "Circular"
	// ReasonExported: Consul does not export services to peers whose calls it may send to other datacenters.
	ReasonExported = "Exported"
	// ReasonNoTarget: there is nowhere to fail over to.
	ReasonNoTarget = "NoTarget"
)

// Keys of parts.
const (
	keyFailover = "failover/*"
	keyRedirect = "redirect"
	keySplits   = "splits"
	keyRoutes   = "routes"
	keyProtocol = "protocol"
)

// A TrafficPolicy compiles to up to four ways, each of which counts as a whole or not at all:
//
//	failover  service-resolver  failover/*  Targets: Datacenter (of the federation), Peer, or a service of the caller's own datacenter
//	redirect  service-resolver  redirect    the same, one
//	split     service-splitter  splits      ┐ Service; and where it is not the caller's own datacenter, a virtual one: api-at-dc2,
//	routes    service-router    routes      ┘ service-resolver redirect + service-defaults protocol
type way struct {
	policy *isthmusv1.TrafficPolicy
	// field of the spec.
	field string
	parts []part
}

// traffic compiles the TrafficPolicies of the realm.
func (c *compilation) traffic() {
	own := resource.Choosing[*isthmusv1.TrafficPolicy](c.r, resource.KindTrafficPolicy, c.realm.members...)
	if len(own) > 0 {
		c.trafficOf(slices.Values(own), newGraph(c.r, c.realm.home, ""), "")
	}
}

// trafficOf compiles TrafficPolicies. Where one of them stands against another, who was there first has it; last names one that comes after
// all others, whenever it was made: what is about to be written is to hear of everything that it is in the way of.
func (c *compilation) trafficOf(all iter.Seq[*isthmusv1.TrafficPolicy], g *graph, last string) {
	var policies []*isthmusv1.TrafficPolicy
	for p := range all {
		if p.GetDeleteTime() == nil {
			policies = append(policies, p)
		}
	}
	age := func(p *isthmusv1.TrafficPolicy) int {
		if p.GetName() == last {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(policies, func(a, b *isthmusv1.TrafficPolicy) int {
		return cmp.Or(cmp.Compare(age(a), age(b)), a.GetCreateTime().AsTime().Compare(b.GetCreateTime().AsTime()), cmp.Compare(a.GetName(), b.GetName()))
	})
	f := newWayfinder(c)
	for _, p := range policies {
		for _, w := range f.waysOf(p) {
			if refusal := g.add(w); refusal != nil {
				c.refuse(w, refusal)
				continue
			}
			c.parts = append(c.parts, w.parts...)
		}
	}
}

// refuse notes why a way does not count; of two that contradict each other, with both.
func (c *compilation) refuse(w way, r *refusal) {
	c.problem(policyName(w.policy), &isthmusv1.PolicyProblem{
		Reason: r.reason, Field: w.field, Datacenter: c.realm.home, Message: r.message, Fix: r.fix,
	})
	if r.other != "" {
		c.problem(r.other, &isthmusv1.PolicyProblem{
			Reason: r.reason, Field: r.otherField, Datacenter: c.realm.home, Fix: r.fix,
			Message: fmt.Sprintf("%s, which came later, wants something else for %s in its %s, and is left out there", policyName(w.policy), r.subject, w.field),
		})
	}
}

// narrow tells of a policy that names some members of a federation only, for all of which its entries would count.
func (c *compilation) narrow(p *isthmusv1.TrafficPolicy, callers []*isthmusv1.Datacenter) bool {
	others := without(names(c.realm.members), names(callers))
	if len(others) == 0 || p.GetSpec().GetScope() == resource.ScopeFederation {
		return false
	}
	field := "spec.datacenters"
	if len(p.GetSpec().GetDatacenters()) == 0 {
		field = "spec.selector"
	}
	c.problem(policyName(p), &isthmusv1.PolicyProblem{
		Reason: ReasonScopeTooNarrow, Field: field, Datacenter: c.realm.home,
		Message: fmt.Sprintf("names callers in %s, but Consul has one set of entries for all of Federation %s: calls of %s from %s would be meant as well",
			resource.Some(names(callers), mostNamed), c.realm.federation, p.GetSpec().GetService(), resource.Some(others, mostNamed)),
		Fix: "choose all of the federation's datacenters, or say scope: federation",
	})
	return true
}
