package controller

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/evidence"
	"isthmus/server/observation"
	"isthmus/store"
	"isthmus/store/snapshot"
)

// policy brings one Intention's or TrafficPolicy's status up to date.
func (l *leader) policy(v *snapshot.View, of store.Key, at policy.Look) []edit {
	o, ok := v.Get(of.Kind, of.Name)
	if !ok {
		l.standings.drop(of)
		return nil
	}
	before, _ := resource.Status(o).(*isthmusv1.PolicyStatus)
	after := l.standings.policy(v, o, at, evidence.PolicyReports(l.Observations, l.now()), l.now())
	if after == before {
		return nil
	}
	next := resource.Clone(o)
	resource.SetStatus(next, after)
	events := append(l.policyEvents(v, next, before, after), l.readyEvents(next, before.GetConditions(), after.GetConditions())...)
	return []edit{statusChange(next, events...)}
}

// reportedAnew tells whether a datacenter's agent has said something else in a part than when this was asked last.
func (l *leader) reportedAnew(datacenter, part string) bool {
	seen, _ := l.Observations.Get(datacenter, part)
	of, now := [2]string{part, datacenter}, seen.Agent+" "+seen.Digest
	if l.judged[of] == now {
		return false
	}
	l.judged[of] = now
	return true
}

// policiesChanged marks the policies that a change may have consequences for.
func (l *leader) policiesChanged(batch *snapshot.Batch, c snapshot.Change) {
	for o, at := range policy.Affected(batch.Before, batch.View, c.Before, c.After, c.Part == store.PartStatus) {
		switch {
		case o != nil:
			l.dirty.policies.add(keyOf(o), at)
		case at != "":
			l.dirty.policed[at] = true
		default:
			l.dirty.everyPolicy(batch.View)
		}
	}
}

// policyEvents tell the audit log of what stands against a policy, and of what was done to it, for the first time, as far as quota allows.
func (l *leader) policyEvents(v *snapshot.View, o resource.Object, before, after *isthmusv1.PolicyStatus) []*isthmusv1.Event {
	last := map[string]*isthmusv1.Drift{}
	known := map[string]bool{}
	conflict := func(p *isthmusv1.PolicyPlacement, c *isthmusv1.PolicyConflict) string {
		return fmt.Sprintf("%s: %s in %s is %s, where %s is wanted: %s", p.GetDatacenter(), c.GetPart(), c.GetEntry(), shown(c.GetFound()), shown(c.GetWanted()), c.GetFix())
	}
	for _, p := range before.GetPlacements() {
		last[p.GetDatacenter()] = p.GetDrift()
		for _, c := range p.GetConflicts() {
			known[conflict(p, c)] = true
		}
	}
	var out []*isthmusv1.Event
	for _, p := range after.GetPlacements() {
		if was := last[p.GetDatacenter()]; !proto.Equal(was, p.GetDrift()) {
			seen, _ := l.observe(p.GetDatacenter(), observation.PartPolicy)
			out = append(out, l.driftEvents(o, p.GetDatacenter(), seen, driftsSince(was, policy.Drifts(v, o, p.GetDatacenter(), seen.Policy.GetDrifts())))...)
		}
		var conflicts []*isthmusv1.Event
		for _, c := range p.GetConflicts() {
			if text := conflict(p, c); !known[text] {
				conflicts = append(conflicts, l.event(resource.ActionConflict, o, text))
			}
		}
		out = append(out, l.quota.pass(o, p.GetDatacenter(), conflicts, l.now())...)
	}
	return out
}
