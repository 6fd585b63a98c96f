package simulate

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"hash/fnv"
	"math/big"
	"slices"
	"time"

	"isthmus/fault"
	"isthmus/federation"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/seal"
)

// bundleLife is how long a sealed bundle may be opened, as with real agents.
const bundleLife = 30 * 24 * time.Hour

// wan is a datacenter's part in a federation.
type wan struct {
	// part is what the desired state asks of it, nil for nothing; probes what it is to try.
	part   *isthmusv1.DesiredItem
	probes *isthmusv1.Probes
	// primary is the one whose pool it has joined; empty: its own.
	primary string
	// generation is of the bundle that it runs with; left: it was in a federation, and is its own again.
	generation int32
	left       bool
	// revoked are the secondaries whose tokens this primary has revoked.
	revoked map[string]bool
}

// authority is the CA of all Consul servers' certificates, which the whole simulated company shares; it has signed nothing.
type authority struct {
	// certificate is PEM, subject the digest by which servers say whom they trust.
	certificate, subject string
}

func newAuthority(now time.Time) (authority, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return authority{}, fault.Wrap(fault.Internal, err, "making the simulated servers' CA")
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Consul Agent CA (simulated)"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: now, NotAfter: now.AddDate(5, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		return authority{}, fault.Wrap(fault.Internal, err, "making the simulated servers' CA")
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return authority{}, fault.Wrap(fault.Internal, err, "reading the simulated servers' CA")
	}
	sum := sha256.Sum256(certificate.RawSubject)
	return authority{
		certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), subject: hex.EncodeToString(sum[:]),
	}, nil
}

// federate does an agent's part of its federation, or notes that there is none.
func (a *agent) federate(ctx context.Context, l *link, items []*isthmusv1.DesiredItem) error {
	var part *isthmusv1.DesiredItem
	var probes *isthmusv1.Probes
	for _, item := range items {
		switch item.GetType() {
		case resource.ItemFederationPrimary, resource.ItemFederationSecondary:
			part = item
		case resource.ItemProbes:
			probes = item.GetProbes()
		}
	}
	w := a.fleet.world
	w.mu.Lock()
	a.site.wan.part, a.site.wan.probes = part, probes
	w.mu.Unlock()
	switch {
	case part.GetFederationPrimary() != nil:
		return a.lead(ctx, l, part.GetFederationPrimary())
	case part.GetFederationSecondary() != nil:
		return a.follow(ctx, l, part.GetFederationSecondary())
	}
	return nil
}

// lead makes the secondaries' bundles, and takes their tokens back when they left.
func (a *agent) lead(ctx context.Context, l *link, p *isthmusv1.FederationPrimary) error {
	var errs []error
	for _, m := range p.GetMembers() {
		a.fleet.world.revoke(a.site, m.GetDatacenter(), m.GetRevoke())
		if m.GetReady() && !m.GetRevoke() {
			errs = append(errs, a.bundle(ctx, l, p, m))
		}
	}
	return errors.Join(errs...)
}

// bundle makes a member's bundle unless the one that is stored has the same parts.
func (a *agent) bundle(ctx context.Context, l *link, p *isthmusv1.FederationPrimary, m *isthmusv1.BundleMember) error {
	var recipients []string
	for _, t := range m.GetRecipients() {
		if err := identity.VerifyTrusted(t, a.fleet.key.Public()); err != nil {
			return err
		}
		recipients = append(recipients, t.GetAttestation().GetAgeRecipient())
	}
	sum := sha256.Sum256(fmt.Append(nil, recipients, m.GetPrimaryGateways(), p.GetMode()))
	digest := hex.EncodeToString(sum[:])
	if len(recipients) == 0 || m.GetBundle().GetInputDigest() == digest {
		return nil
	}
	content := &federation.Bundle{
		Federation: p.GetFederation(), UID: p.GetUid(), Mode: p.GetMode(), PrimaryDatacenter: a.site.name, Datacenter: m.GetConsulDatacenter(),
		Domain: consulDomain, CACertificates: []string{a.fleet.authority.certificate}, CAKey: "simulated", PrimaryGateways: m.GetPrimaryGateways(),
		RetryIntervalWAN: p.GetRetryIntervalWan(),
	}
	text, err := content.Encode()
	if err != nil {
		return err
	}
	payload, err := seal.Seal(seal.Draft{
		Kind: seal.KindFederationBundle, UID: p.GetUid(), From: a.id.Agent(), FromDatacenter: a.site.name, ToDatacenter: m.GetDatacenter(),
		Generation: m.GetBundle().GetGeneration() + 1, TTL: bundleLife,
	}, a.id.Signer(), recipients, text, a.fleet.now())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err = l.sync.StoreBundle(ctx, &isthmusv1.StoreBundleRequest{
		Payload: payload, Datacenter: m.GetDatacenter(), InputDigest: digest, PreviousGeneration: m.GetBundle().GetGeneration(),
	})
	if err != nil {
		return unlessOutdated(answered(err, "storing the bundle of "+m.GetDatacenter()))
	}
	return nil
}

// follow opens the bundle that it is given, and joins with it when it is its turn; or leaves.
func (a *agent) follow(ctx context.Context, l *link, s *isthmusv1.FederationSecondary) error {
	w := a.fleet.world
	if s.GetDelete() {
		a.fleet.poke(w.leave(a.site)...)
		return nil
	}
	if !s.GetJoin() || s.GetSecretDigest() == "" || w.runsWith(a.site) == s.GetGeneration() {
		return nil
	}
	payload, err := a.fetch(ctx, l, s.GetSecretDigest())
	if err != nil {
		return unlessOutdated(err)
	}
	text, err := seal.Open(payload, seal.Expect{
		Kind: seal.KindFederationBundle, UID: s.GetUid(), FromDatacenter: s.GetPrimary(), ToDatacenter: a.site.name, Generation: s.GetGeneration(),
	}, s.GetSenders(), a.fleet.key.Public(), a.id.Opener(), a.fleet.now())
	if err != nil {
		return err
	}
	if _, err := federation.DecodeBundle(text); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	turn, err := l.sync.TakeTurn(ctx, &isthmusv1.TakeTurnRequest{Uid: s.GetUid()})
	if err != nil {
		return answered(err, "asking for the turn to restart Consul")
	}
	if !turn.GetGranted() {
		return fault.New(fault.Busy, "it is the turn of %s to restart Consul", turn.GetHolder())
	}
	a.fleet.poke(w.join(a.site, s.GetPrimary(), s.GetGeneration())...)
	if _, err := l.sync.EndTurn(ctx, &isthmusv1.EndTurnRequest{Uid: s.GetUid()}); err != nil {
		return answered(err, "ending the turn to restart Consul")
	}
	return nil
}

// pool are the datacenters whose servers one sees in the WAN, sorted. It is called with the world's lock held.
func (w *world) pool(s *site) []string {
	primary := s.name
	if s.wan.primary != "" {
		primary = s.wan.primary
	}
	out := append([]string{primary}, w.joined[primary]...)
	slices.Sort(out)
	return out
}

func (w *world) runsWith(s *site) int32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return s.wan.generation
}

// join adds a datacenter to a primary's pool, and gives all who see it.
func (w *world) join(s *site, primary string, generation int32) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.wan.primary, s.wan.generation, s.wan.left = primary, generation, false
	if !slices.Contains(w.joined[primary], s.name) {
		w.joined[primary] = append(w.joined[primary], s.name)
	}
	return w.pool(s)
}

// leave takes a datacenter out of the pool that it is in, and gives all who saw it.
func (w *world) leave(s *site) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.pool(s)
	w.joined[s.wan.primary] = slices.DeleteFunc(w.joined[s.wan.primary], func(name string) bool { return name == s.name })
	changed := !s.wan.left
	s.wan.primary, s.wan.generation, s.wan.left = "", 0, true
	if !changed {
		return nil
	}
	return before
}

// revoke notes whether the tokens of a secondary are revoked.
func (w *world) revoke(s *site, secondary string, revoked bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.wan.revoked == nil {
		s.wan.revoked = map[string]bool{}
	}
	s.wan.revoked[secondary] = revoked
}

// delivery is what the agent says of its host: it may write and restart, and joins what it is asked to.
func (a *agent) delivery() *isthmusv1.DeliveryReport {
	host := &isthmusv1.FederationHost{Agent: a.id.Agent(), Host: a.site.host(), State: resource.DeliveryNone}
	d := &isthmusv1.DeliveryReport{Host: host}
	if a.site.federation == "" {
		return d
	}
	d.AllowJoin, d.CanWrite, d.CanRestart, d.OwnCa = true, true, true, a.fleet.authority.certificate
	host.TrustedCas = []string{a.fleet.authority.subject}
	var role string
	p, s := a.site.wan.part.GetFederationPrimary(), a.site.wan.part.GetFederationSecondary()
	switch {
	case p != nil:
		role, d.Uid, host.State = resource.RolePrimary, p.GetUid(), resource.DeliveryApplied
		if p.GetDelete() {
			host.State = resource.DeliveryRemoved
		}
	case s != nil:
		role, d.Uid = resource.RoleSecondary, s.GetUid()
		host.Written, host.Applied = a.site.wan.generation, a.site.wan.generation
		if a.site.wan.generation > 0 {
			host.State = resource.DeliveryApplied
		}
		if a.site.wan.left {
			host.State = resource.DeliveryRemoved
		}
	default:
		return d
	}
	if signature, err := identity.SignOwnCA(a.id.Signer(), d.GetUid(), role, a.id.Agent(), a.site.name, d.GetOwnCa()); err == nil {
		d.OwnCaSignature = signature
	}
	return d
}

// latency is how long it takes from one datacenter to another, in ms: always as long.
func latency(from, to string) int32 {
	const nearest, spread = 2, 60
	h := fnv.New32a()
	_, _ = h.Write([]byte(min(from, to) + max(from, to)))
	return nearest + int32(h.Sum32()%spread)
}

// federated is what the datacenter sees of its federation; nil when it is in none.
func (w *world) federated(s *site) *isthmusv1.FederationReport {
	if s.federation == "" {
		return nil
	}
	r := &isthmusv1.FederationReport{CertificateNames: federation.CertificateNames(s.name, consulDomain)}
	if s.wan.primary == "" {
		r.Loss = &isthmusv1.JoinLoss{Digest: federation.LossDigest(nil)}
	}
	pool := w.pool(s)
	lost := func(name string) bool { return name != s.name && w.sites[name] != nil && w.sites[name].unreached }
	for _, name := range pool {
		status := "alive"
		if lost(name) {
			status = "failed"
		}
		for i := range servers {
			r.WanMembers = append(r.WanMembers, &isthmusv1.WanMember{
				Node: serverName(name, i), Datacenter: name, Address: fmt.Sprintf("10.0.0.%d:8302", i+1), Status: status, Build: consulVersion, Protocol: "2",
			})
		}
	}
	for _, p := range s.wan.probes.GetGateways() {
		o := &isthmusv1.ObservedProbe{Datacenter: p.GetDatacenter(), Address: p.GetAddress(), Ok: true, LatencyMs: latency(s.name, p.GetDatacenter())}
		if lost(p.GetDatacenter()) {
			o.Ok, o.LatencyMs, o.ErrorReason, o.Error = false, 0, "Timeout", "no answer within 5s"
		}
		r.Probes = append(r.Probes, o)
	}
	for _, p := range s.wan.probes.GetReads() {
		ok := slices.Contains(pool, p.GetDatacenter()) && !lost(p.GetDatacenter())
		o := &isthmusv1.ObservedRead{Datacenter: p.GetDatacenter(), Ok: ok, Services: int32(len(s.services))}
		if !o.GetOk() {
			o.Services, o.ErrorReason, o.Error = 0, "NoPath", "No path to datacenter"
		}
		r.Reads = append(r.Reads, o)
	}
	for _, m := range s.wan.part.GetFederationPrimary().GetMembers() {
		if m.GetRevoke() && s.wan.revoked[m.GetDatacenter()] {
			r.Bundles = append(r.Bundles, &isthmusv1.ObservedBundle{Datacenter: m.GetDatacenter(), Revoked: true})
		}
	}
	return r
}
