package feed_test

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/feed"
	"isthmus/server/observation"
	"isthmus/store"
	"isthmus/store/snapshot"
	"isthmus/store/sqlite"
	"isthmus/store/sqlstore"
)

const patience = 20 * time.Second

// fleet is a store, what agents say, and the verdicts that follow with time.
type fleet struct {
	t       rapid.TB
	store   *sqlstore.Store
	table   *observation.Table
	mu      sync.Mutex
	verdict map[string]uint64
	events  int
	done    []func()
}

func newFleet(t rapid.TB, dir string) *fleet {
	t.Helper()
	st, err := sqlite.Open(context.Background(), dir, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	table, err := observation.Open(context.Background(), st, false, time.Now, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{t: t, store: st, table: table, verdict: map[string]uint64{}}
	f.done = append(f.done, func() { _ = st.Close() })
	f.background(table.Run)
	return f
}

func (f *fleet) background(work func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() { _ = work(ctx) })
	f.done = append(f.done, func() { cancel(); wait.Wait() })
}

// end stops everything, the last first.
func (f *fleet) end() {
	for _, done := range slices.Backward(f.done) {
		done()
	}
}

// replica is one process with its own copy of the store.
type replica struct {
	*feed.Feed
	snapshot *snapshot.Snapshot
}

func (f *fleet) replica() *replica {
	f.t.Helper()
	s, err := snapshot.Open(context.Background(), f.store, hclog.NewNullLogger())
	if err != nil {
		f.t.Fatal(err)
	}
	r := &replica{snapshot: s, Feed: feed.New(s, f.table, f.digests)}
	f.background(r.Run)
	return r
}

func (f *fleet) digests() map[string]uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.verdict)
}

func (f *fleet) judge(datacenter string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.verdict[datacenter]++
}

func datacenter(name, label string) *isthmusv1.Datacenter {
	d := &isthmusv1.Datacenter{Name: name, Labels: map[string]string{"v": label}, Spec: &isthmusv1.DatacenterSpec{Runtime: "vm"}}
	resource.Default(d)
	resource.SetMetadata(d, resource.Metadata{UID: "uid-" + name, Generation: 1, CreateTime: timestamppb.Now(), UpdateTime: timestamppb.Now()})
	return d
}

func (f *fleet) write(w store.Write) {
	f.t.Helper()
	if _, err := f.store.Write(context.Background(), w); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) put(name, label string) {
	f.write(store.Write{Puts: []store.Put{{Object: datacenter(name, label), Part: store.PartAll}}})
}

func (f *fleet) remove(name string) {
	f.write(store.Write{Deletes: []store.Key{{Kind: resource.KindDatacenter, Name: name}}})
}

func (f *fleet) audit() {
	f.events++
	f.write(store.Write{Events: []*isthmusv1.Event{{Spec: &isthmusv1.EventSpec{Actor: "test", Action: "test", Kind: "Datacenter", Target: "dc1"}}}})
}

func (f *fleet) report(datacenter string, services int) {
	f.t.Helper()
	if err := f.table.Report(context.Background(), datacenter, datacenter+"-a1", &isthmusv1.ReportRequest{Inventory: &isthmusv1.InventoryReport{Services: int32(services)}}); err != nil {
		f.t.Fatal(err)
	}
}

// reader shows the fleet: it reads what it is told of, and nothing else.
type reader struct {
	cursor    feed.Cursor
	resources map[string]string
	reported  map[string]int32
	verdicts  map[string]uint64
	event     string
	resets    int
}

// follow reads what a replica tells of.
func (x *reader) follow(f *fleet, r *replica) feed.Answer {
	stop := r.Listen()
	defer stop()
	if x.cursor.Epoch == "" {
		x.cursor = r.Begin().Cursor
		x.everything(f, r)
		return feed.Answer{}
	}
	if _, err := r.snapshot.WaitIndex(context.Background(), x.cursor.Index); err != nil {
		f.t.Fatal(err)
	}
	a, _ := r.Since(x.cursor)
	x.cursor = a.Cursor
	switch {
	case a.Reset:
		x.resets++
		x.everything(f, r)
	case a.Everywhere:
		for _, name := range names() {
			x.datacenter(f, name)
		}
	}
	for _, name := range a.Observed {
		x.datacenter(f, name)
	}
	for _, c := range a.Changes {
		if c.Key.Kind == store.KindEvent {
			x.event = c.Key.Name
			continue
		}
		x.resource(f, r, c.Key.Name)
	}
	return a
}

func names() []string { return []string{"dc1", "dc2", "dc3", "dc4"} }

func (x *reader) everything(f *fleet, r *replica) {
	x.resources, x.reported, x.verdicts = map[string]string{}, map[string]int32{}, map[string]uint64{}
	for _, name := range names() {
		x.resource(f, r, name)
		x.datacenter(f, name)
	}
	x.event = store.EventName(uint64(f.events))
}

func (x *reader) resource(_ *fleet, r *replica, name string) {
	delete(x.resources, name)
	if d, ok := r.snapshot.View().Get(resource.KindDatacenter, name); ok {
		x.resources[name] = d.GetLabels()["v"]
	}
}

func (x *reader) datacenter(f *fleet, name string) {
	seen, _ := f.table.Get(name, observation.PartInventory)
	x.reported[name], x.verdicts[name] = seen.Inventory.GetServices(), f.digests()[name]
}

// TestAReaderThatFollows ends with the same picture as one that reads everything, whatever happens, whichever replica it asks, and however
// much is forgotten.
func TestAReaderThatFollows(t *testing.T) {
	t.Parallel()
	dir, tries := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		tries++
		f := newFleet(t, filepath.Join(dir, strconv.Itoa(tries)))
		defer f.end()
		replicas := []*replica{f.replica(), f.replica()}
		limit := rapid.SampledFrom([]int{1, 3, 8192}).Draw(t, "remembered")
		for _, r := range replicas {
			r.Remember(limit)
		}
		there := map[string]bool{}
		one := &reader{}
		one.follow(f, replicas[0])
		for i := range rapid.IntRange(5, 40).Draw(t, "steps") {
			name := rapid.SampledFrom(names()).Draw(t, "datacenter")
			r := replicas[rapid.IntRange(0, 1).Draw(t, "replica")]
			switch rapid.SampledFrom([]string{"put", "put", "delete", "report", "report", "verdict", "event", "catchup", "follow", "follow", "restart"}).Draw(t, "what") {
			case "put":
				f.put(name, fmt.Sprint(i))
				there[name] = true
			case "delete":
				if there[name] {
					f.remove(name)
					there[name] = false
				}
			case "report":
				f.report(name, i+1)
			case "verdict":
				f.judge(name)
			case "event":
				f.audit()
			case "catchup":
				_ = r.snapshot.Catchup(context.Background())
				r.Look()
			case "follow":
				_ = r.snapshot.Catchup(context.Background())
				one.follow(f, r)
			case "restart":
				replicas[1] = f.replica()
				replicas[1].Remember(limit)
			}
		}
		for _, r := range replicas {
			if err := r.snapshot.Catchup(context.Background()); err != nil {
				t.Fatal(err)
			}
			r.Look()
		}
		last := replicas[rapid.IntRange(0, 1).Draw(t, "last")]
		whole := &reader{}
		deadline := time.Now().Add(patience)
		for {
			one.follow(f, last)
			whole.everything(f, last)
			whole.cursor, whole.resets = one.cursor, one.resets
			if reflect.DeepEqual(one, whole) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the reader has %+v, and all is %+v", one, whole)
			}
			wait(last, one.cursor)
		}
	})
}

// wait waits until there is something after a cursor, or for a moment.
func wait(r *replica, c feed.Cursor) {
	a, changed := r.Since(c)
	if !a.Empty() {
		return
	}
	timer := time.NewTimer(10 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	}
}

// next is what a reader is told that waits for something.
func next(t *testing.T, r *replica, c feed.Cursor) feed.Answer {
	t.Helper()
	deadline := time.After(patience)
	for {
		a, changed := r.Since(c)
		if !a.Empty() {
			return a
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatal("nothing was told")
		}
	}
}

// told follows until everything that is wanted was told, and gives the cursor after it.
func told(t *testing.T, r *replica, c feed.Cursor, want ...string) feed.Cursor {
	t.Helper()
	left := map[string]bool{}
	for _, w := range want {
		left[w] = true
	}
	for len(left) > 0 {
		a := next(t, r, c)
		c = a.Cursor
		if a.Reset {
			delete(left, "reset")
		}
		if a.Everywhere {
			delete(left, "everywhere")
		}
		for _, name := range a.Observed {
			delete(left, name)
		}
		for _, x := range a.Changes {
			text := x.Key.Kind + " " + x.Key.Name
			if x.Deleted {
				text += " deleted"
			}
			delete(left, text)
		}
	}
	return c
}

func TestWhatIsTold(t *testing.T) {
	t.Parallel()
	f := newFleet(t, t.TempDir())
	t.Cleanup(f.end)
	r := f.replica()
	f.background(r.snapshot.Run)
	stop := r.Listen()
	c := r.Begin().Cursor
	f.put("dc1", "a")
	c = told(t, r, c, "Datacenter dc1")
	f.put("dc1", "b")
	f.put("dc2", "a")
	f.audit()
	c = told(t, r, c, "Datacenter dc1", "Datacenter dc2", "Event "+store.EventName(1))
	f.remove("dc2")
	c = told(t, r, c, "Datacenter dc2 deleted")
	f.report("dc3", 1)
	c = told(t, r, c, "dc3")
	f.judge("dc4") // by the time alone
	c = told(t, r, c, "dc4")
	stop()
	stop()
	// While nobody listened a verdict changed: whoever listens again is told.
	f.judge("dc1")
	defer r.Listen()()
	told(t, r, c, "dc1")
	// What was told once is not told again, and what is not known is no reason to begin anew.
	if a, _ := r.Since(told(t, r, c, "dc1")); !a.Empty() {
		t.Errorf("told again: %+v", a)
	}
}

func TestOldCursors(t *testing.T) {
	t.Parallel()
	f := newFleet(t, t.TempDir())
	t.Cleanup(f.end)
	r := f.replica()
	f.background(r.snapshot.Run)
	r.Remember(2)
	c := r.Begin().Cursor
	for _, name := range names()[:3] {
		f.put(name, "a")
		c = told(t, r, c, "Datacenter "+name)
	}
	for name, x := range map[string]struct {
		change func(*feed.Cursor)
		want   string
	}{
		"of another history":                        {func(c *feed.Cursor) { c.Epoch = "other" }, "reset"},
		"of the future":                             {func(c *feed.Cursor) { c.Places[0].Seq += 100 }, "reset"},
		"of what is forgotten":                      {func(c *feed.Cursor) { c.Places[0].Seq = 0 }, "reset"},
		"of another replica":                        {func(c *feed.Cursor) { c.Places[0].Feed = "other" }, "everywhere"},
		"of another replica, and what is forgotten": {func(c *feed.Cursor) { c.Places[0].Feed, c.Index = "other", 0 }, "reset"},
	} {
		old, err := feed.ParseCursor(c.String())
		if err != nil {
			t.Fatal(err)
		}
		x.change(&old)
		a, _ := r.Since(old)
		if got := map[bool]string{a.Reset: "reset", a.Everywhere: "everywhere"}[true]; got != x.want || len(a.Changes)+len(a.Observed) > 0 {
			t.Errorf("%s: got %+v", name, a)
		}
		if again, _ := r.Since(a.Cursor); !again.Empty() {
			t.Errorf("%s: after that, %+v", name, again)
		}
	}
}

// A reader whose calls end at one replica and then at the other is told by each what it has not told yet, and nothing twice.
func TestAReaderOfTwoReplicas(t *testing.T) {
	t.Parallel()
	f := newFleet(t, t.TempDir())
	t.Cleanup(f.end)
	one, two := f.replica(), f.replica()
	f.background(one.snapshot.Run)
	f.background(two.snapshot.Run)
	c := one.Begin().Cursor
	c = told(t, two, c, "everywhere")
	f.report("dc1", 1)
	c = told(t, one, c, "dc1")
	c = told(t, two, c, "dc1")
	f.put("dc2", "a")
	c = told(t, two, c, "Datacenter dc2")
	if _, err := one.snapshot.WaitIndex(t.Context(), c.Index); err != nil {
		t.Fatal(err)
	}
	f.report("dc3", 1)
	a := next(t, one, c)
	c = told(t, one, c, "dc3")
	if len(a.Changes) > 0 || a.Everywhere {
		t.Errorf("told twice: %+v", a)
	}
	c = told(t, two, c, "dc3")
	for _, r := range []*replica{one, two} {
		if a, _ := r.Since(c); !a.Empty() {
			t.Errorf("told again: %+v", a)
		}
	}
}

// Many change, and many listen, at the same time.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t, t.TempDir())
	t.Cleanup(f.end)
	r := f.replica()
	f.background(r.snapshot.Run)
	c := r.Begin().Cursor
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			defer r.Listen()()
			told(t, r, c, "dc1", "dc2", "dc3", "dc4", "Datacenter dc1", "Datacenter dc4")
		})
	}
	for i, name := range names() {
		all.Go(func() { f.put(name, "a") })
		all.Go(func() { f.report(name, i+1) })
	}
	all.Wait()
}
