package agent

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"slices"

	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// requested is a key that an agent wants a server's certificate for.
type requested struct {
	key crypto.PublicKey
	// fingerprint is a digest of it.
	fingerprint string
}

// requestedKeys are the keys, by agent, that the member's own agents made and signed for; and what is wrong with other requests. What names
// a request asks for does not matter: see authority.issue.
func (p *primaryPass) requestedKeys(m *isthmusv1.BundleMember, trusted []*isthmusv1.TrustedAgent) (map[string]requested, error) {
	out := map[string]requested{}
	var refused error
	for _, request := range m.GetRequests() {
		one, err := p.requestedKey(m, request, trusted)
		if err != nil {
			p.log.Warn("a request for a server certificate is refused", "datacenter", m.GetDatacenter(), "agent", request.GetAgent(), "error", err)
			refused = because(fault.Denied, reasonRequest, "the request of agent %q for a server certificate is refused: %s", request.GetAgent(), messageOf(err))
			continue
		}
		out[request.GetAgent()] = one
	}
	return out, refused
}

func (p *primaryPass) requestedKey(m *isthmusv1.BundleMember, request *isthmusv1.CertificateRequest, trusted []*isthmusv1.TrustedAgent) (requested, error) {
	fleet, err := p.fleet(trusted)
	if err != nil {
		return requested{}, err
	}
	if err := identity.VerifyServerCSR(request, p.item.GetUid(), m.GetDatacenter(), m.GetConsulDatacenter(), trusted, fleet); err != nil {
		return requested{}, err
	}
	key, err := requestedKey(request.GetCsr())
	if err != nil {
		return requested{}, err
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return requested{}, fault.Wrap(fault.Internal, err, "encoding a key")
	}
	sum := sha256.Sum256(der)
	return requested{key: key, fingerprint: hex.EncodeToString(sum[:])}, nil
}

// noRequests is why a keyless bundle cannot be made.
func noRequests(m *isthmusv1.BundleMember, refused error) error {
	if refused != nil {
		return refused
	}
	return because(fault.Unavailable, reasonNoRequest, "no agent of %s has asked for a server certificate yet: start its agents", m.GetDatacenter())
}

// requestKey is one request by hand; asking again is another one.
func (p *primaryPass) requestKey(request *isthmusv1.BundleRequest) string {
	return p.item.GetUid() + "/" + request.GetDatacenter() + "/" + request.GetRecipient() + "/" + request.GetCreateTime().AsTime().String()
}

// byHand seals a member's bundle to one recipient whom the fleet key or this host's flags allow.
func (p *primaryPass) byHand(ctx context.Context, request *isthmusv1.BundleRequest) error {
	if p.primary.underWay(p.requestKey(request), 0, "", p.now()) {
		return nil
	}
	if err := p.allowed(request); err != nil {
		return err
	}
	at := slices.IndexFunc(p.item.GetMembers(), func(m *isthmusv1.BundleMember) bool {
		return m.GetDatacenter() == request.GetDatacenter() && !m.GetRevoke()
	})
	if at < 0 {
		return because(fault.Refused, reasonNoMember, "%s is no secondary of federation %s", request.GetDatacenter(), p.item.GetFederation())
	}
	m := p.item.GetMembers()[at]
	if err := p.checkMember(m); err != nil {
		return err
	}
	b, err := p.contents(ctx, m)
	if err != nil {
		return err
	}
	recipients := []string{request.GetRecipient()}
	digest, err := p.inputDigest(b, nil, recipients)
	if err != nil {
		return err
	}
	generation := max(1, m.GetBundle().GetGeneration())
	payload, err := p.seal(m, b, generation, byHandLife, recipients)
	if err != nil {
		return err
	}
	name, err := p.hub.storeBundle(ctx, &isthmusv1.StoreBundleRequest{
		Payload: payload, Datacenter: m.GetDatacenter(), InputDigest: digest, PreviousGeneration: m.GetBundle().GetGeneration(), Recipient: request.GetRecipient(),
	})
	if err != nil {
		return outdated(err)
	}
	p.primary.remember(p.requestKey(request), storedBundle{generation: generation, at: p.now()})
	p.log.Info("made a federation bundle by hand", "federation", p.item.GetFederation(), "datacenter", m.GetDatacenter(), "recipient", request.GetRecipient(),
		"requested_by", request.GetRequestedBy(), "digest", name)
	return nil
}

// allowed tells whether a bundle may be sealed to somebody who is no agent: whoever has it has the primary.
func (p *primaryPass) allowed(request *isthmusv1.BundleRequest) error {
	if slices.Contains(p.federation.AllowedRecipients, request.GetRecipient()) {
		return nil
	}
	var shown []*isthmusv1.TrustedAgent
	for _, m := range p.item.GetMembers() {
		shown = append(shown, m.GetRecipients()...)
	}
	fleet, err := p.fleet(shown)
	if err == nil {
		if err = identity.VerifyRecipient(p.item.GetUid(), request, fleet, p.now()); err == nil {
			return nil
		}
	}
	p.log.Warn("a bundle by hand is refused", "datacenter", request.GetDatacenter(), "recipient", request.GetRecipient(), "requested_by", request.GetRequestedBy(), "error", err)
	return because(fault.Denied, reasonRecipient,
		"%s; sign the request with the fleet key (isthmus federation bundle --fleet-key), or start the agent of the primary with %s=%s",
		messageOf(err), flagAllowRecipient, request.GetRecipient())
}
