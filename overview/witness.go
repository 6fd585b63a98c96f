package overview

import (
	"slices"
	"time"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// memberAlive is what the WAN gossip calls a server that answers.
const memberAlive = "alive"

// witnesses are the other members of federations, each looked up once: only where one of them is silent they are asked at all.
type witnesses struct {
	seen func(datacenter string) Seen
	now  time.Time
	// known is what those see that were asked; nil: the word of that one does not count now.
	known map[string]*isthmusv1.FederationReport
}

// missing are the members of its federation that see that a datacenter is gone. Sorted. Each is heard of, does not read its catalog, and finds
// none of its servers alive in the WAN gossip, or none of its gateways to answer: of one that cannot read, the cause may lie elsewhere. One that
// reads nobody else who is heard of says more of itself, and is none.
func (w *witnesses) missing(m resource.Membership) []string {
	if m.Federation == nil || !joined(m.Member) {
		return nil
	}
	var out []string
	for _, other := range m.Federation.GetStatus().GetMembers() {
		if other.GetDatacenter() == m.Member.GetDatacenter() || !joined(other) {
			continue
		}
		report := w.report(other.GetDatacenter())
		if report != nil && gone(report, m.Member) && w.sound(report, m.Member.GetDatacenter()) {
			out = append(out, other.GetDatacenter())
		}
	}
	slices.Sort(out)
	return out
}

// joined: one that had joined and is read no more has gone back to joining.
func joined(m *isthmusv1.FederationMember) bool {
	return m.GetPhase() == resource.PhaseJoined || m.GetPhase() == resource.PhaseJoining && m.GetWasJoined()
}

// report is what a datacenter sees of its federation now; nil: nobody knows, since its agents are silent or do not see their Consul.
func (w *witnesses) report(datacenter string) *isthmusv1.FederationReport {
	report, ok := w.known[datacenter]
	if ok {
		return report
	}
	s := w.seen(datacenter)
	if _, online := s.heard(w.now); online > 0 && s.Leading.GetErrorReason() == "" && s.Federation.GetErrorReason() == "" {
		report = s.Federation
	}
	w.known[datacenter] = report
	return report
}

// gone tells whether two kinds of evidence of one member agree that another one is not there.
func gone(report *isthmusv1.FederationReport, of *isthmusv1.FederationMember) bool {
	reads := func(ok bool) bool {
		return slices.ContainsFunc(report.GetReads(), func(r *isthmusv1.ObservedRead) bool {
			return r.GetDatacenter() == of.GetDatacenter() && r.GetOk() == ok
		})
	}
	if reads(true) || !reads(false) {
		return false
	}
	servers, alive, dialled, answered := 0, 0, 0, 0
	for _, m := range report.GetWanMembers() {
		if m.GetDatacenter() == of.GetConsulDatacenter() {
			servers++
			if m.GetStatus() == memberAlive {
				alive++
			}
		}
	}
	for _, p := range report.GetProbes() {
		if p.GetDatacenter() == of.GetDatacenter() {
			dialled++
			if p.GetOk() {
				answered++
			}
		}
	}
	return servers > 0 && alive == 0 || dialled > 0 && answered == 0
}

// sound tells whether a member reads anybody, of those that it could be expected to read.
func (w *witnesses) sound(report *isthmusv1.FederationReport, but string) bool {
	expected := false
	for _, r := range report.GetReads() {
		if r.GetDatacenter() == but || w.report(r.GetDatacenter()) == nil {
			continue
		}
		if r.GetOk() {
			return true
		}
		expected = true
	}
	return !expected
}
