package api_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// row is what a fleet says of one datacenter.
func row(f *isthmusv1.Fleet, name string) *isthmusv1.FleetDatacenter {
	for _, d := range f.GetDatacenters() {
		if d.GetName() == name {
			return d
		}
	}
	return nil
}

// A datacenter that is cut off turns unknown before its links do, and everything else stays as it is: whoever reads finds out which one it was.
func TestFleetTellsWhoIsCutOff(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.ring(4, 1, 2) // dc0000-dc0001-dc0002-dc0003-dc0000
	for _, d := range p.fleet().GetDatacenters() {
		if d.GetHealth() != "healthy" || d.GetAgentsOnline() != 1 || d.GetServers() != 3 || d.GetLeader() != "server-1" || d.GetServices() != 2 || d.GetLabels()["region"] != "eu" || d.GetRuntime() != "vm" {
			t.Errorf("at first: %v", d)
		}
	}
	others := func() {
		for _, name := range []string{"dc0001", "dc0002", "dc0003"} {
			p.table.Heard(name, name+"-a1")
		}
	}
	// Its neighbours hear nothing from it any more; the server missed three heartbeats.
	for range 4 {
		p.clock.pass(5 * time.Second)
		others()
	}
	deaf := func(name, link string) {
		report := p.well(name, 2, nil).GetPeerings()
		for _, l := range p.fleet().GetLinks() {
			if l.GetA() != name && l.GetB() != name {
				continue
			}
			e := p.well(name, 0, []*isthmusv1.Peering{p.link(l.GetA(), l.GetB())}).GetPeerings().GetPeerings()[0]
			if l.GetName() == link {
				e.Heartbeat = resource.HeartbeatStale
			}
			report.Peerings = append(report.Peerings, e)
		}
		p.report(name, &isthmusv1.ReportRequest{Peerings: report})
	}
	deaf("dc0001", "dc0000-dc0001")
	deaf("dc0003", "dc0003-dc0000")
	f := p.fleet()
	if d := row(f, "dc0000"); d.GetHealth() != "unknown" || d.GetReason() != "CutOff" || !strings.Contains(d.GetMessage(), "dc0001, dc0003 hear nothing from it") || d.GetFix() == "" {
		t.Errorf("cut off: %v", d)
	}
	for _, l := range f.GetLinks() {
		want := map[string]string{"dc0000-dc0001": "a-to-b", "dc0003-dc0000": "b-to-a"}[l.GetName()]
		if l.GetBroken() != want || (want != "") != (l.GetVerdict() == "stale") || (want == "") != (l.GetMessage() == "") {
			t.Errorf("%v", l)
		}
	}
	for range 3 {
		p.clock.pass(5 * time.Second)
		others()
	}
	f = p.fleet()
	if d := row(f, "dc0000"); d.GetHealth() != "failing" || d.GetReason() != "CutOff" || !strings.Contains(d.GetMessage(), "dc0000-a1 on host-1 is silent") || d.GetAgentsOnline() != 0 {
		t.Errorf("silent: %v", d)
	}
	for _, l := range f.GetLinks() {
		if touches := l.GetA() == "dc0000" || l.GetB() == "dc0000"; touches != (l.GetVerdict() == "unknown") || touches && !strings.Contains(l.GetMessage(), "the agent of dc0000 is silent") {
			t.Errorf("%v", l)
		}
	}
	for _, name := range []string{"dc0001", "dc0002", "dc0003"} {
		if d := row(f, name); d.GetHealth() != "healthy" {
			t.Errorf("%v", d)
		}
	}
}

// However many ask, one fleet is computed for each change, and nobody is given one from before it.
func TestOneFleetForAllWhoAsk(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.ring(3, 1, 1)
	first := p.fleet()
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			if f, _ := p.Fleets.Get(); f != first {
				t.Error("it is computed for each who asks")
			}
		})
	}
	wait.Wait()
	fresh := func(why string, done func(f *isthmusv1.Fleet) bool) {
		t.Helper()
		f := p.fleet()
		if f == first || !done(f) {
			t.Errorf("%s: %v", why, f)
		}
		if p.fleet() != f {
			t.Errorf("%s: it is computed twice", why)
		}
		first = f
	}
	p.put(&isthmusv1.Datacenter{Name: "dc9", Spec: &isthmusv1.DatacenterSpec{Runtime: "vm"}})
	fresh("something is stored", func(f *isthmusv1.Fleet) bool { return row(f, "dc9") != nil })
	report := p.well("dc0001", 7, nil)
	p.report("dc0001", &isthmusv1.ReportRequest{Inventory: report.GetInventory()})
	fresh("something is reported", func(f *isthmusv1.Fleet) bool { return row(f, "dc0001").GetServices() == 7 })
	before := p.table.Reported()
	p.clock.pass(31 * time.Second)
	// Those who fell silent are told of within a second; that is news of its own.
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for patience := time.After(30 * time.Second); p.table.Reported() == before; {
		select {
		case <-tick.C:
		case <-patience:
			t.Fatal("nobody is told who fell silent")
		}
	}
	fresh("time passes", func(f *isthmusv1.Fleet) bool { return row(f, "dc0000").GetHealth() == "unknown" })
}
