package agent_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"isthmus/agent"
	"isthmus/agent/consul"
	"isthmus/demo/consulrun"
	"isthmus/fault"
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/test/consultest"
)

// wanConsul is a Consul that notices in a second when a server of another datacenter is gone.
func wanConsul(t *testing.T, datacenter, gossipKey string) *consultest.Cluster {
	t.Helper()
	config := map[string]any{"gossip_wan": map[string]any{"probe_interval": "100ms", "probe_timeout": "50ms", "suspicion_mult": 1}}
	if gossipKey != "" {
		config["encrypt"] = gossipKey
	}
	return consultest.StartWith(t, consulrun.Options{Datacenter: datacenter, Config: config})
}

// wanAddress is where a server listens for the WAN gossip.
func wanAddress(t *testing.T, c *consultest.Cluster) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.Dir, "consul.json"))
	need(t, err)
	var config struct {
		Ports map[string]int `json:"ports"`
	}
	need(t, json.Unmarshal(text, &config))
	return "127.0.0.1:" + strconv.Itoa(config.Ports["serf_wan"])
}

// statusOf is the status of a datacenter's server in the WAN gossip of dc1; empty: it is not there.
func (p *primary) statusOf(datacenter string) string {
	p.t.Helper()
	members, err := mustClient(p.t, p.consul, p.consul.ManagementToken).WANMembers(p.t.Context())
	need(p.t, err)
	for _, m := range members {
		if m.Datacenter == datacenter {
			return m.Status
		}
	}
	return ""
}

func TestTraditionalJoinsAndLeaves(t *testing.T) {
	t.Parallel()
	one := wanConsul(t, "dc1", "")
	two := wanConsul(t, "dc2", one.GossipKey)
	p := asDocumented(t, one)
	p.item.Mode = "traditional"
	agent2 := p.enrolled("dc2")
	m := p.add("dc2", agent2)
	m.PrimaryGateways, m.RetryJoinWan, m.WanAddresses = nil, []string{wanAddress(t, one)}, []string{wanAddress(t, two)}
	b := p.open(p.makes("a bundle", "dc2"), agent2.Opener())
	if len(b.PrimaryGateways) != 0 || len(b.RetryJoinWAN) != 1 || b.Mode != "traditional" {
		t.Fatalf("gateways %v, servers %v", b.PrimaryGateways, b.RetryJoinWAN)
	}
	eventually(t, "it is joined", func() bool { p.rests("joining"); return p.statusOf("dc2") == "alive" })
	m.WanAddresses = append(m.WanAddresses, "127.0.0.1:1")
	eventually(t, "nobody answers, and that is reported", func() bool {
		got := p.later(20 * time.Second)[0]
		return got.GetErrorReason() == "WANJoinFailed" && strings.Contains(got.GetError(), "127.0.0.1:1 of dc2")
	})
	m.WanAddresses = []string{"nonsense"}
	p.refuses("WANJoinFailed", "nonsense")

	// What is alive would come back: its tokens are dead, and the rest waits until its server is gone.
	m.Revoke, m.Ready, m.WanAddresses = true, false, nil
	p.refuses("StillInWANGossip", "dc2-server.dc2")
	if p.policiesOf(b.Tokens.Replication) != nil || len(p.tokens()) != 0 {
		t.Fatal("its tokens are alive")
	}
	need(t, two.Kill())
	eventually(t, "its server failed", func() bool { return p.statusOf("dc2") == "failed" })
	// At the second look at the latest it has been silent for long enough.
	p.later(time.Minute)
	if got := p.later(time.Minute); !got[0].GetRevoked() || got[0].GetError() != "" {
		t.Fatalf("revoked: %v", got)
	}
	eventually(t, "its server forgotten", func() bool { return p.statusOf("dc2") == "" })
}

// Gossip alone proves neither that a server is there nor that it is gone.
func TestServersThatAreGoneFromTheWANGossip(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	type look struct {
		after   time.Duration
		status  string
		answers bool
		gone    bool
	}
	for name, looks := range map[string][]look{
		"it left":                      {{0, "left", false, true}},
		"alive":                        {{0, "alive", true, false}, {time.Hour, "alive", true, false}},
		"it failed for a moment":       {{0, "failed", false, false}, {9 * time.Second, "failed", false, false}, {10 * time.Second, "alive", true, false}},
		"it fails now and then":        {{0, "failed", false, false}, {8 * time.Second, "alive", true, false}, {15 * time.Second, "failed", false, false}},
		"it failed, and stays so":      {{0, "failed", false, false}, {10 * time.Second, "failed", false, true}},
		"others of its datacenter are": {{0, "failed", true, false}, {10 * time.Second, "failed", true, true}},
		"gossip has not noticed":       {{0, "alive", false, false}, {10 * time.Second, "alive", false, true}},
		"gossip notices meanwhile":     {{0, "alive", false, false}, {5 * time.Second, "failed", false, false}, {10 * time.Second, "failed", false, true}},
		"it leaves after it failed":    {{0, "failed", false, false}, {time.Second, "left", false, true}},
		"it leaves":                    {{0, "leaving", true, false}, {time.Second, "left", true, true}},
	} {
		var silent agent.Silence
		for i, l := range looks {
			other := consul.WANMember{Node: "other.dc2", Datacenter: "dc2", Status: "alive"}
			if silent.Gone(other, true, noon.Add(l.after)) {
				t.Errorf("%s: another one is gone at look %d", name, i)
			}
			w := consul.WANMember{Node: "s1.dc2", Datacenter: "dc2", Status: l.status}
			if got := silent.Gone(w, l.answers, noon.Add(l.after)); got != l.gone {
				t.Errorf("%s: look %d: gone %v, want %v", name, i, got, l.gone)
			}
		}
	}
}

// Joining needs agent:write, forgetting operator:write.
func TestPrimaryPolicyForTheWANGossip(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc1")
	rules, err := agent.Policy(agent.PurposePrimary)
	need(t, err)
	weaker := strings.Replace(rules, `agent_prefix "" { policy = "write" }`, `agent_prefix "" { policy = "read" }`, 1)
	err = mustClient(t, c, c.MintToken("no-agent", weaker)).JoinWAN(t.Context(), "127.0.0.1:1")
	if consul.ReasonOf(err) != consul.RuleMissing || !strings.Contains(err.Error(), `agent_prefix "" { policy = "write" }`) {
		t.Fatalf("without agent:write: %v", err)
	}
	err = mustClient(t, c, c.MintToken("no-operator", strings.Replace(rules, `operator = "write"`, "", 1))).ForceLeaveWAN(t.Context(), "s1.dc9")
	if consul.ReasonOf(err) != consul.RuleMissing || !strings.Contains(err.Error(), `operator = "write"`) {
		t.Fatalf("without operator:write: %v", err)
	}
	enough := mustClient(t, c, c.MintToken("enough", rules))
	if err := enough.ForceLeaveWAN(t.Context(), "s1.dc9"); consul.ReasonOf(err) == consul.RuleMissing {
		t.Fatal(err)
	}
	if err := enough.JoinWAN(t.Context(), "127.0.0.1:1"); err == nil || consul.ReasonOf(err) == consul.RuleMissing {
		t.Fatalf("a join of nobody: %v", err)
	}
}

func TestPrimaryContentIsWrittenWhereConsulRunsOtherwise(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	item := func(change func(*isthmusv1.FederationPrimary)) *isthmusv1.FederationPrimary {
		f := &isthmusv1.FederationPrimary{Uid: "f1", Mode: "mesh-gateway", RetryIntervalWan: "2s"}
		change(f)
		return f
	}
	ca, other := newServerCA(t, time.Now(), time.Hour, nil), newServerCA(t, time.Now(), time.Hour, nil)
	done := consul.Self{Datacenter: "dc1", PrimaryDatacenter: "dc1", Connect: &yes, WANFederation: &yes}
	open := consul.Self{Datacenter: "dc1", PrimaryDatacenter: "dc1", Connect: &yes, WANFederation: &no}
	for name, test := range map[string]struct {
		item   *isthmusv1.FederationPrimary
		self   consul.Self
		needed bool
		has    []string
		hasNot []string
		others []string
	}{
		"to be switched on":   {item(func(*isthmusv1.FederationPrimary) {}), open, true, []string{`"enable_mesh_gateway_wan_federation": true`, `"primary_datacenter": "dc1"`, `"2s"`}, []string{"ca_file"}, nil},
		"on already":          {item(func(*isthmusv1.FederationPrimary) {}), done, false, []string{`"enable_mesh_gateway_wan_federation": true`}, nil, nil},
		"traditional":         {item(func(f *isthmusv1.FederationPrimary) { f.Mode = "traditional" }), open, false, nil, []string{"enable_mesh_gateway_wan_federation"}, nil},
		"to be switched off":  {item(func(f *isthmusv1.FederationPrimary) { f.Mode = "traditional" }), done, true, nil, []string{"enable_mesh_gateway_wan_federation"}, nil},
		"another CA to trust": {item(func(*isthmusv1.FederationPrimary) {}), done, true, []string{`"ca_file": "/c/ca.pem"`}, []string{"cert_file"}, []string{other.text(t), ca.text(t)}},
	} {
		content, needed, err := agent.PrimaryContent(test.item, test.self, federation.TLSFiles{CA: "/c/ca.pem", Cert: "/c/cert.pem", Key: "/c/key.pem"}, []byte(ca.text(t)), test.others)
		if err != nil || needed != test.needed {
			t.Errorf("%s: %v %v", name, needed, err)
		}
		for _, part := range test.has {
			if !strings.Contains(string(content.DropIn), part) {
				t.Errorf("%s: no %s in %s", name, part, content.DropIn)
			}
		}
		for _, part := range test.hasNot {
			if strings.Contains(string(content.DropIn), part) {
				t.Errorf("%s: %s in %s", name, part, content.DropIn)
			}
		}
		if trusts := len(test.others) > 0; trusts != (string(content.CA) == ca.text(t)+other.text(t)) {
			t.Errorf("%s: CA %s", name, content.CA)
		}
	}
	if _, needed, err := agent.PrimaryContent(item(func(f *isthmusv1.FederationPrimary) { f.Delete = true }), done, federation.TLSFiles{}, nil, nil); needed || err != nil {
		t.Errorf("deleted: %v %v", needed, err)
	}
	if _, _, err := agent.PrimaryContent(item(func(*isthmusv1.FederationPrimary) {}), done, federation.TLSFiles{}, nil, []string{other.text(t)}); fault.CodeOf(err) != fault.Refused {
		t.Errorf("its own CA is not known: %v", err)
	}
}

// A Consul that says nothing of a primary is its own.
func TestRealConsulIsItsOwnPrimary(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc1")
	self, err := mustClient(t, c, c.ManagementToken).Self(t.Context())
	need(t, err)
	_, needed, err := agent.PrimaryContent(&isthmusv1.FederationPrimary{Mode: "traditional"}, self, federation.TLSFiles{}, nil, nil)
	if needed || err != nil || self.Secondary() {
		t.Fatalf("%v %v %+v", needed, err, self)
	}
	if _, needed, err = agent.PrimaryContent(&isthmusv1.FederationPrimary{Mode: "mesh-gateway"}, self, federation.TLSFiles{}, nil, nil); !needed || err != nil {
		t.Fatalf("%v %v", needed, err)
	}
}
