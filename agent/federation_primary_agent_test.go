package agent_test

import (
	"net/http"
	"testing"
	"time"

	"isthmus/agent"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/seal"
	"isthmus/test/consultest"
)

// The whole agent: what the server wants is made, stored and reported.
func TestAgentOfAPrimaryServesItsSecondary(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	c := consultest.Start(t, "dc1")
	rules, err := agent.Policy(agent.PurposePrimary)
	need(t, err)
	config := h.config("dc1", settings(t, c.Env(c.MintToken("primary", rules))...))
	config.Federation = agent.FederationConfig{CACertFile: c.CAFile, CAKeyFile: c.CAKeyFile}
	run(t, config)
	other := run(t, h.config("dc2", settings(t, nowhere)))
	item := &isthmusv1.FederationPrimary{Uid: "f1", Federation: "global", Mode: "mesh-gateway", RetryIntervalWan: "2s", Members: []*isthmusv1.BundleMember{
		{Datacenter: "dc2", ConsulDatacenter: "dc2", Ready: true, PrimaryGateways: []string{"10.0.0.20:8443"}, Recipients: h.trusted("dc2")},
		{Datacenter: "dc3", ConsulDatacenter: "dc3", Ready: true, PrimaryGateways: []string{"10.0.0.20:8443"}},
	}}
	defaults := &isthmusv1.DesiredItem{Id: "proxy-defaults", Type: "proxy-defaults", ProxyDefaults: &isthmusv1.ProxyDefaults{MeshGatewayMode: "local"}}
	h.want("dc1", &isthmusv1.DesiredItem{Id: "federation-primary/f1", Type: "federation-primary", FederationPrimary: item}, defaults)
	bundles := func() []*isthmusv1.StoreBundleRequest { h.mu.Lock(); defer h.mu.Unlock(); return h.bundles }
	eventually(t, "a bundle is stored", func() bool { return len(bundles()) == 1 })
	observed := func(datacenter string) *isthmusv1.ObservedBundle {
		for _, b := range h.reported("dc1").GetFederation().GetBundles() {
			if b.GetDatacenter() == datacenter {
				return b
			}
		}
		return nil
	}
	eventually(t, "dc3 has no agent, and that is reported", func() bool {
		return observed("dc3").GetErrorReason() == "NoTrustedRecipient" && observed("dc2") != nil && observed("dc2").GetErrorReason() == ""
	})
	var entry struct{ MeshGateway struct{ Mode string } }
	eventually(t, "the mesh gateway mode is set", func() bool {
		return c.Call(t.Context(), http.MethodGet, "/v1/config/proxy-defaults/global", nil, &entry) == nil && entry.MeshGateway.Mode == "local"
	})
	// It opens at the agent that it is for.
	id, err := identity.LoadIdentity(other.config.DataDir)
	need(t, err)
	payload := bundles()[0].GetPayload()
	_, err = seal.Open(payload, seal.Expect{Kind: seal.KindFederationBundle, UID: "f1", FromDatacenter: "dc1", ToDatacenter: "dc2", Generation: 1},
		h.trusted("dc1"), h.fleet.Public(), id.Opener(), time.Now())
	need(t, err)
	// The next state shows it, and dc2 leaves.
	h.edit(func() {
		m := h.states["dc1"].GetItems()[0].GetFederationPrimary().GetMembers()[0]
		m.Ready, m.Revoke = false, true
	})
	eventually(t, "dc2's tokens are revoked", func() bool { return observed("dc2").GetRevoked() })
	if n := len(bundles()); n != 1 {
		t.Fatalf("%d bundles were stored", n)
	}
}
