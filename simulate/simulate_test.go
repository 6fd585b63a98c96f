package simulate_test

import (
	"testing"

	"isthmus/client"
	"isthmus/fault"
	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/simulate"
)

// A fleet comes up whole: what the server knows of it is what was asked for.
func TestASmallFleetIsHealthy(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	f := h.simulate(t, simulate.Config{Datacenters: 20, Peerings: 60, Regions: 4, Services: 5, Gateways: true})
	if d, p := len(f.Datacenters()), len(f.Peerings()); d != 20 || p != 60 {
		t.Errorf("%d datacenters and %d peerings", d, p)
	}
	dc := get[*isthmusv1.Datacenter](t, h, "dc-0006")
	if s := dc.GetStatus(); dc.GetLabels()["region"] != "us-east" || s.GetServers() != 3 || s.GetServices() != 5 || s.GetAgentsOnline() != 1 {
		t.Errorf("%v", dc)
	}
	for agent, err := range h.client.List(t.Context(), kindOf[*isthmusv1.Agent](), client.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if a := agent.(*isthmusv1.Agent); a.GetStatus().GetTrust() == "" || a.GetStatus().GetLiveness() != resource.LivenessOnline {
			t.Errorf("%v", a.GetStatus())
		}
	}
}

// Secondaries join their primaries' federations, one in each region.
func TestFederations(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	f := h.simulate(t, simulate.Config{Datacenters: 16, Peerings: 20, Regions: 2, FederationSize: 4, Services: 1})
	global := get[*isthmusv1.Federation](t, h, "wan-us-east")
	if s := global.GetStatus(); global.GetSpec().GetPrimary() != "dc-0002" || s.GetJoined() != 3 || s.GetSecondaries() != 3 {
		t.Errorf("%v", global)
	}
	members, err := h.client.Members(t.Context(), "wan-us-east")
	if err != nil || len(members.GetMembers()) != 12 || len(members.GetGaps()) != 0 {
		t.Errorf("%v, %v", members, err)
	}
	// What is left of it when it is deleted is nothing.
	if _, err := h.client.Delete(t.Context(), kindOf[*isthmusv1.Federation](), "wan-us-east", client.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	gone(t, h, kindOf[*isthmusv1.Federation](), "wan-us-east")
	h.healthy(t, f)
}

// Each fault is seen as what it is, and gone when it is healed.
func TestFaults(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	f := h.simulate(t, simulate.Config{Datacenters: 12, Peerings: 30, Regions: 3, Services: 2})
	hung, severed := f.Peerings()[0], f.Peerings()[1]
	for _, err := range []error{f.Hang(hung), f.Sever(severed), f.FailConsul("dc-0012")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	sees(t, h, hung, func(p *isthmusv1.Peering) bool { return p.GetStatus().GetVerdict() == peering.VerdictStale })
	sees(t, h, severed, func(p *isthmusv1.Peering) bool { return p.GetStatus().GetVerdict() == peering.VerdictOneSided })
	sees(t, h, "dc-0012", func(d *isthmusv1.Datacenter) bool {
		ready := resource.FindCondition(d.GetStatus().GetConditions(), resource.ConditionReady)
		return ready.GetStatus() == resource.ConditionFalse && ready.GetReason() == "NoLeader"
	})
	if err := f.Heal(hung, severed, "dc-0012"); err != nil {
		t.Fatal(err)
	}
	h.healthy(t, f)
	if err := f.Heal("dc-9999"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("healing what is not there: %v", err)
	}
}
