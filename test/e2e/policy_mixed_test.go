package e2e_test

import "testing"

// A datacenter of its own, peered with the two of a federation: one manifest for all, compiled for each side as Consul there needs it.
func TestPoliciesOfAMixedFleet(t *testing.T) {
	f := NewWorld(t, 3, "dc1", "dc2", "dc3")
	dc1 := f.Site("dc1", Site{})
	dc2, dc3 := f.Site("dc2", Site{Primary: true}), f.Site("dc3", Site{Fresh: true, Joins: "dc2"})
	dc1.MayWritePolicies()
	f.Apply(production("", "dc1", "dc2", "dc3"))
	f.Apply("kind: Federation\nname: global\nspec: {primary: dc2, secondaries: [dc3]}\n")
	f.Joined("global", dc2, dc3)
	f.Apply(`
kind: Peering
name: dc1-dc2
spec: {acceptor: dc1, dialer: dc2, throughGateways: true}
---
kind: Peering
name: dc1-dc3
spec: {acceptor: dc1, dialer: dc3, throughGateways: true}
`)
	f.Healthy("dc1-dc2", "dc1-dc3")
	f.Must("apply", "-f", f.write("policies.yaml", apiFromWeb+"---"+apiFailover), "--wait", "80s")

	t.Log("dc1 knows the others as peers")
	dc1.Decides("api", "web=allow", "web@dc2=allow", "web@dc3=allow")
	dc1.Goes("api", "api in dc1", "api of peer dc2", "api of peer dc3")
	t.Log("those of the federation know each other as datacenters, by one entry for both")
	dc2.Goes("api", "api in dc2", "api in dc3")
	dc3.Goes("api", "api in dc3", "api in dc2")
	f.Says("for whom it counts", []string{"describe", "traffic-policy", "api-failover"}, "dc2,dc3", "applied")

	t.Log("who edits the federation's entry in a secondary edits that of the primary, where it is put back")
	dc3.set(map[string]any{"Kind": "service-resolver", "Name": "api", "ConnectTimeout": "7s"})
	dc3.Goes("api", "api in dc3", "api in dc2")
	f.Told("drift", "TrafficPolicy", "api-failover", "dc2", "service-resolver/api", "put back")

	t.Log("without the policies only what people wrote is there")
	f.Must("delete", "intention", "api-from-web")
	f.Must("delete", "traffic-policy", "api-failover")
	dc1.isEntry("the intentions are gone", "service-intentions", "api", nil)
	dc1.isEntry("the resolver is gone", "service-resolver", "api", nil)
	dc3.isEntry("what somebody wrote is there", "service-resolver", "api", map[string]any{"Kind": "service-resolver", "Name": "api", "ConnectTimeout": "7s"})
}
