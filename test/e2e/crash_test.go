package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// Server and agents die at any moment, again and again, while peerings are made, rotated and deleted; the end is the same
// as if nothing had happened.
func TestKilledAtAnyMoment(t *testing.T) {
	f := NewFleet(t, 2)
	dc1, dc2 := f.Datacenter("dc1"), f.Datacenter("dc2")
	dc1.Register("web")
	f.Declare("dc1", "dc2")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	victims := []struct {
		name string
		kill func()
		back func()
	}{
		{"the server", f.KillServer, func() { f.StartServer() }},
		{"the acceptor's agent", dc1.Agents[0].killNow, dc1.Agents[0].Restart},
		{"the dialer's agent", dc2.Agents[0].killNow, dc2.Agents[0].Restart},
	}
	const rounds = 9
	for round := range rounds {
		victim := victims[round%len(victims)]
		f.Apply(manifest(round))
		// Anywhere in the some 300 ms that making a peering takes.
		pause := time.Duration(random.IntN(400)) * time.Millisecond
		after(t, pause)
		victim.kill()
		victim.back()
		t.Logf("round %d: killed %s %s after the change", round, victim.name, pause)
		if round%2 == 0 {
			f.Healthy("dc1-dc2")
			dc2.Discovers("web", "dc1")
		}
	}
	f.Apply(manifest(0))
	f.Healthy("dc1-dc2")
	dc2.Discovers("web", "dc1")
	if got := len(dc1.Peerings()) + len(dc2.Peerings()); got != 2 {
		t.Errorf("%d ends of peerings, want one in each: something was left behind", got)
	}
	f.Must("delete", "service-export", "web")
	f.Must("delete", "peering", "dc1-dc2", "--wait", "60s")
	f.Eventually("nothing is left in either Consul", func() error {
		if n, m := len(dc1.Peerings()), len(dc2.Peerings()); n+m != 0 || dc1.exports().Name != "" {
			return fmt.Errorf("%d and %d peerings, exports %v", n, m, dc1.exports())
		}
		return nil
	})
}

// manifest is what a round of the test wants: each asks for another token, which makes both agents act.
func manifest(round int) string {
	return fmt.Sprintf(`
kind: Peering
name: dc1-dc2
spec: {acceptor: dc1, dialer: dc2, tokenGeneration: %d}
---
kind: ServiceExport
name: web
spec: {service: web, datacenters: [dc1], consumers: {selector: env=test}}
`, round)
}

// after waits for a random moment; what happens at it does not depend on it.
func after(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

func (a *Agent) killNow() { a.kill() }

// Two agents of one datacenter: one leads, and when it dies the other takes over.
func TestTwoAgentsOneLeads(t *testing.T) {
	f := NewFleet(t, 2)
	dc1, dc2 := f.Datacenter("dc1"), f.Datacenter("dc2")
	dc1.Enrol()
	dc2.Enrol()
	f.Declare("dc1", "dc2")
	f.Apply("kind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2}\n")
	f.Healthy("dc1-dc2")
	leader := f.leaderOf(dc1)
	t.Logf("%s leads; it dies", leader.Name())
	leader.kill()
	f.Eventually("the other one leads", func() error {
		if now := f.leading(dc1); now == "" || now == leader.Name() {
			return fmt.Errorf("%q leads", now)
		}
		return nil
	})
	f.Must("peering", "rotate", "dc1-dc2")
	f.Eventually("a new token is made and used", func() error { return used(f, "dc1-dc2", 2) })
	f.Healthy("dc1-dc2")
	if entry := f.Peering("dc1-dc2").GetStatus().GetToken().GetLedger()[0]; len(entry.GetRecipients()) != 2 {
		t.Errorf("the token was sealed to %d agents, want both of dc2", len(entry.GetRecipients()))
	}
}
