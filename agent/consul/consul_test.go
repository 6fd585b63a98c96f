package consul_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/go-hclog"

	"isthmus/agent/consul"
	"isthmus/demo/consulrun"
	"isthmus/fault"
	"isthmus/test/consultest"
)

func lookup(env []string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, e := range env {
			if k, v, _ := strings.Cut(e, "="); k == name {
				return v, true
			}
		}
		return "", false
	}
}

func settings(t *testing.T, env ...string) consul.Settings {
	t.Helper()
	s, err := consul.FromEnv(lookup(env))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func open(t *testing.T, s consul.Settings) *consul.Client {
	t.Helper()
	c, err := consul.New(s, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// eventually polls until the condition holds; what tells what was missing.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

func need(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, err error, code fault.Code, reason consul.Reason) {
	t.Helper()
	if fault.CodeOf(err) != code || consul.ReasonOf(err) != reason {
		t.Fatalf("got %s, %s: %v; want %s, %s", fault.CodeOf(err), consul.ReasonOf(err), err, code, reason)
	}
}

func state(t *testing.T, c *consul.Client, name string) string {
	t.Helper()
	p, err := c.Peering(t.Context(), name)
	if fault.CodeOf(err) == fault.NotFound {
		return ""
	}
	need(t, err)
	return p.State
}

func TestPeeringAsConsulReallyDoesIt(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	east, west := consultest.Start(t, "east"), consultest.Start(t, "west")
	a := open(t, settings(t, east.Env(east.ManagementToken)...))
	d := open(t, settings(t, west.Env(west.ManagementToken)...))
	mark := map[string]string{"managed-by": "isthmus", "isthmus-uid": "u1"}
	token := func() consul.Secret {
		t.Helper()
		s, err := a.GenerateToken(ctx, consul.TokenRequest{Name: "west", Meta: mark})
		need(t, err)
		return s
	}
	_, err := a.Peering(ctx, "west")
	if fault.CodeOf(err) != fault.NotFound {
		t.Fatalf("absent peering: %v", err)
	}
	old := token()
	first := token()
	if state(t, a, "west") != consul.StatePending {
		t.Fatal("a new acceptor is not PENDING")
	}
	// An older unused token is refused, and leaves a stray behind.
	want(t, d.Establish(ctx, consul.EstablishRequest{Name: "east", Token: old, Meta: mark}), fault.Refused, consul.TokenRefused)
	if p, err := d.Peering(ctx, "east"); err != nil || p.State != consul.StatePending || p.Meta["isthmus-uid"] != "u1" {
		t.Fatalf("stray: %+v, %v", p, err)
	}
	need(t, d.Establish(ctx, consul.EstablishRequest{Name: "east", Token: first, Meta: mark}))
	eventually(t, "both ends ACTIVE", func() bool {
		return state(t, a, "west") == consul.StateActive && state(t, d, "east") == consul.StateActive
	})
	pa, err := a.Peering(ctx, "west")
	need(t, err)
	pd, err := d.Peering(ctx, "east")
	need(t, err)
	if pa.ID != pd.PeerID || pa.Dialer || !pd.Dialer {
		t.Fatalf("ends that belong together: %+v, %+v", pa, pd)
	}
	// A used token is refused under the same name and under another one.
	want(t, d.Establish(ctx, consul.EstablishRequest{Name: "east", Token: first, Meta: mark}), fault.Refused, consul.TokenRefused)
	want(t, d.Establish(ctx, consul.EstablishRequest{Name: "east2", Token: first, Meta: mark}), fault.Refused, consul.TokenRefused)
	need(t, d.DeletePeering(ctx, "east2"))
	eventually(t, "the stray gone", func() bool { return state(t, d, "east2") == "" })
	// Roles are fixed per name, whoever asks.
	_, err = d.GenerateToken(ctx, consul.TokenRequest{Name: "east"})
	want(t, err, fault.Refused, consul.NameTaken)
	back, err := d.GenerateToken(ctx, consul.TokenRequest{Name: "back"})
	need(t, err)
	want(t, a.Establish(ctx, consul.EstablishRequest{Name: "west", Token: back, Meta: mark}), fault.Refused, consul.NameTaken)
	want(t, d.Establish(ctx, consul.EstablishRequest{Name: "self", Token: back, Meta: mark}), fault.Refused, consul.SameCluster)
	want(t, d.Establish(ctx, consul.EstablishRequest{Name: "junk", Token: "garbage", Meta: mark}), fault.Refused, consul.TokenMalformed)
	// A newer token renews an active peering, and the other end terminates when one is deleted.
	need(t, d.Establish(ctx, consul.EstablishRequest{Name: "east", Token: token(), Meta: mark}))
	need(t, a.DeletePeering(ctx, "west"))
	need(t, a.DeletePeering(ctx, "nobody"))
	eventually(t, "the dialer TERMINATED", func() bool { return state(t, d, "east") == consul.StateTerminated })
	eventually(t, "heartbeats heard", func() bool { p, _ := d.Peering(ctx, "east"); return !p.Received.IsZero() })
}

func TestConfigEntryKeepsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := consultest.Start(t, "east")
	a := open(t, settings(t, c.Env(c.ManagementToken)...))
	c.Do(http.MethodPut, "/v1/config", map[string]any{
		"Kind": "mesh", "TransparentProxy": map[string]any{"MeshDestinationsOnly": true},
		"HTTP": map[string]any{"SanitizeXForwardedClientCert": true}, "Meta": map[string]string{"owner": "human"},
	}, nil)
	e, err := a.Entry(ctx, consul.KindMesh, consul.NameMesh)
	need(t, err)
	if e.Index == 0 || e.Meta()["owner"] != "human" {
		t.Fatalf("entry: %+v", e)
	}
	e.Body["Peering"] = map[string]any{"PeerThroughMeshGateways": true}
	need(t, a.PutEntry(ctx, e))
	e.Body["Peering"] = map[string]any{}
	if err := a.PutEntry(ctx, e); fault.CodeOf(err) != fault.Conflict {
		t.Fatalf("a stale index: %v", err)
	}
	var after map[string]any
	c.Do(http.MethodGet, "/v1/config/mesh/mesh", nil, &after)
	if fmt.Sprint(after["TransparentProxy"], after["HTTP"], after["Peering"]) != "map[MeshDestinationsOnly:true] map[Incoming:<nil> SanitizeXForwardedClientCert:true] map[PeerThroughMeshGateways:true]" &&
		fmt.Sprint(after["TransparentProxy"], after["HTTP"], after["Peering"]) != "map[MeshDestinationsOnly:true] map[SanitizeXForwardedClientCert:true] map[PeerThroughMeshGateways:true]" {
		t.Fatalf("after: %v", after)
	}
	if err := a.DeleteEntry(ctx, e); fault.CodeOf(err) != fault.Conflict {
		t.Fatalf("deleting with a stale index: %v", err)
	}
	x, err := a.Entry(ctx, consul.KindExportedServices, a.Partition())
	if err != nil || x.Index != 0 {
		t.Fatalf("absent entry: %+v, %v", x, err)
	}
	x.Body["Services"] = []any{map[string]any{"Name": "web", "Consumers": []any{map[string]any{"Peer": "west"}}}}
	x.SetMeta(map[string]string{"isthmus-exports": "web>west"})
	need(t, a.PutEntry(ctx, x))
	if x, err = a.Entry(ctx, x.Kind, x.Name); err != nil || x.Meta()["isthmus-exports"] != "web>west" {
		t.Fatalf("written entry: %+v, %v", x, err)
	}
	need(t, a.DeleteEntry(ctx, x))
}

func TestWatchWakesAndSurvivesAnOutageAndAWipe(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "east")
	a := open(t, settings(t, c.Env(c.ManagementToken)...))
	woken := make(chan struct{}, 100)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go consul.Watch(ctx, func(ctx context.Context, q consul.Query) (uint64, error) {
		_, index, err := a.Peerings(ctx, q)
		return index, err
	}, func() { woken <- struct{}{} })
	<-woken
	_, err := a.GenerateToken(ctx, consul.TokenRequest{Name: "west"})
	need(t, err)
	<-woken
	need(t, c.Wipe(ctx))
	<-woken
	eventually(t, "the wiped Consul makes tokens", func() bool {
		_, err := a.GenerateToken(ctx, consul.TokenRequest{Name: "west"})
		return err == nil
	})
	<-woken
}

func TestSelfAndInventory(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := consultest.StartWith(t, consulrun.Options{Datacenter: "east", UnixSocket: true})
	c.Register("web", "api")
	c.Do(http.MethodPut, "/v1/catalog/register", map[string]any{
		"Node": "gw", "Address": "10.9.9.9",
		"Service": map[string]any{
			"Kind": "mesh-gateway", "ID": "gw1", "Service": "mesh-gateway", "Port": 8443,
			"TaggedAddresses": map[string]any{"wan": map[string]any{"Address": "192.0.2.1", "Port": 443}},
		},
		"Check": map[string]any{"CheckID": "gw", "Name": "gw", "Status": "critical", "ServiceID": "gw1"},
	}, nil)
	// Over the unix socket, with the token out of a file.
	file := filepath.Join(t.TempDir(), "token")
	need(t, os.WriteFile(file, []byte("00000000-0000-0000-0000-000000000000\n"), 0o600))
	a := open(t, settings(t, "CONSUL_HTTP_ADDR=unix://"+c.Socket, "CONSUL_HTTP_TOKEN_FILE="+file))
	_, err := a.Self(ctx)
	want(t, err, fault.Denied, consul.ACLUnknown)
	need(t, os.WriteFile(file, []byte(c.ManagementToken+"\n\n"), 0o600))
	self, err := a.Self(ctx)
	need(t, err)
	for name, flag := range map[string]*bool{"ACL": self.ACL, "TLS": self.TLS, "gossip": self.Gossip, "Connect": self.Connect, "peering": self.Peering} {
		if flag == nil || !*flag {
			t.Errorf("%s: %v", name, flag)
		}
	}
	if self.Datacenter != "east" || !self.Server || !strings.HasPrefix(self.Version, "1.") {
		t.Fatalf("self: %+v", self)
	}
	reader := open(t, settings(t, c.Env(c.MintToken("reader", `node_prefix "" { policy = "read" }
service_prefix "" { policy = "read" }`))...))
	for who, client := range map[string]*consul.Client{"management": a, "without operator:read": reader} {
		servers, err := client.Raft(ctx)
		if want := []consul.RaftServer{{Node: c.Node, Address: serverAddress(c), Leader: true, Voter: true}}; err != nil || !slices.Equal(servers, want) {
			t.Fatalf("raft, %s: %+v, %v; want %+v", who, servers, err, want)
		}
	}
	need(t, a.CheckReads(ctx))
	ca, err := a.MeshCA(ctx)
	if err != nil || !strings.HasSuffix(ca.TrustDomain, ".consul") || ca.Expires.IsZero() {
		t.Fatalf("mesh CA: %+v, %v", ca, err)
	}
	if r, err := a.Replication(ctx); err != nil || r.Enabled {
		t.Fatalf("replication: %+v, %v", r, err)
	}
	services, _, err := a.Services(ctx, consul.Query{})
	need(t, err)
	listed := []consul.Service{
		{Name: "api", Instances: 1}, {Name: "consul", Instances: 1}, {Name: "mesh-gateway", Kind: "mesh-gateway", Instances: 1, Troubled: true}, {Name: "web", Instances: 1},
	}
	if !slices.Equal(services, listed) {
		t.Fatalf("services: %+v", services)
	}
	gateways, err := a.Instances(ctx, "mesh-gateway", "")
	if err != nil || len(gateways) != 1 || gateways[0].WAN != "192.0.2.1" || gateways[0].Address != "10.9.9.9" || gateways[0].Health != "critical" {
		t.Fatalf("gateways: %+v, %v", gateways, err)
	}
	empty := open(t, settings(t, c.Env(c.MintToken("agent-only", `agent_prefix "" { policy = "read" }`))...))
	err = empty.CheckReads(ctx)
	want(t, err, fault.Denied, consul.RuleMissing)
	if !strings.Contains(err.Error(), `node_prefix "" { policy = "read" }`) {
		t.Fatalf("missing rule: %v", err)
	}
}

func TestUnreachableAndUntrusted(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	_, err := open(t, settings(t, "CONSUL_HTTP_ADDR=127.0.0.1:1")).Self(ctx)
	want(t, err, fault.Unavailable, consul.Unreachable)
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	_, err = open(t, settings(t, "CONSUL_HTTP_ADDR="+server.URL)).Self(ctx)
	want(t, err, fault.Unavailable, consul.Untrusted)
	if _, err := consul.New(settings(t, "CONSUL_HTTP_ADDR=ftp://x"), hclog.NewNullLogger()); fault.CodeOf(err) != fault.Invalid {
		t.Fatalf("unknown scheme: %v", err)
	}
	if _, err := consul.FromEnv(lookup([]string{"CONSUL_HTTP_SSL=perhaps"})); fault.CodeOf(err) != fault.Invalid {
		t.Fatalf("bad boolean: %v", err)
	}
}

// A proxy before Consul answers in an encoding of its own. A report with its text can be sent all the same.
func TestTextOfAProxyIsMadeFitForMessages(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "caf\xe9 is closed", http.StatusBadGateway)
	}))
	t.Cleanup(server.Close)
	_, err := open(t, settings(t, "CONSUL_HTTP_ADDR="+server.URL)).Self(t.Context())
	want(t, err, fault.Unavailable, consul.Other)
	if !utf8.ValidString(err.Error()) || !strings.Contains(err.Error(), "is closed") {
		t.Fatalf("%q", err)
	}
}

// A follower of Consul that cannot reach its leader for peering calls (consul #15052) is played by a proxy before a real
// server, which fails exactly these.
func TestPeeringCallsGoOnToOtherServers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := consultest.Start(t, "east")
	target, err := url.Parse(c.HTTPAddr)
	need(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	follower := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/peering/") && r.Method != http.MethodGet {
			http.Error(w, `rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing"`, http.StatusInternalServerError)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(follower.Close)
	s := settings(t, c.Env(c.ManagementToken)...)
	s.Address = follower.URL
	alone := s
	alone.Servers = []string{follower.URL}
	_, err = open(t, alone).GenerateToken(ctx, consul.TokenRequest{Name: "west"})
	want(t, err, fault.Unavailable, consul.NoLeader)
	s.Servers = []string{follower.URL, c.HTTPAddr}
	if _, err := open(t, s).GenerateToken(ctx, consul.TokenRequest{Name: "west"}); err != nil {
		t.Fatal(err)
	}
}

func TestSecretIsNeverShown(t *testing.T) {
	t.Parallel()
	s := consul.Secret("hunter2")
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%s %v %+v %#v %q %x", s, s, s, s, s, s), fmt.Sprintf("%+v", consul.Settings{Token: s})} {
		if strings.Contains(text, "hunter2") || strings.Contains(text, "68756e74") {
			t.Fatalf("shown: %s", text)
		}
	}
	if json, err := s.MarshalText(); err != nil || string(json) != "[secret]" {
		t.Fatalf("in JSON: %s, %v", json, err)
	}
}
