package peering

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// maxLedger is how many tokens a status remembers.
const maxLedger = 8

// Operator is the maker of a token that an operator brought in from an external acceptor.
const Operator = "operator"

// Current is the ledger's entry for the generation that agents obey; nil while no agent has claimed it. It is shared: do
// not change it.
func Current(token *isthmusv1.TokenStatus) *isthmusv1.TokenEntry {
	if token.GetGeneration() == 0 {
		return nil
	}
	return entryOf(token, token.GetGeneration())
}

func entryOf(token *isthmusv1.TokenStatus, generation int32) *isthmusv1.TokenEntry {
	i := slices.IndexFunc(token.GetLedger(), func(e *isthmusv1.TokenEntry) bool { return e.GetGeneration() == generation })
	if i < 0 {
		return nil
	}
	return token.GetLedger()[i]
}

func isMade(e *isthmusv1.TokenEntry) bool { return e.GetMakeTime() != nil }

// waiting tells whether a token was made and nobody has used it, successfully or not.
func waiting(e *isthmusv1.TokenEntry) bool {
	return e.GetOutcome() == resource.OutcomeMade || e.GetOutcome() == resource.OutcomeDelivered
}

// Waiting is the digest of the sealed token that the dialer's agents shall fetch; empty when there is none to use.
func Waiting(token *isthmusv1.TokenStatus) string {
	if e := Current(token); waiting(e) {
		return e.GetSecretDigest()
	}
	return ""
}

// Stored tells whether nothing is left for the acceptor's agent to make at this generation: its token was used, or is
// made and every one of recipients can open it. A refused or expired one is not made again: the generation is raised.
func Stored(token *isthmusv1.TokenStatus, recipients []string) bool {
	e := Current(token)
	if !isMade(e) {
		return false
	}
	return !waiting(e) || sealedToAll(e, recipients)
}

func sealedToAll(e *isthmusv1.TokenEntry, recipients []string) bool {
	return !slices.ContainsFunc(recipients, func(r string) bool { return !slices.Contains(e.GetRecipients(), r) })
}

// Claim is an agent's claim to make a generation's token.
type Claim struct {
	Generation int32
	// Agent that claims.
	Agent string
}

// Claimed enters a claim and gives its attempt. Of several claims the last counts, since minting a token kills the one
// minted before. Conflict: the generation is not the current one. Refused: its token is made.
func Claimed(token *isthmusv1.TokenStatus, c Claim, now time.Time) (*isthmusv1.TokenStatus, int32, error) {
	if c.Generation == 0 || c.Generation != token.GetGeneration() {
		return nil, 0, notCurrent(token, c.Generation)
	}
	next := proto.CloneOf(token)
	e := entryOf(next, c.Generation)
	if e == nil {
		e = &isthmusv1.TokenEntry{Generation: c.Generation}
		next.Ledger = slices.Insert(next.Ledger, 0, e)
		next.Ledger = next.Ledger[:min(len(next.Ledger), maxLedger)]
	}
	if isMade(e) {
		return nil, 0, fault.New(fault.Refused, "the token of generation %d is made: ask for a new one with isthmus peering rotate", c.Generation)
	}
	e.Attempt++
	e.ClaimedBy, e.ClaimTime = c.Agent, timestamppb.New(now)
	return next, e.GetAttempt(), nil
}

func notCurrent(token *isthmusv1.TokenStatus, generation int32) error {
	return fault.New(fault.Conflict, "token generation %d is not the current one, which is %d", generation, token.GetGeneration())
}

// Token is a token that was made.
type Token struct {
	Generation, Attempt int32
	// Agent that made it.
	Agent string
	// SecretDigest of the sealed token and the Recipients that can open it; empty when it was handed to an external dialer.
	SecretDigest string
	Recipients   []string
	// ExpireTime of the sealed token; zero: never.
	ExpireTime time.Time
}

// Made enters that a claim's token is made. Saying it twice changes nothing. Conflict: another claim came after it, or the
// generation is not the current one; look at the desired state again.
func Made(token *isthmusv1.TokenStatus, t Token, now time.Time) (*isthmusv1.TokenStatus, error) {
	if t.Generation == 0 || t.Generation != token.GetGeneration() {
		return nil, notCurrent(token, t.Generation)
	}
	old := Current(token)
	switch {
	case old == nil || old.GetAttempt() != t.Attempt:
		return nil, fault.New(fault.Conflict, "attempt %d for token generation %d is not the last one, which is %d", t.Attempt, t.Generation, old.GetAttempt())
	case isMade(old) && (old.GetSecretDigest() != t.SecretDigest || old.GetMadeBy() != t.Agent):
		return nil, fault.New(fault.Conflict, "the token of generation %d is made already", t.Generation)
	case isMade(old):
		return token, nil
	}
	next := proto.CloneOf(token)
	enterMade(Current(next), t, now)
	return next, nil
}

func enterMade(e *isthmusv1.TokenEntry, t Token, now time.Time) {
	e.MadeBy, e.MakeTime, e.Outcome = t.Agent, timestamppb.New(now), resource.OutcomeMade
	e.SecretDigest, e.Recipients = t.SecretDigest, slices.Clone(t.Recipients)
	if !t.ExpireTime.IsZero() {
		e.ExpireTime = timestamppb.New(t.ExpireTime)
	}
}

// ImportGeneration is the generation that a token brought in from an external acceptor must be sealed with.
func ImportGeneration(token *isthmusv1.TokenStatus) int32 {
	if token.GetGeneration() == 0 || isMade(Current(token)) {
		return token.GetGeneration() + 1
	}
	return token.GetGeneration()
}

// Imported enters an external acceptor's token, which an operator sealed. Only here somebody else than the controller moves
// the generation on: nobody but the operator can have a new token. Conflict: it is not sealed with ImportGeneration.
func Imported(token *isthmusv1.TokenStatus, t Token, now time.Time) (*isthmusv1.TokenStatus, error) {
	if want := ImportGeneration(token); t.Generation != want {
		return nil, fault.New(fault.Conflict, "the token is sealed with generation %d; the next one is %d", t.Generation, want)
	}
	next := &isthmusv1.TokenStatus{}
	if token != nil {
		next = proto.CloneOf(token)
	}
	if next.GetGeneration() != t.Generation {
		raise(next, next.GetGeneration(), ReasonImported, now)
	}
	next, _, err := Claimed(next, Claim{Generation: t.Generation, Agent: t.Agent}, now)
	if err != nil {
		return nil, err
	}
	enterMade(Current(next), t, now)
	return next, nil
}

// Delivered enters that an agent of the dialer fetched the token; the first one is remembered. It gives token itself when
// nothing changes.
func Delivered(token *isthmusv1.TokenStatus, generation int32, agent string, now time.Time) *isthmusv1.TokenStatus {
	if e := entryOf(token, generation); e == nil || e.GetOutcome() != resource.OutcomeMade {
		return token
	}
	next := proto.CloneOf(token)
	e := entryOf(next, generation)
	e.DeliveredTo, e.DeliverTime, e.Outcome = agent, timestamppb.New(now), resource.OutcomeDelivered
	return next
}

// Reported enters what the dialer's last report says came of its token, used or refused, by the agent that reports. It gives
// token itself when nothing changes: a report may come twice, or after the generation moved on. Success outweighs a refusal,
// because a used token is refused when it is tried again.
func Reported(token *isthmusv1.TokenStatus, report *isthmusv1.ObservedPeering, agent string, now time.Time) *isthmusv1.TokenStatus {
	generation, outcome := report.GetGeneration(), report.GetOutcome()
	if outcome != resource.OutcomeUsed && outcome != resource.OutcomeRefused {
		return token
	}
	e := entryOf(token, generation)
	if !isMade(e) || e.GetOutcome() == outcome || e.GetOutcome() == resource.OutcomeUsed {
		return token
	}
	next := proto.CloneOf(token)
	e = entryOf(next, generation)
	e.UsedBy, e.UseTime, e.Outcome = agent, timestamppb.New(now), outcome
	return next
}

// Spent are the digests of sealed tokens that were of use before and are not after: they can be deleted.
func Spent(before, after *isthmusv1.TokenStatus) []string {
	var out []string
	keep := Waiting(after)
	for _, e := range before.GetLedger() {
		if digest := e.GetSecretDigest(); digest != "" && digest != keep && waiting(e) {
			out = append(out, digest)
		}
	}
	return out
}
