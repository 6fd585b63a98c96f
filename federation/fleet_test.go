package federation_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
)

func noon() time.Time { return time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC) }

// world is a fleet with what its agents say, for one Federation.
type world struct {
	*resourcetest.Fleet
	f    *isthmusv1.Federation
	seen map[string]federation.Seen
	now  time.Time
}

// newWorld has the primary dc1 and these secondaries, all running and healthy, with nothing to lose but when a test says so.
func newWorld(secondaries ...string) *world {
	w := &world{
		Fleet: resourcetest.New(), seen: map[string]federation.Seen{}, now: noon(),
		f: &isthmusv1.Federation{
			Name: "global", Uid: "u1", Generation: 1,
			Spec: &isthmusv1.FederationSpec{Primary: "dc1", Secondaries: secondaries, Mode: resource.ModeMeshGateway, RetryIntervalWan: "2s"},
		},
	}
	for _, dc := range append([]string{"dc1"}, secondaries...) {
		w.add(dc)
	}
	w.Put(w.f)
	return w
}

// add has a running datacenter with one agent and one gateway.
func (w *world) add(dc string) {
	w.Put(
		&isthmusv1.Datacenter{Name: dc, Spec: &isthmusv1.DatacenterSpec{Runtime: "vm"}, Status: &isthmusv1.DatacenterStatus{
			Agent: resource.LivenessOnline, AgentSince: timestamppb.New(noon()), TrustDomain: dc + ".td", WanAddresses: []string{dc + ".example:8302"}, RpcAddresses: []string{dc + ".example:8300"},
		}},
		enrolled(dc+"-a", dc, resource.AgentKindAgent),
		&isthmusv1.Gateway{
			Name: dc + "-gw", Spec: &isthmusv1.GatewaySpec{Datacenter: dc, WanAddress: dc + ".example:8443", LanAddress: "10.0.0.20:8443", Source: "discovered"},
			Status: &isthmusv1.GatewayStatus{Health: "passing", WanFederation: true},
		},
	)
	w.seen[dc] = federation.Seen{
		Online: true, Inventory: inventory(dc),
		Federation: &isthmusv1.FederationReport{
			Loss: &isthmusv1.JoinLoss{}, CertificateNames: []string{"server." + dc + ".consul", "*.server." + dc + ".consul", "localhost"},
		},
		Deliveries: []federation.Delivery{delivery(dc + "-a")},
	}
}

func enrolled(name, dc, kind string) *isthmusv1.Agent {
	return &isthmusv1.Agent{
		Name: name,
		Spec: &isthmusv1.AgentSpec{
			Datacenter: dc, Kind: kind, Attestation: &isthmusv1.Attestation{Agent: name, AgeRecipient: "age-" + name},
		},
		Status: &isthmusv1.AgentStatus{Trust: resource.TrustFleet, Liveness: resource.LivenessOnline},
	}
}

func inventory(dc string) *isthmusv1.InventoryReport {
	return &isthmusv1.InventoryReport{
		ConsulDatacenter: dc, ConsulVersion: "1.20.6", Servers: 1, Leader: "s1", ConsulDomain: "consul",
		AclEnabled: new(true), TlsEnabled: new(true), GossipEncrypted: new(true), ConnectEnabled: new(true),
		WanFederationEnabled: new(false), TrustDomain: dc + ".td",
	}
}

func delivery(agent string) federation.Delivery {
	return federation.Delivery{Agent: agent, Online: true, Report: &isthmusv1.DeliveryReport{
		Uid: "u1", AllowJoin: true, CanWrite: true, CanRestart: true,
		OwnCa: caOf("shared"), OwnCaSignature: []byte("by " + agent), Host: &isthmusv1.FederationHost{Agent: agent, Host: "host-" + agent, State: resource.DeliveryNone},
	}}
}

// step has the status of now.
func (w *world) step() *isthmusv1.FederationStatus {
	f := resource.Clone(w.f)
	f.Status = federation.Next(w, w.f, w.evidence(), w.now)
	w.f = f
	w.Put(f)
	return f.GetStatus()
}

// settle steps until nothing changes.
func (w *world) settle(t testing.TB) *isthmusv1.FederationStatus {
	t.Helper()
	for range 20 {
		before := w.f.GetStatus()
		if after := w.step(); after == before {
			return after
		}
	}
	t.Fatal("the status never comes to rest")
	return nil
}

func (w *world) evidence() federation.Evidence {
	return federation.Evidence{Of: func(dc string) federation.Seen { return w.seen[dc] }}
}

func (w *world) see(dc string, edit func(*federation.Seen)) {
	s := w.seen[dc]
	edit(&s)
	w.seen[dc] = s
}

func (w *world) member(dc string) *isthmusv1.FederationMember { return resource.MemberOf(w.f, dc) }

// ready has the primary run as one.
func (w *world) primaryRuns() {
	w.see("dc1", func(s *federation.Seen) { s.Inventory.WanFederationEnabled = new(true) })
}

// bundle stores the next bundle of a datacenter.
func (w *world) bundle(t testing.TB, dc string) {
	t.Helper()
	m := w.member(dc)
	next := m.GetBundle().GetGeneration() + 1
	var recipients []string
	for _, a := range resource.TrustedAgents(w, dc) {
		recipients = append(recipients, a.GetAttestation().GetAgeRecipient())
	}
	status, err := federation.Stored(w.f, federation.StoredBundle{
		Datacenter: dc, Generation: next, Previous: m.GetBundle().GetGeneration(), SecretDigest: dc + "-bundle", InputDigest: "i", Recipients: recipients, Agent: "dc1-a",
	}, w.now)
	if err != nil {
		t.Fatal(err)
	}
	w.f = resource.Clone(w.f)
	w.f.Status = status
	w.Put(w.f)
}

// apply has all hosts of a datacenter run with its bundle.
func (w *world) apply(dc string) {
	for i := range w.seen[dc].Deliveries {
		w.host(dc, i, func(h *isthmusv1.FederationHost) {
			n := w.member(dc).GetBundle().GetGeneration()
			h.State, h.Written, h.Applied, h.Reason, h.Message = resource.DeliveryApplied, n, n, "", ""
		})
	}
	w.see(dc, func(s *federation.Seen) {
		if s.Inventory == nil {
			s.Inventory = inventory(dc)
		}
		s.Inventory.PrimaryDatacenter, s.Inventory.WanFederationEnabled = "dc1", new(w.f.GetSpec().GetMode() == resource.ModeMeshGateway)
	})
}

func (w *world) host(dc string, i int, edit func(*isthmusv1.FederationHost)) {
	edit(w.seen[dc].Deliveries[i].Report.Host)
}

// reads has one datacenter's read of another.
func (w *world) reads(from, to string, ok bool, text string) {
	w.see(from, func(s *federation.Seen) {
		if s.Federation == nil {
			s.Federation = &isthmusv1.FederationReport{}
		}
		for _, read := range s.Federation.GetReads() {
			if read.GetDatacenter() == to {
				read.Ok, read.Error = ok, text
				return
			}
		}
		s.Federation.Reads = append(s.Federation.Reads, &isthmusv1.ObservedRead{Datacenter: to, Ok: ok, Error: text})
	})
}

// probes has one datacenter's probe of another's address.
func (w *world) probes(from, to, address string, reason string) {
	w.see(from, func(s *federation.Seen) {
		for _, p := range s.Federation.GetProbes() {
			if p.GetDatacenter() == to && p.GetAddress() == address {
				p.Ok, p.ErrorReason = reason == "", reason
				return
			}
		}
		s.Federation.Probes = append(s.Federation.Probes, &isthmusv1.ObservedProbe{Datacenter: to, Address: address, Ok: reason == "", ErrorReason: reason})
	})
}

// join brings a datacenter all the way.
func (w *world) join(t testing.TB, dc string) {
	t.Helper()
	w.primaryRuns()
	w.settle(t)
	w.bundle(t, dc)
	w.settle(t)
	w.apply(dc)
	w.settle(t)
	w.reads("dc1", dc, true, "")
	w.reads(dc, "dc1", true, "")
	w.settle(t)
	if m := w.member(dc); m.GetPhase() != resource.PhaseJoined {
		t.Fatalf("%s is %s (%s): %s", dc, m.GetPhase(), m.GetReason(), m.GetMessage())
	}
}

func (w *world) edit(change func(*isthmusv1.Federation)) {
	w.f = resource.Clone(w.f)
	change(w.f)
	w.Put(w.f)
}

// authority is the certificate of a CA, and the digest of its subject.
type authority struct{ text, subject string }

var cas = map[string]authority{"shared": newCA("shared"), "other": newCA("other")}

func newCA(name string) authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: noon(), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(c.RawSubject)
	return authority{string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), hex.EncodeToString(sum[:])}
}

func caOf(name string) string      { return cas[name].text }
func subjectOf(name string) string { return cas[name].subject }
