package server_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"isthmus/identity"
	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// federated is three datacenters in the federation global, with an agent each that does nothing by itself.
func federated(t *testing.T) (n *node, fleet *identity.FleetKey, agents map[string]*agent) {
	t.Helper()
	n, fleet, agents = start(t), fleetKey(t), map[string]*agent{}
	n.apply(datacenters("dc1", "dc2", "dc3", "dc9") + "---\n" + global)
	w := newWorld()
	for _, dc := range []string{"dc1", "dc2", "dc3", "dc9"} {
		agents[dc] = n.enrol(w, fleet, dc)
	}
	return n, fleet, agents
}

func (n *node) federation() *isthmusv1.Federation {
	n.t.Helper()
	f, err := isthmusv1.NewFederationServiceClient(n.shared()).GetFederation(n.as(n.token), &isthmusv1.GetRequest{Name: "global"})
	if err != nil {
		n.t.Fatal(err)
	}
	return f
}

// A gateway is told its routes, may say how it is, and nothing of its datacenter.
func TestAGatewayIsNoAgent(t *testing.T) {
	t.Parallel()
	n, fleet, agents := federated(t)
	g := n.enrolAt(time.Now(), fleet, "dc1", identity.KindGateway)
	state := g.mustPull(nil, "").GetState()
	if len(state.GetItems()) != 1 || state.GetItems()[0].GetType() != resource.ItemGatewayRoutes || state.GetDatacenter() != "dc1" {
		t.Errorf("a gateway is told %v", state)
	}
	for what, r := range map[string]*isthmusv1.ReportRequest{
		"inventory":  {Inventory: &isthmusv1.InventoryReport{ConsulVersion: "1.20.6"}},
		"peerings":   {Peerings: &isthmusv1.PeeringsReport{}},
		"delivery":   {Agent: &isthmusv1.AgentReport{}, Delivery: &isthmusv1.DeliveryReport{}},
		"federation": {Gateway: &isthmusv1.GatewayReport{}, Federation: &isthmusv1.FederationReport{}},
	} {
		if _, err := g.sync.Report(t.Context(), r); status.Code(err) != codes.PermissionDenied || reason(err) != "NotItsPart" {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := agents["dc1"].sync.Report(t.Context(), &isthmusv1.ReportRequest{Gateway: &isthmusv1.GatewayReport{WanAddress: "192.0.2.66:8443"}})
	if status.Code(err) != codes.PermissionDenied {
		t.Errorf("an agent that says it is a gateway: %v", err)
	}
	g.reports(&isthmusv1.ReportRequest{
		Agent: &isthmusv1.AgentReport{Version: "g1", Leader: true}, Gateway: &isthmusv1.GatewayReport{LanAddress: "10.0.0.5:8443", WanAddress: "192.0.2.5:8443"},
	})
	eventually(t, "the gateway is heard of", func() (bool, string) {
		body := n.call("GET", "/v1/agents/"+g.id.Agent(), "").body
		return strings.Contains(body, `"g1"`) && strings.Contains(body, `"liveness":"online"`) && strings.Contains(body, `"leader":false`), body
	})
	eventually(t, "others are told of it", func() (bool, string) {
		body := n.call("GET", "/v1/gateways/"+g.id.Agent(), "").body
		return strings.Contains(body, `"wanAddress":"192.0.2.5:8443"`) && strings.Contains(body, `"source":"discovered"`), body
	})
	// Consul knows it, too: it is one gateway.
	agents["dc1"].reports(&isthmusv1.ReportRequest{Agent: &isthmusv1.AgentReport{Leader: true}, Inventory: &isthmusv1.InventoryReport{
		Gateways: []*isthmusv1.ObservedGateway{{ServiceId: "mesh-gateway", Node: "s1", WanAddress: "192.0.2.5:8443", Health: "passing"}},
	}})
	eventually(t, "it stands once", func() (bool, string) {
		body := n.call("GET", "/v1/gateways", "").body
		return strings.Count(body, "192.0.2.5:8443") == 1 && strings.Contains(body, "dc1-s1-mesh-gateway") && strings.Contains(body, "10.0.0.5:8443"), body
	})
	stranger := n.enrolWith(newWorld(), nil, n.joinTokenFor(nil, identity.MintOptions{Datacenter: "dc1", Kind: identity.KindGateway}, time.Now()))
	_, err = stranger.sync.Report(t.Context(), &isthmusv1.ReportRequest{Gateway: &isthmusv1.GatewayReport{WanAddress: "192.0.2.66:8443"}})
	if reason(err) != identity.ReasonNotApproved {
		t.Errorf("a gateway that nobody approved: %v", err)
	}
	if body := n.call("GET", "/v1/gateways", "").body; strings.Contains(body, "192.0.2.66") {
		t.Errorf("others are led to it: %s", body)
	}
	fresh := n.enrolAt(time.Now(), fleet, "dc2", identity.KindGateway)
	fresh.reports(&isthmusv1.ReportRequest{Gateway: &isthmusv1.GatewayReport{WanAddress: "192.0.2.6:8443"}})
	eventually(t, "one of a datacenter without Consul", func() (bool, string) {
		a := n.call("GET", "/v1/gateways/"+fresh.id.Agent(), "")
		return a.status == 200, a.body
	})
	n.want(200, n.call("DELETE", "/v1/agents/"+fresh.id.Agent(), ""))
	eventually(t, "it goes with its identity", func() (bool, string) {
		a := n.call("GET", "/v1/gateways/"+fresh.id.Agent(), "")
		return a.status == 404, a.body
	})
}

// One host of a datacenter restarts at a time.
func TestTurns(t *testing.T) {
	t.Parallel()
	n, fleet, agents := federated(t)
	uid := n.federation().GetUid()
	first, second := agents["dc2"], n.enrol(newWorld(), fleet, "dc2")
	take := func(a *agent) *isthmusv1.TakeTurnResponse {
		t.Helper()
		turn, err := a.sync.TakeTurn(t.Context(), &isthmusv1.TakeTurnRequest{Uid: uid})
		if err != nil {
			t.Fatal(err)
		}
		return turn
	}
	end := func(a *agent) {
		t.Helper()
		if _, err := a.sync.EndTurn(t.Context(), &isthmusv1.EndTurnRequest{Uid: uid}); err != nil {
			t.Fatal(err)
		}
	}
	end(first) // of a turn that nobody has
	one := take(first)
	if again := take(first); !one.GetGranted() || !again.GetGranted() || again.GetExpireTime().AsTime().Before(one.GetExpireTime().AsTime()) {
		t.Errorf("the first one's turn: %v, then %v", one, again)
	}
	if other := take(second); other.GetGranted() || other.GetHolder() != first.id.Agent() || other.GetExpireTime() == nil {
		t.Errorf("while the first has it: %v", other)
	}
	if elsewhere := take(agents["dc3"]); !elsewhere.GetGranted() {
		t.Errorf("in another datacenter: %v", elsewhere)
	}
	end(second) // what it does not have
	if other := take(second); other.GetGranted() {
		t.Errorf("somebody else ended the turn: %v", other)
	}
	end(first)
	if other := take(second); !other.GetGranted() {
		t.Errorf("after the first one's turn: %v", other)
	}
	for what, a := range map[string]*agent{"an agent of elsewhere": agents["dc9"], "one that nobody approved": n.enrol(newWorld(), nil, "dc2")} {
		_, err := a.sync.TakeTurn(t.Context(), &isthmusv1.TakeTurnRequest{Uid: uid})
		if c := status.Code(err); c != codes.NotFound && c != codes.PermissionDenied {
			t.Errorf("%s: %v", what, err)
		}
		if _, err = a.sync.EndTurn(t.Context(), &isthmusv1.EndTurnRequest{Uid: uid}); err == nil {
			t.Errorf("%s ends a turn", what)
		}
	}
}

// What an agent says of its host is bounded, and about itself.
func TestDeliveryReportsOfAHostileAgent(t *testing.T) {
	t.Parallel()
	_, _, agents := federated(t)
	a := agents["dc2"]
	for field, r := range map[string]*isthmusv1.ReportRequest{
		"delivery.host.csr":          {Delivery: &isthmusv1.DeliveryReport{Host: &isthmusv1.FederationHost{Csr: make([]byte, 5<<10)}}},
		"delivery.host.csrSignature": {Delivery: &isthmusv1.DeliveryReport{Host: &isthmusv1.FederationHost{CsrSignature: make([]byte, 65)}}},
		"delivery.ownCaSignature":    {Delivery: &isthmusv1.DeliveryReport{OwnCaSignature: make([]byte, 65)}},
		"delivery.ownCa":             {Delivery: &isthmusv1.DeliveryReport{OwnCa: "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"}},
		"federation.loss.items":      {Federation: &isthmusv1.FederationReport{Loss: &isthmusv1.JoinLoss{Items: many(1_001, &isthmusv1.LostItem{})}}},
		"federation.wanMembers":      {Federation: &isthmusv1.FederationReport{WanMembers: many(5_001, &isthmusv1.WanMember{})}},
		"federation.reads":           {Federation: &isthmusv1.FederationReport{Reads: many(5_001, &isthmusv1.ObservedRead{})}},
		"federation.probes":          {Federation: &isthmusv1.FederationReport{Probes: many(5_001, &isthmusv1.ObservedProbe{})}},
		"federation.bundles":         {Federation: &isthmusv1.FederationReport{Bundles: many(5_001, &isthmusv1.ObservedBundle{})}},
	} {
		if _, err := a.sync.Report(t.Context(), r); status.Code(err) != codes.InvalidArgument || !strings.Contains(status.Convert(err).Message(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func many[T any](n int, one T) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = one
	}
	return out
}

// A desired state wakes whoever a federation concerns.
func TestPullOfAFederation(t *testing.T) {
	t.Parallel()
	n, w, fleet, agents := joins(t)
	n.apply(datacenters("dc9"))
	agents["dc9"] = n.enrolInto(w, fleet, "dc9")
	n.apply(global)
	n.reaches(map[string]string{"dc1": joined, "dc2": joined, "dc3": joined})
	for dc, item := range map[string]string{"dc1": resource.ItemFederationPrimary, "dc2": resource.ItemFederationSecondary, "dc9": ""} {
		agents[dc].hasPart(t, item)
	}
}

// As long as nothing is known of a primary's Consul, nobody is told to restart it.
func TestPullOfAPrimaryOfWhichNothingIsKnown(t *testing.T) {
	t.Parallel()
	_, _, agents := federated(t)
	agents["dc2"].hasPart(t, resource.ItemFederationSecondary)
	agents["dc1"].hasPart(t, "")
}

// hasPart waits until an agent is given its datacenter's part in a federation; empty: none.
func (a *agent) hasPart(t *testing.T, item string) {
	t.Helper()
	eventually(t, "the part is "+item, func() (bool, string) {
		r, err := a.sync.Pull(t.Context(), &isthmusv1.PullRequest{Wait: "0s", Features: plan.Features()})
		if err != nil {
			return false, err.Error()
		}
		got := ""
		for _, i := range r.GetState().GetItems() {
			if i.GetFederationPrimary() != nil || i.GetFederationSecondary() != nil {
				got = i.GetType()
			}
		}
		return got == item, r.GetState().String()
	})
}
