package agent

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/seal"
)

const (
	// bundleLife is how long a sealed bundle may be opened: hosts fetch theirs again, for example after a new disk. It is sealed anew
	// after two thirds of that.
	bundleLife = 30 * 24 * time.Hour
	// byHandLife is how long one that was asked for by hand may be opened.
	byHandLife = 24 * time.Hour
)

// bundle makes and stores a member's bundle when what is stored is not what it shall be. refused is what was wrong with single requests
// for certificates, or with single CAs: the others' go in all the same.
func (p *primaryPass) bundle(ctx context.Context, m *isthmusv1.BundleMember) (refused, err error) {
	trusted, err := p.trusted(m.GetRecipients(), m.GetDatacenter())
	if err != nil {
		return nil, err
	}
	recipients := recipientsOf(trusted)
	if len(recipients) == 0 {
		return nil, because(fault.Refused, reasonNoRecipient,
			"no agent of %s is trusted: enrol one with a join token of the fleet key, or run isthmus agent approve", m.GetDatacenter())
	}
	b, err := p.contents(ctx, m)
	if err != nil {
		return nil, err
	}
	_, refused = p.others()
	var keys map[string]requested
	if p.item.GetKeyless() {
		var bad error
		if keys, bad = p.requestedKeys(m, trusted); len(keys) == 0 {
			return nil, noRequests(m, bad)
		}
		refused = cmp.Or(bad, refused)
	}
	digest, err := p.inputDigest(b, keys, recipients)
	if err != nil {
		return refused, err
	}
	have := m.GetBundle()
	if have.GetGeneration() > 0 && have.GetInputDigest() == digest && !p.stale(have, len(keys) > 0) {
		return refused, nil
	}
	if p.primary.underWay(p.key(m), have.GetGeneration(), digest, p.now()) {
		return refused, nil
	}
	return refused, p.storeBundle(ctx, m, b, keys, recipients, digest)
}

// stale tells that what is in the store gets old although nothing in it changed. Where the CA ends before certificates would, a new one would
// end no later.
func (p *primaryPass) stale(have *isthmusv1.BundleEntry, certificates bool) bool {
	made, now := have.GetMakeTime().AsTime(), p.now()
	if !now.Before(made.Add(bundleLife * 2 / 3)) {
		return true
	}
	if !certificates || p.ca == nil {
		return false
	}
	end := have.GetCertificateExpireTime().AsTime()
	return !now.Before(made.Add(end.Sub(made)*2/3)) && p.ca.certificatesEnd(now).After(end)
}

// storeBundle issues what is to be issued, seals and stores.
func (p *primaryPass) storeBundle(ctx context.Context, m *isthmusv1.BundleMember, b *federation.Bundle, keys map[string]requested, recipients []string, digest string) error {
	request := &isthmusv1.StoreBundleRequest{
		Datacenter: m.GetDatacenter(), InputDigest: digest, PreviousGeneration: m.GetBundle().GetGeneration(),
		Certificates: slices.Sorted(maps.Keys(keys)),
	}
	if len(keys) > 0 {
		end := p.ca.certificatesEnd(p.now())
		b.Certificates, request.CertificateExpireTime = map[string]string{}, timestamppb.New(end)
		for agent, asked := range keys {
			chain, err := p.ca.issue(asked.key, b.Datacenter, b.Domain, p.now(), end)
			if err != nil {
				return err
			}
			b.Certificates[agent] = chain
		}
	}
	generation := m.GetBundle().GetGeneration() + 1
	payload, err := p.seal(m, b, generation, bundleLife, recipients)
	if err != nil {
		return err
	}
	request.Payload = payload
	name, err := p.hub.storeBundle(ctx, request)
	if err != nil {
		return outdated(err)
	}
	p.primary.remember(p.key(m), storedBundle{generation: generation, inputDigest: digest, at: p.now()})
	p.log.Info("made a federation bundle", "federation", p.item.GetFederation(), "datacenter", m.GetDatacenter(), "generation", generation,
		"digest", name, "recipients", len(recipients), "certificates", len(keys))
	return nil
}

func (p *primaryPass) seal(m *isthmusv1.BundleMember, b *federation.Bundle, generation int32, life time.Duration, recipients []string) (*isthmusv1.SealedPayload, error) {
	text, err := b.Encode()
	if err != nil {
		return nil, err
	}
	me := p.reconciler.self
	payload, err := seal.Seal(seal.Draft{
		Kind: seal.KindFederationBundle, UID: p.item.GetUid(), From: me.name(), FromDatacenter: me.datacenter(), ToDatacenter: m.GetDatacenter(),
		Generation: generation, TTL: life,
	}, me.signer(), recipients, text, p.now())
	if err != nil {
		return nil, fault.Wrap(fault.CodeOf(err), err, "sealing the bundle of %s", m.GetDatacenter())
	}
	return payload, nil
}

// others are the CAs that all shall trust beside the primary's, because somebody is on the way in; and which of them are not proven.
func (p *primaryPass) others() (proven []string, refused error) {
	return p.provenCAs(p.item.GetUid(), p.reconciler.self.datacenter(), p.item.GetTrustedCas())
}

// contents is everything that goes into a member's bundle but certificates.
func (p *primaryPass) contents(ctx context.Context, m *isthmusv1.BundleMember) (*federation.Bundle, error) {
	ca, err := p.authority(ctx)
	if err != nil {
		return nil, err
	}
	others, _ := p.others()
	all, err := mergeCAs(strings.Join(ca.certificates, ""), others...)
	if err != nil {
		return nil, err
	}
	gossip, err := p.gossipKey(ctx)
	if err != nil {
		return nil, err
	}
	b := &federation.Bundle{
		Federation: p.item.GetFederation(), UID: p.item.GetUid(), Mode: p.item.GetMode(),
		PrimaryDatacenter: p.self.Datacenter, Datacenter: m.GetConsulDatacenter(), Domain: p.self.Domain,
		CACertificates: all, GossipKey: gossip.Reveal(), RetryIntervalWAN: p.item.GetRetryIntervalWan(),
	}
	if !p.item.GetKeyless() {
		b.CAKey = string(ca.key) + "\n"
	}
	if b.Mode == resource.ModeMeshGateway {
		b.PrimaryGateways = distinct(m.GetPrimaryGateways())
	} else {
		b.RetryJoinWAN = distinct(m.GetRetryJoinWan())
	}
	if len(b.PrimaryGateways)+len(b.RetryJoinWAN) == 0 {
		return nil, because(fault.Unavailable, reasonNoWay, "there is no healthy mesh gateway, or server, through which %s could reach this primary: start one", m.GetDatacenter())
	}
	if p.self.ACL != nil && *p.self.ACL {
		b.ACL, b.DefaultPolicy = true, p.self.DefaultPolicy
		if b.Tokens, err = p.tokens(ctx, m); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// inputDigest tells two bundles apart for their maker alone: it is keyed, since it is stored in the clear. Certificates stand in it by the keys
// that they are for: they are made anew whenever anything changes.
func (p *primaryPass) inputDigest(b *federation.Bundle, keys map[string]requested, recipients []string) (string, error) {
	plain := *b
	if len(keys) > 0 {
		plain.Certificates = map[string]string{}
		for agent, asked := range keys {
			plain.Certificates[agent] = asked.fingerprint
		}
	}
	text, err := plain.Encode()
	if err != nil {
		return "", err
	}
	key, err := digestKey(p.reconciler.self.signer())
	if err != nil {
		return "", err
	}
	h := hmac.New(sha256.New, key)
	fmt.Fprintf(h, "%d\n%s", len(text), text)
	for _, r := range slices.Sorted(slices.Values(recipients)) {
		fmt.Fprintf(h, "%s\n", r)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// digestKey is a key for digests that only this agent can compute.
func digestKey(signer ed25519.PrivateKey) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, signer.Seed(), nil, "isthmus/1/federation-input", sha256.Size)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "deriving a key")
	}
	return key, nil
}

// mergeCAs are the certificates (PEM) of several texts, each once, in their order.
func mergeCAs(first string, others ...string) ([]string, error) {
	var out []string
	for _, text := range append([]string{first}, others...) {
		all, err := parseCertificates([]byte(text))
		if err != nil {
			return nil, err
		}
		for _, c := range all {
			out = append(out, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})))
		}
	}
	return distinct(out), nil
}

// distinct is a list without its repetitions and empty words, in its order.
func distinct(in []string) []string {
	var out []string
	for _, s := range in {
		if s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
