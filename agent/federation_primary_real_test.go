package agent_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"isthmus/agent"
	"isthmus/agent/consul"
	"isthmus/demo/consulrun"
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/test/consultest"
)

// joinedBy writes a bundle where a prepared Consul reads it, as an agent there would, and starts it.
func joinedBy(t *testing.T, c *consultest.Cluster, b *federation.Bundle, certificate, key []byte) {
	t.Helper()
	file := func(name string) string { return filepath.Join(c.ConfigDir, name) }
	files := federation.TLSFiles{CA: file(federation.FileCA), Cert: file(federation.FileCert), Key: file(federation.FileKey)}
	dropIn, err := b.SecondaryDropIn(files)
	need(t, err)
	for name, content := range map[string][]byte{
		files.CA: []byte(b.CABundle()), files.Cert: certificate, files.Key: key, file(federation.FileDropIn): dropIn,
	} {
		need(t, os.WriteFile(name, content, 0o600))
	}
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", c.RestartCommand()).CombinedOutput(); err != nil {
		t.Fatalf("restart: %v: %s", err, out)
	}
}

// What is in a bundle is enough to make a real Consul a secondary, and each of its tokens for its work and for no more.
func TestBundleMakesARealSecondary(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	one := wanConsul(t, "dc1", "")
	one.Register("web")
	two := consultest.StartWith(t, consulrun.Options{Datacenter: "dc2", Prepared: true})
	p := asDocumented(t, one)
	p.agent.Allow(agent.FederationConfig{CACertFile: one.CAFile, CAKeyFile: one.CAKeyFile})
	p.item.Mode, p.item.Keyless = "traditional", true
	agent2 := p.enrolled("dc2")
	key, asked := keyAndCSR(t)
	m := p.add("dc2", agent2)
	m.PrimaryGateways, m.RetryJoinWan = nil, []string{wanAddress(t, one)}
	m.Requests = []*isthmusv1.CertificateRequest{request(agent2, "f1", "dc2", asked)}
	b := p.open(p.makes("a bundle", "dc2"), agent2.Opener())
	joinedBy(t, two, b, []byte(b.Certificates[agent2.Agent()]), key)

	there := mustClient(t, two, b.Tokens.Isthmus)
	eventually(t, "dc2 reads dc1's catalog with its isthmus token", func() bool {
		n, err := there.RemoteServices(ctx, "dc1")
		return err == nil && n == 2 // consul and web
	})
	here := mustClient(t, one, one.ManagementToken)
	eventually(t, "dc1 reads dc2's catalog", func() bool { n, err := here.RemoteServices(ctx, "dc2"); return err == nil && n > 0 })
	eventually(t, "ACLs are replicated", func() bool {
		r, err := there.Replication(ctx)
		return err == nil && r.Running && r.Healthy && r.Source == "dc1"
	})
	self, err := there.Self(ctx)
	need(t, err)
	if !self.Secondary() || self.PrimaryDatacenter != "dc1" || self.DefaultPolicy != "deny" {
		t.Fatalf("dc2 is not a secondary: %+v", self)
	}

	// The isthmus agent's token does an agent's work in dc2, and may but read catalogs in dc1: nor can it write the primary's entries through dc2.
	need(t, there.CheckReads(ctx))
	if _, err := there.ACLInventory(ctx); err != nil {
		t.Error(err)
	}
	if _, err := there.Keyring(ctx, true); err != nil {
		t.Error(err)
	}
	if _, _, err := there.Peerings(ctx, consul.Query{}); err != nil {
		t.Error(err)
	}
	if _, err := mustClient(t, one, b.Tokens.Isthmus).Keyring(ctx, true); consul.ReasonOf(err) != consul.RuleMissing {
		t.Errorf("the secondary's token reads the primary's keyring: %v", err)
	}
	entry := consul.Entry{Kind: consul.KindMesh, Name: consul.NameMesh, Body: map[string]any{"Meta": map[string]any{"a": "b"}}}
	if err := there.PutEntry(ctx, entry); consul.ReasonOf(err) != consul.RuleMissing {
		t.Errorf("the secondary's token writes the primary's config entries: %v", err)
	}
	for name, secret := range map[string]string{"consul-agent": b.Tokens.Agent, "gateway": b.Tokens.Gateway} {
		if err := mustClient(t, one, secret).CheckReads(ctx); err == nil {
			t.Errorf("the %s token reads the primary's catalog", name)
		}
	}
	// The Consul agent's token registers its server, and nothing is denied to it.
	var nodes []struct{ Node string }
	eventually(t, "dc2's server is in the catalog", func() bool {
		return one.Call(ctx, http.MethodGet, "/v1/catalog/service/consul?dc=dc2", nil, &nodes) == nil && len(nodes) == 1
	})
	log, err := os.ReadFile(two.LogFile)
	need(t, err)
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "lacks permission") && !strings.Contains(line, "ConfigEntry.Apply") && !strings.Contains(line, "/v1/config") { // those were this test's
			t.Errorf("Consul of dc2: %s", line)
		}
	}
	// It leaves: nothing that it was given opens anything in the primary any more. (Its own Consul keeps what was replicated last.)
	m.Revoke, m.Ready = true, false
	p.refuses("StillInWANGossip", "dc2")
	for _, secret := range []string{b.Tokens.Replication, b.Tokens.Agent, b.Tokens.Isthmus, b.Tokens.Gateway} {
		if p.policiesOf(secret) != nil {
			t.Error("a revoked token is alive")
		}
	}
	eventually(t, "replication is over", func() bool { r, err := there.Replication(ctx); return err == nil && !r.Healthy })
	need(t, two.Stop())
	eventually(t, "its server failed", func() bool { return p.statusOf("dc2") != "alive" })
	eventually(t, "the WAN gossip is clean", func() bool { return p.later(time.Minute)[0].GetRevoked() && p.statusOf("dc2") == "" })
}

// keyAndCSR is a server's key (PEM), and its request for a certificate.
func keyAndCSR(t *testing.T) (key, request []byte) {
	t.Helper()
	made, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	need(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(made)
	need(t, err)
	request, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, made)
	need(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), request
}
