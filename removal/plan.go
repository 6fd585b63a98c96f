package removal

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Plan is what the removal of a datacenter would be: what changes, in which steps, what stands against it, and the digest that confirms
// all of that. lost: its Consul is gone for good. e is what is known of its federation. Of one that is being removed already it is what was
// confirmed, with another word on whether it is lost.
func Plan(r resource.Reader, dc *isthmusv1.Datacenter, lost bool, e federation.Evidence) *isthmusv1.DatacenterRemoval {
	out := &isthmusv1.DatacenterRemoval{Datacenter: dc.GetName(), Lost: lost}
	if known := dc.GetStatus().GetRemoval(); known != nil {
		out.Changes, out.Steps = known.GetChanges(), known.GetSteps()
	} else {
		var edits []Edit
		edits, out.Blocked = Edits(r, dc)
		out.Changes = changesOf(r, dc, edits)
		out.Steps = planned(r, dc, out, e)
	}
	switch agent := dc.GetStatus().GetAgent(); {
	case lost && agent == resource.LivenessOnline:
		out.Blocked = append(out.Blocked, fmt.Sprintf("its agents are heard of, so that %s is not lost: leave --lost out, or stop them", dc.GetName()))
	case !lost && dc.GetStatus().GetConsulVersion() != "" && len(resource.TrustedAgents(r, dc.GetName())) == 0:
		out.Blocked = append(out.Blocked, fmt.Sprintf("no agent of %s is enrolled, so that nobody takes out what is in its Consul: enrol one, or say --lost when that Consul is gone for good",
			dc.GetName()))
	}
	out.PlanDigest = digest(dc, out)
	return out
}

// digest is over all that somebody confirms: the datacenter, what changes, which steps there are, and whether it is lost.
func digest(dc *isthmusv1.Datacenter, plan *isthmusv1.DatacenterRemoval) string {
	confirmed := &isthmusv1.DatacenterRemoval{Datacenter: plan.GetDatacenter(), Lost: plan.GetLost(), Changes: plan.GetChanges()}
	for _, s := range plan.GetSteps() {
		confirmed.Steps = append(confirmed.Steps, &isthmusv1.RemovalStep{Id: s.GetId()})
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "isthmus/1/datacenter-removal\n%s\n%s\n", dc.GetUid(), resource.Digest(confirmed)))
	return hex.EncodeToString(sum[:16])
}

// changesOf are the edits as changes of resources. Agents, join tokens and gateways that were found in Consul come and go by themselves:
// they are told by the step. What only chooses the datacenter by a selector stays as it is.
func changesOf(r resource.Reader, dc *isthmusv1.Datacenter, edits []Edit) []*isthmusv1.Change {
	var out []*isthmusv1.Change
	named := map[string]bool{}
	for _, e := range edits {
		if passing(e.Before) {
			continue
		}
		if e.Last != nil {
			e = *e.Last
		}
		c := changeOf(e)
		named[c.GetKind()+"/"+c.GetName()] = true
		out = append(out, c)
	}
	for _, o := range choosers(r, dc) {
		if kind := resource.KindOf(o).Name; !named[kind+"/"+o.GetName()] {
			out = append(out, &isthmusv1.Change{Kind: kind, Name: o.GetName(), Action: resource.ActionUnchanged})
		}
	}
	// A federation that it is leaving already, or whose primary it is, depends on it, too.
	for f := range resource.All[*isthmusv1.Federation](r, resource.KindFederation) {
		if member := resource.MemberOf(f, dc.GetName()); member != nil && !slices.ContainsFunc(out, isAbout(f)) {
			out = append(out, &isthmusv1.Change{Kind: resource.KindFederation, Name: f.GetName(), Action: resource.ActionUnchanged})
		}
	}
	slices.SortStableFunc(out, func(a, b *isthmusv1.Change) int { return cmp.Compare(stepOf(a.GetKind()), stepOf(b.GetKind())) })
	return out
}

func isAbout(o resource.Object) func(*isthmusv1.Change) bool {
	return func(c *isthmusv1.Change) bool {
		return c.GetKind() == resource.KindOf(o).Name && c.GetName() == o.GetName()
	}
}

// passing: it comes and goes without anybody declaring it.
func passing(o resource.Object) bool {
	switch o := o.(type) {
	case *isthmusv1.Agent, *isthmusv1.JoinToken:
		return true
	case *isthmusv1.Gateway:
		return o.GetSpec().GetSource() == resource.SourceDiscovered
	}
	return false
}

// changeOf says what an edit does. Of a peering it tells who is connected, under which names: what is looked for when it is gone.
func changeOf(e Edit) *isthmusv1.Change {
	c := &isthmusv1.Change{Kind: resource.KindOf(e.Before).Name, Name: e.Before.GetName(), Action: resource.ActionUpdate}
	if e.After != nil {
		c.Fields = resource.Diff(e.Before, e.After)
		return c
	}
	c.Action = resource.ActionDelete
	if p, ok := e.Before.(*isthmusv1.Peering); ok {
		c.Group = p.GetStatus().GetGroup()
		c.Fields = slices.DeleteFunc(resource.Diff(p, nil), func(f *isthmusv1.FieldChange) bool { return !slices.Contains(endFields(), f.GetField()) })
	}
	return c
}

// endFields are those of a Peering that say who is at its ends.
func endFields() []string {
	return []string{fieldAcceptor, fieldDialer, fieldAcceptorPeerName, fieldDialerPeerName, "spec.externalAcceptor", "spec.externalDialer"}
}

// Fields of a Peering.
const (
	fieldAcceptor         = "spec.acceptor"
	fieldDialer           = "spec.dialer"
	fieldAcceptorPeerName = "spec.acceptorPeerName"
	fieldDialerPeerName   = "spec.dialerPeerName"
)

// titles of the steps, in their order.
func titles() []struct{ id, title string } {
	return []struct{ id, title string }{
		{resource.StepPolicies, "intentions and traffic policies no longer name it"},
		{resource.StepExports, "nothing is exported to it or from it"},
		{resource.StepPeerings, "its peerings are gone at both ends"},
		{resource.StepFederation, "it has left its federation"},
		{resource.StepTokens, "the tokens that it was given are revoked"},
		{resource.StepWANPool, "its servers are out of the WAN pool"},
		{resource.StepAgents, "its agents, gateways and join tokens are deleted, and what kept it out is taken out"},
		{resource.StepScan, "nothing of it is left in the others"},
	}
}

// stepOf is the place of the step in which a kind is changed.
func stepOf(kind string) int {
	return slices.Index([]string{
		resource.KindIntention, resource.KindTrafficPolicy, resource.KindServiceExport, resource.KindPeeringGroup, resource.KindPeering,
		resource.KindFederation, resource.KindGateway,
	}, kind)
}

// planned are the steps before any of them has begun, each with what it will do.
func planned(r resource.Reader, dc *isthmusv1.Datacenter, plan *isthmusv1.DatacenterRemoval, e federation.Evidence) []*isthmusv1.RemovalStep {
	about := aboutOf(dc, plan)
	witnesses := enumerate(about.witnesses(r))
	message := map[string]string{}
	if witnesses != "" {
		message[resource.StepPolicies] = "proven by the agents of " + witnesses
		message[resource.StepExports] = message[resource.StepPolicies]
		message[resource.StepScan] = "in what the agents of " + witnesses + " report"
	}
	message[resource.StepPolicies] = strings.Trim(message[resource.StepPolicies]+"; "+ownMeans(r, dc, plan.GetLost()), "; ")
	if len(about.peerings) > 0 {
		message[resource.StepPeerings] = enumerate(about.peerings)
	}
	message[resource.StepFederation] = leavingMeans(r, dc, about, e)
	message[resource.StepAgents] = passingOf(r, dc)
	if plan.GetLost() {
		message[resource.StepAgents] = strings.TrimPrefix(message[resource.StepAgents]+"; what is in its Consul stays", "; ")
	}
	var out []*isthmusv1.RemovalStep
	for _, t := range titles() {
		s := &isthmusv1.RemovalStep{Id: t.id, Title: t.title, State: resource.StepWaiting, Message: message[t.id]}
		if about.skips(t.id) {
			s.State, s.Message = resource.StepSkipped, ""
		}
		out = append(out, s)
	}
	return out
}

// ownMeans is what it means for calls within the datacenter itself that isthmus takes out what it wrote there; empty: nothing.
func ownMeans(r resource.Reader, dc *isthmusv1.Datacenter, lost bool) string {
	if lost {
		return ""
	}
	chosen := func(names []string, selector string) int {
		if resource.Chooses(names, selector)(dc) {
			return 1
		}
		return 0
	}
	intentions, traffic := 0, 0
	for i := range resource.All[*isthmusv1.Intention](r, resource.KindIntention) {
		intentions += chosen(i.GetSpec().GetDestination().GetDatacenters(), i.GetSpec().GetDestination().GetSelector())
	}
	for p := range resource.All[*isthmusv1.TrafficPolicy](r, resource.KindTrafficPolicy) {
		traffic += chosen(p.GetSpec().GetDatacenters(), p.GetSpec().GetSelector())
	}
	if intentions+traffic == 0 {
		return ""
	}
	return fmt.Sprintf("%d Intentions and %d TrafficPolicies count in %s no more: calls within it go by its Consul's default intentions (%s) and its own entries then; what denies goes last",
		intentions, traffic, dc.GetName(), cmp.Or(dc.GetStatus().GetDefaultIntentionPolicy(), "not known"))
}

// leavingMeans is what leaving its federation means for its Consul, and what stands in the way: the rules of leaving hold.
func leavingMeans(r resource.Reader, dc *isthmusv1.Datacenter, about about, e federation.Evidence) string {
	var out []string
	for _, name := range append(slices.Clone(about.secondaryOf), about.primaryOf...) {
		f, ok := resource.Lookup[*isthmusv1.Federation](r, resource.KindFederation, name)
		if !ok {
			continue
		}
		deleting := f.GetSpec().GetPrimary() == dc.GetName()
		if !deleting {
			f = resource.Clone(f)
			f.Spec.Secondaries = slices.DeleteFunc(f.Spec.Secondaries, func(name string) bool { return name == dc.GetName() })
		}
		for _, m := range federation.Plan(r, f, e, deleting).GetMembers() {
			if m.GetDatacenter() != dc.GetName() || m.GetAction() != federation.ActionLeave {
				continue
			}
			if about.lost {
				out = append(out, "it is taken for lost: its tokens are revoked by the primary "+f.GetSpec().GetPrimary())
				continue
			}
			for _, s := range m.GetRestarts() {
				out = append(out, "restarts "+s)
			}
			out = append(out, m.GetBecomes()...)
			for _, s := range m.GetBlocked() {
				out = append(out, "stands in the way: "+s)
			}
		}
	}
	return strings.Join(out, "; ")
}

// passingOf counts what goes with its agents.
func passingOf(r resource.Reader, dc *isthmusv1.Datacenter) string {
	count := map[string]int{}
	edits, _ := Edits(r, dc)
	for _, e := range edits {
		if e.Step == resource.StepAgents {
			count[resource.KindOf(e.Before).Name]++
		}
	}
	var out []string
	for _, kind := range []string{resource.KindAgent, resource.KindGateway, resource.KindJoinToken} {
		switch n := count[kind]; n {
		case 0:
		case 1:
			out = append(out, "1 "+kind)
		default:
			out = append(out, fmt.Sprintf("%d %ss", n, kind))
		}
	}
	return strings.Join(out, ", ")
}

// enumerate lists names, but no more than one reads.
func enumerate(names []string) string {
	const most = 8
	text := strings.Join(names[:min(len(names), most)], ", ")
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
