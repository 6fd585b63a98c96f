package federation_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

func (w *world) gateways(dc string) string {
	var out []string
	for _, g := range w.member(dc).GetGateways() {
		out = append(out, g.GetWanAddress()+" "+g.GetHealth())
	}
	return strings.Join(out, ", ")
}

func (w *world) gateway(name, dc, address, health string) {
	w.Put(&isthmusv1.Gateway{
		Name: name, Spec: &isthmusv1.GatewaySpec{Datacenter: dc, WanAddress: address, Source: "discovered"}, Status: &isthmusv1.GatewayStatus{Health: health},
	})
}

func TestMakeBeforeBreak(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2", "dc3")
	w.join(t, "dc2")
	w.join(t, "dc3")
	w.gateway("new", "dc1", "new:8443", "passing")
	w.Delete(resource.KindGateway, "dc1-gw")
	w.settle(t)
	const both = "new:8443 passing, dc1.example:8443 retired"
	if got := w.gateways("dc1"); got != both {
		t.Fatalf("got %s", got)
	}
	w.probes("dc2", "dc1", "new:8443", "")
	w.settle(t)
	if got := w.gateways("dc1"); got != both {
		t.Errorf("forgotten before dc3 has proven the new one: %s", got)
	}
	w.probes("dc3", "dc1", "new:8443", "Timeout")
	w.settle(t)
	if got := w.gateways("dc1"); got != both {
		t.Errorf("forgotten although dc3 does not reach the new one: %s", got)
	}
	w.see("dc3", func(s *federation.Seen) { s.Online = false })
	w.probes("dc3", "dc1", "new:8443", "")
	w.settle(t)
	if got := w.gateways("dc1"); got != both {
		t.Errorf("forgotten by what dc3 said before it fell silent: %s", got)
	}
	w.see("dc3", func(s *federation.Seen) { s.Online = true })
	w.settle(t)
	if got := w.gateways("dc1"); got != "new:8443 passing" {
		t.Errorf("kept for ever: %s", got)
	}
}

// Who begins to dial in the very look that could forget an address is asked for its proof before, too: its servers or its bundle may have
// the old one.
func TestWhoComesInKeepsTheOldGateway(t *testing.T) {
	t.Parallel()
	const bundled, runs, byHand = "bundled", "runs with its bundle", "made a member by hand"
	for _, tt := range []struct {
		// dc2 is what it is before its agents, which are silent, are heard of again; phase is what it comes to in that look.
		dc2, phase string
		dials      bool
	}{
		{byHand, resource.PhaseJoining, true},
		{runs, resource.PhaseJoining, true},
		{bundled, resource.PhaseDelivering, true},
		{"without a bundle", resource.PhaseBundling, false},
	} {
		t.Run(tt.dc2, func(t *testing.T) {
			t.Parallel()
			w := newWorld("dc2", "dc3")
			w.see("dc2", func(s *federation.Seen) { s.Deliveries[0].Report.AllowJoin = false })
			w.join(t, "dc3")
			w.see("dc2", func(s *federation.Seen) { s.Deliveries[0].Report.AllowJoin = true })
			w.settle(t)
			switch tt.dc2 {
			case byHand:
				w.see("dc2", func(s *federation.Seen) {
					s.Inventory.PrimaryDatacenter, s.Inventory.WanFederationEnabled = "dc1", new(true)
					s.Deliveries[0].Report.AllowJoin, s.Deliveries[0].Report.CanWrite = false, false
				})
			case bundled, runs:
				w.bundle(t, "dc2")
			}
			if tt.dc2 == runs {
				w.apply("dc2")
			}
			w.see("dc2", func(s *federation.Seen) { s.Online = false })
			w.gateway("new", "dc3", "new:8443", "passing")
			w.Delete(resource.KindGateway, "dc3-gw")
			w.settle(t)
			const both = "new:8443 passing, dc3.example:8443 retired"
			if got := w.gateways("dc3"); got != both {
				t.Fatalf("before: %s", got)
			}
			w.probes("dc1", "dc3", "new:8443", "")
			w.see("dc2", func(s *federation.Seen) { s.Online = true })
			w.step()
			if got := w.member("dc2").GetPhase(); got != tt.phase {
				t.Fatalf("dc2 is %s, want %s", got, tt.phase)
			}
			want := "new:8443 passing"
			if tt.dials {
				want = both
			}
			if got := w.gateways("dc3"); got != want {
				t.Errorf("after: %s, want %s", got, want)
			}
			w.probes("dc2", "dc3", "new:8443", "")
			w.settle(t)
			if got := w.gateways("dc3"); got != "new:8443 passing" {
				t.Errorf("kept for ever: %s", got)
			}
		})
	}
}

func TestAllGatewaysGone(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	w.join(t, "dc2")
	w.Delete(resource.KindGateway, "dc1-gw")
	w.settle(t)
	if got := w.gateways("dc1"); got != "dc1.example:8443 retired" {
		t.Fatalf("got %s", got)
	}
	if got := w.primaryItem(t).GetMembers()[0].GetPrimaryGateways(); len(got) != 1 || got[0] != "dc1.example:8443" {
		t.Errorf("the bundle names %v", got)
	}
	// All changed at once: whoever dials is told of the new one at once, and tries the old one last.
	w.gateway("new", "dc1", "new:8443", "passing")
	w.settle(t)
	for _, r := range federation.Routes(w, "dc2").GetRoutes() {
		if diff := cmp.Diff([]string{"new:8443", "dc1.example:8443"}, r.GetAddresses()); r.GetKind() == federation.RouteFederation && diff != "" {
			t.Errorf("%s: %s", r.GetPattern(), diff)
		}
	}
	if got := w.primaryItem(t).GetMembers()[0].GetPrimaryGateways(); len(got) != 1 || got[0] != "new:8443" {
		t.Errorf("the bundle names %v", got)
	}
}

// A bundle names gateways that are healthy; one whose health comes and goes later restarts nobody.
func TestBundlesNameHealthyGateways(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	w.gateway("sick", "dc1", "sick:8443", "critical")
	named := func() string { return strings.Join(w.primaryItem(t).GetMembers()[0].GetPrimaryGateways(), ",") }
	w.settle(t)
	if got := named(); got != "dc1.example:8443" {
		t.Errorf("named %s", got)
	}
	for _, health := range []string{"", "unknown", "warning"} {
		w.gateway("sick", "dc1", "sick:8443", health)
		w.settle(t)
		if got := named(); got != "dc1.example:8443" {
			t.Errorf("with health %q: named %s", health, got)
		}
	}
	w.gateway("sick", "dc1", "sick:8443", "passing")
	w.settle(t)
	w.gateway("sick", "dc1", "sick:8443", "critical")
	w.settle(t)
	if got := named(); got != "dc1.example:8443,sick:8443" {
		t.Errorf("named %s", got)
	}
}

// A gateway that enrolled is there before its Consul, which cannot tell its health and needs it to join.
func TestEnrolledGatewayIsNamedBeforeItsConsul(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	w.Put(enrolled("dc1-gw1", "dc1", resource.AgentKindGateway))
	w.gateway("dc1-gw1", "dc1", "own:8443", "unknown")
	w.settle(t)
	if got := w.primaryItem(t).GetMembers()[0].GetPrimaryGateways(); !slices.Contains(got, "own:8443") {
		t.Errorf("named %v", got)
	}
}

func TestOwnGatewaysAreDialled(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	w.Put(enrolled("dc2-gw1", "dc2", resource.AgentKindGateway))
	w.settle(t)
	if got := w.primaryItem(t).GetMembers()[0].GetPrimaryGateways(); len(got) != 1 || got[0] != "10.0.0.20:8443" {
		t.Errorf("named %v", got)
	}
	w.Delete(resource.KindAgent, "dc2-gw1")
	w.Put(&isthmusv1.Gateway{Name: "mine", Spec: &isthmusv1.GatewaySpec{Datacenter: "dc2", WanAddress: "mine:8443", LanAddress: "10.0.0.9:8443"}})
	w.settle(t)
	if got := w.primaryItem(t).GetMembers()[0].GetPrimaryGateways(); len(got) != 1 || got[0] != "10.0.0.9:8443" {
		t.Errorf("named %v", got)
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	w.add("dc9")
	w.add("dc8")
	w.Put(
		&isthmusv1.Peering{Name: "through", Spec: &isthmusv1.PeeringSpec{Acceptor: "dc9", Dialer: "dc2", ThroughGateways: new(true)}},
		&isthmusv1.Peering{Name: "direct", Spec: &isthmusv1.PeeringSpec{Acceptor: "dc8", Dialer: "dc2"}},
	)
	w.join(t, "dc2")
	want := &isthmusv1.GatewayRoutes{Domain: "consul", Routes: []*isthmusv1.GatewayRoute{
		{Pattern: "*.dc1.internal.dc1.td", Kind: "federation", Addresses: []string{"dc1.example:8443"}},
		{Pattern: "*.server.dc1.consul", Kind: "federation", Addresses: []string{"dc1.example:8443"}},
		{Pattern: "server.dc1.consul", Kind: "federation", Addresses: []string{"dc1.example:8443"}},
		{Pattern: "server.dc9.peering.dc9.td", Kind: "peering", Addresses: []string{"dc9.example:8443"}},
	}}
	if diff := cmp.Diff(want, federation.Routes(w, "dc2"), protocmp.Transform()); diff != "" {
		t.Errorf("dc2 (-want +got):\n%s", diff)
	}
	if got := federation.Routes(w, "dc8").GetRoutes(); len(got) != 0 {
		t.Errorf("dc8: %v", got)
	}
	// Calls of services go through gateways whatever the control traffic of a peering does.
	probes := []*isthmusv1.GatewayProbe{{Datacenter: "dc2", Address: "dc2.example:8443"}}
	if diff := cmp.Diff(probes, w.probed("dc8").GetGateways(), protocmp.Transform()); diff != "" {
		t.Errorf("dc8 tries (-want +got):\n%s", diff)
	}
}

func (w *world) probed(dc string) *isthmusv1.Probes {
	for _, i := range federation.Items(w, dc) {
		if p := i.GetProbes(); p != nil {
			return p
		}
	}
	return nil
}

func TestProbes(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	w.Put(&isthmusv1.Datacenter{Name: "dc2", Spec: &isthmusv1.DatacenterSpec{
		Runtime: resource.RuntimeKubernetes, Kubernetes: &isthmusv1.KubernetesSpec{ApiUrl: "https://k8s:6443"},
	}, Status: &isthmusv1.DatacenterStatus{WanAddresses: []string{"192.0.2.2:8302"}, RpcAddresses: []string{"192.0.2.2:8300"}}})
	w.settle(t)
	// Before the join: can it reach the primary at all?
	toPrimary := &isthmusv1.GatewayProbe{Datacenter: "dc1", Address: "dc1.example:8443", ServerName: "server.dc1.consul", Alpn: "consul/rpc-multi"}
	if diff := cmp.Diff(&isthmusv1.Probes{Gateways: []*isthmusv1.GatewayProbe{toPrimary}}, w.probed("dc2"), protocmp.Transform()); diff != "" {
		t.Errorf("dc2 before (-want +got):\n%s", diff)
	}
	urls := []*isthmusv1.UrlProbe{{Datacenter: "dc2", Url: "https://k8s:6443"}}
	if diff := cmp.Diff(&isthmusv1.Probes{Urls: urls}, w.probed("dc1"), protocmp.Transform()); diff != "" {
		t.Errorf("dc1 before (-want +got):\n%s", diff)
	}
	w.join(t, "dc2")
	want := &isthmusv1.Probes{
		Gateways: []*isthmusv1.GatewayProbe{{Datacenter: "dc2", Address: "dc2.example:8443", ServerName: "server.dc2.consul", Alpn: "consul/rpc-multi"}},
		Reads:    []*isthmusv1.ReadProbe{{Datacenter: "dc2", ConsulDatacenter: "dc2"}}, Urls: urls,
	}
	if diff := cmp.Diff(want, w.probed("dc1"), protocmp.Transform()); diff != "" {
		t.Errorf("dc1 (-want +got):\n%s", diff)
	}
	w.edit(func(f *isthmusv1.Federation) { f.Spec.Mode = resource.ModeTraditional })
	if got := w.probed("dc1").GetGateways(); len(got) != 1 || got[0].GetAddress() != "192.0.2.2:8300" {
		t.Errorf("traditional: %v", got)
	}
	member := w.primaryItem(t).GetMembers()[0]
	if member.GetRetryJoinWan()[0] != "dc1.example:8302" || member.GetWanAddresses()[0] != "192.0.2.2:8302" || len(member.GetPrimaryGateways()) != 0 {
		t.Errorf("traditional: %v", member)
	}
}

func TestProxyDefaults(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	mode := func(dc string) string {
		for _, i := range federation.Items(w, dc) {
			if p := i.GetProxyDefaults(); p != nil {
				return p.GetMeshGatewayMode()
			}
		}
		return ""
	}
	w.settle(t)
	if got := mode("dc1"); got != "" {
		t.Errorf("nobody asked for %s", got)
	}
	w.edit(func(f *isthmusv1.Federation) { f.Spec.MeshGatewayMode = "local" })
	if mode("dc1") != "local" || mode("dc2") != "" {
		t.Errorf("dc1 %q, dc2 %q", mode("dc1"), mode("dc2"))
	}
}
