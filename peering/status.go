package peering

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Next is the status that a peering has at a time, out of its present one and the evidence of its ends. It is p.Status
// itself, the same pointer, when nothing changes: the controller writes it only when it differs. What came of a token
// (Claimed, Made, …) is entered where it is reported.
func Next(p *isthmusv1.Peering, e Evidence, now time.Time) *isthmusv1.PeeringStatus {
	v := look(p, e, now)
	verdict := Judge(p, e, now)
	old := p.GetStatus()
	next := &isthmusv1.PeeringStatus{
		Group: old.GetGroup(), State: v.state(),
		Verdict: verdict.Verdict, VerdictSince: old.GetVerdictSince(), Reason: verdict.Reason, Message: verdict.Message,
		Acceptor: v.acceptor.next(old.GetAcceptor()), Dialer: v.dialer.next(old.GetDialer()),
		Broken: verdict.Broken,
	}
	healing := v.heal(verdict)
	next.Heal, next.Token = healing.next, v.nextToken(verdict.Verdict, healing.token)
	if unchanged(p, next) {
		return old
	}
	if next.GetVerdict() != old.GetVerdict() || next.GetVerdictSince() == nil {
		next.VerdictSince = timestamppb.New(now)
	}
	next.Conditions = resource.SetCondition(p, old.GetConditions(), conditionOf(verdict), now)
	return next
}

// Settled tells whether a status that Next gave changes only by what agents say, or when they say nothing: no time is running.
func Settled(p *isthmusv1.Peering, e Evidence, now time.Time) bool {
	status := p.GetStatus()
	if e.Acceptor.unheard() && e.Dialer.unheard() && status.GetToken() == nil && status.GetHeal() == nil && p.GetDeleteTime() == nil {
		return true
	}
	if status.GetVerdict() != VerdictHealthy || status.GetToken().GetRaises() > 0 || status.GetHeal() != nil || e.Acceptor.Blind != "" || e.Dialer.Blind != "" {
		return false
	}
	return !slices.ContainsFunc(look(p, e, now).ways(), way.differs)
}

// unheard: nobody ever told anything of it, nor can yet.
func (e End) unheard() bool {
	return e.HeardTime.IsZero() && e.Report == nil && len(e.Recipients) == 0 && !e.Lost
}

// unchanged compares what Next works out; all else in a status follows from it. Parts that did not change are the same
// pointers: the controller asks for thousands of peerings, and most of the time this is the answer.
func unchanged(p *isthmusv1.Peering, next *isthmusv1.PeeringStatus) bool {
	old := p.GetStatus()
	known := resource.FindCondition(old.GetConditions(), resource.ConditionReady)
	return known != nil && known.GetObservedGeneration() == p.GetGeneration() &&
		next.GetState() == old.GetState() && next.GetVerdict() == old.GetVerdict() &&
		next.GetReason() == old.GetReason() && next.GetMessage() == old.GetMessage() &&
		next.GetAcceptor() == old.GetAcceptor() && next.GetDialer() == old.GetDialer() && next.GetToken() == old.GetToken() &&
		next.GetBroken() == old.GetBroken() && next.GetHeal() == old.GetHeal()
}

// next is what is shown of an end: old itself when nothing changes. What an agent saw last stays when nothing newer is known.
func (e end) next(old *isthmusv1.PeeringEnd) *isthmusv1.PeeringEnd {
	if e.external {
		return nil
	}
	out := e.seenNow(old)
	if old != nil && proto.Equal(old, out) {
		return old
	}
	return out
}

func (e end) seenNow(old *isthmusv1.PeeringEnd) *isthmusv1.PeeringEnd {
	if e.Report == nil {
		out := &isthmusv1.PeeringEnd{}
		if old != nil {
			out = proto.CloneOf(old)
		}
		out.Datacenter, out.Seen = e.name, false
		return out
	}
	out := &isthmusv1.PeeringEnd{
		Datacenter: e.name, Seen: e.seen,
		State: e.Report.GetState(), Since: old.GetSince(), PeerId: e.Report.GetPeerId(), Heartbeat: e.Report.GetHeartbeat(),
		ImportedServices: e.Report.GetImportedServices(), ExportedServices: e.Report.GetExportedServices(),
		Generation: e.Report.GetGeneration(), ErrorReason: e.Report.GetErrorReason(), Error: e.Report.GetError(),
		HeartbeatTime: e.Report.GetHeartbeatTime(), ReceiveTime: e.Report.GetReceiveTime(), SendTime: e.Report.GetSendTime(),
		LeaderTransfer: e.Report.GetLeaderTransfer(), LeaderTransferError: e.Report.GetLeaderTransferError(),
	}
	if out.GetState() != old.GetState() || out.GetSince() == nil {
		out.Since = timestamppb.New(e.now)
	}
	return out
}

// Gone tells whether nothing is left of a deleted peering in any Consul, so that it can go: each end's agent said so, or
// nobody ever began to make a token for it. An external end is its operator's to remove, and of a lost one nothing is awaited.
func Gone(p *isthmusv1.Peering, e Evidence) bool {
	if p.GetDeleteTime() == nil {
		return false
	}
	if len(p.GetStatus().GetToken().GetLedger()) == 0 {
		return true
	}
	return (p.GetSpec().GetExternalAcceptor() != "" || e.Acceptor.Lost || e.Acceptor.Report.GetDeleted()) &&
		(p.GetSpec().GetExternalDialer() != "" || e.Dialer.Lost || e.Dialer.Report.GetDeleted())
}
