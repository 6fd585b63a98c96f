package controller

import (
	"cmp"
	"fmt"

	"google.golang.org/protobuf/proto"

	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/evidence"
	"isthmus/store"
	"isthmus/store/snapshot"
)

// federation brings one federation's status up to date, or its deletion to its end.
func (l *leader) federation(v *snapshot.View, name string) []edit {
	f, ok := resource.Lookup[*isthmusv1.Federation](v, resource.KindFederation, name)
	if !ok {
		delete(l.unfederated, name)
		return nil
	}
	if federation.Gone(f) {
		delete(l.unfederated, name)
		e := removal(f, l.gone(f, "its last secondary has left"))
		e.secrets = federation.SpentBundles(f.GetStatus(), nil)
		return []edit{e}
	}
	next := resource.Clone(f)
	next.Status = federation.Next(v, f, evidence.Federation(v, l.Observations), l.now())
	changed := !proto.Equal(f.GetStatus(), next.GetStatus())
	l.rememberFederation(next, changed)
	if !changed {
		return nil
	}
	e := statusChange(next, l.federationEvents(f, next)...)
	e.secrets = federation.SpentBundles(f.GetStatus(), next.GetStatus())
	return []edit{e}
}

// rememberFederation keeps a federation in mind whose status may change by time alone: not all of it has joined.
func (l *leader) rememberFederation(f *isthmusv1.Federation, changed bool) {
	ready := resource.FindCondition(f.GetStatus().GetConditions(), resource.ConditionReady)
	if f.GetDeleteTime() == nil && ready.GetStatus() == resource.ConditionTrue {
		delete(l.unfederated, f.GetName())
		return
	}
	if _, known := l.unfederated[f.GetName()]; changed || !known {
		l.unfederated[f.GetName()] = l.now()
	}
}

// federationEvents tells the audit log of what its members go through, as far as quota allows; not of every detail of a status.
func (l *leader) federationEvents(before, after *isthmusv1.Federation) []*isthmusv1.Event {
	var out []*isthmusv1.Event
	for _, m := range after.GetStatus().GetMembers() {
		was := resource.MemberOf(before, m.GetDatacenter())
		if was.GetPhase() == m.GetPhase() && was.GetRole() == m.GetRole() {
			continue
		}
		text := fmt.Sprintf("%s: %s → %s", m.GetDatacenter(), orNew(was.GetPhase()), m.GetPhase())
		if m.GetReason() != "" {
			text += fmt.Sprintf(": %s: %s", m.GetReason(), m.GetMessage())
		}
		moved := l.moved(after, text, memberFields(was, m)...)
		out = append(out, l.quota.pass(after, m.GetDatacenter(), []*isthmusv1.Event{moved}, l.now())...)
	}
	for _, m := range before.GetStatus().GetMembers() {
		if resource.MemberOf(after, m.GetDatacenter()) == nil {
			out = append(out, l.moved(after, fmt.Sprintf("%s: %s → gone", m.GetDatacenter(), m.GetPhase()), memberFields(m, nil)...))
		}
	}
	return out
}

// memberFields are those of a member that the audit log tells of, as moved takes them; nil for a member that was not there, or is no longer.
func memberFields(was, is *isthmusv1.FederationMember) []string {
	field := func(name string) string {
		return resource.FieldOf("members", cmp.Or(is.GetDatacenter(), was.GetDatacenter()), name)
	}
	return []string{
		field("phase"), was.GetPhase(), is.GetPhase(), field("reason"), was.GetReason(), is.GetReason(), field("message"), was.GetMessage(), is.GetMessage(),
		field("role"), was.GetRole(), is.GetRole(),
	}
}

// federationChanged marks what depends on a federation: itself and, when it has other members, every other one, which may claim the
// same, and whatever depends on who is in one: groups, exports, peerings.
func (l *leader) federationChanged(v *snapshot.View, c snapshot.Change, f *isthmusv1.Federation) {
	l.dirty.federations[f.GetName()] = true
	before, _ := c.Before.(*isthmusv1.Federation)
	after, _ := c.After.(*isthmusv1.Federation)
	if before != nil && after != nil && c.Part == store.PartStatus && resource.SameMembers(before, after) {
		return
	}
	l.dirty.selectors(v)
	for _, datacenter := range resource.MembersOf(v, f) {
		l.dirty.datacenters[datacenter] = true
		l.dirty.exporters[datacenter] = true
		l.dirty.touch(v, datacenter)
	}
}
