package connection

import (
	"cmp"
	"fmt"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// link is one peering while its evidence is gathered.
type link struct {
	*look
	*isthmusv1.Peering
	a, b     string
	evidence peering.Evidence
	facts    facts
}

// peering adds the row of one peering: a is its acceptor, b its dialer. The verdict is peering.Judge's.
func (l *look) peering(p *isthmusv1.Peering, a, b string) {
	k := &link{look: l, Peering: p, a: a, b: b}
	if l.e.Peering != nil {
		k.evidence = l.e.Peering(p)
	}
	verdict := peering.Judge(p, k.evidence, l.now)
	out := &isthmusv1.Connection{
		Kind: KindPeering, Name: p.GetName(), A: a, B: b,
		Verdict: verdict.Verdict, Reason: verdict.Reason, Message: verdict.Message, Broken: direction(verdict.Broken),
		Since: timestamppb.New(l.now),
	}
	if !l.bare {
		out.Fix = k.fix(verdict)
	}
	if p.GetStatus().GetVerdict() == verdict.Verdict {
		out.Since = p.GetStatus().GetVerdictSince()
	}
	l.add(out, k.gather)
}

func direction(broken string) string {
	switch broken {
	case peering.BrokenToAcceptor:
		return BrokenBToA
	case peering.BrokenToDialer:
		return BrokenAToB
	case peering.BrokenBoth:
		return BrokenBoth
	}
	return ""
}

// fix is what to do about a verdict; empty: nothing, or the message says it.
func (k *link) fix(v peering.Verdict) string {
	heal := k.GetStatus().GetHeal()
	switch v.Reason {
	case peering.ReasonAgentSilent, peering.ReasonNotReported:
		return "see whether isthmus agent runs there, and what its log says"
	case peering.ReasonConsulUnseen:
		return "see whether Consul answers there, and knows the agent's token"
	case peering.ReasonImportsDiffer:
		return "see what the leader of the importing Consul says of the resources that it cannot store; isthmus peering rotate does not help"
	case peering.ReasonHeartbeatMissing, peering.ReasonConnectionFailing, peering.ReasonNotConnected:
		switch {
		case heal.GetState() == peering.HealSuggested && k.GetSpec().GetHeal() != resource.HealAuto:
			return "isthmus peering heal " + k.GetName()
		case heal.GetState() == peering.HealTrying:
			return "wait: it is being healed (" + heal.GetMessage() + ")"
		}
		return heal.GetMessage()
	case peering.ReasonPeerTerminated, peering.ReasonPeerIDMismatch, peering.ReasonEndMissing:
		return "wait: its end is made anew; isthmus peering rotate " + k.GetName() + " asks for it now"
	case peering.ReasonTokenRefused:
		return "wait for the next token, or isthmus peering rotate " + k.GetName()
	}
	return ""
}

// gather puts together what both ends say of themselves and of each other.
func (k *link) gather() facts {
	for _, e := range []struct {
		name, external string
		end            peering.End
		known          *isthmusv1.PeeringEnd
	}{
		{k.a, k.GetSpec().GetExternalAcceptor(), k.evidence.Acceptor, k.GetStatus().GetAcceptor()},
		{k.b, k.GetSpec().GetExternalDialer(), k.evidence.Dialer, k.GetStatus().GetDialer()},
	} {
		if e.external != "" {
			k.facts.add(EvidenceAgent, e.name, resource.CheckUnknown, nil, "%s is another operator's: its end is not seen", e.name)
			continue
		}
		k.end(e.name, e.end, e.known)
	}
	k.dials()
	if k.GetSpec().GetExternalAcceptor()+k.GetSpec().GetExternalDialer() != "" {
		return k.facts
	}
	k.peerIDs()
	k.roots(k.a, k.evidence.Acceptor, k.b)
	k.roots(k.b, k.evidence.Dialer, k.a)
	k.imports(k.a, k.evidence.Acceptor, k.b, k.evidence.Dialer)
	k.imports(k.b, k.evidence.Dialer, k.a, k.evidence.Acceptor)
	k.catalogs()
	return k.facts
}

// end is what one end says of itself.
func (k *link) end(name string, e peering.End, known *isthmusv1.PeeringEnd) {
	online := !e.HeardTime.IsZero() && k.now.Sub(e.HeardTime) <= resource.Silence
	k.facts.agent(name, online, e.HeardTime, e.Blind, e.BlindTime)
	report := e.Report
	if report == nil {
		k.facts.add(EvidenceState, name, resource.CheckUnknown, nil, "the agent of %s has said nothing about this peering", name)
		return
	}
	state := report.GetState()
	begun := slices.Contains([]string{peering.StatePending, peering.StateEstablishing, peering.StateUndefined}, state)
	var since *timestamppb.Timestamp
	if known.GetState() == state {
		since = known.GetSince()
	}
	k.facts.add(EvidenceState, name, word(!begun, state == peering.StateActive), since, "%s", cmp.Or(state, "there is no end in "+name))
	if state != "" {
		k.heartbeat(name, report)
	}
}

// heartbeat is what an end heard and sent.
func (k *link) heartbeat(name string, r *isthmusv1.ObservedPeering) {
	switch r.GetHeartbeat() {
	case "":
		return
	case resource.HeartbeatFresh:
		k.facts.add(EvidenceHeartbeat, name, resource.CheckPass, nil, "%s has heard the other end within the last 20 s", name)
		return
	case resource.HeartbeatNever:
		k.facts.add(EvidenceHeartbeat, name, resource.CheckUnknown, nil, "%s has heard nothing yet", name)
	default:
		k.facts.add(EvidenceHeartbeat, name, resource.CheckFail, r.GetHeartbeatTime(), "%s", lastTime("the last heartbeat came", "no heartbeat has come over this stream", r.GetHeartbeatTime()))
	}
	stale := r.GetHeartbeat() == resource.HeartbeatStale
	k.facts.add(EvidenceReceive, name, word(stale, false), r.GetReceiveTime(), "%s", lastTime("something was received last, or receiving failed,", "nothing has ever been received", r.GetReceiveTime()))
	k.facts.add(EvidenceSend, name, word(stale && r.GetSendTime() != nil, false), r.GetSendTime(), "%s",
		lastTime(name+" gets no answer: it sent something last, or failed to,", "nothing has ever been sent", r.GetSendTime()))
}

func lastTime(happened, never string, at *timestamppb.Timestamp) string {
	if at == nil {
		return never
	}
	return happened + " at " + at.AsTime().UTC().Format("15:04:05Z")
}

// dials is what came of dialling the acceptor's addresses.
func (k *link) dials() {
	dials := k.evidence.Dialer.Report.GetDials()
	for _, d := range dials {
		text := fmt.Sprintf("%s dials %s at %s: ", k.b, k.a, d.GetAddress())
		if d.GetOk() {
			text += fmt.Sprintf("its servers answer within %d ms", d.GetLatencyMs())
		} else {
			text += cmp.Or(d.GetError(), d.GetErrorReason())
		}
		k.facts.add(EvidenceDialled, k.b, word(true, d.GetOk()), d.GetSince(), "%s", text)
	}
	if len(dials) == 0 && k.GetSpec().GetExternalDialer() == "" {
		k.facts.add(EvidenceDialled, k.b, resource.CheckUnknown, nil, "%s has not dialled %s yet", k.b, k.a)
	}
}

// peerIDs tells whether both ends are those of one peering.
func (k *link) peerIDs() {
	a, b := k.evidence.Acceptor.Report.GetPeerId(), k.evidence.Dialer.Report.GetPeerId()
	switch {
	case a == "" || b == "":
		k.facts.add(EvidencePeerID, "", resource.CheckUnknown, nil, "not both ends are known")
	case a == b:
		k.facts.add(EvidencePeerID, "", resource.CheckPass, nil, "both ends belong together: %s", a)
	default:
		k.facts.add(EvidencePeerID, "", resource.CheckFail, nil, "%s's end is %s, and %s's belongs to %s", k.a, a, k.b, b)
	}
}

// roots tells whether an end trusts the root with which the other one's mesh signs now.
func (k *link) roots(name string, e peering.End, other string) {
	trusted, roots := e.Report.GetPeerRoots(), k.of(other).Inventory.GetCaRoots()
	switch {
	case len(trusted) == 0 || len(roots) == 0:
		k.facts.add(EvidenceRoots, name, resource.CheckUnknown, nil, "not both are known: whom %s trusts, and the mesh CA of %s", name, other)
	case slices.Contains(trusted, roots[0]):
		k.facts.add(EvidenceRoots, name, resource.CheckPass, nil, "%s trusts the mesh CA of %s (%.12s)", name, other, roots[0])
	default:
		k.facts.add(EvidenceRoots, name, resource.CheckFail, nil, "%s does not trust the root %.12s with which %s signs now: calls between their services fail", name, roots[0], other)
	}
}

// imports compares what one end sends with what the other one has got.
func (k *link) imports(from string, sender peering.End, to string, receiver peering.End) {
	out, in := sender.Report, receiver.Report
	if out.GetState() == "" || in.GetState() == "" {
		k.facts.add(EvidenceImports, "", resource.CheckUnknown, nil, "not both ends are there: what %s exports to %s cannot be compared", from, to)
		return
	}
	n, m := out.GetExportedServices(), in.GetImportedServices()
	others := n == m && out.GetExportedDigest() != "" && in.GetImportedDigest() != "" && out.GetExportedDigest() != in.GetImportedDigest()
	if n == m && !others {
		k.facts.add(EvidenceImports, "", resource.CheckPass, nil, "%s exports %d services over the stream, and %s imports them", from, n, to)
		return
	}
	text := fmt.Sprintf("%s exports %d services over the stream, and %s imports %d", from, n, to, m)
	if others {
		text += " others"
	}
	if settled := k.now.Sub(sender.ReportTime) > peering.Calm && k.now.Sub(receiver.ReportTime) > peering.Calm; !settled {
		k.facts.add(EvidenceImports, "", resource.CheckUnknown, nil, "%s: they may be on their way", text)
		return
	}
	k.facts.add(EvidenceImports, "", resource.CheckFail, nil, "%s", text)
}
