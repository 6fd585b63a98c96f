package peering

import (
	"fmt"
	"slices"
	"strings"
	"time"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Verdicts.
const (
	VerdictDeleting = "deleting"
	VerdictUnknown  = "unknown"
	VerdictFailing  = "failing"
	VerdictPending  = "pending"
	VerdictOneSided = "one-sided"
	VerdictStale    = "stale"
	VerdictHealthy  = "healthy"
)

// Reasons of verdicts, beside those that agents report (NameTaken, …) and those of tokens.
const (
	ReasonDeleting          = "Deleting"
	ReasonAgentSilent       = "AgentSilent"
	ReasonNotReported       = "NotReported"
	ReasonConnectionFailing = "ConnectionFailing"
	ReasonDeletedInConsul   = "DeletedInConsul"
	ReasonNotConnected      = "NotConnected"
	ReasonNotCreated        = "NotCreated"
	ReasonPeerIDMismatch    = "PeerIDMismatch"
	ReasonWaitingForAgents  = "WaitingForAgents"
	ReasonWaitingForToken   = "WaitingForToken"
	ReasonConnecting        = "Connecting"
	ReasonEndMissing        = "EndMissing"
	ReasonHeartbeatMissing  = "HeartbeatMissing"
	ReasonHealthy           = "Healthy"
)

// Verdict is what a peering is, and why.
type Verdict struct {
	// Verdict is one of the Verdict constants, Reason one CamelCase word.
	Verdict, Reason string
	// Message is a sentence with what the ends say.
	Message string
}

// Judge is the verdict on a peering, out of fresh evidence of both of its ends.
func Judge(p *isthmusv1.Peering, e Evidence, now time.Time) Verdict {
	v := look(p, e, now)
	out := v.judge()
	if said := v.said(); said != "" {
		out.Message = strings.TrimPrefix(out.Message+"; ", "; ") + said
	}
	if v.external() && out.Verdict != VerdictDeleting {
		out.Message += "; only this end is seen: the other one is another operator's"
	}
	return out
}

func (v view) judge() Verdict {
	if v.GetDeleteTime() != nil {
		return Verdict{VerdictDeleting, ReasonDeleting, "its ends in Consul are being removed"}
	}
	for _, rule := range []func() (Verdict, bool){v.unknown, v.failing, v.connecting, v.partial} {
		if out, holds := rule(); holds {
			return out
		}
	}
	return Verdict{Verdict: VerdictHealthy, Reason: ReasonHealthy}
}

// unknown: an end of which nothing new is known.
func (v view) unknown() (Verdict, bool) {
	for _, e := range v.ends() {
		switch {
		case e.seen:
		case e.online() && v.waited(grace):
			return Verdict{VerdictUnknown, ReasonNotReported, "the agent of " + e.name + " says nothing about this peering"}, true
		case e.online():
			// It has just been told.
		case e.HeardTime.IsZero():
			return Verdict{VerdictUnknown, ReasonNotReported, "no agent of " + e.name + " has reported yet"}, true
		default:
			return Verdict{VerdictUnknown, ReasonAgentSilent, "the agent of " + e.name + " is silent; the last that it saw is shown"}, true
		}
	}
	return Verdict{}, false
}

// waited tells whether the peering, and the present token if there is one, is older than d.
func (v view) waited(d time.Duration) bool {
	since := v.GetCreateTime().AsTime()
	if asked := v.GetStatus().GetToken().GetRequestTime(); asked != nil && asked.AsTime().After(since) {
		since = asked.AsTime()
	}
	return v.now.Sub(since) > d
}

// failing: something that does not go by itself.
func (v view) failing() (Verdict, bool) {
	for _, e := range v.ends() {
		if reason := e.Report.GetErrorReason(); reason != "" {
			return Verdict{VerdictFailing, reason, e.name + ": " + e.Report.GetError()}, true
		}
	}
	if current := Current(v.GetStatus().GetToken()); current.GetOutcome() == resource.OutcomeRefused {
		message := "the token was refused, a new one is asked for"
		if v.acceptor.external {
			message = fmt.Sprintf("the token was refused: bring in a new one of %s with isthmus peering import %s", v.acceptor.name, v.GetName())
		}
		return Verdict{VerdictFailing, ReasonTokenRefused, message}, true
	}
	for _, e := range v.ends() {
		switch e.state() {
		case StateTerminated:
			return Verdict{VerdictFailing, ReasonPeerTerminated, "the other end of " + e.name + "'s was deleted"}, true
		case StateDeleting:
			return Verdict{VerdictFailing, ReasonDeletedInConsul, "somebody deletes the end in " + e.name + " in Consul"}, true
		case StateFailing:
			return Verdict{VerdictFailing, ReasonConnectionFailing, e.name + " has lost the connection to its peer"}, true
		}
	}
	if !v.external() && v.strangers() && Current(v.GetStatus().GetToken()).GetOutcome() == resource.OutcomeUsed {
		return Verdict{VerdictFailing, ReasonPeerIDMismatch, "the two ends do not belong together"}, true
	}
	return Verdict{}, false
}

// connecting: not all ends are ACTIVE, but they may still become so; or have had the time to.
func (v view) connecting() (Verdict, bool) {
	token := v.GetStatus().GetToken()
	if token.GetGeneration() == 0 {
		if v.acceptor.external && len(v.dialer.Recipients) > 0 {
			return v.forOperator(), true
		}
		return v.forAgents(), true
	}
	active, missing := 0, 0
	for _, e := range v.ends() {
		switch {
		case e.state() == StateActive:
			active++
		case !e.exists():
			missing++
		}
	}
	current := Current(token)
	switch ends := len(v.ends()); {
	case active == ends:
		return Verdict{}, false
	case v.external() && (v.dialer.external || !isMade(current)) && active == 0 && !v.acceptor.lost(current):
		// Until the other operator has used the token, or given one, nothing is wrong.
		return v.forOperator(), true
	case v.young():
		return Verdict{VerdictPending, ReasonConnecting, ""}, true
	case missing == ends:
		return Verdict{VerdictFailing, ReasonNotCreated, "no end is there yet"}, true
	case missing > 0:
		// One exists: see partial.
		return Verdict{}, false
	}
	return Verdict{VerdictFailing, ReasonNotConnected, "not connected after " + grace.String() +
		": can the dialer's servers reach the addresses that the acceptor's token carries?"}, true
}

// lost tells whether an acceptor that made a token has no peering any more.
func (e end) lost(current *isthmusv1.TokenEntry) bool {
	return !e.external && isMade(current) && gone(e) && e.knows(current.GetGeneration(), current.GetMakeTime().AsTime())
}

func (v view) forAgents() Verdict {
	var names []string
	for _, e := range v.ends() {
		if len(e.Recipients) == 0 {
			names = append(names, e.name)
		}
	}
	if len(names) == 0 {
		return Verdict{VerdictPending, ReasonConnecting, ""}
	}
	return Verdict{VerdictPending, ReasonWaitingForAgents, "no agent that can be trusted yet in " + strings.Join(names, " and ") +
		": isthmus join-token create, or isthmus agent approve"}
}

func (v view) forOperator() Verdict {
	if v.dialer.external {
		return Verdict{VerdictPending, ReasonWaitingForToken, fmt.Sprintf("give %s a token: isthmus peering token %s on the host of %s's agent",
			v.dialer.name, v.GetName(), v.acceptor.name)}
	}
	return Verdict{VerdictPending, ReasonWaitingForToken, fmt.Sprintf("bring in a token of %s: isthmus peering import %s",
		v.acceptor.name, v.GetName())}
}

// young tells whether the ends may still be connecting: the first token was asked for, or an end came to be what it is,
// a moment ago. A peering that was wiped is not young: what happened to it is to be seen.
func (v view) young() bool {
	token := v.GetStatus().GetToken()
	if first := token.GetReason() == ReasonCreated || token.GetReason() == ReasonImported; first && !v.waited(grace) {
		return true
	}
	known := []*isthmusv1.PeeringEnd{v.GetStatus().GetAcceptor(), v.GetStatus().GetDialer()}
	for i, e := range []end{v.acceptor, v.dialer} {
		if e.external {
			continue
		}
		fresh := known[i].GetState() != e.state() || v.now.Sub(known[i].GetSince().AsTime()) <= grace
		switch state := e.state(); {
		case !e.exists():
			return false
		case state != StateActive && fresh:
			return true
		}
	}
	return false
}

// partial: an end is missing, or hears nothing.
func (v view) partial() (Verdict, bool) {
	for _, e := range v.ends() {
		if !e.exists() {
			return Verdict{VerdictOneSided, ReasonEndMissing, "there is no end in " + e.name}, true
		}
	}
	known := []*isthmusv1.PeeringEnd{v.GetStatus().GetAcceptor(), v.GetStatus().GetDialer()}
	for i, e := range []end{v.acceptor, v.dialer} {
		heartbeat := e.Report.GetHeartbeat()
		if e.external || heartbeat == resource.HeartbeatFresh {
			continue
		}
		started := known[i].GetState() != e.state() || v.now.Sub(known[i].GetSince().AsTime()) <= grace
		if heartbeat != resource.HeartbeatStale && started {
			return Verdict{VerdictPending, ReasonConnecting, ""}, true
		}
		return Verdict{VerdictStale, ReasonHeartbeatMissing, e.name + " is connected, and hears nothing"}, true
	}
	return Verdict{}, false
}

// said is the evidence: each end's state and heartbeat, in words.
func (v view) said() string {
	var parts []string
	for _, e := range v.ends() {
		switch {
		case e.Report == nil:
		case e.Report.GetDeleted():
			parts = append(parts, e.name+" gone")
		case !e.exists():
			parts = append(parts, e.name+" has no end")
		case e.Report.GetHeartbeat() == "" || e.state() != StateActive:
			parts = append(parts, e.name+" "+e.state())
		default:
			parts = append(parts, fmt.Sprintf("%s %s, heartbeat %s", e.name, e.state(), e.Report.GetHeartbeat()))
		}
	}
	return strings.Join(parts, "; ")
}

// state is the worse of the ends' states.
func (v view) state() string {
	order := []string{StateActive, StateEstablishing, StatePending, StateUndefined, StateDeleting, StateFailing, StateTerminated}
	worst := -1
	for _, e := range v.ends() {
		worst = max(worst, slices.Index(order, e.state()))
	}
	switch {
	case v.GetDeleteTime() != nil:
		return StateDeleting
	case worst < 0:
		return ""
	}
	return order[worst]
}

// conditionOf is a verdict as a condition.
func conditionOf(v Verdict) *isthmusv1.Condition {
	status := resource.ConditionFalse
	switch v.Verdict {
	case VerdictHealthy:
		status = resource.ConditionTrue
	case VerdictUnknown:
		status = resource.ConditionUnknown
	}
	return &isthmusv1.Condition{Type: resource.ConditionReady, Status: status, Reason: v.Reason, Message: v.Message}
}
