package identity

import (
	"bytes"
	"strings"
	"time"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
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
	// A name is the datacenter's, as far as 63 characters allow, and random characters.
	prefix := a.GetAgent()[:max(0, strings.LastIndexByte(a.GetAgent(), '-'))]
	if prefix == "" || !strings.HasPrefix(grant.GetDatacenter(), prefix) {
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

// SameAgent tells whether an attestation is the one that an agent enrolled with: asking again after a lost answer is not a
// second use.
func SameAgent(a *isthmusv1.Attestation, enrolled *isthmusv1.Agent) bool {
	return bytes.Equal(attestationStatement(a).Digest(), attestationStatement(enrolled.GetSpec().GetAttestation()).Digest()) &&
		VerifyAttestation(a) == nil
}
