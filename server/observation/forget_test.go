package observation_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/observation"
	"isthmus/store"
	"isthmus/store/snapshot"
	"isthmus/store/sqlstore"
)

func TestForget(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	table := open(t, st, false)
	report(t, table, "dc1", "a1", &isthmusv1.ReportRequest{
		Inventory: inventory("1").GetInventory(), Federation: &isthmusv1.FederationReport{}, Delivery: &isthmusv1.DeliveryReport{}, Gateway: &isthmusv1.GatewayReport{},
	})
	if table.HeardOf("dc1", "a1").IsZero() {
		t.Error("an agent that reports is not heard of")
	}
	if err := table.ForgetAgent(t.Context(), "dc1", "a1"); err != nil {
		t.Fatal(err)
	}
	for part, kept := range map[string]bool{
		observation.PartInventory: true, observation.PartFederation: true,
		observation.AgentPart("a1"): false, observation.DeliveryPart("a1"): false, observation.GatewayPart("a1"): false,
	} {
		if _, ok := table.Get("dc1", part); ok != kept {
			t.Errorf("forgetting an agent: %s is there: %t", part, ok)
		}
	}
	if err := table.Forget(t.Context(), "dc1", ""); err != nil {
		t.Fatal(err)
	}
	if _, ok := table.Get("dc1", observation.PartInventory); ok {
		t.Error("forgetting a datacenter leaves its inventory")
	}
}

// A report that is on its way to the store when its agent is forgotten does not come back.
func TestForgetWhileReportsAreStored(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	slow := &blocking{Observatory: st, began: make(chan struct{}), goOn: make(chan struct{})}
	table := open(t, slow, false)
	var wait sync.WaitGroup
	wait.Go(func() { report(t, table, "dc1", "a1", inventory("1")) })
	<-slow.began
	wait.Go(func() {
		if err := table.Forget(t.Context(), "dc1", ""); err != nil {
			t.Error(err)
		}
	})
	close(slow.goOn)
	wait.Wait()
	rows, err := st.Observations(t.Context(), time.Time{})
	if err != nil || len(rows) != 0 {
		t.Errorf("in the store: %v, %v", rows, err)
	}
	if _, ok := table.Get("dc1", observation.PartInventory); ok {
		t.Error("it is there")
	}
	// Nobody is kept waiting by what was forgotten.
	report(t, table, "dc2", "a2", inventory("1"))
}

// What a deleted agent said, and all of a datacenter that nobody speaks for, goes from every replica and from the store.
func TestDeletedAgentsAreForgotten(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	write(t, st, store.Write{Puts: []store.Put{put("a1", "dc1"), put("a2", "dc2"), put("a3", "dc2")}})
	var where []store.Observation
	for agent, dc := range map[string]string{"a1": "dc1", "a3": "dc2", "long-gone": "dc2"} {
		where = append(where, store.Observation{Datacenter: dc, Part: observation.PresencePart(agent), Agent: agent, Digest: "d", Body: []byte(`""`), HeardTime: time.Now(), ReceiveTime: time.Now()})
	}
	if err := st.Observe(t.Context(), where); err != nil {
		t.Fatal(err)
	}
	here, there := open(t, st, true), open(t, st, true)
	for agent, dc := range map[string]string{"a1": "dc1", "a2": "dc2", "a3": "dc2", "gone": "dc3"} {
		report(t, here, dc, agent, &isthmusv1.ReportRequest{
			Agent: &isthmusv1.AgentReport{Version: "1"}, Inventory: &isthmusv1.InventoryReport{ConsulVersion: "1"},
			Delivery: &isthmusv1.DeliveryReport{CanWrite: true}, Gateway: &isthmusv1.GatewayReport{WanAddress: "192.0.2.1:8443"},
		})
	}
	for _, table := range []*observation.Table{here, there} {
		follow(t, table, st)
	}
	settles := func(parts ...string) {
		t.Helper()
		for name, table := range map[string]*observation.Table{"here": here, "there": there} {
			want := map[string]bool{}
			for _, p := range parts {
				want[p] = true
			}
			eventually(t, name, func() bool {
				for _, dc := range []string{"dc1", "dc2", "dc3"} {
					for _, part := range []string{observation.PartInventory, "agent/a1", "agent/a2", "agent/a3", "agent/gone", "delivery/a1", "delivery/a2", "delivery/a3", "gateway/a1", "gateway/a2", "gateway/a3"} {
						if _, ok := table.Get(dc, part); ok != want[dc+"/"+part] {
							return false
						}
					}
				}
				return true
			})
		}
	}
	settles("dc1/inventory", "dc1/agent/a1", "dc1/delivery/a1", "dc1/gateway/a1", "dc2/inventory", "dc2/agent/a2", "dc2/delivery/a2", "dc2/gateway/a2",
		"dc2/agent/a3", "dc2/delivery/a3", "dc2/gateway/a3")
	write(t, st, store.Write{Deletes: []store.Key{{Kind: resource.KindAgent, Name: "a1"}, {Kind: resource.KindAgent, Name: "a2"}}})
	settles("dc2/inventory", "dc2/agent/a3", "dc2/delivery/a3", "dc2/gateway/a3")
	eventually(t, "the store has what is left, and who is present where", func() bool {
		rows, err := st.Observations(t.Context(), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		left := 0
		for _, o := range rows {
			if o.Part == observation.PresencePart("a1") || o.Part == observation.PresencePart("long-gone") {
				return false
			}
			if o.Datacenter != "" { // else it is a replica's heartbeat
				left++
			}
		}
		return left == 5
	})
}

func put(agent, datacenter string) store.Put {
	return store.Put{Part: store.PartAll, Object: &isthmusv1.Agent{
		Name: agent, Uid: agent, Generation: 1, Spec: &isthmusv1.AgentSpec{Datacenter: datacenter, Kind: resource.AgentKindAgent},
	}}
}

func write(t *testing.T, st *sqlstore.Store, w store.Write) {
	t.Helper()
	if _, err := st.Write(t.Context(), w); err != nil {
		t.Fatal(err)
	}
}

// follow lets a table follow a replica of its own.
func follow(t *testing.T, table *observation.Table, st *sqlstore.Store) {
	t.Helper()
	s, err := snapshot.Open(t.Context(), st, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() { _ = s.Run(ctx) })
	wait.Go(func() { _ = table.Follow(ctx, s) })
	t.Cleanup(func() {
		cancel()
		wait.Wait()
	})
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s did not come about", what)
		}
	}
}

// blocking stops in its first write.
type blocking struct {
	store.Observatory
	once        sync.Once
	began, goOn chan struct{}
}

func (b *blocking) Observe(ctx context.Context, rows []store.Observation) error {
	b.once.Do(func() {
		close(b.began)
		<-b.goOn
	})
	return b.Observatory.Observe(ctx, rows)
}
