package datacenterstate

import (
	"cmp"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// primary enters what a primary does for its federation: its own hosts, and the bundle of each member.
func (l *look) primary(i *isthmusv1.DesiredItem) {
	p := i.GetFederationPrimary()
	l.federation(i, p.GetFederation(), func() verdict {
		for _, b := range l.e.Federation.Body.GetBundles() {
			if b.GetErrorReason() != "" {
				return failed(b.GetErrorReason(), "the bundle of %s: %s", cmp.Or(b.GetDatacenter(), b.GetRecipient()), b.GetError())
			}
		}
		return verdict{}
	})
}

// secondary enters what a secondary does for the federation that it is to be in.
func (l *look) secondary(i *isthmusv1.DesiredItem) {
	l.federation(i, i.GetFederationSecondary().GetFederation(), func() verdict { return verdict{} })
}

// federation enters a member's part. How far it is is the state machine's word, in the Federation's status; what stands against it on a host, or
// by beyond, is told beside it.
func (l *look) federation(i *isthmusv1.DesiredItem, name string, beyond func() verdict) {
	f, _ := resource.Lookup[*isthmusv1.Federation](l.r, resource.KindFederation, name)
	member := resource.MemberOf(f, l.datacenter)
	item := &isthmusv1.ItemState{
		Id: i.GetId(), Type: i.GetType(), Name: "federation " + name, WantedBy: []string{resource.KindFederation + "/" + name},
	}
	told := l.e.Federation.Body != nil
	heard := l.e.Federation.Heard
	for _, a := range l.acting() {
		if d := a.Delivery; d.GetUid() != "" && d.GetUid() == f.GetUid() {
			item.Differences = append(item.Differences, hostDifferences(a.GetName(), d.GetHost(), member)...)
			if told = true; a.Heard.After(heard) {
				heard = a.Heard // of a secondary whose Consul is not there yet, its hosts tell
			}
		}
	}
	l.add(item, i.GetType(), told, heard, func() verdict {
		for _, a := range l.acting() {
			if h := a.Delivery.GetHost(); a.Delivery.GetUid() == f.GetUid() && (h.GetState() == resource.DeliveryRefused || h.GetState() == resource.DeliveryFailed) {
				return failed(h.GetReason(), "host %s: %s", cmp.Or(h.GetHost(), a.GetName()), h.GetMessage())
			}
		}
		if v := beyond(); v.state != "" {
			return v
		}
		return byPhase(member)
	})
}

// hostDifferences are those of one host: which bundle its Consul runs with.
func hostDifferences(agent string, h *isthmusv1.FederationHost, member *isthmusv1.FederationMember) []*isthmusv1.FieldChange {
	wanted := member.GetBundle().GetGeneration()
	if member.GetRole() != resource.RoleSecondary || wanted == 0 || h.GetApplied() == wanted {
		return nil
	}
	return []*isthmusv1.FieldChange{differs("bundle of "+cmp.Or(h.GetHost(), agent), number(h.GetApplied()), number(wanted))}
}

// byPhase is what a member's phase means.
func byPhase(m *isthmusv1.FederationMember) verdict {
	switch m.GetPhase() {
	case resource.PhaseJoined:
		return applied()
	case resource.PhaseBlocked:
		return failed(m.GetReason(), "%s", m.GetMessage())
	case "":
		return pending(ReasonNotReported, "nobody has looked at it yet")
	}
	return pending(m.GetReason(), "%s", cmp.Or(m.GetMessage(), "it is "+m.GetPhase()))
}

// probes enters what the agent tries again and again. Whether it has an answer is what counts here; what the answers are worth is told by the
// federation's reachability and by connections.
func (l *look) probes(i *isthmusv1.DesiredItem) {
	report := l.e.Federation.Body
	read, tried := map[string]bool{}, map[string]bool{}
	for _, r := range report.GetReads() {
		read[r.GetDatacenter()] = true
	}
	for _, p := range report.GetProbes() {
		tried[p.GetDatacenter()+" "+p.GetAddress()] = true
	}
	missing, all := 0, 0
	count := func(there bool) {
		all++
		if !there {
			missing++
		}
	}
	for _, p := range i.GetProbes().GetGateways() {
		count(tried[p.GetDatacenter()+" "+p.GetAddress()])
	}
	for _, p := range i.GetProbes().GetReads() {
		count(read[p.GetDatacenter()])
	}
	for _, p := range i.GetProbes().GetUrls() {
		count(tried[p.GetDatacenter()+" "+p.GetUrl()])
	}
	item := &isthmusv1.ItemState{Id: i.GetId(), Type: i.GetType(), Name: "probes of other datacenters"}
	l.add(item, i.GetType(), report != nil, l.e.Federation.Heard, func() verdict {
		if missing > 0 {
			return pending("NotTried", "%d of %d have not been tried yet", missing, all)
		}
		return applied()
	})
}
