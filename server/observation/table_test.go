package observation_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
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
	return openAt(t, o, shared, time.Now)
}

func openAt(t *testing.T, o store.Observatory, shared bool, now func() time.Time) *observation.Table {
	t.Helper()
	table, err := observation.Open(t.Context(), o, shared, now, hclog.NewNullLogger())
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

func report(t *testing.T, table *observation.Table, datacenter, agent string, r *isthmusv1.ReportRequest) {
	t.Helper()
	if err := table.Report(t.Context(), datacenter, agent, r); err != nil {
		t.Fatal(err)
	}
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

// What cannot be put into a form is refused, and holds up nobody.
func TestAReportThatHasNoForm(t *testing.T) {
	t.Parallel()
	table := open(t, openStore(t), false)
	for what, r := range map[string]*isthmusv1.ReportRequest{
		"inventory": {Inventory: &isthmusv1.InventoryReport{CaExpireTime: &timestamppb.Timestamp{Seconds: 1 << 60}}},
		"services":  {Services: &isthmusv1.ServicesReport{Services: []*isthmusv1.CatalogService{{Name: "\xff"}}}},
	} {
		err := table.Report(t.Context(), "dc1", "a1", r)
		if f, ok := errors.AsType[*fault.Error](err); !ok || f.Code != fault.Invalid || f.Violations[0].Field != what {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := table.Report(t.Context(), "dc2", "a2", inventory("1")); err != nil {
		t.Errorf("another agent's report: %v", err)
	}
	if _, ok := table.Get("dc1", observation.PartInventory); ok {
		t.Error("what was refused is there")
	}
}

// An agent that is heard of here and reports to another replica, whose clock is behind, is believed here, too.
func TestAReportElsewhereOfAnAgentThatIsHeardOfHere(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	here, there := open(t, st, true), openAt(t, st, true, func() time.Time { return time.Now().Add(-10 * time.Second) })
	news := here.Subscribe()
	here.Heard("dc1", "a1")
	for _, version := range []string{"1", "2"} {
		if version == "2" {
			// It was here in between.
			report(t, here, "dc1", "a1", &isthmusv1.ReportRequest{Agent: &isthmusv1.AgentReport{Version: "1.5"}})
		}
		report(t, there, "dc1", "a1", &isthmusv1.ReportRequest{Agent: &isthmusv1.AgentReport{Version: version}})
		deadline := time.After(patience)
		for seen := (observation.Seen{}); seen.AgentReport.GetVersion() != version; seen, _ = here.Get("dc1", observation.AgentPart("a1")) {
			select {
			case <-news.Wake:
			case <-deadline:
				t.Fatalf("what it reported elsewhere is not known here: %v", seen.AgentReport)
			}
		}
	}
	if time.Since(here.HeardOf("dc1", "a1")) > 5*time.Second {
		t.Error("what was told elsewhere turned its heartbeat back")
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
