package agent_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"isthmus/agent"
	"isthmus/demo/consulrun"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/test/consultest"
)

func throughGateways(through bool) *isthmusv1.DesiredItem {
	return &isthmusv1.DesiredItem{Id: "mesh", Type: "mesh", Mesh: &isthmusv1.MeshSettings{PeerThroughMeshGateways: through}}
}

// problems is everything that a datacenter and its agent said went wrong.
func (h *hub) problems(datacenter, name string) string {
	own, all := h.reported(name), h.reported(datacenter)
	out := []string{own.GetAgent().GetErrorReason(), own.GetAgent().GetError(), all.GetExports().GetErrorReason(), all.GetExports().GetError()}
	for _, p := range all.GetPeerings().GetPeerings() {
		out = append(out, p.GetErrorReason(), p.GetError())
	}
	return strings.Join(out, " ")
}

// The documented rules are enough (TestPeeringFromDesiredStateToImportedService), and none of them is too much: without any
// one, the agent says which one is missing.
func TestPolicyIsMinimalAndAMissingRuleIsNamed(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "east")
	rules, err := agent.Policy(agent.PurposePeering)
	need(t, err)
	var lines []string
	for line := range strings.Lines(rules) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	for i, missing := range lines {
		t.Run(missing, func(t *testing.T) {
			h := newHub(t)
			rest := append(append([]string{}, lines[:i]...), lines[i+1:]...)
			token := c.MintToken("without-"+string(rune('a'+i)), strings.Join(rest, "\n"))
			r := run(t, h.config("east", settings(t, c.Env(token)...)))
			// A second agent of the other side, so that there is somebody to seal to.
			run(t, h.config("west", settings(t, nowhere)))
			h.want("east", throughGateways(false), h.acceptor("u"+string(rune('a'+i)), "west", 1),
				exports(&isthmusv1.ExportedService{Name: "web", Peers: []string{"west"}}))
			eventually(t, "the missing rule is named: "+missing, func() bool {
				return strings.Contains(h.problems("east", r.name), "lacks the rule "+missing)
			})
			r.stop()
			for _, p := range c.Peerings() {
				c.Do(http.MethodDelete, "/v1/peering/"+p.Name, nil, nil)
			}
			eventually(t, "cleared", func() bool { return len(c.Peerings()) == 0 })
		})
	}
	if _, err := agent.Policy("world-peace"); err == nil {
		t.Fatal("rules for an unknown purpose")
	}
}

func TestTwoAgentsOneLeads(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	c := consultest.Start(t, "east")
	c.Register("web", "api")
	first := h.agentOf(c)
	eventually(t, "the first leads", func() bool { return h.reported(first.name).GetAgent().GetLeader() })
	second := run(t, h.config("east", first.config.Consul))
	run(t, h.config("west", settings(t, nowhere)))
	h.want("east", h.acceptor("u1", "west", 1), exports(&isthmusv1.ExportedService{Name: "web", Peers: []string{"west"}}))
	eventually(t, "the token made", func() bool { h.mu.Lock(); defer h.mu.Unlock(); return len(h.stored) == 1 })
	eventually(t, "the second follows", func() bool { return h.reported(second.name).GetAgent() != nil })
	if seen := h.reported(second.name); seen.GetAgent().GetLeader() || seen.GetPeerings() != nil || seen.GetExports() != nil || seen.GetInventory() != nil {
		t.Fatalf("the follower acts: %v", seen)
	}
	eventually(t, "inventory", func() bool { return h.reported("east").GetInventory().GetServices() == 3 })
	first.stop()
	eventually(t, "the second leads", func() bool {
		seen := h.reported(second.name)
		return seen.GetAgent().GetLeader() && seen.GetPeerings() != nil && seen.GetExports() != nil && seen.GetInventory() != nil && seen.GetServices() != nil
	})
	if p := h.observed("east", "u1"); p.GetGeneration() != 1 || p.GetState() != "PENDING" {
		t.Fatalf("after the change of leaders: %v", p)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.stored) != 1 {
		t.Fatalf("%d tokens made", len(h.stored))
	}
}

func TestWrongConsulIsNotTouched(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	c := consultest.Start(t, "east")
	r := run(t, h.config("west", settings(t, c.Env(c.ManagementToken)...)))
	run(t, h.config("north", settings(t, nowhere)))
	h.want("west", h.acceptor("u1", "north", 1), throughGateways(true), exports(&isthmusv1.ExportedService{Name: "web", Peers: []string{"north"}}))
	eventually(t, "it says so", func() bool {
		a := h.reported(r.name).GetAgent()
		return a.GetErrorReason() == "WrongConsulDatacenter" && strings.Contains(a.GetError(), "west") && strings.Contains(a.GetError(), "east")
	})
	for _, path := range []string{"/v1/session/list", "/v1/config/mesh", "/v1/config/exported-services", "/v1/peerings"} {
		var list []any
		c.Do(http.MethodGet, path, nil, &list)
		if len(list) != 0 {
			t.Errorf("%s: %v", path, list)
		}
	}
	// What the datacenter is called there can be said.
	h.edit(func() { h.states["west"].ConsulDatacenter = "east" })
	eventually(t, "it works", func() bool { return h.observed("west", "u1").GetState() == "PENDING" })
}

func TestConsulComesLaterOverAUnixSocket(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	c := consultest.StartWith(t, consulrun.Options{Datacenter: "east", UnixSocket: true})
	need(t, c.Kill())
	r := run(t, h.config("east", settings(t, "CONSUL_HTTP_ADDR=unix://"+c.Socket, "CONSUL_HTTP_TOKEN="+c.ManagementToken)))
	run(t, h.config("west", settings(t, nowhere)))
	h.want("east", h.acceptor("u1", "west", 1))
	eventually(t, "it says that Consul is not there", func() bool {
		return h.reported(r.name).GetAgent().GetErrorReason() == "ConsulUnreachable"
	})
	need(t, c.Restart(t.Context()))
	eventually(t, "it works", func() bool { return h.observed("east", "u1").GetState() == "PENDING" })
	eventually(t, "and says so", func() bool { return h.reported(r.name).GetAgent().GetErrorReason() == "" })
}

func TestServerAwayAgentGoesOn(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	c := consultest.Start(t, "east")
	config := h.config("east", h.settings(c))
	r := run(t, config)
	h.want("east", exports(&isthmusv1.ExportedService{Name: "web", Peers: []string{"west"}}),
		&isthmusv1.DesiredItem{Id: "teleport/1", Type: "teleport"})
	exported := func() bool {
		var list []any
		c.Do(http.MethodGet, "/v1/config/exported-services", nil, &list)
		return len(list) == 1
	}
	eventually(t, "exported", exported)
	eventually(t, "the unknown item is reported", func() bool {
		unknown := h.reported(r.name).GetAgent().GetUnknownItems()
		return len(unknown) == 1 && unknown[0] == "teleport/1"
	})
	h.stop()
	r.stop()
	run(t, config) // a restart without a server
	c.Do(http.MethodDelete, "/v1/config/exported-services/default", nil, nil)
	eventually(t, "drift corrected without a server", exported)
	h.start(h.addr)
	h.want("east", exports())
	eventually(t, "the server's word counts again", func() bool { return !exported() })
}

func TestThroughGateways(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	c := consultest.Start(t, "east")
	r := h.agentOf(c)
	run(t, h.config("west", settings(t, nowhere)))
	h.want("east", throughGateways(true), h.acceptor("u1", "west", 1))
	eventually(t, "no gateway is there", func() bool { return h.observed("east", "u1").GetErrorReason() == "NoMeshGateway" })
	c.Do(http.MethodPut, "/v1/catalog/register", map[string]any{
		"Node": "gw", "Address": "10.9.9.9",
		"Service": map[string]any{
			"Kind": "mesh-gateway", "ID": "gw1", "Service": "mesh-gateway", "Port": 8443, "Meta": map[string]string{"consul-wan-federation": "1"},
			"TaggedAddresses": map[string]any{"wan": map[string]any{"Address": "192.0.2.1", "Port": 443}},
		},
	}, nil)
	eventually(t, "a token is made", func() bool {
		p := h.observed("east", "u1")
		return p.GetState() == "PENDING" && p.GetErrorReason() == ""
	})
	eventually(t, "the gateway is discovered", func() bool {
		g := h.reported("east").GetInventory().GetGateways()
		return len(g) == 1 && g[0].GetWanAddress() == "192.0.2.1:443" && g[0].GetLanAddress() == "10.9.9.9:8443" && g[0].GetWanFederation() && g[0].GetServiceId() == "gw1"
	})
	h.want("east", h.acceptor("u1", "west", 1))
	eventually(t, "the entry that isthmus made is gone", func() bool {
		var list []any
		c.Do(http.MethodGet, "/v1/config/mesh", nil, &list)
		return len(list) == 0
	})
	r.stop()
}

// A human edits the shared entry while isthmus merges into it. Nothing of either is lost.
func TestExportsBesideAHumanWithAnEditor(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	c := consultest.Start(t, "east")
	h.agentOf(c)
	type consumer struct{ Peer string }
	type service struct {
		Name      string
		Consumers []consumer
	}
	type config struct {
		Kind, Name  string
		Services    []service
		Meta        map[string]string
		ModifyIndex uint64 `json:",omitempty"`
	}
	read := func() (config, bool) {
		var list []config
		c.Do(http.MethodGet, "/v1/config/exported-services", nil, &list)
		if len(list) == 0 {
			return config{Kind: "exported-services", Name: "default"}, false
		}
		list[0].Kind = "exported-services"
		return list[0], true
	}
	const rounds = 25
	for i := range rounds {
		// isthmus wants something else in each round, and the human adds one consumer with check-and-set, as Consul's tools do.
		peers := []string{"north"}
		if i%2 == 0 {
			peers = append(peers, "west")
		}
		h.want("east", exports(&isthmusv1.ExportedService{Name: "web", Peers: peers}))
		for done := false; !done; {
			e, _ := read()
			index := e.ModifyIndex
			e.Services = append(e.Services, service{fmt.Sprintf("human-%d", i), []consumer{{"acme"}}})
			var ok bool
			c.Do(http.MethodPut, fmt.Sprintf("/v1/config?cas=%d", index), e, &ok)
			done = ok
		}
	}
	have := func() map[string]int {
		out := map[string]int{}
		e, _ := read()
		for _, s := range e.Services {
			for _, consumer := range s.Consumers {
				out[s.Name+">"+consumer.Peer]++
			}
		}
		return out
	}
	eventually(t, "isthmus's last word", func() bool {
		got := have()
		return got["web>north"] == 1 && got["web>west"] == 1 && len(got) == rounds+2
	})
	h.want("east", exports())
	eventually(t, "isthmus's part is gone, the human's is not", func() bool { return len(have()) == rounds })
	for i := range rounds {
		if have()[fmt.Sprintf("human-%d>acme", i)] != 1 {
			t.Errorf("the human's service %d is gone", i)
		}
	}
	if e, _ := read(); len(e.Meta) > 1 {
		t.Errorf("marks are left: %v", e.Meta)
	}
}
