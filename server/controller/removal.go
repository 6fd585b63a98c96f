package controller

import (
	"fmt"
	"strings"

	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
	leave "isthmus/removal"
	"isthmus/resource"
	"isthmus/server/evidence"
	"isthmus/server/observation"
	"isthmus/store/snapshot"
)

// departure is what a removal does in one round.
type departure struct {
	edits  []edit
	events []*isthmusv1.Event
	// gone: the Datacenter can go.
	gone bool
}

// depart brings the removal of a datacenter on: d is a copy, which gets the removal's next status.
func (l *leader) depart(v *snapshot.View, d *isthmusv1.Datacenter) departure {
	next := leave.Next(v, d, l.seenFor(v), l.now())
	moved := next.Removal != d.GetStatus().GetRemoval() || len(next.Edits) > 0
	l.departing.looked(d.GetName(), next.Witnesses, moved, l.now())
	out := departure{gone: next.Gone}
	why := "datacenter " + d.GetName() + " is removed from the fleet"
	for _, e := range next.Edits {
		switch {
		case e.After != nil:
			out.edits = append(out.edits, l.revised(v, e.After, why))
		case gradual(e.Before):
			out.edits = append(out.edits, l.leaving(e.Before, why))
		default:
			out.edits = append(out.edits, removal(e.Before, author().SpecEvent(resource.ActionDelete, e.Before, nil, why, l.now())))
		}
	}
	out.events = l.stepEvents(d, next.Removal)
	d.Status.Removal = next.Removal
	return out
}

// gradual tells whether something of a resource may be in a Consul, which goes before it does.
func gradual(o resource.Object) bool {
	switch o.(type) {
	case *isthmusv1.Peering, *isthmusv1.PeeringGroup, *isthmusv1.Federation:
		return true
	}
	return false
}

// stepEvents tell the audit log of each step that begins or is done.
func (l *leader) stepEvents(d *isthmusv1.Datacenter, next *isthmusv1.DatacenterRemoval) []*isthmusv1.Event {
	before := map[string]string{}
	for _, s := range d.GetStatus().GetRemoval().GetSteps() {
		before[s.GetId()] = s.GetState()
	}
	var out []*isthmusv1.Event
	for _, s := range next.GetSteps() {
		if before[s.GetId()] == s.GetState() {
			continue
		}
		text := fmt.Sprintf("removal, %s: %s → %s", s.GetId(), before[s.GetId()], s.GetState())
		if s.GetMessage() != "" {
			text += ": " + s.GetMessage()
		}
		out = append(out, l.moved(d, text, resource.FieldOf("removal.steps", s.GetId(), "state"), before[s.GetId()], s.GetState()))
	}
	return out
}

// seenFor is what the agents of each datacenter said last, as a removal asks for it.
func (l *leader) seenFor(v *snapshot.View) leave.Evidence {
	federated := evidence.Federation(v, l.Observations)
	return leave.Evidence{Of: func(datacenter string) leave.Seen {
		seen := federated.Of(datacenter)
		out := leave.Seen{Online: seen.Online, Federation: seen.Federation}
		part := func(name string) observation.Seen {
			s, _ := l.Observations.Get(datacenter, name)
			return s
		}
		out.Peerings, out.Exports, out.Policy = part(observation.PartPeerings).Peerings, part(observation.PartExports).Exports, part(observation.PartPolicy).Policy
		out.Entries, out.Services = part(observation.PartEntries).Entries, part(observation.PartServices).Services
		// Much is written before the inventory is taken, which may fail.
		out.Reported = seen.Inventory != nil || out.Peerings != nil || out.Policy != nil || out.Exports != nil || out.Entries != nil
		leading := l.speaker(v, datacenter)
		out.Problem = leading.GetError()
		out.Applied = func() bool {
			return leading != nil && leading.GetAppliedDigest() == planned(v, datacenter, leading.GetFeatures())
		}
		return out
	}}
}

// planned is the digest of what a datacenter shall be, worked out once in each view: all removals may ask for it.
func planned(v *snapshot.View, datacenter string, features []string) string {
	return v.Remember("digest of the plan of "+datacenter+" for "+strings.Join(features, ","), func() any {
		state, _ := plan.For(v, datacenter, features)
		return plan.Digest(state)
	}).(string)
}

// speaker is what the leading agent of a datacenter reports of itself; nil: nothing.
func (l *leader) speaker(v *snapshot.View, datacenter string) *isthmusv1.AgentReport {
	var acting []*isthmusv1.Agent
	for a := range resource.AllTouching[*isthmusv1.Agent](v, resource.KindAgent, datacenter) {
		if a.GetSpec().GetKind() == resource.AgentKindAgent && a.GetDeleteTime() == nil {
			acting = append(acting, a)
		}
	}
	return evidence.Leading(l.Observations, datacenter, acting).AgentReport
}
