package peering

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Steps of healing, in this order.
const (
	// StepReestablish has the dialer use a fresh token: it begins a lost stream anew at once, without Consul's pauses of up to a minute.
	StepReestablish = "reestablish"
	// StepTransferLeader has the dialer's Consul servers choose another leader, which begins all streams anew: the only cure of one that
	// hangs while Consul calls it ACTIVE (measured on Consul 1.20: a fresh token leaves such a stream as it is).
	StepTransferLeader = "transfer-leader"
)

// States of healing.
const (
	// HealSuggested: the step would be the next one.
	HealSuggested = "suggested"
	// HealTrying: the step was taken, and what comes of it is awaited.
	HealTrying = "trying"
	// HealHelped: after the step the peering became healthy, and stayed so.
	HealHelped = "helped"
	// HealExhausted: all steps were taken, and nothing helped.
	HealExhausted = "exhausted"
)

// Times of the ladder.
const (
	// healFirst is how long a stream hangs before the first step: Consul's own first tries take some seconds, and dialling its addresses five.
	healFirst = 10 * time.Second
	// healReestablished and healTransferred are how long the effect of a step is awaited: a fresh token works within seconds, an election takes up to ten, and the
	// first heartbeat of a stream comes after 15.
	healReestablished = 30 * time.Second
	healTransferred   = 60 * time.Second
	// healProven is how long a peering has to stay healthy after a step to count as healed.
	healProven = time.Minute
	// healAgain is how long it has to stay healthy for the ladder to begin anew.
	healAgain = 10 * time.Minute
)

// maxTransfers keeps what a broken agent reports from ending all transfers.
const maxTransfers = 1 << 30

// healing is one look at the ladder.
type healing struct {
	view
	verdict Verdict
	// old is what is known, next what will be: old itself when nothing changes.
	old, next *isthmusv1.HealStatus
	// token is wanted: the generation is to be raised.
	token bool
}

// heal is the next state of healing, and whether a fresh token is wanted for it.
//
//	stale, failing ─▶ something explains it (an agent is silent, no address can be dialled) ─▶ say so, do nothing
//	      └─▶ suggested ──auto: after 10 s; requested: at once──▶ trying reestablish ──30 s──▶ trying transfer-leader ──60 s──▶ exhausted
//	                                                                    └── healthy for a minute: helped ──for 10 minutes: from the beginning
//
// A relapse goes on with the next step: what helped for some minutes did not help.
func (v view) heal(verdict Verdict) healing {
	h := healing{view: v, verdict: verdict, old: v.GetStatus().GetHeal()}
	h.next = h.old
	switch {
	case h.old == nil && verdict.Verdict == VerdictHealthy:
	case verdict.Verdict == VerdictDeleting:
		h.next = nil
	case verdict.Verdict == VerdictHealthy:
		h.recovered()
	case verdict.Reason == ReasonConnectionFailing && !v.acceptor.deaf() && !v.dialer.deaf():
		// A moment ago both heard each other: they connect again by themselves, or never lost each other.
	case !hangs(verdict.Verdict, verdict.Reason):
		// Something else is in the way: what was suggested would not help.
		if h.old.GetTried() == 0 {
			h.next = nil
		}
	default:
		h.troubled()
	}
	return h
}

// recovered: it is healthy. What was tried counts as help only when that lasts.
func (h *healing) recovered() {
	since := h.GetStatus().GetVerdictSince().AsTime()
	healthy := h.now.Sub(since)
	switch {
	case h.old.GetTried() == 0, h.GetStatus().GetVerdict() == VerdictHealthy && healthy >= healAgain:
		h.next = nil
	case h.GetStatus().GetVerdict() != VerdictHealthy || healthy < healProven:
	case h.old.GetState() == HealTrying:
		h.become(h.old.GetStep(), HealHelped, "the peering is healthy since "+clock(since))
	case h.old.GetState() != HealHelped && h.old.GetState() != "":
		h.become("", "", "the peering is healthy since "+clock(since)+", and not because of the last step")
	}
	if h.next.GetRequested() {
		h.next = proto.CloneOf(h.next)
		h.next.Requested = false
	}
}

// troubled: the stream hangs.
func (h *healing) troubled() {
	mode := cmp.Or(h.GetSpec().GetHeal(), resource.HealSuggest)
	wanted := h.old.GetRequested()
	if mode == resource.HealOff && !wanted {
		if h.old.GetTried() == 0 {
			h.next = nil
		}
		return
	}
	tried, steps, why := int(h.old.GetTried()), h.steps(), h.explained()
	switch {
	case h.old.GetState() == HealTrying && h.awaited():
	case why != "":
		h.say(why)
	case tried >= len(steps) && !wanted:
		h.exhaust()
	case wanted:
		h.take(steps, tried%len(steps))
	case mode == resource.HealAuto && h.due():
		h.takeItself(steps, tried)
	case mode == resource.HealAuto && tried > 0:
		// It hangs again since a moment ago.
	default:
		h.suggest(steps[tried], mode)
	}
}

// steps are those that this fleet can take where the dialer is its own.
func (h *healing) steps() []string {
	if h.acceptor.external {
		return []string{StepTransferLeader}
	}
	return []string{StepReestablish, StepTransferLeader}
}

// explained is why no step would help; empty: nothing else is known to be wrong.
func (h *healing) explained() string {
	for _, e := range h.own {
		if e.Blind != "" {
			return fmt.Sprintf("healing does not help: the agent of %s does not see its Consul (%s)", e.name, e.Blind)
		}
		if !e.exists() {
			return "healing does not help: there is no end in " + e.name
		}
	}
	if reason := h.asksFor(h.GetStatus().GetToken()); reason != "" {
		return "healing waits: a fresh token is asked for (" + reason + ")"
	}
	tried, reached := h.dialer.dialled()
	switch {
	case h.dialer.external:
		return "healing is not possible from here: the dialer is another operator's, and has to look at their end"
	case tried && !reached:
		return "healing does not help: " + h.undialled(finding{h.verdict.Verdict, h.verdict.Reason, ""}) + ": see the network, or rotate the token when these are old addresses"
	case !h.acceptor.external && Current(h.GetStatus().GetToken()).GetOutcome() != resource.OutcomeUsed && h.old.GetState() != HealTrying:
		return "healing waits: a fresh token is on its way"
	}
	return ""
}

// awaited tells whether the effect of the last step may still come.
func (h *healing) awaited() bool {
	if h.old.GetStep() != StepTransferLeader {
		return h.since() < healReestablished
	}
	report := h.dialer.Report
	if failed := report.GetLeaderTransfer() >= h.old.GetLeaderTransfer() && report.GetLeaderTransferError() != ""; failed {
		return false
	}
	return h.since() < healTransferred
}

// due tells whether the next step may be taken without anybody's asking: the stream hangs for a while.
func (h *healing) due() bool {
	status := h.GetStatus()
	return hangs(status.GetVerdict(), status.GetReason()) && h.now.Sub(status.GetVerdictSince().AsTime()) >= healFirst
}

func (h *healing) since() time.Duration { return h.now.Sub(h.old.GetTime().AsTime()) }

// become sets step, state and message; its time is that of the change.
func (h *healing) become(step, state, message string) {
	if h.old.GetStep() == step && h.old.GetState() == state && h.old.GetMessage() == message {
		return
	}
	h.next = &isthmusv1.HealStatus{}
	if h.old != nil {
		h.next = proto.CloneOf(h.old)
	}
	h.next.Step, h.next.State, h.next.Message, h.next.Time = step, state, message, timestamppb.New(h.now)
}

// say tells why nothing is done. What was tried stays known.
func (h *healing) say(why string) {
	if h.old.GetMessage() == why && h.old.GetState() == "" && !h.old.GetRequested() {
		return
	}
	h.become("", "", why)
	if h.next == h.old {
		h.next = proto.CloneOf(h.old)
	}
	h.next.Requested = false
}

func (h *healing) suggest(step, mode string) {
	how := "run isthmus peering heal " + h.GetName()
	if mode == resource.HealAuto {
		how = "it is done by itself when the stream goes on hanging"
	}
	h.become(step, HealSuggested, described(step, h.dialer.name)+": "+how)
}

func described(step, dialer string) string {
	if step == StepTransferLeader {
		return "transfer the leadership of " + dialer + "'s Consul servers, which begins its streams to peers anew"
	}
	return "re-establish the stream with a fresh token"
}

// takeItself takes a step that nobody asked for, unless that was done too often already: see Heals. What another peering had a moment ago
// costs nothing.
func (h *healing) takeItself(steps []string, index int) {
	step := steps[index]
	if h.earliest != nil && (step != StepTransferLeader || h.now.Sub(h.transferred()) >= healTransferred) {
		if from := h.earliest(step); from.After(h.now) {
			h.become(step, HealSuggested, fmt.Sprintf("%s: run isthmus peering heal %s; by itself it is done again at %s at the earliest, since it was done too often of late",
				described(step, h.dialer.name), h.GetName(), clock(from)))
			return
		}
	}
	h.take(steps, index)
}

// transferred is when the dialer's leadership was transferred last; zero: never. A transfer that failed is none, as far as the dialer's own agent
// says it.
func (h *healing) transferred() time.Time {
	if h.lastTransfer == nil || h.dialer.Report.GetLeaderTransferError() != "" {
		return time.Time{}
	}
	return h.lastTransfer()
}

// take takes a step. A transfer of the same datacenter's leadership that another peering had a moment ago serves this one as well, and
// soon after one there is no other.
func (h *healing) take(steps []string, index int) {
	step := steps[index]
	last := h.transferred()
	if since := h.now.Sub(last); step == StepTransferLeader && since >= healTransferred && since < transferSpacing {
		h.become(step, HealSuggested, fmt.Sprintf("%s: it is done at %s at the earliest, since the last transfer was at %s",
			described(step, h.dialer.name), clock(last.Add(transferSpacing)), clock(last)))
		return
	}
	h.become(step, HealTrying, described(step, h.dialer.name))
	if h.next == h.old {
		h.next = proto.CloneOf(h.old)
		h.next.Time = timestamppb.New(h.now)
	}
	h.next.Tried, h.next.Requested = int32(index+1), false
	if step == StepReestablish {
		h.token = true
		return
	}
	if h.now.Sub(last) < healTransferred {
		h.next.Message = "wait for the transfer of " + h.dialer.name + "'s leadership at " + clock(last) + ", which another peering asked for"
		return
	}
	reached := h.old.GetLeaderTransfer()
	if n := h.dialer.Report.GetLeaderTransfer(); n < maxTransfers {
		reached = max(reached, n)
	}
	h.next.LeaderTransfer = reached + 1
}

func (h *healing) exhaust() {
	message := "nothing helped: see the logs of both Consul clusters' leaders"
	if problem := h.dialer.Report.GetLeaderTransferError(); problem != "" && h.dialer.Report.GetLeaderTransfer() >= h.old.GetLeaderTransfer() {
		message = "the transfer of " + h.dialer.name + "'s leadership failed (" + problem + "): restart the Consul server that leads " + h.dialer.name +
			", or give its agent the rules of isthmus agent policy --for heal"
	}
	h.become(h.old.GetStep(), HealExhausted, message)
}

// LeaderTransfer is the number of the transfer of leadership that the dialer's agent shall have done; 0: none is wanted now. An agent that was
// silent for long finds none waiting for it: whether the stream still hangs is seen first.
func LeaderTransfer(p *isthmusv1.Peering) int32 {
	status := p.GetStatus()
	heal := status.GetHeal()
	if p.GetDeleteTime() != nil || heal.GetState() != HealTrying || heal.GetStep() != StepTransferLeader || !hangs(status.GetVerdict(), status.GetReason()) {
		return 0
	}
	return heal.GetLeaderTransfer()
}

// Transferred is when the leadership of the dialer was asked for last to heal this peering; zero: not that is known.
func Transferred(p *isthmusv1.Peering) time.Time {
	heal := p.GetStatus().GetHeal()
	if heal.GetStep() != StepTransferLeader || heal.GetLeaderTransfer() == 0 || heal.GetTime() == nil || !slices.Contains([]string{HealTrying, HealHelped, HealExhausted}, heal.GetState()) {
		return time.Time{}
	}
	return heal.GetTime().AsTime()
}

// RequestHeal is the status of a peering whose next step of healing is wanted now. Refused, with the reason, when there is nothing that a
// step would help.
func RequestHeal(p *isthmusv1.Peering) (*isthmusv1.PeeringStatus, error) {
	status := p.GetStatus()
	heal := status.GetHeal()
	switch {
	case p.GetDeleteTime() != nil:
		return nil, fault.New(fault.Refused, "Peering %q is being deleted", p.GetName())
	case !hangs(status.GetVerdict(), status.GetReason()):
		return nil, fault.New(fault.Refused, "Peering %q is %s (%s): there is no stream that hangs", p.GetName(), cmp.Or(status.GetVerdict(), VerdictUnknown), status.GetReason())
	case heal != nil && heal.GetState() == "":
		return nil, fault.New(fault.Refused, "Peering %q: %s", p.GetName(), heal.GetMessage())
	}
	next := proto.CloneOf(status)
	if next.Heal == nil {
		next.Heal = &isthmusv1.HealStatus{}
	}
	next.Heal.Requested = true
	return next, nil
}
