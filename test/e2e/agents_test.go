package e2e_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"isthmus/client"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// leading is the name of the agent that leads in a datacenter; empty while none does.
func (f *Fleet) leading(d *Datacenter) string {
	f.t.Helper()
	agents, err := client.AllOf[*isthmusv1.Agent](f.t.Context(), f.Client)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, a := range agents {
		if a.GetSpec().GetDatacenter() == d.Cluster.Datacenter && a.GetStatus().GetLeader() {
			return a.GetName()
		}
	}
	return ""
}

func (f *Fleet) leaderOf(d *Datacenter) *Agent {
	f.t.Helper()
	var leader *Agent
	f.Eventually("an agent of "+d.Cluster.Datacenter+" leads", func() error {
		name := f.leading(d)
		for _, a := range d.Agents {
			if a.Name() == name {
				leader = a
				return nil
			}
		}
		return fmt.Errorf("%q leads", name)
	})
	return leader
}

// What an agent that is not let in says, and with which code it ends.
func TestRefusedAgents(t *testing.T) {
	f := NewFleet(t, 1)
	dc1 := f.Bare("dc1")
	token := func(args ...string) string {
		return strings.TrimSpace(f.Must(append([]string{"join-token", "create", "--fleet-key", f.path("fleet.key")}, args...)...))
	}
	fresh := func(name, token string, more ...string) *process {
		args := append([]string{"agent", "--data-dir", f.path(name)}, more...)
		return launch(t, name, f.path(name+".log"), append(dc1.Env(dc1.token), "ISTHMUS_JOIN_TOKEN="+token), args...)
	}
	once := token("--datacenter", "dc1")
	first := fresh("first", once)
	f.Eventually("the first one is in", func() error {
		_, err := identity.LoadIdentity(f.path("first"))
		if err == nil {
			_, err = os.Stat(f.path("first", "certificate.pem"))
		}
		return err
	})
	short := token("--datacenter", "dc1", "--ttl", "1s")
	parsed, err := identity.ParseJoinToken(short)
	if err != nil {
		t.Fatal(err)
	}
	f.Eventually("the short token has expired", func() error {
		if !parsed.Expired(time.Now()) {
			return fmt.Errorf("it is good until %s", parsed.Grant.GetExpireTime().AsTime())
		}
		return nil
	})
	other, err := identity.NewFleetKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		agent *process
		code  int
		says  string
	}{
		{"used up", fresh("used", once), 12, "used up"},
		{"expired", fresh("expired", short), 11, "expired"},
		{"tampered", fresh("tampered", once[:len(once)-5]), 13, "cut off"},
		{"not a token", fresh("nonsense", "hello"), 13, "not a join token"},
		{"none", fresh("none", ""), 1, "join token"},
		{"another fleet", fresh("foreign", token("--datacenter", "dc1"), "--fleet-id", other.ID()), 15, other.ID()},
		{
			"nobody there", fresh("lost", token("--datacenter", "dc1", "--grpc-address", "127.0.0.1:1"), "--enrol-timeout", "1s"),
			14, "127.0.0.1:1",
		},
	} {
		if code := tt.agent.exit(); code != tt.code && tt.code != 1 || code == 0 {
			t.Errorf("%s: exit code %d, want %d\n%s", tt.name, code, tt.code, tt.agent.tail())
		}
		if log := tt.agent.tail(); !strings.Contains(log, tt.says) {
			t.Errorf("%s: it does not say %q:\n%s", tt.name, tt.says, log)
		}
	}

	t.Log("a deleted agent is refused from then on")
	i, err := identity.LoadIdentity(f.path("first"))
	if err != nil {
		t.Fatal(err)
	}
	f.Must("delete", "agent", i.Agent())
	if code := first.exit(); code != 16 {
		t.Errorf("the deleted agent ends with %d, want 16\n%s", code, first.tail())
	}
}

// An agent with a token for another datacenter than its Consul is touches nothing, and says why.
func TestWrongDatacenter(t *testing.T) {
	f := NewFleet(t, 1)
	dc1 := f.Bare("dc1")
	tokenFile := f.path("dc7.join")
	f.Must("join-token", "create", "--datacenter", "dc7", "--fleet-key", f.path("fleet.key"), "--out", tokenFile)
	f.Apply("kind: Datacenter\nname: dc7\nspec: {runtime: vm}\n")
	a := launch(t, "stray", f.path("stray.log"), dc1.Env(dc1.token), "agent", "--data-dir", f.path("stray"), "--join-token-file", tokenFile)
	f.Eventually("it says that it is in the wrong datacenter", func() error {
		dc, err := client.Lookup[*isthmusv1.Datacenter](t.Context(), f.Client, "dc7")
		if err != nil {
			return err
		}
		for _, c := range dc.GetStatus().GetConditions() {
			if c.GetType() == "Ready" && c.GetReason() == "WrongConsulDatacenter" && containsAll(c.GetMessage(), "dc1", "dc7") {
				return nil
			}
		}
		select {
		case <-a.Done():
			if a.ExitCode() == 10 {
				return nil
			}
		default:
		}
		return fmt.Errorf("conditions %v", dc.GetStatus().GetConditions())
	})
}

// An agent whose token was minted by the server is trusted by nobody until the fleet key says so.
func TestApproval(t *testing.T) {
	f := NewFleet(t, 2)
	f.Datacenter("dc1")
	dc2 := f.Bare("dc2")
	tokenFile := f.path("dc2.join")
	f.Must("join-token", "create", "--datacenter", "dc2", "--without-fleet-key", "--out", tokenFile)
	key, err := identity.LoadFleetKey(f.path("fleet.key"))
	if err != nil {
		t.Fatal(err)
	}
	launch(t, "dc2-agent", f.path("dc2.log"), dc2.Env(dc2.token),
		"agent", "--data-dir", f.path("dc2"), "--join-token-file", tokenFile, "--fleet-id", key.ID())
	f.Declare("dc1", "dc2")
	f.Apply("kind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2}\n")
	var enrolled *isthmusv1.Agent
	f.Eventually("it is in, and trusted by nobody", func() error {
		agents, err := client.AllOf[*isthmusv1.Agent](t.Context(), f.Client)
		if err != nil {
			return err
		}
		for _, a := range agents {
			if a.GetSpec().GetDatacenter() == "dc2" && a.GetStatus().GetTrust() == "none" {
				enrolled = a
				return nil
			}
		}
		return fmt.Errorf("agents %v", agents)
	})
	if _, problem, code := f.Run("agent", "approve", enrolled.GetName(), "--fingerprint", "SHA256:wrong", "--fleet-key", f.path("fleet.key")); code == 0 {
		t.Errorf("approved with a wrong fingerprint: %s", problem)
	}
	if got := f.Peering("dc1-dc2").GetStatus().GetToken().GetGeneration(); got != 0 {
		t.Errorf("a token of generation %d was asked for although nobody may have it", got)
	}
	f.Must("agent", "approve", enrolled.GetName(), "--fingerprint", enrolled.GetStatus().GetFingerprint(), "--fleet-key", f.path("fleet.key"))
	f.Healthy("dc1-dc2")
}

// A server with a certificate of the company's own for its listener: agents pin that certificate's root.
func TestGivenCertificate(t *testing.T) {
	f := newFleet(t, 2)
	company, err := identity.NewCA(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	shown, err := company.ServerCertificate([]string{"127.0.0.1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var chain []byte
	for _, der := range shown.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	key, err := x509.MarshalPKCS8PrivateKey(shown.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	f.StartServer(
		"--grpc-cert-file", f.write("company.pem", string(chain)),
		"--grpc-key-file", f.write("company.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))),
	)
	f.Datacenter("dc1")
	f.Datacenter("dc2")
	f.Declare("dc1", "dc2")
	f.Apply("kind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2}\n")
	f.Healthy("dc1-dc2")
	info, err := f.Client.Server(t.Context())
	if err != nil || info.GetCaFingerprint() != company.Fingerprint() {
		t.Errorf("agents are told to pin %s (%v), want the company's %s", info.GetCaFingerprint(), err, company.Fingerprint())
	}
}
