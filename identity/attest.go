package identity

import (
	"bytes"
	"crypto/ed25519"
	"time"

	"filippo.io/age"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// How far an agent's keys are proven, as AgentStatus.trust says it.
const (
	// TrustFleet: the fleet key signed the join token.
	TrustFleet = "fleet"
	// TrustApproved: the fleet key signed the agent's keys afterwards.
	TrustApproved = "approved"
	// TrustNone: nobody seals to it.
	TrustNone = "none"
)

// Kinds of what enrols.
const (
	KindAgent   = "agent"
	KindGateway = "gateway"
)

const (
	// operator is who the fleet key itself signs for: see seal.Operator.
	operator = "operator"
	// maxRecipient is twice an age X25519 recipient's text.
	maxRecipient = 128
)

func grantStatement(g *isthmusv1.JoinGrant) *Statement {
	return NewStatement("join-grant").Text(g.GetName()).Text(g.GetKind()).Text(g.GetDatacenter()).
		Bytes(g.GetOneTimeKey()).Time(g.GetExpireTime()).Number(int64(g.GetMaxUses())).Bytes(g.GetFleetKey())
}

func attestationStatement(a *isthmusv1.Attestation) *Statement {
	return NewStatement("attestation").Bytes(grantStatement(a.GetGrant()).Digest()).Bytes(a.GetGrant().GetSignature()).
		Text(a.GetAgent()).Bytes(a.GetIdentityKey()).Text(a.GetAgeRecipient()).Time(a.GetCreateTime())
}

func approvalStatement(a *isthmusv1.Attestation, p *isthmusv1.Approval) *Statement {
	return NewStatement("approval").Bytes(keysDigest(a)).Bytes(p.GetFleetKey()).Time(p.GetCreateTime())
}

// keysDigest is what a fingerprint shows and an approval covers: whose keys, and which.
func keysDigest(a *isthmusv1.Attestation) []byte {
	return NewStatement("agent-keys").Text(a.GetAgent()).Text(a.GetGrant().GetKind()).Text(a.GetGrant().GetDatacenter()).
		Bytes(a.GetIdentityKey()).Text(a.GetAgeRecipient()).Digest()
}

// Attest signs an agent's keys with the one-time key of its join token.
func Attest(token *JoinToken, agent string, key ed25519.PublicKey, recipient string, now time.Time) *isthmusv1.Attestation {
	a := &isthmusv1.Attestation{
		Grant: token.Grant, Agent: agent, IdentityKey: key, AgeRecipient: recipient, CreateTime: timestamppb.New(now),
	}
	a.Signature = attestationStatement(a).Sign(token.OneTimeKey)
	return a
}

// VerifyGrant checks that the fleet key signed a grant.
func VerifyGrant(g *isthmusv1.JoinGrant, fleet ed25519.PublicKey) error {
	switch {
	case len(g.GetSignature()) == 0:
		return refuse(fault.Denied, ReasonUntrusted, "grant.signature", "join token %s was minted without the fleet key", g.GetName())
	case !bytes.Equal(g.GetFleetKey(), fleet):
		return refuse(fault.Denied, ReasonUntrusted, "grant.fleetKey", "join token %s belongs to fleet %s, not to %s",
			g.GetName(), KeyID(g.GetFleetKey()), KeyID(fleet))
	case !grantStatement(g).Verify(fleet, g.GetSignature()):
		return refuse(fault.Denied, ReasonTokenTampered, "grant.signature", "join token %s was changed after the fleet key signed it", g.GetName())
	}
	return nil
}

// VerifyAttestation checks an attestation by itself: its keys are keys, and the grant's one-time key signed them while the
// grant was good, by the agent's clock. It says nothing of who made the grant: see VerifyTrusted.
func VerifyAttestation(a *isthmusv1.Attestation) error {
	if err := checkAttestation(a); err != nil {
		return err
	}
	if made, end := a.GetCreateTime().AsTime(), a.GetGrant().GetExpireTime().AsTime(); !made.Before(end) {
		return refuse(fault.Denied, ReasonTokenExpired, "attestation.createTime",
			"agent %s attested its keys at %s, but its join token expired at %s: make another one, and look at the clock of the agent's host",
			a.GetAgent(), made.Format(time.RFC3339), end.Format(time.RFC3339))
	}
	return nil
}

// checkAttestation is VerifyAttestation without a look at any time.
func checkAttestation(a *isthmusv1.Attestation) error {
	bad := func(field, format string, args ...any) error {
		return refuse(fault.Denied, ReasonBadAttestation, "attestation."+field, format, args...)
	}
	g := a.GetGrant()
	switch {
	case len(a.GetIdentityKey()) != ed25519.PublicKeySize:
		return bad("identityKey", "the identity key is not an Ed25519 public key of 32 bytes")
	case len(g.GetOneTimeKey()) != ed25519.PublicKeySize:
		return bad("grant.oneTimeKey", "the one-time key is not an Ed25519 public key of 32 bytes")
	case g.GetKind() != KindAgent && g.GetKind() != KindGateway:
		return bad("grant.kind", "the kind is neither agent nor gateway")
	case !resource.ValidName(g.GetDatacenter()) || !resource.ValidName(a.GetAgent()) || a.GetAgent() == operator:
		return bad("agent", "agent and datacenter must be DNS labels, and no agent is called %s", operator)
	case a.GetCreateTime().CheckValid() != nil || g.GetExpireTime().CheckValid() != nil:
		return bad("createTime", "the times must be times")
	case len(a.GetAgeRecipient()) > maxRecipient:
		return bad("ageRecipient", "the recipient is not an age X25519 recipient (age1…)")
	case !attestationStatement(a).Verify(g.GetOneTimeKey(), a.GetSignature()):
		return bad("signature", "the attestation of %s does not carry the signature of its join token's key", a.GetAgent())
	}
	if _, err := age.ParseX25519Recipient(a.GetAgeRecipient()); err != nil {
		return bad("ageRecipient", "the recipient is not an age X25519 recipient (age1…)")
	}
	return nil
}

// Approve signs the keys of an agent whose join token was minted without the fleet key. Compare the fingerprint with the
// one that the agent itself shows on its host before: this is the moment at which a hostile server could slip in its own keys.
func Approve(fleet *FleetKey, a *isthmusv1.Attestation, now time.Time) (*isthmusv1.Approval, error) {
	if err := VerifyAttestation(a); err != nil {
		return nil, err
	}
	p := &isthmusv1.Approval{FleetKey: fleet.Public(), CreateTime: timestamppb.New(now)}
	p.Signature = approvalStatement(a, p).Sign(fleet.private)
	return p, nil
}

// VerifyTrusted checks an agent's keys up to the fleet key: attested by a token that it signed, or approved by it.
func VerifyTrusted(t *isthmusv1.TrustedAgent, fleet ed25519.PublicKey) error {
	a := t.GetAttestation()
	if err := VerifyAttestation(a); err != nil {
		return err
	}
	grantErr := VerifyGrant(a.GetGrant(), fleet)
	if grantErr == nil {
		return nil
	}
	p := t.GetApproval()
	switch {
	case p == nil:
		return grantErr
	case !bytes.Equal(p.GetFleetKey(), fleet):
		return refuse(fault.Denied, ReasonUntrusted, "approval.fleetKey", "agent %s was approved for fleet %s, not for %s",
			a.GetAgent(), KeyID(p.GetFleetKey()), KeyID(fleet))
	case !approvalStatement(a, p).Verify(fleet, p.GetSignature()):
		return refuse(fault.Denied, ReasonUntrusted, "approval.signature", "the approval is not for these keys of agent %s", a.GetAgent())
	}
	return nil
}

// TrustOf is what an agent's keys claim of themselves, for AgentStatus.trust: the server pins no fleet key, so this is what
// to propose to agents, which verify it against theirs.
func TrustOf(a *isthmusv1.Attestation, p *isthmusv1.Approval) string {
	if VerifyTrusted(&isthmusv1.TrustedAgent{Attestation: a}, a.GetGrant().GetFleetKey()) == nil {
		return TrustFleet
	}
	if p != nil && VerifyTrusted(&isthmusv1.TrustedAgent{Attestation: a, Approval: p}, p.GetFleetKey()) == nil {
		return TrustApproved
	}
	return TrustNone
}

// Fingerprint shows an agent's keys to people: SHA256:… over agent, kind, datacenter, identity key and recipient. The agent
// logs the same one on its host.
func Fingerprint(a *isthmusv1.Attestation) string {
	return formatFingerprint(keysDigest(a))
}
