package agent_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/agent"
	"isthmus/agent/consul"
	"isthmus/demo/consulrun"
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/seal"
	"isthmus/test/consultest"
)

// pair is a primary dc1 and a datacenter dc2 with their agents, and a hub that does what the plan would.
type pair struct {
	t        *testing.T
	hub      *hub
	one, two *consultest.Cluster
	primary  *isthmusv1.FederationPrimary
	// first is dc1's agent, second is dc2's, or the first of them.
	first, second *running
	item          *isthmusv1.FederationSecondary
}

// newPair runs dc1 with its agent, and wants nothing yet.
func newPair(t *testing.T, two *consultest.Cluster, keyless bool) *pair {
	t.Helper()
	p := &pair{t: t, hub: newHub(t), one: wanConsul(t, "dc1", ""), two: two}
	rules, err := agent.Policy(agent.PurposePrimary)
	need(t, err)
	config := p.hub.config("dc1", settings(t, p.one.Env(p.one.MintToken("primary", rules))...))
	config.Federation = agent.FederationConfig{
		CACertFile: p.one.CAFile, CAKeyFile: p.one.CAKeyFile, ConfigDir: p.one.ConfigDir, ReloadCommand: p.one.ReloadCommand(), RestartCommand: p.one.RestartCommand(),
	}
	config.Log = p.logger("dc1")
	p.first = run(t, config)
	p.primary = &isthmusv1.FederationPrimary{Uid: "f1", Federation: "global", Mode: "traditional", RetryIntervalWan: "1s", Keyless: keyless}
	p.item = &isthmusv1.FederationSecondary{
		Uid: "f1", Federation: "global", Mode: "traditional", Keyless: keyless, Primary: "dc1", PrimaryConsulDatacenter: "dc1", Senders: p.hub.trusted("dc1"),
	}
	return p
}

// agentOf runs an agent of dc2 on the host of a server.
func (p *pair) agentOf(c *consultest.Cluster, token string) *running {
	p.t.Helper()
	config := p.hub.config("dc2", settings(p.t, c.Env(token)...))
	config.Federation = agent.FederationConfig{
		AllowJoin: []string{"dc1"}, ConfigDir: c.ConfigDir, ReloadCommand: c.ReloadCommand(), RestartCommand: c.RestartCommand(),
		GatewayTokenFile: filepath.Join(config.DataDir, "gateway-token"),
	}
	config.Log = p.logger("dc2")
	return run(p.t, config)
}

// logger is the test's, and makes sure of that no secret is in it.
func (p *pair) logger(name string) hclog.Logger {
	p.t.Helper()
	var seen lockedBuffer
	p.t.Cleanup(func() {
		text := seen.String()
		secrets := []string{p.one.GossipKey, p.one.ManagementToken, p.two.GossipKey, p.two.ManagementToken, "PRIVATE KEY"}
		for _, file := range []string{filepath.Join(p.two.ConfigDir, federation.FileDropIn), filepath.Join(p.two.ConfigDir, federation.FileKey)} {
			content, err := os.ReadFile(file)
			if err != nil {
				continue // it has left
			}
			for _, word := range strings.FieldsFunc(string(content), func(r rune) bool { return strings.ContainsRune("\",\n: ", r) }) {
				if len(word) >= 36 {
					secrets = append(secrets, word)
				}
			}
		}
		for _, secret := range secrets {
			if secret != "" && strings.Contains(text, secret) && !strings.Contains(secret, "/") {
				p.t.Errorf("the log of %s has a secret", name)
			}
		}
	})
	return hclog.New(&hclog.LoggerOptions{Name: name, Level: hclog.Trace, Output: io.MultiWriter(logWriter{p.t}, &seen)})
}

// lockedBuffer is a buffer for many writers.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// show gives both datacenters their items as they are now.
func (p *pair) show() {
	p.t.Helper()
	p.hub.want("dc1", &isthmusv1.DesiredItem{Id: "federation-primary/f1", Type: "federation-primary", FederationPrimary: p.primary})
	p.hub.want("dc2", &isthmusv1.DesiredItem{Id: "federation-secondary/f1", Type: "federation-secondary", FederationSecondary: p.item})
}

// bundle has dc1 make a bundle for dc2, and shows it to dc2.
func (p *pair) bundle() {
	p.t.Helper()
	before := p.item.GetGeneration()
	m := &isthmusv1.BundleMember{
		Datacenter: "dc2", ConsulDatacenter: "dc2", Ready: true, RetryJoinWan: []string{wanAddress(p.t, p.one)}, Recipients: p.hub.trusted("dc2"),
	}
	if len(p.primary.GetMembers()) > 0 {
		m.Bundle = p.primary.GetMembers()[0].GetBundle()
	}
	if p.primary.GetKeyless() {
		for _, id := range p.hub.trusted("dc2") {
			name := id.GetAttestation().GetAgent()
			eventually(p.t, "a request for a certificate", func() bool { return len(p.hub.reported(name).GetDelivery().GetHost().GetCsr()) > 0 })
			host := p.hub.reported(name).GetDelivery().GetHost()
			m.Requests = append(m.Requests, &isthmusv1.CertificateRequest{Agent: name, Csr: host.GetCsr(), Signature: host.GetCsrSignature()})
		}
	}
	p.primary.Members = []*isthmusv1.BundleMember{m}
	p.show()
	eventually(p.t, "a bundle is stored", func() bool { b := p.latest(); return b != nil && b.GetPayload().GetGeneration() > before })
	b := p.latest()
	m.Bundle = &isthmusv1.BundleEntry{
		Generation: b.GetPayload().GetGeneration(), SecretDigest: seal.Digest(b.GetPayload()), InputDigest: b.GetInputDigest(), Recipients: b.GetPayload().GetRecipients(),
		MakeTime: timestamppb.Now(), Certificates: b.GetCertificates(), CertificateExpireTime: b.GetCertificateExpireTime(),
	}
	p.item.SecretDigest, p.item.Generation = m.GetBundle().GetSecretDigest(), m.GetBundle().GetGeneration()
	p.show()
}

// vouched is the CA that an agent has shown and signed.
func (p *pair) vouched(r *running, datacenter string) *isthmusv1.TrustedCA {
	p.t.Helper()
	eventually(p.t, r.name+" vouches for its CA", func() bool { return len(p.hub.reported(r.name).GetDelivery().GetOwnCaSignature()) > 0 })
	d := p.hub.reported(r.name).GetDelivery()
	out := &isthmusv1.TrustedCA{Datacenter: datacenter, Certificates: d.GetOwnCa(), Signature: d.GetOwnCaSignature()}
	for _, t := range p.hub.trusted(datacenter) {
		if t.GetAttestation().GetAgent() == r.name {
			out.Agent = t
		}
	}
	return out
}

// trustInPrimary has dc1 trust dc2's CA, too.
func (p *pair) trustInPrimary() {
	p.t.Helper()
	p.primary.TrustedCas = []*isthmusv1.TrustedCA{p.vouched(p.second, "dc2")}
	p.show()
	p.comes(p.first, "applied", "")
	eventually(p.t, "dc1 trusts both CAs", func() bool { return len(p.host(p.first).GetTrustedCas()) == 2 })
}

func (p *pair) latest() *isthmusv1.StoreBundleRequest {
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	if n := len(p.hub.bundles); n > 0 {
		return p.hub.bundles[n-1]
	}
	return nil
}

// host is what an agent says of its host.
func (p *pair) host(r *running) *isthmusv1.FederationHost {
	return p.hub.reported(r.name).GetDelivery().GetHost()
}

// comes waits for a state, and for a reason in it.
func (p *pair) comes(r *running, state, reason string) {
	p.t.Helper()
	eventually(p.t, "the delivery of "+r.name+" is "+state+" "+reason, func() bool {
		h := p.host(r)
		return h.GetState() == state && h.GetReason() == reason
	})
}

// federated: each reads the other.
func (p *pair) federated() {
	p.t.Helper()
	here := mustClient(p.t, p.one, p.one.ManagementToken)
	there := p.inTwo()
	eventually(p.t, "dc1 reads dc2", func() bool { n, err := here.RemoteServices(p.t.Context(), "dc2"); return err == nil && n > 0 })
	eventually(p.t, "dc2 reads dc1", func() bool { n, err := there.RemoteServices(p.t.Context(), "dc1"); return err == nil && n > 0 })
}

// inTwo is dc2 with the primary's management token; its certificate is now of dc1's CA.
func (p *pair) inTwo() *consul.Client {
	p.t.Helper()
	s := settings(p.t, p.two.Env(p.one.ManagementToken)...)
	s.OwnCAFile = p.one.CAFile
	client, err := consul.New(s, hclog.NewNullLogger())
	need(p.t, err)
	return client
}

// root is the mesh's root of a datacenter; empty while there is none.
func (p *pair) root(c *consul.Client) string {
	root, err := c.MeshRoot(p.t.Context())
	if err != nil || root == nil {
		return ""
	}
	return string(root.Raw)
}

// A datacenter whose Consul has never run gets everything from its agent, and starts as a secondary.
func TestFreshSecondaryStartsFromItsBundle(t *testing.T) {
	t.Parallel()
	p := newPair(t, consultest.StartWith(t, consulrun.Options{Datacenter: "dc2", Prepared: true}), false)
	p.second = p.agentOf(p.two, "")
	p.show()
	p.comes(p.second, "none", "")
	if d := p.hub.reported(p.second.name).GetDelivery(); !d.GetAllowJoin() || !d.GetCanWrite() || !d.GetCanRestart() {
		t.Fatalf("reported %v", d)
	}
	p.item.Join, p.item.Fresh = true, true
	p.show()
	p.comes(p.second, "none", "NoBundle")
	p.bundle()
	p.comes(p.second, "applied", "")
	p.federated()
	if h := p.host(p.second); h.GetWritten() != 1 || h.GetApplied() != 1 {
		t.Fatalf("host %v", h)
	}
	eventually(t, "its agent works with the token of the bundle", func() bool {
		return p.hub.reported("dc2").GetInventory().GetPrimaryDatacenter() == "dc1"
	})
	eventually(t, "it is seen whom its server trusts, and how long it is trusted", func() bool {
		h := p.host(p.second)
		return len(h.GetTrustedCas()) == 1 && h.GetCertificateExpireTime() != nil
	})
	for _, name := range []string{federation.FileDropIn, federation.FileCA, federation.FileCert, federation.FileKey} {
		info, err := os.Stat(filepath.Join(p.two.ConfigDir, name))
		need(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
	token, err := os.ReadFile(filepath.Join(p.second.config.DataDir, "gateway-token"))
	if err != nil || len(token) == 0 {
		t.Errorf("the gateway's token: %v", err)
	}
	// Without the hub, and started anew, nothing changes and nothing is restarted.
	p.second.stop()
	p.hub.stop()
	again := run(t, p.second.config)
	again.stop()
	need(t, p.two.Call(t.Context(), http.MethodGet, "/v1/status/leader", nil, nil))
}

// A running datacenter with data of its own joins when exactly what it loses was accepted, and leaves.
func TestRunningDatacenterJoinsAndLeaves(t *testing.T) {
	t.Parallel()
	p := newPair(t, wanConsul(t, "dc2", ""), true) // another CA, another gossip key
	rules, err := agent.Policy(agent.PurposeSecondary)
	need(t, err)
	p.two.MintToken("human", `key_prefix "" { policy = "read" }`)
	for _, entry := range []map[string]any{
		{"Kind": "service-defaults", "Name": "web", "Protocol": "http"},
		{"Kind": "service-intentions", "Name": "web", "Sources": []any{map[string]any{"Name": "api", "Action": "allow"}}},
		{"Kind": "exported-services", "Name": "default", "Services": []any{map[string]any{"Name": "web", "Consumers": []any{map[string]any{"Peer": "east"}}}}},
	} {
		p.two.Do(http.MethodPut, "/v1/config", entry, nil)
	}
	p.second = p.agentOf(p.two, p.two.MintToken("isthmus", rules))
	own := func() string { return p.hub.reported(p.second.name).GetDelivery().GetOwnCa() }
	p.show()
	eventually(t, "its own CA is known", func() bool { return own() != "" })
	eventually(t, "what it would lose is known", func() bool { return p.hub.reported("dc2").GetFederation().GetLoss().GetCount() > 0 })
	kinds := map[string]int{}
	loss := p.hub.reported("dc2").GetFederation().GetLoss()
	for _, item := range loss.GetItems() {
		kinds[item.GetKind()]++
	}
	for kind, count := range map[string]int{"policy": 2, "token": 3, "config-entry": 1, "intention": 1, "export": 1, "mesh-ca": 1, "gossip-key": 1} {
		if kinds[kind] != count {
			t.Errorf("%d of kind %s are lost, want %d: %v", kinds[kind], kind, count, loss.GetItems())
		}
	}
	if loss.GetDigest() != federation.LossDigest(loss.GetItems()) || int(loss.GetCount()) != len(loss.GetItems()) {
		t.Errorf("digest %s of %d", loss.GetDigest(), loss.GetCount())
	}

	// First both trust both.
	one, err := os.ReadFile(p.one.CAFile)
	need(t, err)
	p.item.TrustedCas = []*isthmusv1.TrustedCA{p.vouched(p.first, "dc1")}
	p.show()
	eventually(t, "dc2 trusts both CAs, without a restart", func() bool { return len(p.host(p.second).GetTrustedCas()) == 2 })
	if h := p.host(p.second); h.GetState() != "applied" || h.GetApplied() != 0 {
		t.Fatalf("host %v", h)
	}

	// dc1 would, too; here it joins with what dc1's agent makes.
	p.item.Join = true
	p.bundle()
	p.comes(p.second, "refused", "LossNotAccepted")
	p.item.AcceptedDigest = federation.PlanDigest("f1", "dc2", federation.ActionJoin, "another")
	p.show()
	p.comes(p.second, "refused", "LossNotAccepted")
	p.trustInPrimary()
	p.item.AcceptedDigest = federation.PlanDigest("f1", "dc2", federation.ActionJoin, loss.GetDigest())
	p.show()
	p.comes(p.second, "applied", "")
	p.federated()
	eventually(t, "its agent works with the token of the bundle", func() bool {
		return p.hub.reported("dc2").GetInventory().GetPrimaryDatacenter() == "dc1" && p.hub.reported("dc2").GetFederation().GetLoss().GetDigest() == ""
	})
	if d := p.hub.reported(p.second.name).GetDelivery(); d.GetOwnCa() != string(one) {
		t.Error("its CA is not the primary's")
	}

	// And back.
	in1, in2 := mustClient(t, p.one, p.one.ManagementToken), p.inTwo()
	eventually(t, "the mesh is dc1's", func() bool { return p.root(in2) == p.root(in1) })
	p.item.Delete = true
	p.show()
	p.comes(p.second, "removed", "")
	eventually(t, "it is a datacenter of its own", func() bool {
		self, err := in2.Self(t.Context())
		return err == nil && !self.Secondary() && p.hub.reported("dc2").GetInventory().GetPrimaryDatacenter() == "dc2"
	})
	if root := p.root(in2); root == "" || root == p.root(in1) {
		t.Error("it has no mesh CA of its own")
	}
}
