package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"isthmus/agent"
	"isthmus/agent/consul"
	"isthmus/demo/consulrun"
	"isthmus/doctor"
	"isthmus/identity"
	"isthmus/test/consultest"
)

// clusterOf starts a Consul datacenter with options, that has no agent as yet.
func (f *Fleet) clusterOf(options consulrun.Options, rules string) *Datacenter {
	f.t.Helper()
	d := &Datacenter{Cluster: consultest.StartWith(f.t, options), f: f}
	d.token = d.MintToken("isthmus-agent", rules)
	return d
}

// logged is the fingerprint of its keys that an agent logs when it enrols.
var logged = regexp.MustCompile(`fingerprint="?(SHA256:[^\s"]+)`)

// approval is the command that a finding names, without the fingerprint, which is the agent's own to tell.
var approval = regexp.MustCompile(`isthmus (agent approve \S+ --fingerprint) SHA256:…$`)

// Who looks after two peers is told of what is not well about them and their agents, and the fixes work.
func TestDoctorOfAgents(t *testing.T) {
	f := NewFleet(t, 3)
	rules := f.rules(agent.PurposePeering)
	// A mesh CA that ends within the month.
	dc1 := f.clusterOf(consulrun.Options{Datacenter: "dc1", Config: map[string]any{"connect": map[string]any{
		"enabled": true, "ca_config": map[string]any{"leaf_cert_ttl": "1h", "intermediate_cert_ttl": "24h", "root_cert_ttl": "480h"},
	}}}, rules)
	dc1.Enrol()
	dc2 := f.clusterOf(consulrun.Options{Datacenter: "dc2"}, rules)
	second := consultest.StartWith(t, consulrun.Options{Datacenter: "dc2", NodeName: "dc2-second", Join: dc2.Server})
	f.Declare("dc1", "dc2")

	t.Log("nobody is enrolled")
	f.Finds("AgentEnrolled", "dc2", finds, "isthmus join-token create --datacenter dc2")
	dc2.Enrol()
	f.Passes("AgentEnrolled", "AgentOnline", "LeaderFound")

	t.Log("an agent that the fleet key has not signed")
	trusted := f.strangerOf(dc2)
	f.Finds("AgentTrusted", "dc2", finds)
	command := approval.FindStringSubmatch(f.Finds("AgentTrusted", "dc2", finds).GetFix())
	if command == nil {
		t.Fatal("the fix is no command")
	}
	log, err := os.ReadFile(f.path("dc2-stranger.log"))
	if err != nil {
		t.Fatal(err)
	}
	fingerprint := logged.FindSubmatch(log)
	if fingerprint == nil {
		t.Fatal("the agent's log does not tell its fingerprint")
	}
	f.Must(append(strings.Fields(command[1]), string(fingerprint[1]), "--fleet-key", f.path("fleet.key"))...)
	f.Passes("AgentTrusted")

	t.Log("one of two agents is gone")
	trusted.stop()
	severity(t, f.Finds("AgentOnline", "dc2", finds, "start isthmus agent"), doctor.SeverityWarning)
	trusted.Restart()
	f.Passes("AgentOnline")

	t.Log("a clock that is two minutes ahead")
	f.agentAt(dc1, func() time.Time { return time.Now().Add(2 * time.Minute) }, func() {
		severity(t, f.Finds("ClockSkew", "dc1", finds, "ahead of", "NTP"), doctor.SeverityWarning)
	})
	f.agentAt(dc1, time.Now, func() { f.Passes("ClockSkew", "AgentOnline") })
	f.Must("delete", "agent", f.enrolledAs(f.path("dc1-clock")))

	t.Log("a mesh CA that ends soon")
	severity(t, f.Finds("MeshCAExpiry", "dc1", finds, "PrivateKeyBits"), doctor.SeverityWarning)
	dc1.rotateMeshCA()
	f.Passes("MeshCAExpiry")

	t.Log("a token that reads no nodes, which Consul shows as an empty catalog")
	dc1.rewrite("isthmus-agent", lacking(rules, "node_prefix"))
	f.Finds("ACLRights", "dc1", finds, `node_prefix "" { policy = "read" }`, "isthmus agent policy --for peering")
	dc1.rewrite("isthmus-agent", lacking(rules, "service_prefix"))
	f.Finds("ACLRights", "dc1", finds, `service_prefix "" { policy = "read" }`)
	dc1.rewrite("isthmus-agent", rules)
	f.Passes("ACLRights", "LeaderFound")

	t.Log("a Consul that is down, and one without a leader")
	if err := dc2.Kill(); err != nil {
		t.Fatal(err)
	}
	f.Finds("ConsulReachable", "dc2", finds, "start Consul")
	f.Finds("LeaderFound", "dc2", nobody, "cannot look")
	restart(t, dc2.Server)
	f.Passes("ConsulReachable", "LeaderFound")
	if err := second.Kill(); err != nil {
		t.Fatal(err)
	}
	f.Finds("LeaderFound", "dc2", finds, "raft list-peers")
	restart(t, second.Server)
	f.Passes("LeaderFound")

	t.Log("tokens that end")
	token := f.path("gateway.join")
	f.Must("join-token", "create", "--datacenter", "dc1", "--kind", "gateway", "--ttl", "90s", "--fleet-key", f.path("fleet.key"), "--out", token)
	unused := f.Finds("JoinTokenExpiring", "dc1", finds, "isthmus join-token create --datacenter dc1 --kind gateway")
	severity(t, unused, doctor.SeverityInfo)
	f.Must("delete", "join-token", strings.TrimPrefix(unused.GetSubject(), "JoinToken/"))
	f.Passes("JoinTokenExpiring")
	f.Must("api-token", "create", "ci", "--role", "viewer", "--ttl", "1h")
	f.Finds("APITokenExpiring", "", finds, "isthmus api-token create --role viewer", "then isthmus delete api-token ci")
	f.Must("api-token", "create", "ci-next", "--role", "viewer")
	f.Must("delete", "api-token", "ci")
	f.Passes("APITokenExpiring")
	f.Well()
}

// restart starts a server again.
func restart(t *testing.T, s *consulrun.Server) {
	t.Helper()
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// strangerOf enrols an agent with a token that the server minted.
func (f *Fleet) strangerOf(d *Datacenter) *Agent {
	f.t.Helper()
	name := d.Cluster.Datacenter + "-stranger"
	tokenFile := f.path(name + ".join")
	f.Must("join-token", "create", "--datacenter", d.Cluster.Datacenter, "--without-fleet-key", "--out", tokenFile)
	key, err := identity.LoadFleetKey(f.path("fleet.key"))
	if err != nil {
		f.t.Fatal(err)
	}
	a := &Agent{dc: d, dir: f.path(name)}
	a.start = func() *process {
		return launch(f.t, name, f.path(name+".log"), d.Env(d.token), "agent", "--data-dir", a.dir, "--join-token-file", tokenFile, "--fleet-id", key.ID())
	}
	a.process = a.start()
	f.online(a)
	return a
}

// agentAt runs one more agent of a datacenter in this process while something is looked at, with a clock of its own. It is the same one each
// time.
func (f *Fleet) agentAt(d *Datacenter, now func() time.Time, look func()) {
	f.t.Helper()
	name := d.Cluster.Datacenter + "-clock"
	tokenFile := f.path(name + ".join")
	if _, err := os.Stat(tokenFile); err != nil {
		f.Must("join-token", "create", "--datacenter", d.Cluster.Datacenter, "--fleet-key", f.path("fleet.key"), "--out", tokenFile)
	}
	environment := map[string]string{}
	for _, variable := range d.Env(d.token) {
		key, value, _ := strings.Cut(variable, "=")
		environment[key] = value
	}
	settings, err := consul.FromEnv(func(key string) (string, bool) { value, ok := environment[key]; return value, ok })
	if err != nil {
		f.t.Fatal(err)
	}
	a, err := agent.New(agent.Config{
		DataDir: f.path(name), JoinToken: f.secret(name + ".join"), Consul: settings, Version: version, Host: "clock", Now: now,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			f.t.Errorf("the agent with a clock of its own: %v", err)
		}
	}()
	look()
}

// rotateMeshCA has Consul make a new root that is good for long.
func (d *Datacenter) rotateMeshCA() {
	d.f.t.Helper()
	var config struct {
		Provider string
		Config   map[string]any
	}
	d.Do(http.MethodGet, "/v1/connect/ca/configuration", nil, &config)
	config.Config["RootCertTTL"], config.Config["PrivateKeyBits"] = "87600h", 384
	d.Do(http.MethodPut, "/v1/connect/ca/configuration", map[string]any{"Provider": config.Provider, "Config": config.Config}, nil)
}

// What is declared between two peers, and what somebody did to it in Consul.
func TestDoctorOfPeers(t *testing.T) {
	f := NewFleet(t, 2)
	rules := f.rules(agent.PurposePeering)
	dc1, dc2 := f.clusterOf(consulrun.Options{Datacenter: "dc1"}, rules), f.clusterOf(consulrun.Options{Datacenter: "dc2"}, rules)
	dc1.Enrol()
	dc2.Enrol()
	dc1.Register("web", "api")
	f.Declare("dc1", "dc2")
	backup := f.backUp()

	t.Log("no gateway where a peering goes through them, and a token with the address of one that is good for nothing")
	dead := freeAddress(t)
	dc1.gatewayByHand(dead, dead)
	f.Apply("kind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2, throughGateways: true}\n")
	f.Finds("GatewayPresent", "dc2", finds, "run isthmus gateway")
	f.Finds("GatewayAddress", "dc1", finds, dead, "loopback", "-wan-address")
	f.Finds("TokenAddress", "dc2", finds, dead, "GatewayAddress", "isthmus peering rotate dc1-dc2")
	f.Finds("ConnectionHealthy", "dc1", finds)
	// A server of the acceptor answers to its own name, and to whoever comes by the dialer's gateway.
	dc1.gatewayByHand(dc1.peeringAddress(), dc1.peeringAddress())
	dc2.gatewayByHand(dc1.peeringAddress(), dc2.peeringAddress())
	f.Must("peering", "rotate", "dc1-dc2")
	f.Healthy("dc1-dc2")
	f.Passes("GatewayPresent", "GatewayAddress", "GatewayReachable", "TokenAddress", "ConnectionHealthy")

	t.Log("an export that somebody took out")
	f.Apply("kind: Datacenter\nname: dc1\nlabels: {env: test}\nspec: {runtime: vm, drift: report}\n")
	f.Apply("kind: ServiceExport\nname: web\nspec: {service: web, datacenters: [dc1], consumers: {datacenters: [dc2]}}\n")
	f.Passes("ExportsApplied")
	f.Apply("kind: ServiceExport\nname: api\nspec: {service: api, datacenters: [dc1], consumers: {selector: env=prod}}\n")
	f.Finds("ExportsApplied", "dc1", finds, "no consumer is peered with dc1", "declare a Peering")
	f.Apply("kind: ServiceExport\nname: api\nspec: {service: api, datacenters: [dc1], consumers: {selector: env=test}}\n")
	f.Passes("ExportsApplied")
	dc1.Do(http.MethodDelete, "/v1/config/exported-services/default", nil, nil)
	severity(t, f.Finds("ExportsApplied", "dc1", finds, "drift: correct"), doctor.SeverityWarning)
	f.Declare("dc1")
	f.Passes("ExportsApplied")

	t.Log("an intention that the agent may not write, and one that somebody has written otherwise")
	dc1.Do(http.MethodPut, "/v1/config", map[string]any{
		"Kind": "service-intentions", "Name": "api", "Sources": []any{map[string]any{"Name": "web", "Action": "deny"}},
	}, nil)
	f.Apply("kind: Intention\nname: api\nspec: {destination: {service: api, datacenters: [dc1]}, sources: [{service: web, action: allow}]}\n")
	f.Finds("ACLRights", "dc1", finds, "intentions", "--for")
	f.Finds("ConfigEntriesApplied", "dc1", finds)
	dc1.rewrite("isthmus-agent", rules+f.rules(agent.PurposeIntentions))
	f.Passes("ACLRights")
	f.Finds("ConfigEntriesApplied", "dc1", finds, "conflict", "source/default/web")
	dc1.Do(http.MethodDelete, "/v1/config/service-intentions/api", nil, nil)
	f.Passes("ConfigEntriesApplied")

	t.Log("peerings that nobody wants")
	mark := map[string]string{"managed-by": "isthmus", "isthmus-uid": "gone"}
	var made struct{ PeeringToken string }
	dc1.Do(http.MethodPost, "/v1/peering/token", map[string]any{"PeerName": "left", "Meta": mark}, nil)
	dc1.Do(http.MethodPost, "/v1/peering/token", map[string]any{"PeerName": "theirs"}, &made)
	dc2.Do(http.MethodPost, "/v1/peering/establish", map[string]any{"PeerName": "old", "PeeringToken": made.PeeringToken, "Meta": mark}, nil)
	f.Finds("StrayPeerings", "dc1", finds, "consul peering delete -name left")
	f.Finds("OrphanPeerings", "dc2", finds, "consul peering delete -name old")
	severity(t, f.Finds("ForeignPeerings", "dc1", finds, "theirs"), doctor.SeverityInfo)
	for peer, d := range map[string]*Datacenter{"left": dc1, "theirs": dc1, "old": dc2} {
		d.Do(http.MethodDelete, "/v1/peering/"+peer, nil, nil)
	}
	f.Passes("StrayPeerings", "OrphanPeerings", "ForeignPeerings")

	t.Log("a Consul that lets everybody in, and one that has peering off")
	dc1.switches(`{"default_intention_policy": "allow"}`)
	severity(t, f.Finds("DefaultDeny", "dc1", finds, "default_intention_policy"), doctor.SeverityInfo)
	dc1.switches(`{"default_intention_policy": "deny", "peering": {"enabled": false}}`)
	f.Finds("PeeringEnabled", "dc1", finds, "peering.enabled = true")
	dc1.switches(`{"default_intention_policy": "deny", "peering": {"enabled": true}}`)
	f.Passes("PeeringEnabled", "DefaultDeny", "ConnectionHealthy")

	t.Log("a load balancer that is given to the dialer, and goes")
	through := func(address string) {
		f.Apply("kind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2, serverExternalAddresses: [\"" + address + "\"]}\n")
		f.Must("peering", "rotate", "dc1-dc2")
		f.Finds("TokenAddress", "dc2", passes, address)
		f.Healthy("dc1-dc2")
	}
	first := balance(t, dc1.peeringAddress())
	through(first.address)
	first.end()
	f.Finds("TokenAddress", "dc2", finds, first.address, "spec.serverExternalAddresses of Peering dc1-dc2", "isthmus peering rotate dc1-dc2")
	through(balance(t, dc1.peeringAddress()).address)
	f.Well()

	t.Log("a store that was restored from a time when there was no peering")
	f.restore(backup)
	f.Finds("HeldRemovals", "dc1", finds, "isthmus datacenter confirm dc1")
	f.Must("datacenter", "confirm", "dc1")
	f.Passes("HeldRemovals")
	for peer, d := range map[string]*Datacenter{"dc2": dc1, "dc1": dc2} {
		f.Finds("OrphanPeerings", d.Cluster.Datacenter, finds, "consul peering delete -name "+peer)
		d.Do(http.MethodDelete, "/v1/peering/"+peer, nil, nil)
	}
	f.Passes("OrphanPeerings")
}

// balancer passes connections on to an address, as a load balancer does, until it ends with all of them.
type balancer struct {
	address string
	end     func()
}

func balance(t *testing.T, to string) balancer {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	context.AfterFunc(ctx, func() { _ = l.Close() })
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			go pass(ctx, from, to)
		}
	}()
	return balancer{address: l.Addr().String(), end: cancel}
}

// pass brings the bytes of a connection to an address and back until either ends.
func pass(ctx context.Context, from net.Conn, address string) {
	defer func() { _ = from.Close() }()
	to, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	context.AfterFunc(ctx, func() { _, _ = from.Close(), to.Close() })
	go func() {
		_, _ = io.Copy(to, from)
		_ = to.Close()
	}()
	_, _ = io.Copy(from, to)
}

// backUp copies the server's data while it does not run, and gives the copy's directory.
func (f *Fleet) backUp() string {
	f.t.Helper()
	f.server.stop()
	backup := f.path("backup")
	if err := os.CopyFS(backup, os.DirFS(f.path("server"))); err != nil {
		f.t.Fatal(err)
	}
	f.StartServer()
	return backup
}

// restore has the server go on with a copy of its data, as operators are told to.
func (f *Fleet) restore(backup string) {
	f.t.Helper()
	f.server.stop()
	if err := os.RemoveAll(f.path("server")); err != nil {
		f.t.Fatal(err)
	}
	if err := os.CopyFS(f.path("server"), os.DirFS(backup)); err != nil {
		f.t.Fatal(err)
	}
	for _, name := range []string{"admin.token", "server.key", "isthmus.db"} {
		if err := os.Chmod(f.path("server", name), 0o600); err != nil {
			f.t.Fatal(err)
		}
	}
	f.Must("store", "restored", "--data-dir", f.path("server"))
	f.StartServer()
}

// gatewayByHand registers a mesh gateway, or changes it.
func (d *Datacenter) gatewayByHand(lan, wan string) {
	d.f.t.Helper()
	own := addressOf(d.f.t, lan)
	d.Do(http.MethodPut, "/v1/agent/service/register", map[string]any{
		"Kind": "mesh-gateway", "ID": "by-hand", "Name": "mesh-gateway", "Address": own["Address"], "Port": own["Port"],
		"TaggedAddresses": map[string]any{"lan": own, "wan": addressOf(d.f.t, wan)},
	}, nil)
}

// peeringAddress is where a datacenter's server listens for peers.
func (d *Datacenter) peeringAddress() string {
	d.f.t.Helper()
	var servers []struct {
		Address     string
		ServiceMeta map[string]string
	}
	d.Do(http.MethodGet, "/v1/catalog/service/consul", nil, &servers)
	return net.JoinHostPort(servers[0].Address, servers[0].ServiceMeta["grpc_tls_port"])
}

// switches has a datacenter's Consul run with one more file of configuration, which may keep it from being well.
func (d *Datacenter) switches(text string) {
	d.f.t.Helper()
	if err := os.WriteFile(fmt.Sprintf("%s/switches.json", d.ConfigDir), []byte(text), 0o600); err != nil {
		d.f.t.Fatal(err)
	}
	d.start()
}
