package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"isthmus/client"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// detection is how soon a peering that hangs is to be seen: the feature itself, not a guess about the machine.
const detection = 30 * time.Second

// Connection is the verdict on a peering with its evidence, as isthmus connections shows it.
func (f *Fleet) Connection(peering string) *isthmusv1.Connection {
	f.t.Helper()
	return f.connection("peering", peering)
}

// connection is the one connection of a Peering, or of a Federation of two.
func (f *Fleet) connection(kind, name string) *isthmusv1.Connection {
	f.t.Helper()
	found, err := f.Client.Connections(f.t.Context(), client.ConnectionOptions{Kind: kind, Name: name})
	if err != nil || len(found) != 1 {
		f.t.Fatalf("the connections are %v, %v", found, err)
	}
	return found[0]
}

// evidence are the verdicts of one kind of evidence, by datacenter.
func evidence(c *isthmusv1.Connection, id string) map[string]string {
	out := map[string]string{}
	for _, e := range c.GetEvidence() {
		if e.GetId() == id {
			out[e.GetDatacenter()] = e.GetVerdict()
		}
	}
	return out
}

// says waits until the evidence says something of a datacenter.
func (f *Fleet) says(peering, id, datacenter, verdict string) {
	f.t.Helper()
	f.Eventually(fmt.Sprintf("%s of %s: %s", id, datacenter, verdict), func() error {
		c := f.Connection(peering)
		if got := evidence(c, id)[datacenter]; got != verdict {
			return fmt.Errorf("it is %q; %s %s: %s; %v", got, c.GetVerdict(), c.GetReason(), c.GetMessage(), c.GetEvidence())
		}
		return nil
	})
}

// delivered is how long after a heartbeat TCP has acknowledged it for sure. A heartbeat whose acknowledgement is lost with a route is sent
// again and again, holds back those after it, and lets the end that still hears look deaf as well.
const delivered = time.Second

// hears waits until both ends have had a heartbeat since now, and TCP is at rest, so that the next one is nearly a whole interval away.
func (f *Fleet) hears(dcs ...*Datacenter) {
	f.t.Helper()
	since := time.Now()
	f.Eventually("both ends have a heartbeat", func() error {
		for _, d := range dcs {
			for _, p := range d.Peerings() {
				if at := p.StreamStatus.LastHeartbeat; at == nil || at.Before(since) || time.Since(*at) < delivered {
					return fmt.Errorf("the last one of %s is of %v", d.Cluster.Datacenter, at)
				}
			}
		}
		return nil
	})
}

// detects waits until a peering that was just broken is seen to be so, in a direction, and tells how long that took.
func (f *Fleet) detects(peering, broken string, since time.Time) {
	f.t.Helper()
	var took time.Duration
	f.Eventually("it is seen that "+peering+" hangs", func() error {
		s := f.Peering(peering).GetStatus()
		if s.GetVerdict() != "stale" && s.GetVerdict() != "failing" {
			return fmt.Errorf("it is %s: %s", s.GetVerdict(), s.GetMessage())
		}
		took = time.Since(since)
		if s.GetBroken() != broken {
			f.t.Errorf("nothing arrives %q, want %q: %s", s.GetBroken(), broken, s.GetMessage())
		}
		f.t.Logf("%s after %s: %s", s.GetVerdict(), took.Round(100*time.Millisecond), s.GetMessage())
		return nil
	})
	if took > detection {
		f.t.Errorf("it took %s, and shall take no more than %s", took, detection)
	}
}

// A route vanishes between two datacenters, in one direction and then in the other: it is seen in time, with the direction, and nothing is
// tried that could not help.
func TestABlackholeIsSeenWithItsDirection(t *testing.T) {
	f := NewWorld(t, 2, "dc1", "dc2")
	dc1, dc2 := f.Site("dc1", Site{Routable: true, Gateways: -1}), f.Site("dc2", Site{Routable: true, Gateways: -1})
	f.Declare("dc1", "dc2")
	dc1.Register("web")
	f.Apply(`
kind: Peering
name: dc1-dc2
spec: {acceptor: dc1, dialer: dc2, heal: auto}
---
kind: ServiceExport
name: web
spec: {service: web, datacenters: [dc1], consumers: {selector: env=test}}
`)
	f.Healthy("dc1-dc2")
	dc2.Discovers("web", "dc1")
	f.says("dc1-dc2", "GatewayDialled", "dc2", "pass")

	for _, c := range []struct {
		from, to          *Datacenter
		broken, direction string
		deaf, hearing     string
	}{
		{from: dc1, to: dc2, broken: "to-dialer", direction: "a-to-b", deaf: "dc2", hearing: "dc1"},
		{from: dc2, to: dc1, broken: "to-acceptor", direction: "b-to-a", deaf: "dc1", hearing: "dc2"},
	} {
		t.Logf("what %s sends to %s is lost", c.hearing, c.deaf)
		f.hears(dc1, dc2)
		lost := time.Now()
		c.from.space.Lose(c.to.space.WAN[0])
		f.detects("dc1-dc2", c.broken, lost)
		row := f.Connection("dc1-dc2")
		if got := evidence(row, "Heartbeat"); row.GetBroken() != c.direction || got[c.deaf] != "fail" || got[c.hearing] != "pass" {
			t.Errorf("broken %q, want %q; heartbeats %v", row.GetBroken(), c.direction, got)
		}
		f.says("dc1-dc2", "GatewayDialled", "dc2", "fail")
		f.Says("the peering", []string{"describe", "peering", "dc1-dc2"}, "dc2 cannot dial dc1", "healing does not help")
		if tried := f.Peering("dc1-dc2").GetStatus().GetHeal().GetTried(); tried != 0 {
			t.Errorf("%d steps of healing were tried though no address can be dialled", tried)
		}
		if _, problem, code := f.Run("peering", "heal", "dc1-dc2"); code == 0 || !strings.Contains(problem, "healing does not help") {
			t.Errorf("isthmus peering heal ends with %d: %s", code, problem)
		}
		c.from.space.Find(c.to.space.WAN[0])
		f.Healthy("dc1-dc2")
	}
}

// A Consul server stops without ending, at either end: the other end tells, and so does its own agent.
func TestAStoppedServerIsSeen(t *testing.T) {
	f := NewFleet(t, 2)
	dc1, dc2 := f.Datacenter("dc1"), f.Datacenter("dc2")
	f.Declare("dc1", "dc2")
	f.Apply("kind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2, heal: auto}\n")
	f.Healthy("dc1-dc2")
	for _, c := range []struct {
		stopped      *Datacenter
		broken, deaf string
	}{{dc1, "to-dialer", "dc2"}, {dc2, "to-acceptor", "dc1"}} {
		name := c.stopped.Cluster.Datacenter
		t.Logf("the server of %s stops", name)
		f.hears(dc1, dc2)
		stopped := time.Now()
		if err := c.stopped.Pause(); err != nil {
			t.Fatal(err)
		}
		f.detects("dc1-dc2", c.broken, stopped)
		f.says("dc1-dc2", "Heartbeat", c.deaf, "fail")
		f.says("dc1-dc2", "Agent", name, "fail")
		if err := c.stopped.Resume(); err != nil {
			t.Fatal(err)
		}
		f.Healthy("dc1-dc2")
		t.Logf("healthy again; healing: %v", f.Peering("dc1-dc2").GetStatus().GetHeal())
	}
}

// envIdle is how long the idle fleet is watched; default: idle.
const (
	envIdle = "ISTHMUS_E2E_IDLE"
	idle    = 45 * time.Second
)

// Nothing happens, for a while (ten minutes with ISTHMUS_E2E_IDLE=10m): and nothing is said to have happened.
func TestNoFalseAlarmWhileIdle(t *testing.T) {
	watched := idle
	if text := os.Getenv(envIdle); text != "" {
		var err error
		if watched, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	f := NewFleet(t, 2)
	dc1, dc2 := f.Datacenter("dc1"), f.Datacenter("dc2")
	f.Declare("dc1", "dc2")
	dc1.Register("web", "db")
	dc2.Register("api")
	f.Apply(`
kind: Peering
name: dc1-dc2
spec: {acceptor: dc1, dialer: dc2, heal: auto}
---
kind: ServiceExport
name: web
spec: {service: web, datacenters: [dc1], consumers: {selector: env=test}}
---
kind: ServiceExport
name: api
spec: {service: api, datacenters: [dc2], consumers: {selector: env=test}}
`)
	f.Healthy("dc1-dc2")
	dc2.Discovers("web", "dc1")
	dc1.Discovers("api", "dc2")
	f.says("dc1-dc2", "GatewayDialled", "dc2", "pass")
	f.Eventually("all evidence speaks for it", func() error { return errors.Join(doubts(f.Connection("dc1-dc2"))...) })
	since := f.Peering("dc1-dc2").GetStatus().GetVerdictSince().AsTime()
	end := time.NewTimer(watched)
	defer end.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for quiet := true; quiet; {
		select {
		case <-end.C:
			quiet = false
		case <-tick.C:
			row := f.Connection("dc1-dc2")
			if found := doubts(row); row.GetVerdict() != "healthy" || len(found) > 0 {
				t.Fatalf("it is %s (%s: %s) at %s; %v", row.GetVerdict(), row.GetReason(), row.GetMessage(), time.Now().UTC(), found)
			}
		}
	}
	status := f.Peering("dc1-dc2").GetStatus()
	if !status.GetVerdictSince().AsTime().Equal(since) || status.GetHeal() != nil || status.GetToken().GetGeneration() != 1 {
		t.Errorf("something happened in %s: %v", watched, status)
	}
}

// doubts are the pieces of evidence that do not pass. What changes with the time of looking counts only when it fails.
func doubts(c *isthmusv1.Connection) []error {
	var out []error
	for _, e := range c.GetEvidence() {
		if e.GetVerdict() != "pass" && (e.GetVerdict() != "unknown" || !slices.Contains([]string{"CatalogMatches", "ImportsMatch"}, e.GetId())) {
			out = append(out, fmt.Errorf("%s of %q: %s: %s", e.GetId(), e.GetDatacenter(), e.GetVerdict(), e.GetMessage()))
		}
	}
	return out
}
