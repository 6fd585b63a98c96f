package control_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"isthmus/agent/consul"
	"isthmus/demo/consulrun"
	"isthmus/fault"
	"isthmus/gateway"
	"isthmus/gateway/control"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/test/consultest"
)

// A gateway starts before its token is there, and with one that Consul does not know yet: it goes on trying, says why, and then stands
// in Consul as it should, whatever happens to it there, until it leaves.
func TestRegistrationInRealConsul(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc1")
	path, write := tokenFile(t)
	env := append(c.Env(""), "CONSUL_HTTP_TOKEN_FILE="+path)
	s := launch(t, nil, func(config *control.Config) { config.Consul = client(t, env) })
	reason := func(want consul.Reason) {
		t.Helper()
		eventually(t, string(want), func() bool { return s.last().GetErrorReason() == string(want) && !s.last().GetRegistered() })
	}
	reason(consul.Other) // no file
	write("")
	reason(consul.RuleMissing)
	write("7e1ad0c4-6a4f-4e64-9d4e-0d5c0f9e1c11")
	reason(consul.ACLUnknown)
	write(c.MintToken("gateway", policy(t)))
	eventually(t, "registered", func() bool { return s.last().GetRegistered() && s.last().GetErrorReason() == "" })

	address, portText, err := net.SplitHostPort(s.Addr())
	need(t, err)
	port := number(t, portText)
	var first standing
	eventually(t, "it passes", func() bool {
		list := meshGateways(c)
		if len(list) != 1 {
			return false
		}
		first = list[0]
		for _, check := range first.Checks {
			if check.Status != "passing" {
				return false
			}
		}
		return len(first.Checks) == 2 // its own, and the node's
	})
	for _, tag := range []string{"lan", "wan"} {
		if at := first.Service.TaggedAddresses[tag]; at.Address != address || at.Port != port {
			t.Errorf("%s address %v", tag, at)
		}
	}
	if first.Service.Meta["consul-wan-federation"] != "1" {
		t.Errorf("meta %v", first.Service.Meta)
	}
	if at := s.leads("server.dc1.consul"); len(at) != 1 {
		t.Errorf("its servers are at %v", at)
	}
	if at := s.leads(c.Node + ".server.dc1.consul"); len(at) != 1 {
		t.Errorf("its server is at %v", at)
	}

	// Somebody takes it out, or changes it: it comes back.
	c.Do(http.MethodPut, "/v1/agent/service/deregister/"+first.Service.ID, nil, nil)
	eventually(t, "back", func() bool { return len(meshGateways(c)) == 1 })
	again := meshGateways(c)[0].Service
	c.Do(http.MethodPut, "/v1/agent/service/register", map[string]any{"Kind": "mesh-gateway", "ID": again.ID, "Name": "mesh-gateway", "Port": 1}, nil)
	eventually(t, "as it was", func() bool {
		list := meshGateways(c)
		return len(list) == 1 && cmp.Equal(list[0].Service.TaggedAddresses, first.Service.TaggedAddresses) && cmp.Equal(list[0].Service.Meta, first.Service.Meta)
	})
	// Nobody depends on it: it leaves.
	need(t, s.stop())
	if list := meshGateways(c); len(list) != 0 {
		t.Errorf("it is still there: %v", list)
	}
}

// The token that a gateway was registered with is no more, as after a join of a federation, and Consul's agent cannot tell the catalog that
// the gateway is back: it is registered anew, with the next token.
func TestRegistrationWithAnotherToken(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc1")
	path, write := tokenFile(t)
	former := c.MintToken("former", policy(t))
	write(former)
	change := func(config *control.Config) {
		config.Consul, config.Leave = client(t, append(c.Env(""), "CONSUL_HTTP_TOKEN_FILE="+path)), control.LeaveNever
	}
	status := func(want string) {
		t.Helper()
		eventually(t, "the catalog says "+want, func() bool {
			for _, g := range meshGateways(c) {
				for _, check := range g.Checks {
					if strings.HasPrefix(check.CheckID, "isthmus:") {
						return check.Status == want
					}
				}
			}
			return false
		})
	}
	s := launch(t, nil, change)
	status("passing")
	need(t, s.stop())
	status("critical")
	var token struct{ AccessorID string }
	need(t, c.CallAs(t.Context(), former, http.MethodGet, "/v1/acl/token/self", nil, &token))
	c.Do(http.MethodDelete, "/v1/acl/token/"+token.AccessorID, nil, nil)
	write(c.MintToken("next", policy(t)))
	launchAt(t, s.Addr(), nil, change)
	status("passing")
}

// What stands in Consul already is left alone, and a gateway that shall not leave stays.
func TestRegistrationIsLeftAlone(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc1")
	fixed := func(config *control.Config) {
		config.LAN, config.WAN, config.Leave = "127.0.0.1:9443", "192.0.2.1:8443", control.LeaveNever
	}
	s := launch(t, c, fixed)
	eventually(t, "registered", func() bool { return s.last().GetRegistered() && len(meshGateways(c)) == 1 })
	before := meshGateways(c)[0].Service
	need(t, s.stop())
	s = launch(t, c, fixed)
	eventually(t, "registered again", func() bool { return s.last().GetRegistered() })
	if after := meshGateways(c); len(after) != 1 || after[0].Service.ModifyIndex != before.ModifyIndex {
		t.Errorf("%v became %v", before, after)
	}
}

// A secondary that has not reached its primary answers 500 for other datacenters' gateways, and Consul may be gone altogether: what is
// known stays, and what comes later is taken.
func TestConsulComesAndGoes(t *testing.T) {
	t.Parallel()
	c := consultest.StartWith(t, consulrun.Options{Datacenter: "dc1", UnixSocket: true})
	p, address := before(t, c, socket(c.Socket))
	const states = "/v1/internal/federation-states/mesh-gateways"
	p.set(func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "upstream", http.StatusBadGateway)
		return true
	})
	s := launch(t, nil, func(config *control.Config) {
		config.Fixed = []gateway.Entry{{Pattern: "server.dc2.consul", Kind: gateway.KindBootstrap, Addresses: []string{"192.0.2.1:1"}}}
		config.Consul = client(t, []string{"CONSUL_HTTP_ADDR=" + address, "CONSUL_HTTP_TOKEN=" + c.MintToken("gateway", policy(t))})
	})
	eventually(t, "it says so", func() bool { return s.last().GetErrorReason() == string(consul.Other) })
	p.set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == states {
			http.Error(w, "Federation states are currently disabled until all servers in the datacenter support the feature", http.StatusInternalServerError)
		}
		return r.URL.Path == states
	})
	own := func() bool { return len(s.leads("server.dc1.consul")) == 1 }
	eventually(t, "its own servers", own)
	eventually(t, "it says what is missing", func() bool {
		r := s.last()
		return r.GetRegistered() && strings.Contains(r.GetError(), "Federation states are currently disabled")
	})
	p.set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == states {
			w.Header().Set("X-Consul-Index", "7")
			_, _ = w.Write([]byte(`{"dc2": [{"Node": {}, "Checks": [], "Service": {"ID": "a", "Address": "10.0.0.20", "Port": 8443,
				"TaggedAddresses": {"wan": {"Address": "192.0.2.2", "Port": 8443}}}}]}`))
		}
		return r.URL.Path == states
	})
	both := []string{"192.0.2.1:1", "192.0.2.2:8443"}
	remote := func() bool {
		return cmp.Equal(s.leads("server.dc2.consul"), both) && len(s.leads("x.server.dc2.consul")) == 1
	}
	eventually(t, "the other datacenter, after the flags", remote)
	p.set(func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) })
	eventually(t, "Consul is gone", func() bool { return s.last().GetErrorReason() == string(consul.Unreachable) })
	if !own() || !remote() || !s.last().GetRegistered() {
		t.Error("what was known is not known any more")
	}
	p.set(nil)
	eventually(t, "the real answer", func() bool {
		return cmp.Equal(s.leads("server.dc2.consul"), both[:1]) && s.last().GetErrorReason() == ""
	})
}

// At the Consul of another datacenter than the control plane takes it for, a gateway leaves nothing and takes nothing.
func TestWrongConsul(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc1")
	s := launch(t, c, nil)
	eventually(t, "registered", func() bool { return s.last().GetRegistered() })
	s.push("dc2")
	eventually(t, "gone", func() bool {
		return s.last().GetErrorReason() == "WrongConsulDatacenter" && !s.last().GetRegistered() && len(meshGateways(c)) == 0
	})
	eventually(t, "no routes", func() bool { return s.leads("server.dc1.consul") == nil && s.last().GetRoutes() == 0 })
	s.push("dc1")
	eventually(t, "back", func() bool { return s.last().GetRegistered() && len(s.leads("server.dc1.consul")) == 1 })
}

// Pushed routes come after those of flags; the gateway is given a table only when it is another one.
func TestPushedRoutes(t *testing.T) {
	t.Parallel()
	s := launch(t, nil, func(config *control.Config) {
		config.WAN = ""
		config.Fixed = []gateway.Entry{{Pattern: "server.dc2.consul", Kind: gateway.KindBootstrap, Addresses: []string{"192.0.2.1:1"}}}
	})
	route := func(pattern string, addresses ...string) *isthmusv1.GatewayRoute {
		return &isthmusv1.GatewayRoute{Pattern: pattern, Kind: "federation", Addresses: addresses}
	}
	s.push("dc1", route("server.dc2.consul", "192.0.2.2:2", "192.0.2.1:1"), route("Server.DC3.peering.x", "192.0.2.3:3"), route("", "192.0.2.3:3"), route("a.b", "nonsense"))
	eventually(t, "united", func() bool {
		return cmp.Equal(s.leads("server.dc2.consul"), []string{"192.0.2.1:1", "192.0.2.2:2"}) && len(s.leads("server.dc3.peering.x")) == 1
	})
	// It is never sent to itself.
	s.push("dc1", route("server.dc2.consul", "192.0.2.2:2"), route("server.dc3.peering.x", s.Addr(), "192.0.2.3:3"), route("loop.x", s.Addr()))
	eventually(t, "without itself", func() bool {
		return s.leads("loop.x") == nil && cmp.Equal(s.leads("server.dc3.peering.x"), []string{"192.0.2.3:3"}) && s.last().GetRoutes() == 2
	})
	n := s.replacements()
	s.push("dc1", route("server.dc3.peering.x", "192.0.2.3:3"), route("server.dc2.consul", "192.0.2.2:2"))
	s.push("dc1")
	eventually(t, "the flags are left", func() bool { return s.last().GetRoutes() == 1 })
	if got := s.replacements(); got != n+1 {
		t.Errorf("%d replacements for one change", got-n)
	}
	if r := s.last(); r.GetLanAddress() != s.Addr() || r.GetRegistered() || r.GetErrorReason() != "" {
		t.Errorf("reported %v", r)
	}
}

// Whoever gives other wild names each time fills no memory.
func TestRefusedRoutesAreForgotten(t *testing.T) {
	t.Parallel()
	c, err := control.New(control.Config{})
	need(t, err)
	c.Refuse("Consul", gateway.Entry{Pattern: "wild"})
	for i := range 100 {
		if n := c.Refuse("the control plane", gateway.Entry{Pattern: fmt.Sprint(i)}); n != 2 {
			t.Fatalf("it holds %d names", n)
		}
	}
	if n := c.Refuse("Consul"); n != 1 {
		t.Fatalf("it holds %d names", n)
	}
}

// A control plane that will not have a gateway ends it, unless it had it before: then connections go on.
func TestRefusedByTheControlPlane(t *testing.T) {
	t.Parallel()
	refusal := errors.New("refused")
	s := launch(t, nil, nil)
	s.refusal <- refusal
	eventually(t, "the gateway has ended", func() bool { return s.Gateway.Open() == 0 && !accepts(t, s.Addr()) })
	if err := s.stop(); !errors.Is(err, refusal) {
		t.Errorf("%v", err)
	}
	s = launch(t, nil, func(config *control.Config) { config.Follower.(*plane).known = true })
	s.push("dc1", &isthmusv1.GatewayRoute{Pattern: "a.b", Addresses: []string{"192.0.2.1:1"}})
	s.refusal <- refusal
	eventually(t, "its routes stay", func() bool { return len(s.leads("a.b")) == 1 && accepts(t, s.Addr()) })
	need(t, s.stop())
}

func accepts(t *testing.T, address string) bool {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

func TestBadConfig(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		config control.Config
		want   []string
	}{
		"no addresses":   {control.Config{Consul: &consul.Client{}}, []string{"lanAddress", "wanAddress"}},
		"no LAN address": {control.Config{LAN: "0.0.0.0:8443", WAN: "192.0.2.1:8443"}, []string{"lanAddress"}},
		"no leave":       {control.Config{Leave: "maybe"}, []string{"leave"}},
		"no port":        {control.Config{LAN: "10.0.0.1:8443", WAN: "gw.example.com"}, []string{"wanAddress"}},
		"no route":       {control.Config{Fixed: []gateway.Entry{{Pattern: "x"}}}, []string{"route x"}},
	} {
		_, err := control.New(test.config)
		var f *fault.Error
		if !errors.As(err, &f) {
			t.Fatalf("%s: %v", name, err)
		}
		var fields []string
		for _, v := range f.Violations {
			fields = append(fields, v.Field)
		}
		if !cmp.Equal(fields, test.want) {
			t.Errorf("%s: %v, expected %v", name, fields, test.want)
		}
	}
}
