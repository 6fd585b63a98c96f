package peering

import (
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Why a token's generation was raised.
const (
	// ReasonCreated: both ends have an agent that can be trusted.
	ReasonCreated = "Created"
	// ReasonRotationRequested: an operator raised spec.tokenGeneration.
	ReasonRotationRequested = "RotationRequested"
	// ReasonAcceptorWiped: the acceptor's Consul has lost the peering, or has another one in its place.
	ReasonAcceptorWiped = "AcceptorWiped"
	// ReasonDialerWiped: the dialer's Consul has lost the peering.
	ReasonDialerWiped = "DialerWiped"
	// ReasonPeerTerminated: one end was deleted, and Consul told the other.
	ReasonPeerTerminated = "PeerTerminated"
	// ReasonTokenUnheeded: the dialer's Consul took it, and goes on to dial with the secret that it had before. So does Consul 1.20 when a try to
	// connect with the old secret is under way at that moment: its leader sees a stream, leaves it alone, and does not look again until a
	// peering is written (measured: 2 of 50 times where the acceptor's end was made anew under a dialer that was trying).
	ReasonTokenUnheeded = "TokenUnheeded"
	// ReasonTokenRefused: the acceptor's Consul did not accept it (any more).
	ReasonTokenRefused = "TokenRefused"
	// ReasonTokenExpired: nobody used it in time.
	ReasonTokenExpired = "TokenExpired"
	// ReasonRecipientsChanged: an agent came that cannot open it.
	ReasonRecipientsChanged = "RecipientsChanged"
	// ReasonHealing: a stream hangs, and is re-established.
	ReasonHealing = "Healing"
	// ReasonImported: an operator brought in an external acceptor's token.
	ReasonImported = "Imported"
)

// How long a generation waits for the one before, so that what cannot work does not mint tokens without end.
const (
	firstDelay = 5 * time.Second
	lastDelay  = 5 * time.Minute
)

// unheededAfter is how long a token that was used has no effect. One that has any connects within seconds.
const unheededAfter = 20 * time.Second

// delay is the least time from the last raise to the next one.
func delay(raises int32) time.Duration {
	if raises == 0 {
		return 0
	}
	d := firstDelay
	for range raises - 1 {
		if d *= 2; d >= lastDelay {
			return lastDelay
		}
	}
	return d
}

// nextToken is the next state of the token: its generation raised when something asks for a new one; healing does, at most once in each of
// its ladders. It is the present one when nothing changes.
func (v view) nextToken(verdict string, healing bool) *isthmusv1.TokenStatus {
	token := v.GetStatus().GetToken()
	reason := v.asksFor(token)
	if reason == "" && healing {
		reason = ReasonHealing
	}
	waited := v.now.Sub(token.GetRequestTime().AsTime()) >= delay(token.GetRaises())
	switch {
	case reason == "" && verdict == VerdictHealthy && token.GetRaises() > 0 && waited:
		// It outlived its delay: the next trouble is a new one.
		next := proto.CloneOf(token)
		next.Raises = 0
		return next
	case reason == "", !waited && reason != ReasonRotationRequested && reason != ReasonHealing:
		return token
	}
	next := &isthmusv1.TokenStatus{}
	if token != nil {
		next = proto.CloneOf(token)
	}
	raise(next, v.reached(next), reason, v.now)
	next.SpecGeneration = v.GetSpec().GetTokenGeneration()
	return next
}

// NextRequest is what spec.tokenGeneration has to become for a new token to be made: one more than was asked for, and than
// was answered.
func NextRequest(p *isthmusv1.Peering) int32 {
	return max(p.GetSpec().GetTokenGeneration(), p.GetStatus().GetToken().GetSpecGeneration()) + 1
}

// maxGeneration keeps what a broken agent reports from ending all generations.
const maxGeneration = resource.MaxTokenGeneration

// reached is the highest generation that anybody knows of. After a restore of the store it is the agents' one: they refuse
// to go back.
func (v view) reached(token *isthmusv1.TokenStatus) int32 {
	out := token.GetGeneration()
	for _, e := range v.own {
		if g := e.Report.GetGeneration(); g < maxGeneration {
			out = max(out, g)
		}
	}
	return out
}

// raise moves on to the generation after one that was reached. The token before it, if nobody used it, ends here.
func raise(token *isthmusv1.TokenStatus, reached int32, reason string, now time.Time) {
	if e := Current(token); waiting(e) || (e != nil && e.GetOutcome() == "") {
		e.Outcome = resource.OutcomeSuperseded
		if expired(e, now) {
			e.Outcome = resource.OutcomeExpired
		}
	}
	token.Generation = reached + 1
	token.Raises++
	token.Reason, token.RequestTime = reason, timestamppb.New(now)
}

func expired(e *isthmusv1.TokenEntry, now time.Time) bool {
	return e.GetExpireTime() != nil && !now.Before(e.GetExpireTime().AsTime())
}

// asksFor is why a new token is needed; empty when none is.
func (v view) asksFor(token *isthmusv1.TokenStatus) string {
	if v.GetDeleteTime() != nil {
		return ""
	}
	if token.GetGeneration() == 0 {
		for _, e := range v.own {
			if len(e.Recipients) == 0 {
				return ""
			}
		}
		return ReasonCreated
	}
	if v.acceptor.external {
		// Only its operator can make another.
		return ""
	}
	if v.GetSpec().GetTokenGeneration() > token.GetSpecGeneration() {
		return ReasonRotationRequested
	}
	current := Current(token)
	if !isMade(current) {
		return ""
	}
	if v.acceptorWiped(current) {
		return ReasonAcceptorWiped
	}
	if v.dialer.external {
		if v.acceptor.state() == StateTerminated && v.acceptor.knows(current.GetGeneration(), current.GetMakeTime().AsTime()) {
			return ReasonPeerTerminated
		}
		return ""
	}
	switch current.GetOutcome() {
	case resource.OutcomeUsed:
		return v.broken(current)
	case resource.OutcomeRefused:
		return ReasonTokenRefused
	}
	return v.unused(current)
}

// acceptorWiped: its agent sees no such peering although it made the token.
func (v view) acceptorWiped(current *isthmusv1.TokenEntry) bool {
	return gone(v.acceptor) && v.acceptor.knows(current.GetGeneration(), current.GetMakeTime().AsTime())
}

// gone tells whether an end's agent looked, and Consul has no such peering.
func gone(e end) bool { return e.seen && !e.exists() && e.Report.GetErrorReason() == "" }

// broken is what can become of a peering whose token was used.
func (v view) broken(current *isthmusv1.TokenEntry) string {
	generation, used := current.GetGeneration(), current.GetUseTime().AsTime()
	acceptorKnows, dialerKnows := v.acceptor.knows(generation, used), v.dialer.knows(generation, used)
	switch {
	case dialerKnows && gone(v.dialer):
		return ReasonDialerWiped
	case acceptorKnows && v.acceptor.state() == StateTerminated, dialerKnows && v.dialer.state() == StateTerminated:
		return ReasonPeerTerminated
	case acceptorKnows && dialerKnows && v.strangers():
		return ReasonAcceptorWiped
	case acceptorKnows && dialerKnows && v.unheeded() && v.now.Sub(used) >= unheededAfter:
		return ReasonTokenUnheeded
	}
	return ""
}

// unheeded tells whether the acceptor's end, made anew, has never heard of the dialer, which had a connection once and dials addresses that
// can be reached.
func (v view) unheeded() bool {
	tried, reached := v.dialer.dialled()
	return v.acceptor.state() == StatePending && v.dialer.state() == StateFailing && (reached || !tried)
}

// strangers tells whether both ends exist, and not for each other.
func (v view) strangers() bool {
	a, d := v.acceptor.Report.GetPeerId(), v.dialer.Report.GetPeerId()
	return v.acceptor.exists() && v.dialer.exists() && a != "" && d != "" && a != d
}

// unused is what can become of a token before it is used. While the dialer is silent nothing does: a new token would only
// grow old as well.
func (v view) unused(current *isthmusv1.TokenEntry) string {
	switch {
	case !v.dialer.online():
		return ""
	case !sealedToAll(current, v.dialer.Recipients):
		return ReasonRecipientsChanged
	case expired(current, v.now):
		return ReasonTokenExpired
	}
	return ""
}
