package inventory_test

import (
	"testing"

	"isthmus/inventory"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

func TestDatacenterOfAFederation(t *testing.T) {
	t.Parallel()
	e := healthy()
	e.Federation = "global"
	e.Inventory.ConsulDomain, e.Inventory.PrimaryDatacenter, e.Inventory.DefaultPolicy = "consul", "dc1", "deny"
	e.Inventory.WanFederationEnabled = new(true)
	for range 20 {
		e.Inventory.WanAddresses = append(e.Inventory.WanAddresses, "192.0.2.1:8302")
	}
	dc := &isthmusv1.Datacenter{Name: "dc2"}
	s := inventory.Datacenter(dc, e, noon)
	if s.GetFederation() != "global" || s.GetConsulDomain() != "consul" || s.GetPrimaryDatacenter() != "dc1" || s.GetDefaultPolicy() != "deny" ||
		!s.GetWanFederationEnabled() || len(s.GetWanAddresses()) != 16 {
		t.Errorf("%v", s)
	}
	dc.Status, e.Federation, e.Inventory = s, "", nil
	if s := inventory.Datacenter(dc, e, noon); s.GetFederation() != "" || s.GetConsulDomain() != "consul" {
		t.Errorf("out of it, and silent: %v", s)
	}
}

func TestEnrolledGateways(t *testing.T) {
	t.Parallel()
	found := inventory.Gateways("dc1", &isthmusv1.InventoryReport{Gateways: []*isthmusv1.ObservedGateway{
		{ServiceId: "mesh-gateway", Node: "s1", WanAddress: "192.0.2.1:8443", Health: "critical", WanFederation: true},
	}}, nobody)
	said := func(agent, wan, lan string, online bool) inventory.Enrolled {
		return inventory.Enrolled{Agent: agent, Online: online, Report: &isthmusv1.GatewayReport{WanAddress: wan, LanAddress: lan}}
	}
	got := inventory.Enrol("dc1", found, []inventory.Enrolled{
		said("dc1-aaaaaa", "192.0.2.1:8443", "10.0.0.1:8443", true), said("dc1-bbbbbb", "192.0.2.2:8443", "10.0.0.2:8443", true),
		said("dc1-cccccc", "192.0.2.3:8443", "", false), said("dc1-dddddd", "", "", true), said("dc1-eeeeee", "192.0.2.2:8443", "", true),
	})
	want := []struct{ name, wan, lan, health string }{
		{"dc1-s1-mesh-gateway", "192.0.2.1:8443", "10.0.0.1:8443", "critical"},
		{"dc1-bbbbbb", "192.0.2.2:8443", "10.0.0.2:8443", "unknown"},
		{"dc1-cccccc", "192.0.2.3:8443", "", "critical"},
	}
	if len(got) != len(want) {
		t.Fatalf("%v", got)
	}
	for i, w := range want {
		g := got[i]
		if g.GetName() != w.name || g.GetSpec().GetWanAddress() != w.wan || g.GetSpec().GetLanAddress() != w.lan || g.GetStatus().GetHealth() != w.health {
			t.Errorf("%v, want %v", g, w)
		}
		resource.Default(g)
		if err := resource.Validate(g); err != nil || g.GetSpec().GetSource() != resource.SourceDiscovered {
			t.Errorf("%v: %v", g, err)
		}
	}
	if found[0].GetSpec().GetLanAddress() != "" {
		t.Error("what was found is changed")
	}
	if got := inventory.Enrol("dc1", nil, nil); len(got) != 0 {
		t.Errorf("%v", got)
	}
}
