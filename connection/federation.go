package connection

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/federation"
	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Reasons of verdicts on pairs of a federation, beside those of its members' phases.
const (
	ReasonBothRead    = "BothRead"
	ReasonReadFailed  = "ReadFailed"
	ReasonNotRead     = "NotReadYet"
	ReasonReplication = "ACLReplicationFailing"
)

// memberAlive is what the WAN gossip calls a server that answers.
const memberAlive = "alive"

// pair are two members of a federation, the primary first if it is one of them.
type pair struct {
	*look
	*isthmusv1.Federation
	a, b *isthmusv1.FederationMember
	// seenA and seenB are what is seen of them.
	seenA, seenB *known
	facts        facts
}

// federation adds each pair of its members.
func (l *look) federation(f *isthmusv1.Federation) {
	members := slices.Clone(f.GetStatus().GetMembers())
	slices.SortFunc(members, func(x, y *isthmusv1.FederationMember) int {
		return cmp.Or(cmp.Compare(order(x), order(y)), cmp.Compare(x.GetDatacenter(), y.GetDatacenter()))
	})
	for i, a := range members {
		if l.bare && i > 0 && len(members) > wholeFederation {
			break
		}
		for _, b := range members[i+1:] {
			if !l.filter.touches(a.GetDatacenter(), b.GetDatacenter()) {
				continue
			}
			if !l.room() {
				return
			}
			p := &pair{look: l, Federation: f, a: a, b: b, seenA: l.of(a.GetDatacenter()), seenB: l.of(b.GetDatacenter())}
			l.add(p.judge(), p.gather)
		}
	}
}

func order(m *isthmusv1.FederationMember) int {
	if m.GetRole() == resource.RolePrimary {
		return 0
	}
	return 1
}

// judge is the verdict on the pair.
func (p *pair) judge() *isthmusv1.Connection {
	out := &isthmusv1.Connection{Kind: KindFederation, Name: p.GetName(), A: p.a.GetDatacenter(), B: p.b.GetDatacenter()}
	set := func(verdict, reason string, since *timestamppb.Timestamp, message string) {
		out.Verdict, out.Reason, out.Since, out.Message = verdict, reason, since, message
	}
	for _, m := range []*isthmusv1.FederationMember{p.b, p.a} {
		switch {
		case m.GetPhase() == resource.PhaseJoined, m.GetPhase() == resource.PhaseJoining && m.GetWasJoined():
			// One that had joined, and is not read any more, is not on its way: it is broken.
		case m.GetPhase() == resource.PhaseLeaving:
			set(peering.VerdictDeleting, m.GetReason(), m.GetPhaseSince(), m.GetDatacenter()+" is leaving: "+m.GetMessage())
			return out
		default:
			set(peering.VerdictPending, m.GetReason(), m.GetPhaseSince(), m.GetDatacenter()+" is "+m.GetPhase()+": "+m.GetMessage())
			out.Fix = "isthmus describe federation " + p.GetName() + " tells what it waits for"
			return out
		}
	}
	for _, s := range []struct {
		name string
		*known
	}{{out.GetA(), p.seenA}, {out.GetB(), p.seenB}} {
		if !s.Online {
			var since *timestamppb.Timestamp
			if !s.HeardTime.IsZero() {
				since = timestamppb.New(s.HeardTime)
			}
			set(peering.VerdictUnknown, peering.ReasonAgentSilent, since, "the agent of "+s.name+" is silent; the last that it saw is shown")
			out.Fix = "see whether isthmus agent runs there, and what its log says"
			return out
		}
	}
	if p.unseen(out, set) {
		return out
	}
	p.byReads(out, set)
	return out
}

// unseen is the verdict on a pair of which an agent is heard of, and does not see its Consul.
func (p *pair) unseen(out *isthmusv1.Connection, set func(verdict, reason string, since *timestamppb.Timestamp, message string)) bool {
	for _, s := range []struct {
		name string
		*known
	}{{out.GetA(), p.seenA}, {out.GetB(), p.seenB}} {
		if peering.Unseen(s.Blind, s.BlindTime, p.now) {
			set(peering.VerdictUnknown, peering.ReasonConsulUnseen, timestamppb.New(s.BlindTime),
				"the agent of "+s.name+" does not see its Consul ("+s.Blind+": "+s.BlindMessage+"); the last that it saw is shown")
			out.Fix = "see whether Consul answers there, and knows the agent's token"
			return true
		}
	}
	return false
}

// byReads is the verdict on a pair that has joined and whose agents are heard of.
func (p *pair) byReads(out *isthmusv1.Connection, set func(verdict, reason string, since *timestamppb.Timestamp, message string)) {
	there, back := p.seenA.reads[p.b.GetDatacenter()], p.seenB.reads[p.a.GetDatacenter()]
	there1, back1 := readText(out.GetA(), out.GetB(), there), readText(out.GetB(), out.GetA(), back)
	switch {
	case there == nil || back == nil:
		set(peering.VerdictUnknown, ReasonNotRead, nil, there1+"; "+back1)
	case !there.GetOk() && !back.GetOk():
		set(peering.VerdictFailing, ReasonReadFailed, later(there.GetSince(), back.GetSince()), there1+"; "+back1)
		out.Broken = BrokenBoth
	case !there.GetOk():
		set(peering.VerdictOneSided, ReasonReadFailed, there.GetSince(), there1+"; "+back1)
		out.Broken = BrokenAToB
	case !back.GetOk():
		set(peering.VerdictOneSided, ReasonReadFailed, back.GetSince(), there1+"; "+back1)
		out.Broken = BrokenBToA
	default:
		set(peering.VerdictHealthy, ReasonBothRead, later(there.GetSince(), back.GetSince()), "each reads the other one's catalog")
		p.replicates(out, set)
		return
	}
	if out.GetVerdict() != peering.VerdictUnknown {
		out.Fix = "isthmus describe federation " + p.GetName() + " tells the likeliest cause"
		for _, m := range []*isthmusv1.FederationMember{p.b, p.a} {
			switch {
			case m.GetRole() != resource.RoleSecondary || m.GetMessage() == "" || m.GetReason() == federation.ReasonJoined:
			case m.GetReason() == federation.ReasonReadsFailed && p.a.GetRole() == resource.RolePrimary:
				out.Message = m.GetMessage() // the cause, and what does not read what
			default:
				out.Message += ". " + m.GetMessage()
			}
		}
	}
}

// replicates: a secondary that no longer gets the primary's ACLs goes by old ones.
func (p *pair) replicates(out *isthmusv1.Connection, set func(verdict, reason string, since *timestamppb.Timestamp, message string)) {
	if p.a.GetRole() != resource.RolePrimary {
		return
	}
	r := p.seenB.Inventory.GetAclReplication()
	if r == nil || !r.GetEnabled() || r.GetHealthy() {
		return
	}
	set(peering.VerdictStale, ReasonReplication, r.GetLastSuccessTime(), fmt.Sprintf("each reads the other one's catalog, but %s does not get the ACLs of %s: %s",
		out.GetB(), out.GetA(), cmp.Or(r.GetError(), "Consul does not say why")))
	out.Broken = BrokenAToB
	out.Fix = "isthmus describe federation " + p.GetName() + " tells whether the replication token is still known; its agent of the primary makes another"
}

// later is since when both are as they are.
func later(x, y *timestamppb.Timestamp) *timestamppb.Timestamp {
	if y.AsTime().After(x.AsTime()) {
		return y
	}
	return x
}

func readText(from, to string, r *isthmusv1.ObservedRead) string {
	switch {
	case r == nil:
		return from + " has not read " + to + " yet"
	case r.GetOk():
		return fmt.Sprintf("%s reads the catalog of %s (%d services)", from, to, r.GetServices())
	}
	return fmt.Sprintf("%s does not read the catalog of %s: %s", from, to, cmp.Or(r.GetError(), r.GetErrorReason()))
}

// gather puts together what both say of themselves and of each other.
func (p *pair) gather() facts {
	for _, one := range []struct {
		self, other *isthmusv1.FederationMember
		seen        *known
	}{{p.a, p.b, p.seenA}, {p.b, p.a, p.seenB}} {
		name := one.self.GetDatacenter()
		p.facts.agent(name, one.seen.Online, one.seen.HeardTime, one.seen.Blind, one.seen.BlindTime)
		read := one.seen.reads[one.other.GetDatacenter()]
		p.facts.add(EvidenceRead, name, word(read != nil, read.GetOk()), read.GetSince(), "%s", readText(name, one.other.GetDatacenter(), read))
		p.members(name, one.seen, one.other)
		p.dialled(name, one.seen, one.other)
		if r := one.seen.Inventory.GetAclReplication(); r.GetEnabled() && one.self.GetRole() == resource.RoleSecondary {
			text := name + " gets the primary's ACLs"
			if !r.GetHealthy() {
				text = name + " does not get the primary's ACLs: " + cmp.Or(r.GetError(), "Consul does not say why")
			}
			p.facts.add(EvidenceReplication, name, word(true, r.GetHealthy()), r.GetLastSuccessTime(), "%s", text)
		}
	}
	p.roots()
	return p.facts
}

// members is what one sees of the other one's servers in the WAN gossip.
func (p *pair) members(name string, k *known, other *isthmusv1.FederationMember) {
	s := k.index().servers[other.GetConsulDatacenter()]
	p.facts.add(EvidenceWANMember, name, word(k.Federation != nil, s.alive > 0), nil, "%s sees %d servers of %s in the WAN gossip, %d of them alive", name, s.all, other.GetDatacenter(), s.alive)
}

// dialled is what came of dialling the other one's gateways, or servers.
func (p *pair) dialled(name string, k *known, other *isthmusv1.FederationMember) {
	var parts []string
	reached := false
	var since *timestamppb.Timestamp
	for _, probe := range k.index().probes[other.GetDatacenter()] {
		text := probe.GetAddress() + " " + probe.GetErrorReason()
		if probe.GetOk() {
			text = fmt.Sprintf("%s answers within %d ms", probe.GetAddress(), probe.GetLatencyMs())
			reached = true
		}
		if since == nil || probe.GetOk() == reached {
			since = probe.GetSince()
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		p.facts.add(EvidenceDialled, name, resource.CheckUnknown, nil, "%s has not dialled %s yet", name, other.GetDatacenter())
		return
	}
	p.facts.add(EvidenceDialled, name, word(true, reached), since, "%s dials %s: %s", name, other.GetDatacenter(), strings.Join(parts, ", "))
}

// roots tells whether both have one mesh, as members of a federation do.
func (p *pair) roots() {
	a, b := p.seenA.Inventory.GetCaRoots(), p.seenB.Inventory.GetCaRoots()
	switch {
	case len(a) == 0 || len(b) == 0:
		p.facts.add(EvidenceRoots, "", resource.CheckUnknown, nil, "the mesh CAs of both are not known")
	case slices.Contains(a, b[0]) && slices.Contains(b, a[0]):
		p.facts.add(EvidenceRoots, "", resource.CheckPass, nil, "both have the mesh CA %.12s", a[0])
	default:
		p.facts.add(EvidenceRoots, "", resource.CheckFail, nil, "%s has the mesh CA %.12s, and %s %.12s: calls between their services fail", p.a.GetDatacenter(), a[0], p.b.GetDatacenter(), b[0])
	}
}
