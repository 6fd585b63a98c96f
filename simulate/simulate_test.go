package simulate_test

import (
	"context"
	"errors"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

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

// A datacenter that is cut is silent, and its peerings are unknown, until it is healed.
func TestCut(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	f := h.simulate(t, simulate.Config{Datacenters: 4, Peerings: 6, Gateways: true})
	if err := f.Cut("dc-0003"); err != nil {
		t.Fatal(err)
	}
	h.ahead.Add(int64(resource.Silence + time.Second))
	sees(t, h, "dc-0003", func(d *isthmusv1.Datacenter) bool { return d.GetStatus().GetAgent() == resource.LivenessOffline })
	sees(t, h, "dc-0002-dc-0003", func(p *isthmusv1.Peering) bool { return p.GetStatus().GetVerdict() == peering.VerdictUnknown })
	h.healthy(t, f) // all others
	if err := f.Heal("dc-0003"); err != nil {
		t.Fatal(err)
	}
	sees(t, h, "dc-0003", func(d *isthmusv1.Datacenter) bool { return d.GetStatus().GetAgent() == resource.LivenessOnline })
	h.healthy(t, f)
}

// Faults by number hurt as many as they say, nothing twice, and the same ones each time.
func TestInflict(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	f := h.simulate(t, simulate.Config{Datacenters: 12, Peerings: 30, Regions: 2, Seed: 7})
	datacenters, peerings, err := f.Inflict(simulate.Faults{FailingConsul: 2, Stale: 2, OneSided: 1})
	if err != nil || len(datacenters) != 2 || len(peerings) != 3 {
		t.Fatalf("%v, %v, %v", datacenters, peerings, err)
	}
	sees(t, h, peerings[1], func(p *isthmusv1.Peering) bool { return p.GetStatus().GetVerdict() == peering.VerdictStale })
	sees(t, h, peerings[2], func(p *isthmusv1.Peering) bool { return p.GetStatus().GetVerdict() == peering.VerdictOneSided })
	again, same, err := f.Inflict(simulate.Faults{FailingConsul: 2, Stale: 2, OneSided: 1})
	if err != nil || !slices.Equal(again, datacenters) || !slices.Equal(same, peerings) {
		t.Errorf("%v, %v, %v", again, same, err)
	}
	if _, _, err := f.Inflict(simulate.Faults{Cut: 13}); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("more than there are: %v", err)
	}
}

// A member of a federation whom nobody reaches: the others' probes of its gateway say so, and its own of theirs go on; until it is reached again.
func TestUnreach(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	f := h.simulate(t, simulate.Config{Datacenters: 8, FederationSize: 3, Gateways: true, Services: 1})
	if _, _, err := f.Inflict(simulate.Faults{Unreachable: 4}); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("more than are in a federation: %v", err)
	}
	hurt, _, err := f.Inflict(simulate.Faults{Unreachable: 1})
	if err != nil || len(hurt) != 1 {
		t.Fatalf("%v, %v", hurt, err)
	}
	reached := func(want map[bool]string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for {
			got, err := h.client.Reachability(ctx, "")
			if err != nil {
				t.Fatalf("%v: not as wanted: %v", err, want)
			}
			wrong := len(got.GetCells()) < 6
			for _, c := range got.GetCells() {
				wrong = wrong || c.GetReached() != want[c.GetTo() == hurt[0]]
			}
			if !wrong {
				return
			}
		}
	}
	reached(map[bool]string{true: "no", false: "yes"})
	if err := f.Heal(hurt...); err != nil {
		t.Fatal(err)
	}
	reached(map[bool]string{true: "yes", false: "yes"})
}

// Nothing of a fleet is left in the process when it is closed. It does not run beside other tests: it looks at all goroutines.
//
//nolint:paralleltest // see above
func TestCloseLeavesNothing(t *testing.T) {
	newHub(t).simulate(t, simulate.Config{Datacenters: 6, Peerings: 10, Regions: 2, Gateways: true}).Close()
	var stacks strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&stacks, 1); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(stacks.String(), "isthmus/simulate.") {
		t.Errorf("goroutines are left:\n%s", stacks.String())
	}
}

// A configuration that makes no sense is refused as a whole, and so is a server that has something of its own.
func TestRefusals(t *testing.T) {
	t.Parallel()
	_, err := simulate.Start(t.Context(), simulate.Config{Datacenters: 0, Services: -1})
	if f, ok := errors.AsType[*fault.Error](err); !ok || f.Code != fault.Invalid || len(f.Violations) != 2 {
		t.Errorf("%v", err)
	}
	if err := (simulate.Config{Datacenters: 5, Peerings: 11}).Validate(); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("more peerings than pairs: %v", err)
	}
	h := newHub(t)
	if _, err := h.client.Apply(t.Context(), []byte("kind: Datacenter\nname: dc1\nspec: {runtime: vm}\n"), client.ApplyOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := simulate.Start(t.Context(), simulate.Config{Server: h.config, Datacenters: 2}); fault.CodeOf(err) != fault.Refused {
		t.Errorf("a server with a datacenter of its own: %v", err)
	}
}
