package observation_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server/observation"
	"isthmus/store"
	"isthmus/store/sqlite"
	"isthmus/store/sqlstore"
)

const patience = 20 * time.Second

func openStore(t *testing.T) *sqlstore.Store {
	t.Helper()
	st, err := sqlite.Open(t.Context(), t.TempDir(), hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}

// open runs a table until the test ends.
func open(t *testing.T, o store.Observatory, shared bool) *observation.Table {
	t.Helper()
	table, err := observation.Open(t.Context(), o, shared, time.Now, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = table.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return table
}

func inventory(version string) *isthmusv1.ReportRequest {
	return &isthmusv1.ReportRequest{Inventory: &isthmusv1.InventoryReport{ConsulVersion: version}}
}

func TestAReportIsInTheStoreWhenItIsAnswered(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	table := open(t, st, false)
	if err := table.Report(t.Context(), "dc1", "a1", inventory("1.20.6")); err != nil {
		t.Fatal(err)
	}
	again, err := observation.Open(t.Context(), st, false, time.Now, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	seen, ok := again.Get("dc1", observation.PartInventory)
	if !ok || seen.Agent != "a1" || seen.Inventory.GetConsulVersion() != "1.20.6" {
		t.Errorf("after a restart: %+v", seen)
	}
}

func TestOtherReplicasHearOfReports(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	here, there := open(t, st, true), open(t, st, true)
	news := there.Subscribe()
	if err := here.Report(t.Context(), "dc1", "a1", inventory("1")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-news.Wake:
	case <-time.After(patience):
		t.Fatal("the other replica hears nothing")
	}
	if got := news.Take(); !slices.Equal(got, []string{"dc1"}) {
		t.Errorf("news of %v", got)
	}
	if seen, _ := there.Get("dc1", observation.PartInventory); seen.Inventory.GetConsulVersion() != "1" {
		t.Errorf("seen %+v", seen)
	}
	if len(news.Take()) != 0 {
		t.Error("the same news twice")
	}
}

// What is said again is neither stored nor news.
func TestTheSameReportAgainIsNoNews(t *testing.T) {
	t.Parallel()
	st := &counting{Observatory: openStore(t)}
	table := open(t, st, false)
	if err := table.Report(t.Context(), "dc1", "a1", inventory("1")); err != nil {
		t.Fatal(err)
	}
	news := table.Subscribe()
	rows := st.bodies()
	for range 10 {
		if err := table.Report(t.Context(), "dc1", "a1", inventory("1")); err != nil {
			t.Fatal(err)
		}
	}
	if st.bodies() != rows || len(news.Take()) != 0 {
		t.Errorf("%d rows were written, %d before", st.bodies(), rows)
	}
	if err := table.Report(t.Context(), "dc1", "a2", inventory("1")); err != nil {
		t.Fatal(err)
	}
	if seen, _ := table.Get("dc1", observation.PartInventory); seen.Agent != "a2" {
		t.Errorf("another agent leads, but the report is still %s's", seen.Agent)
	}
}

// Reports that come together are written together.
func TestReportsAreWrittenTogether(t *testing.T) {
	t.Parallel()
	st := &counting{Observatory: openStore(t)}
	table := open(t, st, false)
	var wait sync.WaitGroup
	for i := range 200 {
		wait.Go(func() {
			if err := table.Report(t.Context(), "dc"+string(rune('a'+i%20)), "a1", inventory(time.Duration(i).String())); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if st.writes() >= 200 {
		t.Errorf("%d writes for 200 reports", st.writes())
	}
}

// An agent whose report could not be stored is told so, and says it again.
func TestAReportThatCannotBeStored(t *testing.T) {
	t.Parallel()
	st := &counting{Observatory: openStore(t), fail: errors.New("no")}
	table := open(t, st, false)
	if err := table.Report(t.Context(), "dc1", "a1", inventory("1")); err == nil {
		t.Fatal("no error")
	}
	st.heal()
	if err := table.Report(t.Context(), "dc1", "a1", inventory("1")); err != nil {
		t.Fatal(err)
	}
	again, err := observation.Open(t.Context(), st, false, time.Now, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	if seen, _ := again.Get("dc1", observation.PartInventory); seen.Inventory.GetConsulVersion() != "1" {
		t.Errorf("it is not in the store: %+v", seen)
	}
}

func TestForget(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	table := open(t, st, false)
	if err := table.Report(t.Context(), "dc1", "a1", inventory("1")); err != nil {
		t.Fatal(err)
	}
	if table.HeardOf("dc1", "a1").IsZero() {
		t.Error("an agent that reports is not heard of")
	}
	if err := table.Forget(t.Context(), "dc1", observation.AgentPart("a1")); err != nil {
		t.Fatal(err)
	}
	if _, ok := table.Get("dc1", observation.PartInventory); !ok || !table.HeardOf("dc1", "a1").IsZero() {
		t.Error("forgetting an agent forgets too much or too little")
	}
	if err := table.Forget(t.Context(), "dc1", ""); err != nil {
		t.Fatal(err)
	}
	if _, ok := table.Get("dc1", observation.PartInventory); ok {
		t.Error("forgetting a datacenter leaves its inventory")
	}
}

// counting counts what is written to an observatory, and fails when it is told to.
type counting struct {
	store.Observatory
	mu           sync.Mutex
	fail         error
	calls, parts int
}

func (c *counting) Observe(ctx context.Context, rows []store.Observation) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	for _, r := range rows {
		if len(r.Body) > 0 {
			c.parts++
		}
	}
	if c.fail != nil {
		return c.fail
	}
	return c.Observatory.Observe(ctx, rows)
}

func (c *counting) heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = nil
}

func (c *counting) writes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls
}

func (c *counting) bodies() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.parts
}
