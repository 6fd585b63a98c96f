package identity

import (
	"bytes"
	"strings"
	"time"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// CheckEnrolment is the server's decision about an agent that wants in: nil, or the first of these refusals.
//
//	TokenUnknown     no such join token is registered
//	BadAttestation   the agent's keys are not signed by the one-time key
//	TokenTampered    the grant is not the registered one
//	TokenExpired     its time is over
//	TokenUsed        it has been used as often as it may
//	WrongDatacenter  the agent's name is not of the grant's datacenter
//	CSRMismatch      the certificate request is not for the attested key
func CheckEnrolment(a *isthmusv1.Attestation, csr []byte, stored *isthmusv1.JoinToken, now time.Time) error {
	grant := a.GetGrant()
	if stored == nil {
		return refuse(fault.Denied, ReasonTokenUnknown, "attestation.grant.name",
			"the server knows no such join token: it was deleted, or made for another server")
	}
	if err := VerifyAttestation(a); err != nil {
		return err
	}
	known := stored.GetSpec().GetGrant()
	if !bytes.Equal(grantStatement(grant).Digest(), grantStatement(known).Digest()) || !bytes.Equal(grant.GetSignature(), known.GetSignature()) {
		return refuse(fault.Denied, ReasonTokenTampered, "attestation.grant", "the join token is not what it was when it was made")
	}
	if !now.Before(grant.GetExpireTime().AsTime()) {
		return refuse(fault.Denied, ReasonTokenExpired, "attestation.grant.expireTime", "the join token expired at %s: make another one",
			grant.GetExpireTime().AsTime().Format(time.RFC3339))
	}
	if stored.GetStatus().GetUses() >= grant.GetMaxUses() {
		return refuse(fault.Denied, ReasonTokenUsed, "attestation.grant.maxUses", "the join token has been used up (%d of %d): make another one",
			stored.GetStatus().GetUses(), grant.GetMaxUses())
	}
	if !namedAfter(a.GetAgent(), grant.GetDatacenter()) {
		return refuse(fault.Denied, ReasonWrongDatacenter, "attestation.agent", "agent %s is not named after datacenter %s, which its join token is for",
			a.GetAgent(), grant.GetDatacenter())
	}
	key, err := CSRKey(csr)
	if err != nil {
		return err
	}
	if !bytes.Equal(key, a.GetIdentityKey()) {
		return refuse(fault.Denied, ReasonCSRMismatch, "csr", "the certificate request is for another key than the attested one")
	}
	return nil
}

// namedAfter tells whether an agent's name is a datacenter's and random characters, or the beginning of a datacenter's that
// is too long for that.
func namedAfter(agent, datacenter string) bool {
	prefix := agent[:max(0, strings.LastIndexByte(agent, '-'))]
	return prefix == datacenter || len(agent) == resource.MaxNameLength && prefix != "" && strings.HasPrefix(datacenter, prefix)
}

// SameAgent tells whether an attestation is the one that an agent enrolled with: asking again after a lost answer is not a
// second use.
func SameAgent(a *isthmusv1.Attestation, enrolled *isthmusv1.Agent) bool {
	return bytes.Equal(attestationStatement(a).Digest(), attestationStatement(enrolled.GetSpec().GetAttestation()).Digest()) &&
		VerifyAttestation(a) == nil
}
