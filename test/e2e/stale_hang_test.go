package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"isthmus/agent"
)

// What makes a stream hang: both ends have so much to say that neither reads any more. Each service is one message.
const (
	bulkServices  = 60
	bulkInstances = 10
	bulkMeta      = 60
	bulkValue     = 500
	bulkAtOnce    = 8
)

// bulk fills the catalog with services that take megabytes to tell of, and exports all services to a peer, as a person would.
func (d *Datacenter) bulk(peer string) {
	d.f.t.Helper()
	meta := map[string]string{}
	for i := range bulkMeta {
		meta[fmt.Sprintf("key-%d", i)] = strings.Repeat("x", bulkValue)
	}
	var all sync.WaitGroup
	for first := range bulkAtOnce {
		all.Go(func() {
			for s := first; s < bulkServices; s += bulkAtOnce {
				for i := range bulkInstances {
					name := fmt.Sprintf("%s-bulk-%d", d.Cluster.Datacenter, s)
					err := d.Call(d.f.t.Context(), http.MethodPut, "/v1/catalog/register", map[string]any{
						"Node": fmt.Sprintf("bulk-%d", i), "Address": "192.0.2.9",
						"Service": map[string]any{"Service": name, "ID": fmt.Sprintf("%s-%d", name, i), "Port": 80, "Meta": meta},
					}, nil)
					if err != nil {
						d.f.t.Error(err)
						return
					}
				}
			}
		})
	}
	all.Wait()
	d.Do(http.MethodPut, "/v1/config", map[string]any{
		"Kind": "exported-services", "Name": "default",
		"Services": []any{map[string]any{"Name": "*", "Consumers": []any{map[string]any{"Peer": peer}}}},
	}, nil)
}

// unload takes the services away again.
func (d *Datacenter) unload() {
	d.f.t.Helper()
	for i := range bulkInstances {
		d.Do(http.MethodPut, "/v1/catalog/deregister", map[string]any{"Node": fmt.Sprintf("bulk-%d", i)}, nil)
	}
}

// raftLeader is the address of the server that leads.
func (d *Datacenter) raftLeader() string {
	d.f.t.Helper()
	var leader string
	d.Do(http.MethodGet, "/v1/status/leader", nil, &leader)
	return leader
}

// hung is a fleet of two datacenters whose peering hangs for ever, with Consul calling it ACTIVE at both ends: both began to tell the other
// one everything at the same moment. What they told of is gone by now.
func hung(t *testing.T, heal string) (f *Fleet, dc2 *Datacenter) {
	t.Helper()
	f = NewFleet(t, 3)
	dc1 := f.Datacenter("dc1")
	dc2 = &Datacenter{f: f}
	dc2.Servers = f.servers(dc2, "dc2", Site{Servers: 2})
	dc2.Cluster = dc2.Servers[0]
	dc2.token = dc2.MintToken("isthmus-agent", f.rules(agent.PurposePeering)+f.rules(agent.PurposeHeal))
	dc2.Enrol()
	f.Declare("dc1", "dc2")
	dc1.bulk("dc2")
	dc2.bulk("dc1")
	f.heal("off")
	f.Eventually("both ends are ACTIVE", func() error {
		if a, d := dc1.Peerings()["dc2"].State, dc2.Peerings()["dc1"].State; a != "ACTIVE" || d != "ACTIVE" {
			return fmt.Errorf("they are %q and %q", a, d)
		}
		return nil
	})
	active := time.Now()
	f.Eventually("it is seen that nothing arrives at either end", func() error {
		if s := f.Peering("dc1-dc2").GetStatus(); s.GetVerdict() != "stale" || s.GetBroken() != "both" {
			return fmt.Errorf("it is %s (%s), broken %q: %s", s.GetVerdict(), s.GetReason(), s.GetBroken(), s.GetMessage())
		}
		return nil
	})
	if took := time.Since(active); took > detection {
		t.Errorf("it took %s, and shall take no more than %s", took, detection)
	} else {
		t.Logf("stale %s after Consul called it ACTIVE", took.Round(100*time.Millisecond))
	}
	dc1.unload()
	dc2.unload()
	row := f.Connection("dc1-dc2")
	for id, want := range map[string]string{"State": "pass", "Heartbeat": "fail"} {
		if got := evidence(row, id); got["dc1"] != want || got["dc2"] != want {
			t.Errorf("%s says %v, want %s", id, got, want)
		}
	}
	f.says("dc1-dc2", "GatewayDialled", "dc2", "pass")
	f.hangsOn(dc1, dc2, active.Add(consulPatience))
	f.heal(heal)
	return f, dc2
}

// heal applies the peering with what is to be done about its stream.
func (f *Fleet) heal(mode string) {
	f.t.Helper()
	f.Apply("kind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2, heal: " + mode + "}\n")
}

// consulPatience is more than the two minutes after which Consul itself gives up a stream without heartbeats.
const consulPatience = 130 * time.Second

// hangsOn looks until a time whether Consul still calls both ends ACTIVE, without a heartbeat ever, and nobody does anything about it.
func (f *Fleet) hangsOn(dc1, dc2 *Datacenter, until time.Time) {
	f.t.Helper()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for time.Now().Before(until) {
		<-tick.C
		for peer, d := range map[string]*Datacenter{"dc2": dc1, "dc1": dc2} {
			if p := d.Peerings()[peer]; p.State != "ACTIVE" || p.StreamStatus.LastHeartbeat != nil {
				f.t.Fatalf("%s's end is %s with a heartbeat of %v", d.Cluster.Datacenter, p.State, p.StreamStatus.LastHeartbeat)
			}
		}
	}
	if s := f.Peering("dc1-dc2").GetStatus(); s.GetVerdict() != "stale" || s.GetHeal() != nil || s.GetToken().GetGeneration() != 1 {
		f.t.Errorf("heal: off, and the peering is %v", s)
	}
}

// healed waits until the last step helped, and looks at what it was and what the audit log tells.
func (f *Fleet) healed(dc2 *Datacenter, leader string) {
	f.t.Helper()
	f.Healthy("dc1-dc2")
	f.Eventually("healing has helped", func() error {
		if h := f.Peering("dc1-dc2").GetStatus().GetHeal(); h.GetState() != "helped" || h.GetStep() != "transfer-leader" || h.GetTried() != 2 {
			return fmt.Errorf("it is %v", h)
		}
		return nil
	})
	if now := dc2.raftLeader(); now == leader {
		f.t.Errorf("%s still leads dc2", now)
	}
	events := f.Must("events", "--kind", "Peering", "--last", "0")
	for _, words := range []string{"trying, step 1 (reestablish)", "trying, step 2 (transfer-leader)", "helped, step 2 (transfer-leader)"} {
		if !strings.Contains(events, words) {
			f.t.Errorf("no event tells of %q:\n%s", words, events)
		}
	}
}

// A stream hangs at both ends while Consul calls it ACTIVE, for ever. It is seen, and healed step by step: a fresh token, which does not
// help, and then another leader at the dialer, which does.
func TestAHangingStreamIsHealed(t *testing.T) {
	f, dc2 := hung(t, "auto")
	leader := dc2.raftLeader()
	f.healed(dc2, leader)
}

// With heal: suggest nothing is done, but the command is shown; it takes one step each time.
func TestAHangingStreamIsHealedByHand(t *testing.T) {
	f, dc2 := hung(t, "suggest")
	leader := dc2.raftLeader()
	for i, step := range []string{"reestablish", "transfer-leader"} {
		f.Eventually(step+" is suggested", func() error {
			h := f.Peering("dc1-dc2").GetStatus().GetHeal()
			if h.GetState() != "suggested" || h.GetStep() != step || !strings.Contains(h.GetMessage(), "isthmus peering heal dc1-dc2") {
				return fmt.Errorf("healing is %v", h)
			}
			if int(h.GetTried()) != i {
				return errors.New("steps were taken that nobody asked for: " + h.String())
			}
			return nil
		})
		f.Says("the peering", []string{"describe", "peering", "dc1-dc2"}, "Fix: isthmus peering heal dc1-dc2")
		f.Must("peering", "heal", "dc1-dc2")
	}
	f.healed(dc2, leader)
}
