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
)

// moved is the machine's clock, moved by a test.
type moved struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (m *moved) now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Now().Add(m.ahead)
}

func (m *moved) advance(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ahead += d
}

// awaitNews waits until something new is known of a datacenter.
func awaitNews(t *testing.T, s *observation.Subscription, why string) {
	t.Helper()
	select {
	case <-s.Wake:
		s.Take()
	case <-time.After(patience):
		t.Fatalf("no news: %s", why)
	}
}

// Who has a call open is heard of however long it takes; who has none is silent after a while, of which subscribers are told once.
func TestAnAgentIsHeardOfWhileACallWaits(t *testing.T) {
	t.Parallel()
	clock := &moved{}
	table := openAt(t, openStore(t), false, clock.now)
	news := table.Subscribe()
	leave := table.Attend("dc1", "a1")
	awaitNews(t, news, "it came")
	clock.advance(10 * resource.Silence)
	if silent := clock.now().Sub(table.HeardOf("dc1", "a1")); silent > time.Second {
		t.Errorf("not heard of for %s, though its call waits", silent)
	}
	second := table.Attend("dc1", "a1")
	leave(0)
	clock.advance(10 * resource.Silence)
	if silent := clock.now().Sub(table.HeardOf("dc1", "a1")); silent > time.Second {
		t.Errorf("not heard of for %s, though another call of it waits", silent)
	}
	second(0)
	clock.advance(resource.Silence + time.Second)
	awaitNews(t, news, "it fell silent")
	if silent := clock.now().Sub(table.HeardOf("dc1", "a1")); silent <= resource.Silence {
		t.Errorf("not heard of for %s only", silent)
	}
	table.Attend("dc1", "a1")
	awaitNews(t, news, "it came again")
}

// One whose connection was closed because it did not answer was heard of when something came over it last, unless it was by another way since, and has
// a moment to come back.
func TestWhoDoesNotAnswerIsSilentSoon(t *testing.T) {
	t.Parallel()
	clock := &moved{}
	table := openAt(t, openStore(t), false, clock.now)
	news := table.Subscribe()
	leave, other := table.Attend("dc1", "a1"), table.Attend("dc2", "a2")
	awaitNews(t, news, "they came")
	clock.advance(resource.Silence)
	stays := table.Attend("dc2", "a2")
	other(2 * resource.Silence)
	clock.advance(2 * resource.Silence)
	table.Hush()
	stays(0)
	leave(2 * resource.Silence)
	if silent := clock.now().Sub(table.HeardOf("dc1", "a1")); silent > resource.Silence {
		t.Errorf("it has no moment to come back: not heard of for %s", silent)
	}
	clock.advance(resource.Silence / 2)
	table.Hush()
	awaitNews(t, news, "it fell silent")
	if silent := clock.now().Sub(table.HeardOf("dc1", "a1")); silent <= resource.Silence {
		t.Errorf("heard of %s ago", silent)
	}
	if silent := clock.now().Sub(table.HeardOf("dc2", "a2")); silent > resource.Silence {
		t.Errorf("not heard of for %s, though another call of it waited", silent)
	}
}

// Every replica knows who is present at another one, by that one's heartbeat, and that it is not when the replica has died.
func TestOtherReplicasKnowWhoIsPresent(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	here, ctx := halted(t, st)
	there := open(t, st, true)
	leave := here.Attend("dc1", "a1")
	defer leave(0)
	news := there.Subscribe()
	ctx.run()
	awaitNews(t, news, "an agent came to the other replica")
	first := there.HeardOf("dc1", "a1")
	deadline := time.After(patience)
	for !there.HeardOf("dc1", "a1").After(first) {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-deadline:
			t.Fatal("the other replica's heartbeat does not stand for its agent")
		}
	}
	ctx.halt()
	died := time.Now()
	later := &moved{}
	later.advance(time.Hour)
	again, err := observation.Open(t.Context(), st, true, later.now, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	if heard := again.HeardOf("dc1", "a1"); heard.IsZero() || heard.After(died) {
		t.Errorf("an agent of a replica that died at %v is heard of at %v", died, heard)
	}
}

// A server that is the only one of its store knows after a restart who was there until it ended.
func TestARestartKeepsWhoWasPresent(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	table, err := observation.Open(t.Context(), st, false, time.Now, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	run := &running{t: t, table: table}
	table.Attend("dc1", "a1")
	run.run()
	run.halt()
	clock := &moved{}
	clock.advance(2 * time.Second)
	again := openAt(t, st, false, clock.now)
	if silent := clock.now().Sub(again.HeardOf("dc1", "a1")); again.HeardOf("dc1", "a1").IsZero() || silent > resource.Silence/2 {
		t.Errorf("after a restart it was heard of at %v", again.HeardOf("dc1", "a1"))
	}
	news := again.Subscribe()
	clock.advance(resource.Silence)
	awaitNews(t, news, "it did not come back")
}

// What was forgotten of an agent that was deleted stays forgotten, also when a call of it ends later.
func TestADeletedAgentIsNotPresent(t *testing.T) {
	t.Parallel()
	table := open(t, openStore(t), false)
	leave := table.Attend("dc1", "a1")
	if err := table.ForgetAgent(t.Context(), "dc1", "a1"); err != nil {
		t.Fatal(err)
	}
	leave(0)
	if heard := table.HeardOf("dc1", "a1"); !heard.IsZero() {
		t.Errorf("heard of at %v", heard)
	}
}

// running is a table that a test runs and ends; its end writes what is left.
type running struct {
	t      *testing.T
	table  *observation.Table
	cancel context.CancelFunc
	done   chan struct{}
}

// halted is a table of a replica that does not work yet.
func halted(t *testing.T, o store.Observatory) (*observation.Table, *running) {
	t.Helper()
	table, err := observation.Open(t.Context(), o, true, time.Now, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	return table, &running{t: t, table: table}
}

func (r *running) run() {
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(context.Background())
	r.done = make(chan struct{})
	go func() {
		defer close(r.done)
		_ = r.table.Run(ctx)
	}()
	r.t.Cleanup(r.halt)
}

func (r *running) halt() {
	r.cancel()
	<-r.done
}

// A store that may lack what it had is told again who is present, and agents are asked again for what they reported.
func TestWhatIsLostIsSaidAgain(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	table := open(t, st, true)
	report := &isthmusv1.ReportRequest{Agent: &isthmusv1.AgentReport{}, Inventory: &isthmusv1.InventoryReport{Leader: "s1"}}
	defer table.Attend("dc1", "a1")(0)
	say := func() {
		t.Helper()
		if err := table.Report(t.Context(), "dc1", "a1", report); err != nil {
			t.Fatal(err)
		}
		table.Flush(t.Context())
	}
	say()
	for _, part := range []string{observation.PresencePart("a1"), observation.PartInventory} {
		if err := st.Forget(t.Context(), "dc1", part); err != nil {
			t.Fatal(err)
		}
	}
	table.Lost()
	if digest := table.ReportsOf("dc1", "a1"); digest != "" {
		t.Errorf("it is told that %s of it is known", digest)
	}
	say()
	other := open(t, st, true)
	if other.HeardOf("dc1", "a1").IsZero() {
		t.Error("another replica has never heard of it")
	}
	if seen, ok := other.Get("dc1", observation.PartInventory); !ok || seen.Inventory.GetLeader() != "s1" {
		t.Errorf("another replica knows %+v", seen)
	}
}
