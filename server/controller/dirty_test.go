package controller_test

import (
	"fmt"
	"testing"
	"time"

	inv "isthmus/inventory"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/controller"
	"isthmus/server/evidence"
)

// What is too much for a round is looked at in the ones after it, each datacenter and each peering once.
func TestRoundsTakeWhatIsTooMuchInTurns(t *testing.T) {
	t.Parallel()
	const most = 7
	d := controller.NewDirty(most)
	for i := range 2*most + 1 {
		d.Mark(fmt.Sprint(i))
	}
	datacenters, peerings := map[string]int{}, map[string]int{}
	for round, want := range []int{most, most, 1, 0} {
		some, others, left := d.Round()
		if len(some) != want || len(others) != want || left != (round < 2) {
			t.Errorf("round %d looks at %d datacenters and %d peerings, and leaves some: %v", round, len(some), len(others), left)
		}
		for name := range some {
			datacenters[name]++
		}
		for name := range others {
			peerings[name]++
		}
	}
	for i := range 2*most + 1 {
		if name := fmt.Sprint(i); datacenters[name] != 1 || peerings[name] != 1 {
			t.Errorf("%s is looked at %d and %d times", name, datacenters[name], peerings[name])
		}
	}
}

// Many changes soon after each other are followed to the last one, though nothing comes after it: those that come while a round rests wait, and
// are not forgotten.
func TestNothingThatComesDuringARestIsForgotten(t *testing.T) {
	t.Parallel()
	f := newFleet(t, datacenter("dc1"))
	const many = 30
	for i := range many {
		f.put(intention(fmt.Sprint("i", i), fmt.Sprint("api", i), "web", "dc1"))
		if i%10 == 0 {
			f.report("a1", "dc1", &isthmusv1.ReportRequest{Policy: f.wrote("dc1")})
		}
	}
	for i := range many {
		f.policy(resource.KindIntention, fmt.Sprint("i", i), "looked at", func(s *isthmusv1.PolicyStatus) bool { return len(s.GetPlacements()) > 0 })
	}
	f.report("a1", "dc1", &isthmusv1.ReportRequest{Policy: f.wrote("dc1")})
	for i := range many {
		f.ready(resource.KindIntention, fmt.Sprint("i", i), "Applied")
	}
}

// A datacenter is stored with the status of one that nobody knows anything of; what is known, before or after, comes into it all the same.
func TestWhatIsKnownOfANewDatacenter(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	inventory := &isthmusv1.ReportRequest{Inventory: &isthmusv1.InventoryReport{ConsulVersion: "1.20.6"}}
	f.report("a1", "before", inventory)
	for _, name := range []string{"before", "after", "federated"} {
		dc := datacenter(name)
		dc.Generation = 1
		dc.Status = evidence.Datacenter(dc, inv.Evidence{}, nil, time.Now())
		if name == "federated" {
			f.put(datacenter("primary"), &isthmusv1.Federation{Name: "global", Spec: &isthmusv1.FederationSpec{Primary: "primary", SecondarySelector: "env=prod"}})
			dc.Labels = map[string]string{"env": "prod"}
		}
		f.put(dc)
	}
	f.report("a1", "after", inventory)
	for name, known := range map[string]func(*isthmusv1.DatacenterStatus) bool{
		"before":    func(s *isthmusv1.DatacenterStatus) bool { return s.GetConsulVersion() != "" },
		"after":     func(s *isthmusv1.DatacenterStatus) bool { return s.GetConsulVersion() != "" },
		"federated": func(s *isthmusv1.DatacenterStatus) bool { return s.GetFederation() == "global" },
	} {
		f.datacenter(name, known)
	}
}

// datacenter waits until a datacenter's status is as it should be.
func (f *fleet) datacenter(name string, holds func(*isthmusv1.DatacenterStatus) bool) {
	f.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		d, _ := resource.Lookup[*isthmusv1.Datacenter](f.c.Snapshot.View(), resource.KindDatacenter, name)
		if holds(d.GetStatus()) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			f.t.Fatalf("of %s is never known what should be: %v", name, d.GetStatus())
		}
	}
}
