package seal

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"time"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// The longest that a payload may be good for: a token that was imported waits a day for an agent that is away, a bundle is fetched again
// whenever a host is set up anew.
const (
	maxLife       = 24 * time.Hour
	maxBundleLife = 30 * 24 * time.Hour
)

// Shape is what is known of a payload to whoever carries it and cannot open it.
type Shape struct {
	Kind, UID string
	// From is the agent that brings it, or Operator.
	From, FromDatacenter, ToDatacenter string
	// Recipients are those whom it may be sealed to.
	Recipients []string
}

// CheckShape refuses a payload that its opener would refuse, as far as that can be seen from outside: Invalid, with the
// field. Whose signature it carries is VerifyMaker's to say.
func CheckShape(p *isthmusv1.SealedPayload, want Shape, now time.Time) error {
	created, expires := p.GetCreateTime(), p.GetExpireTime()
	// Who makes a bundle competes by its generation alone.
	life, leastAttempt := maxLife, int32(1)
	if want.Kind == KindFederationBundle {
		life, leastAttempt = maxBundleLife, 0
	}
	switch {
	case p.GetKind() != want.Kind:
		return misshapen("kind", "is %q; expected %q", clip(p.GetKind()), want.Kind)
	case p.GetUid() != want.UID:
		return misshapen("uid", "is not the uid of the resource, %s", want.UID)
	case p.GetFrom() != want.From:
		return misshapen("from", "is %q; expected %q", clip(p.GetFrom()), want.From)
	case p.GetFromDatacenter() != want.FromDatacenter:
		return misshapen("fromDatacenter", "is %q; expected %q", clip(p.GetFromDatacenter()), want.FromDatacenter)
	case p.GetToDatacenter() != want.ToDatacenter:
		return misshapen("toDatacenter", "is %q; expected %q", clip(p.GetToDatacenter()), want.ToDatacenter)
	case p.GetGeneration() < 1:
		return misshapen("generation", "is %d; the first one is 1", p.GetGeneration())
	case p.GetAttempt() < leastAttempt:
		return misshapen("attempt", "is %d; the first one is %d", p.GetAttempt(), leastAttempt)
	case created == nil || created.CheckValid() != nil || created.AsTime().After(now.Add(clockSkew)):
		return misshapen("createTime", "is no time, or in the future: a clock is wrong")
	case expires == nil || expires.CheckValid() != nil || expires.AsTime().After(now.Add(life+clockSkew)):
		return misshapen("expireTime", "is no time, or more than %s from now", life)
	case len(p.GetCiphertext()) == 0 || len(p.GetCiphertext()) > maxCiphertext:
		return misshapen("ciphertext", "is %d bytes; expected some, and at most %d", len(p.GetCiphertext()), maxCiphertext)
	case len(p.GetSignature()) != ed25519.SignatureSize:
		return misshapen("signature", "is %d bytes; expected %d", len(p.GetSignature()), ed25519.SignatureSize)
	}
	return checkRecipients(p.GetRecipients(), want)
}

func checkRecipients(recipients []string, want Shape) error {
	if len(recipients) == 0 || len(recipients) > maxRecipients {
		return misshapen("recipients", "are %d; expected some, and at most %d", len(recipients), maxRecipients)
	}
	for i, r := range recipients {
		field := fmt.Sprintf("recipients[%d]", i)
		if !slices.Contains(want.Recipients, r) {
			return misshapen(field, "is no trusted agent of %s", want.ToDatacenter)
		}
		if slices.Contains(recipients[:i], r) {
			return misshapen(field, "is there twice")
		}
	}
	return nil
}

// VerifyMaker checks that an agent signed a payload with the key that it attested. Whether the agent is to be believed is
// another question: see Open.
func VerifyMaker(p *isthmusv1.SealedPayload, maker *isthmusv1.Attestation) error {
	if p.GetFrom() != maker.GetAgent() {
		return refuse(ReasonUnknownSender, "the payload is from %q, not from %s", clip(p.GetFrom()), maker.GetAgent())
	}
	return verifySignature(p, maker.GetIdentityKey())
}

// clip shortens a foreign text for a message.
func clip(text string) string {
	const most = 64
	return text[:min(len(text), most)]
}

func misshapen(field, format string, args ...any) *fault.Error {
	return fault.Violated(fault.Violation{Field: "payload." + field, Reason: "Invalid", Message: fmt.Sprintf(format, args...)})
}
