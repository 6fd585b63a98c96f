package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

const (
	// maxOwnCA and maxOwnCAs are far beyond what any datacenter has while it changes its CA.
	maxOwnCA  = 64 << 10
	maxOwnCAs = 16
)

func ownCAStatement(uid, role, agent, datacenter string, certificates []*x509.Certificate) *Statement {
	s := NewStatement("own-ca").Text(uid).Text(role).Text(agent).Text(datacenter).Number(int64(len(certificates)))
	for _, c := range certificates {
		sum := sha256.Sum256(c.Raw)
		s.Bytes(sum[:])
	}
	return s
}

// SignOwnCA vouches, with an agent's identity key, for the CA (PEM) that its host's Consul server runs with: the other datacenters of the
// federation of that uid may trust it. role is the datacenter's in the federation: a word for a secondary is none for a primary.
// Invalid when it is anything but CA certificates.
func SignOwnCA(key ed25519.PrivateKey, uid, role, agent, datacenter, certificates string) ([]byte, error) {
	all, err := onlyCAs(certificates)
	if err != nil {
		return nil, err
	}
	return ownCAStatement(uid, role, agent, datacenter, all).Sign(key), nil
}

// VerifyOwnCA gives the CA certificates (PEM, nothing else) of a datacenter that has a role in the federation of that uid, when an agent of
// that very datacenter, trusted up to the fleet key, vouches for them: Denied otherwise, Invalid when they are none.
func VerifyOwnCA(v *isthmusv1.TrustedCA, uid, role string, fleet ed25519.PublicKey) (string, error) {
	if err := VerifyTrusted(v.GetAgent(), fleet); err != nil {
		return "", err
	}
	a := v.GetAgent().GetAttestation()
	if g := a.GetGrant(); g.GetDatacenter() != v.GetDatacenter() || g.GetKind() != KindAgent {
		return "", refuse(fault.Denied, ReasonUntrusted, "agent", "%s is %s of %s, not an agent of %s",
			a.GetAgent(), g.GetKind(), g.GetDatacenter(), v.GetDatacenter())
	}
	all, err := onlyCAs(v.GetCertificates())
	if err != nil {
		return "", err
	}
	if !ownCAStatement(uid, role, a.GetAgent(), v.GetDatacenter(), all).Verify(a.GetIdentityKey(), v.GetSignature()) {
		return "", refuse(fault.Denied, ReasonBadAttestation, "signature", "agent %s has not vouched for the CA of the %s %s in this federation",
			a.GetAgent(), roleWord(role), v.GetDatacenter())
	}
	var out bytes.Buffer
	for _, c := range all {
		out.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return out.String(), nil
}

func roleWord(role string) string {
	if role == resource.RolePrimary {
		return role
	}
	return resource.RoleSecondary
}

// onlyCAs reads PEM that is CA certificates from its beginning to its end.
func onlyCAs(text string) ([]*x509.Certificate, error) {
	invalid := func(format string, args ...any) error {
		return refuse(fault.Invalid, ReasonBadCertificate, "certificates", format, args...)
	}
	if len(text) > maxOwnCA {
		return nil, invalid("the CA is larger than any can be")
	}
	var out []*x509.Certificate
	for rest := bytes.TrimSpace([]byte(text)); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" || len(out) == maxOwnCAs {
			return nil, invalid("the CA is not PEM of at most %d certificates alone", maxOwnCAs)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, invalid("the CA has a certificate that cannot be read")
		}
		if !c.BasicConstraintsValid || !c.IsCA || c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0 {
			return nil, invalid("a certificate among those of the CA is not a CA's")
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, invalid("there is no CA certificate")
	}
	return out, nil
}
