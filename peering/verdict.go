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
	ReasonImportsDiffer     = "ImportsDiffer"
	ReasonConsulUnseen      = "ConsulUnseen"
	ReasonHealthy           = "Healthy"
)

// Directions in which nothing arrives.
const (
	BrokenToAcceptor = "to-acceptor"
	BrokenToDialer   = "to-dialer"
	BrokenBoth       = "both"
)

// Verdict is what a peering is, and why.
type Verdict struct {
	// Verdict is one of the Verdict constants, Reason one CamelCase word.
	Verdict, Reason string
	// Message is a sentence with what the ends say.
	Message string
	// Broken is the direction in which nothing arrives; empty: none.
	Broken string
}

// Judge is the verdict on a peering, out of fresh evidence of both of its ends.
func Judge(p *isthmusv1.Peering, e Evidence, now time.Time) Verdict {
	v := look(p, e, now)
	found := v.judge()
	out := Verdict{Verdict: found.verdict, Reason: found.reason, Message: found.message, Broken: v.direction(found)}
	for _, more := range []string{v.undialled(found), v.said()} {
		if more != "" {
			out.Message = strings.TrimPrefix(out.Message+"; ", "; ") + more
		}
	}
	if v.external() && out.Verdict != VerdictDeleting {
		out.Message += "; only this end is seen: the other one is another operator's"
	}
	return out
}

// finding is what a rule finds.
type finding struct{ verdict, reason, message string }

func (v view) judge() finding {
	if v.GetDeleteTime() != nil {
		return finding{VerdictDeleting, ReasonDeleting, v.deleting()}
	}
	for _, rule := range []func(view) (finding, bool){view.unknown, view.unseen, view.failing, view.connecting, view.partial, view.stale, view.differing} {
		if out, holds := rule(v); holds {
			return out
		}
	}
	return finding{verdict: VerdictHealthy, reason: ReasonHealthy}
}

// unknown: an end of which nothing new is known.
func (v view) unknown() (finding, bool) {
	for _, e := range v.own {
		switch {
		case e.seen:
		case e.online() && v.waited(grace):
			return finding{VerdictUnknown, ReasonNotReported, "the agent of " + e.name + " says nothing about this peering"}, true
		case e.online():
			// It has just been told.
		case e.HeardTime.IsZero():
			return finding{VerdictUnknown, ReasonNotReported, "no agent of " + e.name + " has reported yet"}, true
		default:
			return finding{VerdictUnknown, ReasonAgentSilent, "the agent of " + e.name + " is silent; the last that it saw is shown"}, true
		}
	}
	return finding{}, false
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
func (v view) failing() (finding, bool) {
	for _, e := range v.own {
		if reason := e.Report.GetErrorReason(); reason != "" {
			return finding{VerdictFailing, reason, e.name + ": " + e.Report.GetError()}, true
		}
	}
	if current := Current(v.GetStatus().GetToken()); current.GetOutcome() == resource.OutcomeRefused {
		message := "the token was refused, a new one is asked for"
		if v.acceptor.external {
			message = fmt.Sprintf("the token was refused: bring in a new one of %s with isthmus peering import %s", v.acceptor.name, v.GetName())
		}
		return finding{VerdictFailing, ReasonTokenRefused, message}, true
	}
	for _, e := range v.own {
		switch e.state() {
		case StateTerminated:
			return finding{VerdictFailing, ReasonPeerTerminated, "the other end of " + e.name + "'s was deleted"}, true
		case StateDeleting:
			return finding{VerdictFailing, ReasonDeletedInConsul, "somebody deletes the end in " + e.name + " in Consul"}, true
		case StateFailing:
			if e.flows() {
				continue
			}
			return finding{VerdictFailing, ReasonConnectionFailing, e.name + " has lost the connection to its peer"}, true
		}
	}
	if !v.external() && v.strangers() && Current(v.GetStatus().GetToken()).GetOutcome() == resource.OutcomeUsed {
		return finding{VerdictFailing, ReasonPeerIDMismatch, "the two ends do not belong together"}, true
	}
	return finding{}, false
}

// connecting: not all ends are ACTIVE, but they may still become so; or have had the time to.
func (v view) connecting() (finding, bool) {
	token := v.GetStatus().GetToken()
	if token.GetGeneration() == 0 {
		if v.acceptor.external && len(v.dialer.Recipients) > 0 {
			return v.forOperator(), true
		}
		return v.forAgents(), true
	}
	active, missing := 0, 0
	for _, e := range v.own {
		switch {
		case e.state() == StateActive, e.flows():
			active++
		case !e.exists():
			missing++
		}
	}
	current := Current(token)
	switch ends := len(v.own); {
	case active == ends:
		return finding{}, false
	case v.external() && (v.dialer.external || !isMade(current)) && active == 0 && !v.acceptor.lost(current):
		// Until the other operator has used the token, or given one, nothing is wrong.
		return v.forOperator(), true
	case v.young():
		return finding{VerdictPending, ReasonConnecting, ""}, true
	case missing == ends:
		return finding{VerdictFailing, ReasonNotCreated, "no end is there yet"}, true
	case missing > 0:
		// One exists: see partial.
		return finding{}, false
	}
	return finding{VerdictFailing, ReasonNotConnected, "not connected after " + grace.String() +
		": can the dialer's servers reach the addresses that the acceptor's token carries?"}, true
}

// lost tells whether an acceptor that made a token has no peering any more.
func (e end) lost(current *isthmusv1.TokenEntry) bool {
	return !e.external && isMade(current) && gone(e) && e.knows(current.GetGeneration(), current.GetMakeTime().AsTime())
}

func (v view) forAgents() finding {
	var names []string
	for _, e := range v.own {
		if len(e.Recipients) == 0 {
			names = append(names, e.name)
		}
	}
	if len(names) == 0 {
		return finding{VerdictPending, ReasonConnecting, ""}
	}
	return finding{VerdictPending, ReasonWaitingForAgents, "no agent that can be trusted yet in " + strings.Join(names, " and ") +
		": isthmus join-token create, or isthmus agent approve"}
}

func (v view) forOperator() finding {
	if v.dialer.external {
		return finding{VerdictPending, ReasonWaitingForToken, fmt.Sprintf("give %s a token: isthmus peering token %s on the host of %s's agent",
			v.dialer.name, v.GetName(), v.acceptor.name)}
	}
	return finding{VerdictPending, ReasonWaitingForToken, fmt.Sprintf("bring in a token of %s: isthmus peering import %s",
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

// partial: an end is missing.
func (v view) partial() (finding, bool) {
	for _, e := range v.own {
		if !e.exists() {
			return finding{VerdictOneSided, ReasonEndMissing, "there is no end in " + e.name}, true
		}
	}
	return finding{}, false
}

// stale: both ends are ACTIVE, and one hears nothing.
func (v view) stale() (finding, bool) {
	var deaf []string
	known := []*isthmusv1.PeeringEnd{v.GetStatus().GetAcceptor(), v.GetStatus().GetDialer()}
	for i, e := range []end{v.acceptor, v.dialer} {
		heartbeat := e.Report.GetHeartbeat()
		if e.external || heartbeat == resource.HeartbeatFresh {
			continue
		}
		started := known[i].GetState() != e.state() || v.now.Sub(known[i].GetSince().AsTime()) <= grace
		if heartbeat != resource.HeartbeatStale && started {
			return finding{VerdictPending, ReasonConnecting, ""}, true
		}
		deaf = append(deaf, e.name+" is connected, and "+e.silence())
	}
	if len(deaf) == 0 {
		return finding{}, false
	}
	return finding{VerdictStale, ReasonHeartbeatMissing, strings.Join(deaf, "; ")}, true
}

// silence tells since when an end hears nothing.
func (e end) silence() string {
	heard := e.Report.GetHeartbeatTime()
	if at := e.Report.GetReceiveTime(); at.AsTime().After(heard.AsTime()) {
		heard = at
	}
	if heard == nil {
		return "has never heard anything"
	}
	return "has heard nothing since " + clock(heard.AsTime())
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// unseen: an agent is heard of, and does not see its Consul, whatever it saw last. What is wrong with an end that is seen comes first.
func (v view) unseen() (finding, bool) {
	out, holds := finding{}, false
	for _, e := range v.own {
		switch {
		case e.blind():
			out, holds = finding{VerdictUnknown, ReasonConsulUnseen, "the agent of " + e.name + " does not see its Consul (" + e.Blind + ": " +
				e.BlindMessage + "); the last that it saw is shown"}, true
		case !e.well():
			return finding{}, false
		}
	}
	return out, holds
}

// differing: all is fresh, and yet an end does not have what the other one exports to it, long after both began to say so.
func (v view) differing() (finding, bool) {
	for _, way := range v.ways() {
		if way.differs() && v.now.Sub(way.from.ReportTime) > Calm && v.now.Sub(way.to.ReportTime) > Calm {
			return finding{VerdictStale, ReasonImportsDiffer, fmt.Sprintf("%s exports %d services over the stream, and %s imports %d%s", way.from.name,
				way.from.Report.GetExportedServices(), way.to.name, way.to.Report.GetImportedServices(), way.others())}, true
		}
	}
	return finding{}, false
}

// way is one direction of a stream.
type way struct {
	from, to end
	broken   string
}

// ways are both directions; none when one end is another operator's.
func (v view) ways() []way {
	if v.external() {
		return nil
	}
	return []way{{v.dialer, v.acceptor, BrokenToAcceptor}, {v.acceptor, v.dialer, BrokenToDialer}}
}

// differs tells whether what comes is not what goes, as both ends say. Agents of before say no digests.
func (w way) differs() bool {
	out, in := w.from.Report, w.to.Report
	if out.GetExportedServices() != in.GetImportedServices() {
		return true
	}
	return out.GetExportedDigest() != "" && in.GetImportedDigest() != "" && out.GetExportedDigest() != in.GetImportedDigest()
}

func (w way) others() string {
	if w.from.Report.GetExportedServices() == w.to.Report.GetImportedServices() {
		return " others"
	}
	return ""
}

// direction is where nothing arrives, of what was found to be stale or failing; while one end's agent is silent, what the other end's sees counts.
func (v view) direction(f finding) string {
	silent := f.reason == ReasonAgentSilent
	if f.verdict != VerdictStale && f.verdict != VerdictFailing && !silent {
		return ""
	}
	a, d := v.acceptor.deaf() && (v.acceptor.seen || !silent), v.dialer.deaf() && (v.dialer.seen || !silent)
	if f.reason == ReasonImportsDiffer {
		for _, w := range v.ways() {
			a, d = a || w.differs() && w.broken == BrokenToAcceptor, d || w.differs() && w.broken == BrokenToDialer
		}
	}
	switch {
	case a && d:
		return BrokenBoth
	case a:
		return BrokenToAcceptor
	case d:
		return BrokenToDialer
	}
	return ""
}

// undialled tells which addresses the dialer cannot dial while its stream does not work, since that explains it.
func (v view) undialled(f finding) string {
	if !hangs(f.verdict, f.reason) {
		return ""
	}
	if tried, reached := v.dialer.dialled(); !tried || reached {
		return ""
	}
	var parts []string
	for _, d := range v.dialer.Report.GetDials() {
		parts = append(parts, d.GetAddress()+" "+d.GetErrorReason())
	}
	return v.dialer.name + " cannot dial " + v.acceptor.name + " at " + strings.Join(parts, ", ")
}

// hangs tells whether a verdict is about a stream that was there, and does not work.
func hangs(verdict, reason string) bool {
	return verdict == VerdictStale && reason == ReasonHeartbeatMissing || verdict == VerdictFailing && (reason == ReasonConnectionFailing || reason == ReasonNotConnected)
}

// said is the evidence: each end's state and heartbeat, in words.
func (v view) said() string {
	var parts []string
	for _, e := range v.own {
		switch {
		case e.Report == nil:
		case e.Report.GetDeleted():
			parts = append(parts, e.name+" gone")
		case !e.exists():
			parts = append(parts, e.name+" has no end")
		case e.Report.GetHeartbeat() == "" || e.state() != StateActive && e.state() != StateFailing:
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
	for _, e := range v.own {
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
