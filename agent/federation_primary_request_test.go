package agent_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/seal"
	"isthmus/test/consultest"
)

// csr is a certificate request that asks for more than anybody gets.
func csr(t *testing.T, names ...string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	need(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "server.dc1.consul"}, DNSNames: names, IPAddresses: []net.IP{net.IPv4(10, 0, 0, 10)},
	}, key)
	need(t, err)
	return der
}

func request(id *identity.Identity, uid, datacenter string, der []byte) *isthmusv1.CertificateRequest {
	return &isthmusv1.CertificateRequest{Agent: id.Agent(), Csr: der, Signature: identity.SignServerCSR(id.Signer(), uid, id.Agent(), datacenter, datacenter, der)}
}

func TestKeylessIssuesForThatDatacenterAlone(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc1")
	p := asDocumented(t, c)
	p.item.Keyless = true
	first, second := p.enrolled("dc2"), p.enrolled("dc2")
	m := p.add("dc2", first, second)
	p.refuses("NoCertificateRequest", "asked")
	asked := csr(t, "server.dc1.consul", "s1.server.dc1.consul", "*.evil.example", "server.dc2.consul")
	m.Requests = []*isthmusv1.CertificateRequest{request(first, "f1", "dc2", asked)}
	r := p.makes("certificates", "dc2")
	b := p.open(r, first.Opener())
	if b.CAKey != "" || len(b.Certificates) != 1 || !slices.Equal(r.GetCertificates(), []string{first.Agent()}) {
		t.Fatalf("certificates for %v", r.GetCertificates())
	}
	if strings.Contains(encoded(t, b), "PRIVATE KEY") {
		t.Fatal("a private key left the primary")
	}
	leaf := p.checkCertificate(b.Certificates[first.Agent()], asked, p.ca)
	if end := r.GetCertificateExpireTime().AsTime(); !end.Equal(leaf.NotAfter) || end.Sub(p.clock) > 30*24*time.Hour || end.Sub(p.clock) < 29*24*time.Hour {
		t.Fatalf("it ends at %v", end)
	}
	p.rests("the same request")

	// Another agent's key brings another bundle; false ones do not hold up the true ones.
	m.Requests = append(m.Requests, request(second, "f1", "dc2", csr(t)))
	if r := p.makes("a second agent", "dc2"); len(r.GetCertificates()) != 2 {
		t.Fatalf("certificates for %v", r.GetCertificates())
	}
	fake := request(second, "f1", "dc2", csr(t))
	fake.Agent = first.Agent()
	m.Requests[0] = fake
	before := len(p.stored)
	observed := p.later(20 * time.Second)
	if observed[0].GetErrorReason() != "CertificateRequestRefused" || !strings.Contains(observed[0].GetError(), first.Agent()) {
		t.Fatalf("a request that another agent signed: %v", observed)
	}
	if len(p.stored) != before+1 || !slices.Equal(p.stored[before].GetCertificates(), []string{second.Agent()}) {
		t.Fatal("the other agent got none")
	}
	// Two thirds of their time later there are new ones.
	m.Requests = m.GetRequests()[1:]
	p.clock = p.clock.Add(19 * 24 * time.Hour)
	p.rests("19 days later")
	p.clock = p.clock.Add(24 * time.Hour)
	renewed := p.makes("renewal", "dc2")
	if !renewed.GetCertificateExpireTime().AsTime().After(leaf.NotAfter) {
		t.Fatal("the new certificate ends no later")
	}
	// A CA that ends before certificates would does not make new ones all the time.
	short := newServerCA(t, p.clock, 6*24*time.Hour, nil)
	p.agent.Allow(short.config())
	if r := p.makes("a CA that ends soon", "dc2"); r.GetCertificateExpireTime().AsTime().After(short.certificate.NotAfter) {
		t.Fatal("a certificate outlives its CA")
	}
	p.clock = p.clock.Add(5 * 24 * time.Hour)
	p.rests("nothing later is to be had")
}

// checkCertificate wants a certificate for the key of a request, and for exactly the names of dc2's servers.
func (p *primary) checkCertificate(chain string, asked []byte, ca *serverCA) *x509.Certificate {
	p.t.Helper()
	block, rest := pem.Decode([]byte(chain))
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		p.t.Fatal("it is not one certificate")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	need(p.t, err)
	wanted, err := x509.ParseCertificateRequest(asked)
	need(p.t, err)
	if !leaf.PublicKey.(*ecdsa.PublicKey).Equal(wanted.PublicKey) { //nolint:forcetypeassert // the request's is one
		p.t.Fatal("it is for another key")
	}
	if want := []string{"server.dc2.consul", "*.server.dc2.consul", "localhost"}; !slices.Equal(leaf.DNSNames, want) || len(leaf.IPAddresses) != 1 || !leaf.IPAddresses[0].IsLoopback() || leaf.Subject.CommonName != want[0] || leaf.IsCA {
		p.t.Fatalf("names %v, addresses %v, subject %v", leaf.DNSNames, leaf.IPAddresses, leaf.Subject)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.certificate)
	for name, ok := range map[string]bool{
		"server.dc2.consul": true, "s1.server.dc2.consul": true, "localhost": true, "127.0.0.1": true,
		"server.dc1.consul": false, "s1.server.dc1.consul": false, "a.evil.example": false, "10.0.0.10": false, "a.b.server.dc2.consul": false,
	} {
		for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, KeyUsages: []x509.ExtKeyUsage{use}, CurrentTime: p.clock})
			if (err == nil) != ok {
				p.t.Fatalf("%s as %v: %v", name, use, err)
			}
		}
	}
	return leaf
}

func TestRequestsForCertificatesThatAreRefused(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc1")
	p := asDocumented(t, c)
	p.item.Keyless = true
	mine, theirs := p.enrolled("dc2"), p.enrolled("dc3")
	m := p.add("dc2", mine)
	foreign, err := identity.NewFleetKey()
	need(t, err)
	stranger := enrolledBy(t, foreign, "dc2")
	m.Recipients = append(m.Recipients, trustedOf(theirs, stranger)...)
	broken, der := csr(t), csr(t)
	broken[len(broken)-1] ^= 1
	for name, r := range map[string]*isthmusv1.CertificateRequest{
		"of another datacenter's agent":        request(theirs, "f1", "dc2", csr(t)),
		"of another fleet's agent":             request(stranger, "f1", "dc2", csr(t)),
		"signed for another federation":        request(mine, "f2", "dc2", csr(t)),
		"signed for another datacenter":        request(mine, "f1", "dc3", csr(t)),
		"changed after it was signed":          {Agent: mine.Agent(), Csr: csr(t), Signature: identity.SignServerCSR(mine.Signer(), "f1", mine.Agent(), "dc2", "dc2", csr(t))},
		"signed for another Consul datacenter": {Agent: mine.Agent(), Csr: der, Signature: identity.SignServerCSR(mine.Signer(), "f1", mine.Agent(), "dc2", "dc3", der)},
		"without a signature":                  {Agent: mine.Agent(), Csr: csr(t)},
		"without proof of possession":          request(mine, "f1", "dc2", broken),
		"no certificate request at all":        request(mine, "f1", "dc2", []byte("x")),
		"of an agent that nobody names":        request(p.enrolled("dc2"), "f1", "dc2", csr(t)),
		"with a key that is too short":         request(mine, "f1", "dc2", weakCSR(t)),
		"signed by a gateway of the same":      request(mine, "f1", "", csr(t)),
	} {
		m.Requests = []*isthmusv1.CertificateRequest{r}
		before := len(p.stored)
		if got := p.later(time.Minute); len(p.stored) != before || got[0].GetErrorReason() != "CertificateRequestRefused" {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestBundleByHand(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc1")
	p := asDocumented(t, c)
	m := p.add("dc2")
	m.Ready = false // nobody there says anything
	person, err := age.GenerateX25519Identity()
	need(t, err)
	ask := func(datacenter string) *isthmusv1.BundleRequest {
		return &isthmusv1.BundleRequest{Datacenter: datacenter, Recipient: person.Recipient().String(), CreateTime: timestamppb.New(p.clock), RequestedBy: "ann"}
	}
	signed := ask("dc2")
	identity.SignRecipient(p.fleet, "f1", signed, p.clock)
	foreign, err := identity.NewFleetKey()
	need(t, err)
	byForeign := ask("dc2")
	identity.SignRecipient(foreign, "f1", byForeign, p.clock)
	elsewhere := ask("dc2")
	identity.SignRecipient(p.fleet, "f2", elsewhere, p.clock)
	swapped := ask("dc2")
	identity.SignRecipient(p.fleet, "f1", swapped, p.clock)
	thief, err := age.GenerateX25519Identity()
	need(t, err)
	swapped.Recipient = thief.Recipient().String()
	old := ask("dc2")
	identity.SignRecipient(p.fleet, "f1", old, p.clock.Add(-2*time.Hour))
	for name, r := range map[string]*isthmusv1.BundleRequest{
		"unsigned": ask("dc2"), "by another fleet": byForeign, "for another federation": elsewhere, "for another recipient": swapped, "too old": old,
	} {
		p.item.Requests = []*isthmusv1.BundleRequest{r}
		observed := p.later(time.Minute)
		if got := observed[1]; got.GetErrorReason() != "RecipientNotAllowed" || got.GetRecipient() != r.GetRecipient() || len(p.stored) != 0 {
			t.Fatalf("%s: %v", name, observed)
		}
	}
	nobody := ask("dc9")
	identity.SignRecipient(p.fleet, "f1", nobody, p.clock)
	p.item.Requests = []*isthmusv1.BundleRequest{nobody}
	p.refuses("NoMember", "dc9")

	p.item.Requests = []*isthmusv1.BundleRequest{signed}
	r := p.makes("with the fleet key", "dc2")
	if r.GetRecipient() != signed.GetRecipient() || !slices.Equal(r.GetPayload().GetRecipients(), []string{signed.GetRecipient()}) {
		t.Fatalf("sealed to %v", r.GetPayload().GetRecipients())
	}
	b := p.open(r, person)
	if b.CAKey == "" || b.Tokens.Replication == "" || b.GossipKey != c.GossipKey {
		t.Fatal("something is missing in it")
	}
	p.rests("it is made")
	signed.SecretDigest = seal.Digest(r.GetPayload())
	p.rests("and shown")

	// A flag of the primary's own agent allows it as well.
	config := p.ca.config()
	config.AllowedRecipients = []string{person.Recipient().String()}
	p.agent.Allow(config)
	p.clock = p.clock.Add(time.Second)
	p.item.Requests = []*isthmusv1.BundleRequest{ask("dc2")}
	p.makes("with the flag", "dc2")
}

// weakCSR is signed with a key that is too short.
func weakCSR(t *testing.T) []byte {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	need(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	need(t, err)
	return der
}
