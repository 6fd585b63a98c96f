package server_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"testing"
	"time"

	"filippo.io/age"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/federation"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/seal"
)

// wan is as much of WAN federation as the server has to see: whose Consul is in the primary's pool, and what was done for it.
type wan struct {
	*world
	primary string
	// cas are those of the servers' certificates, PEM, and trusted those that the servers of a datacenter trust beside.
	cas, trusted map[string]string
	// joined are the secondaries that run with a bundle; tokens those for whom the primary's ACLs have some.
	joined, tokens map[string]bool
	// losses are what joining costs a datacenter.
	losses map[string][]*isthmusv1.LostItem
	// opened are the bundles that hosts have opened, in order.
	opened []string
	// lazy: the primary's agent makes no bundles for agents.
	lazy bool
	// refuse is why the primary's agent makes no bundle by hand.
	refuse string
}

func newWAN(t testing.TB, primary string) *wan {
	t.Helper()
	ca := newCA(t, "Consul Agent CA")
	return &wan{
		world: newWorld(), primary: primary, cas: map[string]string{"dc1": ca, "dc2": ca, "dc3": ca}, trusted: map[string]string{},
		joined: map[string]bool{}, tokens: map[string]bool{}, losses: map[string][]*isthmusv1.LostItem{},
	}
}

// newCA is the certificate of an authority, PEM.
func newCA(t testing.TB, name string) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// subjects are the digests of the subjects of some CAs.
func subjects(text string) []string {
	var out []string
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return out
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			sum := sha256.Sum256(c.RawSubject)
			out = append(out, hex.EncodeToString(sum[:]))
		}
	}
}

// pool are the datacenters whose servers one sees, sorted.
func (w *wan) pool(dc string) []string {
	if dc != w.primary && !w.joined[dc] {
		return []string{dc}
	}
	out := []string{w.primary}
	for other, in := range w.joined {
		if in {
			out = append(out, other)
		}
	}
	slices.Sort(out)
	return out
}

func (w *wan) is(set map[string]bool, dc string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return set[dc]
}

// set is a change of the world that others see, if it is one.
func (w *wan) set(set map[string]bool, dc string, to bool) {
	if w.is(set, dc) != to {
		w.change(func() { set[dc] = to })
	}
}

// federate does an agent's part of its federation.
func (a *agent) federate(ctx context.Context, item *isthmusv1.DesiredItem) error {
	switch {
	case a.wan == nil:
		return nil
	case item.GetFederationPrimary() != nil:
		return a.beThePrimary(ctx, item.GetFederationPrimary())
	case item.GetFederationSecondary() != nil:
		return a.beASecondary(ctx, item.GetFederationSecondary())
	}
	return nil
}

func (a *agent) beThePrimary(ctx context.Context, p *isthmusv1.FederationPrimary) error {
	a.wan.mu.Lock()
	lazy, refuse := a.wan.lazy, a.wan.refuse
	a.wan.mu.Unlock()
	a.trust(p.GetUid(), a.dc, p.GetTrustedCas())
	for _, m := range p.GetMembers() {
		switch {
		case m.GetRevoke():
			a.wan.set(a.wan.tokens, m.GetDatacenter(), false)
		case m.GetReady() && !lazy:
			if err := a.makeBundle(ctx, p, m); err != nil {
				return err
			}
		}
	}
	for _, q := range p.GetRequests() {
		if refuse != "" {
			continue
		}
		for _, m := range p.GetMembers() {
			if m.GetDatacenter() != q.GetDatacenter() {
				continue
			}
			payload, err := a.sealBundle(p, m, max(1, m.GetBundle().GetGeneration()), 24*time.Hour, q.GetRecipient())
			if err != nil {
				return err
			}
			if _, err := a.sync.StoreBundle(ctx, &isthmusv1.StoreBundleRequest{
				Payload: payload, Datacenter: m.GetDatacenter(), PreviousGeneration: m.GetBundle().GetGeneration(), Recipient: q.GetRecipient(),
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// trust lets the servers of the agent's datacenter trust further CAs that are proven.
func (a *agent) trust(uid, primary string, cas []*isthmusv1.TrustedCA) {
	text := ""
	for _, v := range cas {
		role := resource.RoleSecondary
		if v.GetDatacenter() == primary {
			role = resource.RolePrimary
		}
		if proven, err := identity.VerifyOwnCA(v, uid, role, a.fleet.Public()); err == nil {
			text += proven
		}
	}
	a.wan.mu.Lock()
	same := a.wan.trusted[a.dc] == text
	a.wan.mu.Unlock()
	if !same {
		a.wan.change(func() { a.wan.trusted[a.dc] = text })
	}
}

// makeBundle makes a member's bundle unless what is stored has the same parts.
func (a *agent) makeBundle(ctx context.Context, p *isthmusv1.FederationPrimary, m *isthmusv1.BundleMember) error {
	var recipients []string
	for _, t := range m.GetRecipients() {
		if err := identity.VerifyTrusted(t, a.fleet.Public()); err != nil {
			return err
		}
		recipients = append(recipients, t.GetAttestation().GetAgeRecipient())
	}
	sum := sha256.Sum256(fmt.Append(nil, recipients, m.GetPrimaryGateways(), m.GetRetryJoinWan(), p.GetMode(), p.GetKeyless(), len(m.GetRequests())))
	digest := hex.EncodeToString(sum[:])
	if m.GetBundle().GetInputDigest() == digest || len(recipients) == 0 || p.GetKeyless() && len(m.GetRequests()) == 0 {
		return nil
	}
	payload, err := a.sealBundle(p, m, m.GetBundle().GetGeneration()+1, 30*24*time.Hour, recipients...)
	if err != nil {
		return err
	}
	a.wan.set(a.wan.tokens, m.GetDatacenter(), true)
	r := &isthmusv1.StoreBundleRequest{
		Payload: payload, Datacenter: m.GetDatacenter(), InputDigest: digest, PreviousGeneration: m.GetBundle().GetGeneration(),
	}
	for _, q := range m.GetRequests() {
		if err := identity.VerifyServerCSR(q, p.GetUid(), m.GetDatacenter(), m.GetConsulDatacenter(), m.GetRecipients(), a.fleet.Public()); err != nil {
			return err
		}
		r.Certificates, r.CertificateExpireTime = append(r.Certificates, q.GetAgent()), timestamppb.New(time.Now().AddDate(0, 0, 30))
	}
	_, err = a.sync.StoreBundle(ctx, r)
	return err
}

func (a *agent) sealBundle(p *isthmusv1.FederationPrimary, m *isthmusv1.BundleMember, generation int32, life time.Duration, recipients ...string) (*isthmusv1.SealedPayload, error) {
	b := &federation.Bundle{
		Federation: p.GetFederation(), UID: p.GetUid(), Mode: p.GetMode(), PrimaryDatacenter: a.dc, Datacenter: m.GetConsulDatacenter(), Domain: "consul",
		CACertificates: []string{"ca"}, PrimaryGateways: m.GetPrimaryGateways(), RetryJoinWAN: m.GetRetryJoinWan(),
	}
	if p.GetKeyless() {
		b.Certificates = map[string]string{}
		for _, q := range m.GetRequests() {
			b.Certificates[q.GetAgent()] = "certificate of " + string(q.GetCsr())
		}
	} else {
		b.CAKey = "key"
	}
	text, err := b.Encode()
	if err != nil {
		return nil, err
	}
	return seal.Seal(seal.Draft{
		Kind: seal.KindFederationBundle, UID: p.GetUid(), From: a.id.Agent(), FromDatacenter: a.dc, ToDatacenter: m.GetDatacenter(),
		Generation: generation, TTL: life,
	}, a.id.Signer(), recipients, text, time.Now())
}

// beASecondary opens what it is given, and joins or leaves with it.
func (a *agent) beASecondary(ctx context.Context, s *isthmusv1.FederationSecondary) error {
	if s.GetDelete() {
		a.remember(s.GetUid(), deed{outcome: resource.DeliveryRemoved})
		a.wan.set(a.wan.joined, a.dc, false)
		return nil
	}
	a.trust(s.GetUid(), s.GetPrimary(), s.GetTrustedCas())
	if !s.GetJoin() || s.GetSecretDigest() == "" || a.remembered(s.GetUid()).generation == s.GetGeneration() {
		return nil
	}
	a.wan.mu.Lock()
	wanted := federation.PlanDigest(s.GetUid(), a.dc, federation.ActionJoin, federation.LossDigest(a.wan.losses[a.dc]))
	a.wan.mu.Unlock()
	if wanted != "" && s.GetAcceptedDigest() != wanted {
		return nil
	}
	got, err := a.sync.FetchSecrets(ctx, &isthmusv1.FetchSecretsRequest{Digests: []string{s.GetSecretDigest()}})
	if err != nil {
		return err
	}
	if err := openBundle(got.GetPayloads()[0], a.dc, s, a.fleet, a.id.Opener()); err != nil {
		return err
	}
	a.wan.change(func() { a.wan.opened = append(a.wan.opened, fmt.Sprintf("%s/%d", a.dc, s.GetGeneration())) })
	a.remember(s.GetUid(), deed{generation: s.GetGeneration(), outcome: resource.DeliveryApplied})
	a.wan.set(a.wan.joined, a.dc, true)
	return nil
}

func openBundle(p *isthmusv1.SealedPayload, dc string, s *isthmusv1.FederationSecondary, fleet *identity.FleetKey, opener *age.X25519Identity) error {
	text, err := seal.Open(p, seal.Expect{
		Kind: seal.KindFederationBundle, UID: s.GetUid(), FromDatacenter: s.GetPrimary(), ToDatacenter: dc, Generation: s.GetGeneration(),
	}, s.GetSenders(), fleet.Public(), opener, time.Now())
	if err != nil {
		return err
	}
	_, err = federation.DecodeBundle(text)
	return err
}

// tell fills in what an agent sees of its federation.
func (w *wan) tell(a *agent, state *isthmusv1.DesiredState, r *isthmusv1.ReportRequest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	pool := w.pool(a.dc)
	i, f := r.GetInventory(), &isthmusv1.FederationReport{CertificateNames: federation.CertificateNames(a.dc, "consul")}
	i.Gateways = []*isthmusv1.ObservedGateway{{
		ServiceId: "mesh-gateway", Node: "s1", WanAddress: address(a.dc), LanAddress: "10.0.0.1:8443", Health: "passing", WanFederation: true,
	}}
	i.AclEnabled, i.TlsEnabled, i.GossipEncrypted, i.WanFederationEnabled = new(true), new(true), new(true), new(true)
	i.ConsulDomain, i.DefaultPolicy, i.WanMembers, i.TrustDomain = "consul", "deny", int32(len(pool)), a.dc+".consul"
	i.PrimaryDatacenter = pool[slices.Index(pool, a.dc)]
	if slices.Contains(pool, w.primary) {
		i.PrimaryDatacenter, i.TrustDomain = w.primary, w.primary+".consul"
	}
	if items := w.losses[a.dc]; !w.joined[a.dc] {
		f.Loss = &isthmusv1.JoinLoss{Items: items, Count: int32(len(items)), Digest: federation.LossDigest(items)}
	}
	for _, dc := range pool {
		f.WanMembers = append(f.WanMembers, &isthmusv1.WanMember{Node: "s1", Datacenter: dc, Address: address(dc), Status: "alive", Build: "1.20.6", Protocol: "2"})
	}
	host := &isthmusv1.FederationHost{Host: "h", State: resource.DeliveryNone}
	r.Federation, r.Delivery = f, &isthmusv1.DeliveryReport{Host: host, AllowJoin: true, CanWrite: true, CanRestart: true, OwnCa: w.cas[a.dc]}
	host.TrustedCas = subjects(w.cas[a.dc] + w.trusted[a.dc])
	for _, item := range state.GetItems() {
		w.tellOf(a, item, r.GetDelivery(), f, pool)
	}
}

// vouch signs the CA of the agent's own datacenter.
func (a *agent) vouch(d *isthmusv1.DeliveryReport, role string) {
	if signature, err := identity.SignOwnCA(a.id.Signer(), d.GetUid(), role, a.id.Agent(), a.dc, d.GetOwnCa()); err == nil {
		d.OwnCaSignature = signature
	}
}

func (w *wan) tellOf(a *agent, item *isthmusv1.DesiredItem, d *isthmusv1.DeliveryReport, f *isthmusv1.FederationReport, pool []string) {
	if p := item.GetFederationPrimary(); p != nil {
		d.Uid, d.Host.State = p.GetUid(), resource.DeliveryApplied
		a.vouch(d, resource.RolePrimary)
		if p.GetDelete() {
			d.Host.State = resource.DeliveryRemoved
		}
		for _, m := range p.GetMembers() {
			if m.GetRevoke() && !w.tokens[m.GetDatacenter()] {
				f.Bundles = append(f.Bundles, &isthmusv1.ObservedBundle{Datacenter: m.GetDatacenter(), Revoked: true})
			}
		}
		for _, q := range p.GetRequests() {
			if w.refuse != "" {
				f.Bundles = append(f.Bundles, &isthmusv1.ObservedBundle{
					Datacenter: q.GetDatacenter(), Recipient: q.GetRecipient(), RequestTime: q.GetCreateTime(), ErrorReason: "RecipientNotAllowed", Error: w.refuse,
				})
			}
		}
	}
	if s := item.GetFederationSecondary(); s != nil {
		did := a.remembered(s.GetUid())
		d.Uid = s.GetUid()
		a.vouch(d, resource.RoleSecondary)
		if s.GetKeyless() {
			d.Host.Csr = []byte("request of " + a.id.Agent())
			d.Host.CsrSignature = identity.SignServerCSR(a.id.Signer(), s.GetUid(), a.id.Agent(), a.dc, a.dc, d.Host.GetCsr())
		}
		d.Host.Written, d.Host.Applied = did.generation, did.generation
		if did.outcome != "" {
			d.Host.State = did.outcome
		}
	}
	for _, p := range item.GetProbes().GetGateways() {
		f.Probes = append(f.Probes, &isthmusv1.ObservedProbe{Datacenter: p.GetDatacenter(), Address: p.GetAddress(), Ok: true, LatencyMs: 5})
	}
	for _, p := range item.GetProbes().GetReads() {
		in := slices.Contains(pool, p.GetDatacenter())
		o := &isthmusv1.ObservedRead{Datacenter: p.GetDatacenter(), Ok: in, Services: 1}
		if !in {
			o.ErrorReason, o.Error = "NoPath", "No path to datacenter"
		}
		f.Reads = append(f.Reads, o)
	}
}

// address is a gateway's, for others.
func address(dc string) string { return "192.0.2." + dc[2:] + ":8443" }

// phases are the members' phases, with their reasons.
func phases(f *isthmusv1.Federation) map[string]string {
	out := map[string]string{}
	for _, m := range f.GetStatus().GetMembers() {
		out[m.GetDatacenter()] = m.GetPhase()
	}
	return out
}

// reaches waits until the members of the federation global are in phases.
func (n *node) reaches(want map[string]string) *isthmusv1.Federation {
	n.t.Helper()
	var f *isthmusv1.Federation
	eventually(n.t, fmt.Sprint("the members ", want), func() (bool, string) {
		f = n.federation()
		return maps.Equal(phases(f), want), f.GetStatus().String()
	})
	return f
}
