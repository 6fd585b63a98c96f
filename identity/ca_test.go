package identity_test

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"isthmus/identity"
)

const window = 90 * 24 * time.Hour

func newCA(tb testing.TB) *identity.CA {
	tb.Helper()
	ca, err := identity.NewCA(noon)
	if err != nil {
		tb.Fatal(err)
	}
	return ca
}

// enrolled is an agent with keys in a directory and a certificate from the CA.
func enrolled(tb testing.TB, ca *identity.CA) (dir string, i *identity.Identity, c identity.Credential) {
	tb.Helper()
	token, err := identity.MintJoinToken(fleetKey(tb), identity.MintOptions{
		Datacenter: "dc1", Address: "127.0.0.1:8701", CAFingerprint: ca.Fingerprint(),
	}, noon)
	if err != nil {
		tb.Fatal(err)
	}
	dir, i = tb.TempDir(), newIdentity(tb, token)
	if err := i.Save(dir); err != nil {
		tb.Fatal(err)
	}
	c, err = i.Accept(dir, issue(tb, ca, i, i.Agent(), noon), string(ca.CertificatePEM()))
	if err != nil {
		tb.Fatal(err)
	}
	return dir, i, c
}

func issue(tb testing.TB, ca *identity.CA, i *identity.Identity, name string, now time.Time) string {
	tb.Helper()
	return issueAs(tb, ca, i, identity.AgentName{Name: name, Datacenter: i.Datacenter(), Kind: identity.KindAgent}, now)
}

func issueAs(tb testing.TB, ca *identity.CA, i *identity.Identity, who identity.AgentName, now time.Time) string {
	tb.Helper()
	csr, err := i.CSR()
	if err != nil {
		tb.Fatal(err)
	}
	issued, err := ca.Issue(csr, who, now)
	if err != nil {
		tb.Fatal(err)
	}
	return issued.PEM
}

func TestIdentitySurvivesARestart(t *testing.T) {
	t.Parallel()
	dir, i, c := enrolled(t, newCA(t))
	again, err := identity.LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	if again.Agent() != i.Agent() || !again.Signer().Equal(i.Signer()) || again.Opener().String() != i.Opener().String() ||
		!again.FleetKey().Equal(i.FleetKey()) {
		t.Error("the identity on disk is another one")
	}
	kept, err := again.LoadCredential(dir)
	if err != nil || kept.Leaf().SerialNumber.Cmp(c.Leaf().SerialNumber) != 0 {
		t.Errorf("the certificate on disk is another one: %v", err)
	}
	if err := i.Save(dir); err == nil {
		t.Error("an identity must not be overwritten")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode of %s is %v (%v), want 0600", entry.Name(), info.Mode(), err)
		}
	}
}

func TestLostOrDamagedFiles(t *testing.T) {
	t.Parallel()
	dir, i, _ := enrolled(t, newCA(t))
	if _, err := identity.LoadIdentity(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "certificate.pem"), []byte("half a cert"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := i.LoadCredential(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a damaged certificate must be as good as none, so that the agent enrols again: %v", err)
	}
	secret := i.Opener().String()
	for _, content := range []string{"", "{}", `{"version":1,"ageKey":"` + secret + `x"}`} {
		if err := os.WriteFile(filepath.Join(dir, "identity.json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := identity.LoadIdentity(dir); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v, want it refused without showing a key", content, err)
		}
	}
}

// A server whose listener has a certificate of somebody else's still issues agents' certificates with its own CA.
func TestAcceptTakesAnotherCAThanTheListeners(t *testing.T) {
	t.Parallel()
	dir, i, _ := enrolled(t, newCA(t))
	own := newCA(t)
	if _, err := i.Accept(dir, issue(t, own, i, i.Agent(), noon), string(own.CertificatePEM())); err != nil {
		t.Error(err)
	}
}

func TestAcceptRefusesWhatIsNotTheAgents(t *testing.T) {
	t.Parallel()
	ca, other := newCA(t), newCA(t)
	dir, i, _ := enrolled(t, ca)
	_, stranger, _ := enrolled(t, ca)
	own := string(ca.CertificatePEM())
	for name, answer := range map[string][2]string{
		"another issuer": {issue(t, other, i, i.Agent(), noon), own},
		"another key":    {issue(t, ca, stranger, i.Agent(), noon), own},
		"another agent":  {issue(t, ca, i, "dc1-other", noon), own},
		"a gateway":      {issueAs(t, ca, i, identity.AgentName{Name: i.Agent(), Datacenter: "dc1", Kind: identity.KindGateway}, noon), own},
		"elsewhere":      {issueAs(t, ca, i, identity.AgentName{Name: i.Agent(), Datacenter: "dc2", Kind: identity.KindAgent}, noon), own},
		"no certificate": {"", own},
		"no CA":          {issue(t, ca, i, i.Agent(), noon), ""},
	} {
		if _, err := i.Accept(dir, answer[0], answer[1]); reason(err) != identity.ReasonUnknownServer {
			t.Errorf("%s: %v, want it refused", name, err)
		}
	}
}

// No outage of the control plane up to 90 days locks the fleet out.
func TestClientCertificatesOverTime(t *testing.T) {
	t.Parallel()
	ca := newCA(t)
	_, i, c := enrolled(t, ca)
	if got := c.RenewTime(); got.Before(noon.Add(15*time.Hour)) || got.After(noon.Add(16*time.Hour)) {
		t.Errorf("to be renewed at %s, want at two thirds of 24 hours", got)
	}
	who, err := identity.VerifyClient(c.Leaf(), ca.Pool())
	if err != nil {
		t.Fatal(err)
	}
	if (who.AgentName != identity.AgentName{Name: i.Agent(), Datacenter: "dc1", Kind: "agent"}) || !who.Key.Equal(c.Leaf().PublicKey) {
		t.Errorf("it names %+v", who)
	}
	for _, tt := range []struct {
		name    string
		after   time.Duration
		expired bool
		want    string
	}{
		{"at once", 0, false, ""},
		{"a day less a minute", 24*time.Hour - time.Minute, false, ""},
		{"25 hours", 25 * time.Hour, true, ""},
		{"89 days", 89 * 24 * time.Hour, true, ""},
		{"91 days less a second", 91*24*time.Hour - time.Second, true, ""},
		{"91 days", 91 * 24 * time.Hour, true, identity.ReasonCertificateTooOld},
		{"an hour before", -time.Hour, false, identity.ReasonBadCertificate},
	} {
		expired, err := who.At(noon.Add(tt.after), window)
		if expired != tt.expired || reason(err) != tt.want {
			t.Errorf("%s: expired %v, %v; want %v, %q", tt.name, expired, err, tt.expired, tt.want)
		}
	}
	if _, err := identity.VerifyClient(c.Leaf(), newCA(t).Pool()); reason(err) != identity.ReasonBadCertificate {
		t.Errorf("another server's certificate: %v", err)
	}
	server, err := ca.ServerCertificate([]string{"localhost"}, noon)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := identity.VerifyClient(server.Leaf, ca.Pool()); err == nil {
		t.Error("the server's own certificate must not pass for an agent's")
	}
}

func TestAgentsKnowTheirServerByItsPin(t *testing.T) {
	t.Parallel()
	ca, other := newCA(t), newCA(t)
	handshake := func(t *testing.T, server *identity.CA, pin, name string) error {
		t.Helper()
		certificate, err := server.ServerCertificate([]string{"isthmus.example", "127.0.0.1"}, noon)
		if err != nil {
			t.Fatal(err)
		}
		near, far := net.Pipe()
		done := make(chan error, 1)
		go func() {
			s := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13})
			done <- errors.Join(s.HandshakeContext(t.Context()), far.Close())
		}()
		c := tls.Client(near, identity.PinnedTLS(pin, name, func() time.Time { return noon }))
		err = c.HandshakeContext(t.Context())
		_ = near.Close()
		if err := <-done; err != nil {
			t.Log("the server's side:", err)
		}
		return err
	}
	if err := handshake(t, ca, ca.Fingerprint(), "isthmus.example"); err != nil {
		t.Errorf("the pinned server: %v", err)
	}
	if err := handshake(t, ca, ca.Fingerprint(), "127.0.0.1"); err != nil {
		t.Errorf("the pinned server by its address: %v", err)
	}
	if err := handshake(t, other, ca.Fingerprint(), "isthmus.example"); reason(err) != identity.ReasonUnknownServer {
		t.Errorf("somebody in between: %v", err)
	}
	if err := handshake(t, ca, ca.Fingerprint(), "elsewhere.example"); reason(err) != identity.ReasonUnknownServer {
		t.Errorf("another name: %v", err)
	}
}

func TestCASurvivesARestart(t *testing.T) {
	t.Parallel()
	ca := newCA(t)
	key, err := ca.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := identity.ParseCA(ca.CertificatePEM(), key)
	if err != nil || again.Fingerprint() != ca.Fingerprint() {
		t.Errorf("read back: %v", err)
	}
}

func TestServerKey(t *testing.T) {
	t.Parallel()
	k, err := identity.NewServerKey()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "server.key")
	if err := k.Save(path); err != nil {
		t.Fatal(err)
	}
	loaded, err := identity.LoadServerKey(path)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := k.Seal("ca", []byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := loaded.Open("ca", sealed); err != nil || string(plain) != "key" {
		t.Errorf("opened %q, %v", plain, err)
	}
	other, err := identity.NewServerKey()
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func() ([]byte, error){
		"another key":   func() ([]byte, error) { return other.Open("ca", sealed) },
		"another label": func() ([]byte, error) { return k.Open("session", sealed) },
		"changed":       func() ([]byte, error) { return k.Open("ca", append([]byte(nil), sealed[:len(sealed)-1]...)) },
		"empty":         func() ([]byte, error) { return k.Open("ca", nil) },
	} {
		if _, err := open(); reason(err) != identity.ReasonWrongKey {
			t.Errorf("%s: %v, want it refused", name, err)
		}
	}
}

func TestAPISecrets(t *testing.T) {
	t.Parallel()
	secret, hash, err := identity.NewAPISecret("ci-bot")
	if err != nil {
		t.Fatal(err)
	}
	name, again, err := identity.ParseAPISecret(secret)
	if err != nil || name != "ci-bot" || !identity.SameHash(hash, again) {
		t.Errorf("parsed %q, %v", name, err)
	}
	other, _, err := identity.NewAPISecret("ci-bot")
	if err != nil {
		t.Fatal(err)
	}
	if _, wrong, err := identity.ParseAPISecret(other); err != nil || identity.SameHash(hash, wrong) {
		t.Errorf("another secret of the same name passes: %v", err)
	}
	for _, bad := range []string{"", "isthmus_", "isthmus_ci-bot", "isthmus_CI_" + strings.Repeat("a", 43), secret[:len(secret)-1], secret + "x"} {
		if _, _, err := identity.ParseAPISecret(bad); err == nil || (bad != "" && strings.Contains(err.Error(), bad[8:]) && len(bad) > 20) {
			t.Errorf("%d characters: %v, want it refused without showing it", len(bad), err)
		}
	}
	if identity.SameHash(nil, nil) {
		t.Error("no hash must match nothing")
	}
}
