package identity

import (
	"bytes"
	"crypto/ed25519"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// recipientLife is how long a signature for a recipient by hand is good: a bundle is asked for at once.
const recipientLife = time.Hour

func serverCSRStatement(uid, agent, datacenter, consulDatacenter string, csr []byte) *Statement {
	return NewStatement("server-csr").Text(uid).Text(agent).Text(datacenter).Text(consulDatacenter).Bytes(csr)
}

// SignServerCSR signs, with an agent's identity key, its request for a certificate of a Consul server of that Consul datacenter in the
// federation of that uid.
func SignServerCSR(key ed25519.PrivateKey, uid, agent, datacenter, consulDatacenter string, csr []byte) []byte {
	return serverCSRStatement(uid, agent, datacenter, consulDatacenter, csr).Sign(key)
}

// VerifyServerCSR checks that one of the trusted agents (see VerifyTrusted) of a datacenter signed a request for that Consul datacenter:
// Denied otherwise. What the request itself asks for is not looked at.
func VerifyServerCSR(
	r *isthmusv1.CertificateRequest, uid, datacenter, consulDatacenter string, trusted []*isthmusv1.TrustedAgent, fleet ed25519.PublicKey,
) error {
	for _, t := range trusted {
		a := t.GetAttestation()
		if a.GetAgent() != r.GetAgent() {
			continue
		}
		if err := VerifyTrusted(t, fleet); err != nil {
			return err
		}
		if g := a.GetGrant(); g.GetDatacenter() != datacenter || g.GetKind() != KindAgent {
			return refuse(fault.Denied, ReasonUntrusted, "agent", "%s is %s of %s, not an agent of %s", r.GetAgent(), g.GetKind(), g.GetDatacenter(), datacenter)
		}
		if !serverCSRStatement(uid, r.GetAgent(), datacenter, consulDatacenter, r.GetCsr()).Verify(a.GetIdentityKey(), r.GetSignature()) {
			return refuse(fault.Denied, ReasonBadAttestation, "signature",
				"the request for a certificate of a server of Consul datacenter %s does not carry the signature of agent %s", consulDatacenter, r.GetAgent())
		}
		return nil
	}
	return refuse(fault.Denied, ReasonUntrusted, "agent", "%q is no trusted agent of %s", r.GetAgent(), datacenter)
}

func recipientStatement(uid string, r *isthmusv1.BundleRequest) *Statement {
	return NewStatement("bundle-recipient").Text(uid).Text(r.GetDatacenter()).Text(r.GetRecipient()).Bytes(r.GetFleetKey()).Time(r.GetCreateTime())
}

// SignRecipient lets, with the fleet key, the bundle of a datacenter be sealed to a person: it fills in the request's fleet key, time
// and signature.
func SignRecipient(fleet *FleetKey, uid string, r *isthmusv1.BundleRequest, now time.Time) {
	r.FleetKey, r.CreateTime = fleet.Public(), timestamppb.New(now)
	r.Signature = recipientStatement(uid, r).Sign(fleet.private)
}

// VerifyRecipient checks that the fleet key allowed a request's recipient, within the hour: Denied otherwise.
func VerifyRecipient(uid string, r *isthmusv1.BundleRequest, fleet ed25519.PublicKey, now time.Time) error {
	made := r.GetCreateTime().AsTime()
	switch {
	case len(fleet) != ed25519.PublicKeySize || !bytes.Equal(r.GetFleetKey(), fleet):
		return refuse(fault.Denied, ReasonUntrusted, "fleetKey", "the fleet key has not allowed this recipient")
	case r.GetCreateTime() == nil || now.Sub(made).Abs() > recipientLife:
		return refuse(fault.Denied, ReasonTokenExpired, "createTime", "the fleet key allowed this recipient at %s, too long ago", made.Format(time.RFC3339))
	case !recipientStatement(uid, r).Verify(fleet, r.GetSignature()):
		return refuse(fault.Denied, ReasonTokenTampered, "signature", "the fleet key has not allowed this recipient")
	}
	return nil
}
