package removal

import (
	"fmt"
	"iter"
	"maps"
	"slices"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Edit is what becomes of one resource that depends on the datacenter.
type Edit struct {
	// Step in which it is done.
	Step   string
	Before resource.Object
	// After is what it shall be; nil: it goes. Peerings, groups and federations go when nothing is left of them in any Consul.
	After resource.Object
	// Last is what becomes of it in a later step; nil: this is all.
	Last *Edit
}

// Edits are what is still to be done about resources that name a datacenter, in order of steps, kinds and names; and what stands against
// it: sentences with what to do. It is level-triggered: once all is done there are none.
func Edits(r resource.Reader, dc *isthmusv1.Datacenter) (edits []Edit, blocked []string) {
	l := leaver{r: r, name: dc.GetName(), peers: peerNames(r, dc)}
	for i := range resource.All[*isthmusv1.Intention](r, resource.KindIntention) {
		l.intentionInSteps(i)
	}
	for p := range resource.All[*isthmusv1.TrafficPolicy](r, resource.KindTrafficPolicy) {
		l.add(resource.StepPolicies, p, l.traffic(p))
	}
	for e := range resource.All[*isthmusv1.ServiceExport](r, resource.KindServiceExport) {
		l.add(resource.StepExports, e, l.export(e))
	}
	for p := range resource.AllTouching[*isthmusv1.Peering](r, resource.KindPeering, l.name) {
		l.drop(resource.StepPeerings, p)
	}
	for g := range resource.All[*isthmusv1.PeeringGroup](r, resource.KindPeeringGroup) {
		l.add(resource.StepPeerings, g, l.group(g))
	}
	for f := range resource.All[*isthmusv1.Federation](r, resource.KindFederation) {
		l.federation(f)
	}
	for g := range resource.AllTouching[*isthmusv1.Gateway](r, resource.KindGateway, l.name) {
		l.drop(resource.StepAgents, g)
	}
	for a := range resource.AllTouching[*isthmusv1.Agent](r, resource.KindAgent, l.name) {
		l.drop(resource.StepAgents, a)
	}
	for t := range resource.All[*isthmusv1.JoinToken](r, resource.KindJoinToken) {
		if t.GetSpec().GetGrant().GetDatacenter() == l.name {
			l.drop(resource.StepAgents, t)
		}
	}
	return l.edits, l.blocked
}

// leaver takes one datacenter out of resources.
type leaver struct {
	r    resource.Reader
	name string
	// peers are the names that others' Consul has for it, by datacenter.
	peers   map[string]string
	edits   []Edit
	blocked []string
}

// intentionInSteps takes it out of what lets somebody in at first, and when it is connected with nobody any more out of what keeps it out.
func (l *leaver) intentionInSteps(i *isthmusv1.Intention) {
	before := len(l.edits)
	l.add(resource.StepPolicies, i, l.intention(i, true))
	last := l.intention(i, false)
	if len(l.edits) > before {
		first := l.edits[before]
		if first.After == nil || !last.goes && resource.SpecDigest(first.After) == resource.SpecDigest(last.after) {
			return // that is all
		}
		l.edits[before].Last = &Edit{Step: resource.StepAgents, Before: i}
		if !last.goes {
			l.edits[before].Last.After = last.after
		}
		return
	}
	l.add(resource.StepAgents, i, last)
}

// outcome is what a resource becomes.
type outcome struct {
	// after is nil when nothing changes.
	after resource.Object
	// goes: it would be left without any datacenter.
	goes bool
}

// add notes what becomes of a resource that is not on its way out already.
func (l *leaver) add(step string, before resource.Object, o outcome) {
	switch {
	case before.GetDeleteTime() != nil:
	case o.goes:
		l.edits = append(l.edits, Edit{Step: step, Before: before})
	case o.after == nil || resource.SpecDigest(before) == resource.SpecDigest(o.after):
	default:
		if err := resource.Validate(o.after); err != nil {
			l.block("%s %s cannot be left without %s: %v: change or delete it first", resource.KindOf(before).Name, before.GetName(), l.name, err)
			return
		}
		l.edits = append(l.edits, Edit{Step: step, Before: before, After: o.after})
	}
}

// drop notes a resource that goes.
func (l *leaver) drop(step string, o resource.Object) { l.add(step, o, outcome{goes: true}) }

func (l *leaver) block(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(l.blocked, text) {
		l.blocked = append(l.blocked, text)
	}
}

// without is a list without the datacenter.
func (l *leaver) without(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == l.name })
}

// emptied is without, and whether that leaves nothing of what was there.
func (l *leaver) emptied(names []string) (left []string, empty bool) {
	left = l.without(names)
	return left, len(left) == 0 && len(names) > 0
}

func (l *leaver) group(g *isthmusv1.PeeringGroup) outcome {
	left, empty := l.emptied(g.GetSpec().GetDatacenters())
	after := resource.Clone(g)
	after.Spec.Datacenters = left
	return outcome{after: after, goes: empty}
}

// federation takes it out of the secondaries, or deletes the federation of a primary that is alone.
func (l *leaver) federation(f *isthmusv1.Federation) {
	if f.GetSpec().GetPrimary() != l.name {
		after := resource.Clone(f)
		after.Spec.Secondaries = l.without(f.GetSpec().GetSecondaries())
		after.Spec.AcceptDataLoss = slices.DeleteFunc(after.Spec.AcceptDataLoss, func(a *isthmusv1.AcceptedLoss) bool { return a.GetDatacenter() == l.name })
		l.add(resource.StepFederation, f, outcome{after: after})
		return
	}
	var others []string
	for _, name := range resource.MembersOf(l.r, f) {
		if name != l.name && !slices.Contains(others, name) {
			others = append(others, name)
		}
	}
	if len(others) > 0 {
		slices.Sort(others)
		l.block("it is the primary of Federation %s, and %s would be left without one: remove the secondaries, or take them out of the federation, first",
			f.GetName(), enumerate(others))
		return
	}
	l.drop(resource.StepFederation, f)
}

// peerNames are the names that others' Consul has for a datacenter, by datacenter; and those that it had, as the plan tells that was confirmed,
// as long as nobody else has them.
func peerNames(r resource.Reader, dc *isthmusv1.Datacenter) map[string]string {
	out := map[string]string{}
	for other, name := range aboutOf(dc, dc.GetStatus().GetRemoval()).peers {
		if !slices.Contains(slices.Collect(maps.Values(namesIn(r, other))), name) {
			out[other] = name
		}
	}
	for p := range resource.AllTouching[*isthmusv1.Peering](r, resource.KindPeering, dc.GetName()) {
		if other, name := otherEnd(p, dc.GetName()); other != "" {
			out[other] = name
		}
	}
	return out
}

// otherEnd is who is peered with a datacenter, and what its Consul calls it; nobody: an external one.
func otherEnd(p *isthmusv1.Peering, datacenter string) (other, peerName string) {
	spec := p.GetSpec()
	if spec.GetAcceptor() == datacenter {
		return spec.GetDialer(), spec.GetDialerPeerName()
	}
	return spec.GetAcceptor(), spec.GetAcceptorPeerName()
}

// isPeer tells whether the name of a peer, in a resource that counts in some datacenters, means the datacenter. Where it means somebody else
// in others of them, nobody but an operator can say what shall be.
func (l *leaver) isPeer(of resource.Object, peer string, names []string, selector string) bool {
	var here, elsewhere []string
	for dc := range resource.Select(l.r, names, selector) {
		switch {
		case dc.GetName() == l.name:
		case l.peers[dc.GetName()] == peer && peer != "":
			here = append(here, dc.GetName())
		case slices.Contains(slices.Collect(maps.Values(namesIn(l.r, dc.GetName()))), peer):
			elsewhere = append(elsewhere, dc.GetName())
		}
	}
	if len(here) > 0 && len(elsewhere) > 0 {
		l.block("%s %s names peer %s, which is %s in %s and somebody else in %s: change it first", resource.KindOf(of).Name, of.GetName(), peer, l.name,
			enumerate(here), enumerate(elsewhere))
	}
	return len(here) > 0 && len(elsewhere) == 0
}

// namesIn are the names that a datacenter's Consul has for its peers, by Peering.
func namesIn(r resource.Reader, datacenter string) map[string]string {
	out := map[string]string{}
	for p := range resource.AllTouching[*isthmusv1.Peering](r, resource.KindPeering, datacenter) {
		if p.GetSpec().GetAcceptor() == datacenter {
			out[p.GetName()] = p.GetSpec().GetAcceptorPeerName()
		} else {
			out[p.GetName()] = p.GetSpec().GetDialerPeerName()
		}
	}
	return out
}

// choosers are the resources whose selectors choose a datacenter, with the step in which they lose it.
func choosers(r resource.Reader, dc *isthmusv1.Datacenter) iter.Seq2[string, resource.Object] {
	return func(yield func(string, resource.Object) bool) {
		for _, of := range []struct{ kind, step string }{
			{resource.KindIntention, resource.StepPolicies},
			{resource.KindTrafficPolicy, resource.StepPolicies},
			{resource.KindServiceExport, resource.StepExports},
			{resource.KindPeeringGroup, resource.StepPeerings},
			{resource.KindFederation, resource.StepFederation},
		} {
			for o := range r.List(of.kind) {
				chooses := func(selector string) bool { return selector != "" && resource.Chooses(nil, selector)(dc) }
				if o.GetDeleteTime() == nil && slices.ContainsFunc(selectorsOf(o), chooses) && !yield(of.step, o) {
					return
				}
			}
		}
	}
}

func selectorsOf(o resource.Object) []string {
	switch o := o.(type) {
	case *isthmusv1.Intention:
		out := []string{o.GetSpec().GetDestination().GetSelector()}
		for _, s := range o.GetSpec().GetSources() {
			out = append(out, s.GetSelector())
		}
		return out
	case *isthmusv1.TrafficPolicy:
		out := []string{o.GetSpec().GetSelector()}
		for _, f := range o.GetSpec().GetFailover() {
			out = append(out, f.GetSelector())
		}
		return out
	case *isthmusv1.ServiceExport:
		return []string{o.GetSpec().GetSelector(), o.GetSpec().GetConsumers().GetSelector()}
	case *isthmusv1.PeeringGroup:
		return []string{o.GetSpec().GetSelector()}
	case *isthmusv1.Federation:
		return []string{o.GetSpec().GetSecondarySelector()}
	}
	return nil
}
