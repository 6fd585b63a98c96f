package snapshot_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
	"isthmus/store/snapshot"
	"isthmus/store/sqlite"
	"isthmus/store/sqlstore"
)

// deadline is for what must happen, and is only met in full by a failure.
const deadline = 30 * time.Second

func openStore(t *testing.T) *sqlstore.Store {
	t.Helper()
	st, err := sqlite.Open(t.Context(), t.TempDir(), hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return st
}

func openSnapshot(t *testing.T, st store.Store) *snapshot.Snapshot {
	t.Helper()
	s, err := snapshot.Open(t.Context(), st, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func catchup(t *testing.T, s *snapshot.Snapshot) *snapshot.View {
	t.Helper()
	if err := s.Catchup(t.Context()); err != nil {
		t.Fatalf("Catchup: %v", err)
	}
	return s.View()
}

func write(t *testing.T, st store.Store, w store.Write) store.Revision {
	t.Helper()
	r, err := st.Write(t.Context(), w)
	if err != nil {
		t.Fatalf("Write: %v", err)
	}
	return r
}

func put(t *testing.T, st store.Store, objects ...resource.Object) store.Revision {
	t.Helper()
	w := store.Write{}
	for _, o := range objects {
		w.Puts = append(w.Puts, store.Put{Object: o, Part: store.PartAll})
	}
	return write(t, st, w)
}

func datacenter(name string) *isthmusv1.Datacenter {
	return &isthmusv1.Datacenter{Name: name, Uid: name, Generation: 1, Spec: &isthmusv1.DatacenterSpec{Runtime: "vm"}}
}

func peering(acceptor, dialer string) *isthmusv1.Peering {
	name := acceptor + "-" + dialer
	return &isthmusv1.Peering{Name: name, Uid: name, Generation: 1, Spec: &isthmusv1.PeeringSpec{
		Acceptor: acceptor, Dialer: dialer, AcceptorPeerName: dialer, DialerPeerName: acceptor,
	}}
}

func names(objects iter.Seq[resource.Object]) []string {
	out := []string{}
	for o := range objects {
		out = append(out, o.GetName())
	}
	return out
}

// after are the datacenters after one, decoded from what is encoded.
func after(v *snapshot.View, name string) iter.Seq[resource.Object] {
	return func(yield func(resource.Object) bool) {
		for k := range v.ListAfter(resource.KindDatacenter, name) {
			dc := &isthmusv1.Datacenter{}
			if err := proto.Unmarshal(k.Encoded(), dc); err != nil || k.Name() != dc.GetName() || !proto.Equal(k.Object(), dc) {
				panic(fmt.Sprintf("%s is %v: %v", k.Name(), dc, err))
			}
			if !yield(dc) {
				return
			}
		}
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Who is in which federation is found once for each view, whoever asks first.
func TestMemberships(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	put(t, st, datacenter("a"), datacenter("b"), &isthmusv1.Federation{Name: "global", Spec: &isthmusv1.FederationSpec{Primary: "a"}})
	s := openSnapshot(t, st)
	v := s.View()
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			if m := resource.Memberships(v); len(m) != 1 || m["a"].Role != resource.RolePrimary {
				t.Errorf("memberships %v", m)
			}
		})
	}
	asking.Wait()
	again := v.Memberships(func() map[string]resource.Membership {
		t.Error("it looks again")
		return nil
	})
	put(t, st, &isthmusv1.Federation{Name: "global", Spec: &isthmusv1.FederationSpec{Primary: "a", Secondaries: []string{"b"}}})
	if m := resource.Memberships(catchup(t, s)); len(m) != 2 || len(again) != 1 {
		t.Errorf("the next view has %v, the one before %v", m, again)
	}
}

func TestView(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	put(t, st, datacenter("b"), datacenter("a"), datacenter("a-b"), datacenter("ab"), datacenter("c"), peering("a", "b"))
	put(t, st, peering("a-b", "a"), peering("b", "c"))
	s := openSnapshot(t, st)
	v := s.View()
	if v.Revision().Index != 2 {
		t.Fatalf("the view is at %+v", v.Revision())
	}
	for what, c := range map[string]struct {
		got  iter.Seq[resource.Object]
		want []string
	}{
		"datacenters":     {v.List(resource.KindDatacenter), []string{"a", "a-b", "ab", "b", "c"}},
		"after a":         {after(v, "a"), []string{"a-b", "ab", "b", "c"}},
		"after a0":        {after(v, "a0"), []string{"ab", "b", "c"}},
		"after nothing":   {after(v, ""), []string{"a", "a-b", "ab", "b", "c"}},
		"after the last":  {after(v, "c"), []string{}},
		"touching a":      {v.Touching(resource.KindPeering, "a"), []string{"a-b", "a-b-a"}},
		"touching a-b":    {v.Touching(resource.KindPeering, "a-b"), []string{"a-b-a"}},
		"touching nobody": {v.Touching(resource.KindPeering, "d"), []string{}},
		"no kind":         {v.List("Invention"), []string{}},
	} {
		if got := names(c.got); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", what, got, c.want)
		}
	}
	for range v.List(resource.KindDatacenter) {
		break // ends early without harm
	}
	if p, ok := resource.Lookup[*isthmusv1.Peering](v, resource.KindPeering, "a-b"); !ok || p.GetSpec().GetDialer() != "b" || p.GetIndex() != 1 {
		t.Errorf("the peering is %v", p)
	}
	if _, ok := v.Get(resource.KindPeering, "a"); ok {
		t.Error("a prefix of a name was found")
	}

	// A view does not change.
	write(t, st, store.Write{Deletes: []store.Key{{Kind: resource.KindPeering, Name: "b-c"}}})
	next := catchup(t, s)
	if got := names(v.Touching(resource.KindPeering, "c")); len(got) != 1 {
		t.Errorf("the old view has %v", got)
	}
	if got := names(next.Touching(resource.KindPeering, "c")); len(got) != 0 || next.KindIndex(resource.KindPeering) != 3 || v.KindIndex(resource.KindPeering) != 2 {
		t.Errorf("the new view has %v, at %d", got, next.KindIndex(resource.KindPeering))
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	put(t, st, datacenter("a"), datacenter("b"), datacenter("c"), peering("a", "b"))
	s := openSnapshot(t, st)
	type watched struct{ datacenters, peerings, events, nameA, nameNone, placeA, placeC <-chan struct{} }
	watch := func(v *snapshot.View) watched {
		return watched{
			v.Watch(resource.KindDatacenter), v.Watch(resource.KindPeering), v.Watch(store.KindEvent),
			v.WatchName(resource.KindDatacenter, "a"), v.WatchName(resource.KindPeering, "b-c"),
			v.WatchDatacenter("a"), v.WatchDatacenter("c"),
		}
	}
	w := watch(s.View())
	write(t, st, store.Write{Events: []*isthmusv1.Event{{Spec: &isthmusv1.EventSpec{Action: "refuse"}}}})
	v := catchup(t, s)
	if !closed(w.events) || closed(w.datacenters) || closed(w.peerings) || v.KindIndex(store.KindEvent) != 2 {
		t.Fatalf("after an event: %d", v.KindIndex(store.KindEvent))
	}
	w = watch(v)
	put(t, st, peering("b", "c"))
	v = catchup(t, s)
	if !closed(w.peerings) || !closed(w.nameNone) || !closed(w.placeC) || closed(w.nameA) || closed(w.datacenters) || closed(w.events) {
		t.Fatal("after a peering of b and c")
	}
	w = watch(v)
	write(t, st, store.Write{Deletes: []store.Key{{Kind: resource.KindPeering, Name: "b-c"}}})
	old := v
	v = catchup(t, s)
	if !closed(w.peerings) || !closed(w.nameNone) || !closed(w.placeC) || closed(w.nameA) {
		t.Fatal("after its deletion")
	}
	if !closed(old.Watch(resource.KindPeering)) {
		t.Fatal("a watch of an old view does not tell that it is old")
	}
	w = watch(v)
	changed := datacenter("a")
	changed.Status = &isthmusv1.DatacenterStatus{Agent: "online"}
	write(t, st, store.Write{Puts: []store.Put{{Object: changed, Part: store.PartStatus}}})
	catchup(t, s)
	if !closed(w.nameA) || !closed(w.datacenters) || !closed(w.placeA) || closed(w.peerings) {
		t.Fatal("after a change of status")
	}
}

func TestRunFollows(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	s := openSnapshot(t, st)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	done := make(chan error, 1)
	running, stop := context.WithCancel(ctx)
	go func() { done <- s.Run(running) }()
	for i := range 20 {
		r := put(t, st, datacenter(fmt.Sprintf("dc%d", i)))
		v, err := s.WaitIndex(ctx, r.Index)
		if err != nil {
			t.Fatalf("WaitIndex: %v", err)
		}
		if _, ok := v.Get(resource.KindDatacenter, fmt.Sprintf("dc%d", i)); !ok || v.Revision().Index < r.Index {
			t.Fatalf("the view at %d does not have the write at %d", v.Revision().Index, r.Index)
		}
	}
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("Run: %v", err)
	}
	short, end := context.WithCancel(ctx)
	end()
	if _, err := s.WaitIndex(short, 1000); fault.CodeOf(err) != fault.Unavailable {
		t.Fatalf("WaitIndex for what does not come: %v", err)
	}
}

// flaky is a store that cannot be reached at times.
type flaky struct {
	store.Store
	down  atomic.Bool
	tries atomic.Int32
}

func (f *flaky) Changes(ctx context.Context, since store.Revision, limit int) (store.Feed, error) {
	f.tries.Add(1)
	if f.down.Load() {
		return store.Feed{}, fault.New(fault.Unavailable, "down")
	}
	return f.Store.Changes(ctx, since, limit)
}

func TestOutage(t *testing.T) {
	t.Parallel()
	st := &flaky{Store: openStore(t)}
	put(t, st, datacenter("a"))
	s := openSnapshot(t, st)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	st.down.Store(true)
	r := put(t, st, datacenter("b"))
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for st.tries.Load() < 3 {
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.Fatal("the store is not tried again")
		}
	}
	if _, ok := s.View().Get(resource.KindDatacenter, "a"); !ok {
		t.Fatal("the last known state is gone")
	}
	st.down.Store(false)
	if _, err := s.WaitIndex(ctx, r.Index); err != nil {
		t.Fatalf("after the outage: %v", err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("Run: %v", err)
	}
}

// older is a store that was restored from a backup, but kept its epoch: nobody told it.
type older struct {
	store.Store
	backup store.Store
	since  store.Revision
}

func (o *older) Changes(context.Context, store.Revision, int) (store.Feed, error) {
	return store.Feed{Revision: o.since, Reload: true}, nil
}

func (o *older) Load(ctx context.Context, visit func(resource.Object) error) (store.Revision, error) {
	if o.backup == nil {
		return o.Store.Load(ctx, visit)
	}
	_, err := o.backup.Load(ctx, visit)
	return o.since, err
}

// TestIndexGoesBack: no kind's index is ahead of its view, or whoever waits for its changes would be woken for ever.
func TestIndexGoesBack(t *testing.T) {
	t.Parallel()
	st := &older{Store: openStore(t), backup: nil}
	st.since = put(t, st.Store, datacenter("a"))
	backup := openStore(t)
	put(t, backup, datacenter("a"))
	put(t, st.Store, datacenter("b"))
	put(t, st.Store, peering("a", "b"))
	write(t, st.Store, store.Write{Deletes: []store.Key{{Kind: resource.KindPeering, Name: "a-b"}, {Kind: resource.KindDatacenter, Name: "b"}}})
	s := openSnapshot(t, st)
	st.backup = backup
	v := catchup(t, s)
	for _, kind := range []string{resource.KindDatacenter, resource.KindPeering, store.KindEvent} {
		if at := v.KindIndex(kind); at > v.Revision().Index {
			t.Errorf("%s changed at %d, in a view at %d", kind, at, v.Revision().Index)
		}
	}
}

// stuck is a store whose feed does not answer until it is let go.
type stuck struct {
	store.Store
	// deaf: it does not even notice that nobody waits any more.
	deaf    bool
	asked   chan struct{}
	letGo   chan struct{}
	ignored chan struct{}
}

func newStuck(st store.Store) *stuck {
	return &stuck{Store: st, asked: make(chan struct{}, 100), letGo: make(chan struct{}), ignored: make(chan struct{}, 100)}
}

func (s *stuck) Changes(ctx context.Context, since store.Revision, limit int) (store.Feed, error) {
	s.asked <- struct{}{}
	gone := ctx.Done()
	if s.deaf {
		gone = nil
	}
	select {
	case <-s.letGo:
		return s.Store.Changes(ctx, since, limit)
	case <-gone:
		s.ignored <- struct{}{}
		return store.Feed{}, fault.Wrap(fault.Canceled, ctx.Err(), "canceled")
	}
}

func wait(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(deadline):
		t.Fatal(what)
	}
}

// TestStuckStore: one read that hangs holds nobody longer than he wants to wait.
func TestStuckStore(t *testing.T) {
	t.Parallel()
	for _, deaf := range []bool{false, true} {
		st := newStuck(openStore(t))
		st.deaf = deaf
		s := openSnapshot(t, st)
		first, leave := context.WithCancel(t.Context())
		outcome := make(chan error, 1)
		go func() { outcome <- s.Catchup(first) }()
		wait(t, st.asked, "the feed is not read")
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if err := s.Catchup(short); fault.CodeOf(err) != fault.Timeout {
			t.Fatalf("behind a read that hangs: %v", err)
		}
		cancel()
		leave()
		if err := <-outcome; fault.CodeOf(err) != fault.Canceled {
			t.Fatalf("in a read that hangs: %v", err)
		}
		if !deaf {
			wait(t, st.ignored, "the read goes on for nobody")
		}
		if err := s.Catchup(short); fault.CodeOf(err) != fault.Timeout {
			t.Fatalf("with a context that has ended: %v", err)
		}
		close(st.letGo)
		r := put(t, st, datacenter("a"))
		if v := catchup(t, s); v.Revision() != r {
			t.Fatalf("after all that the view is at %+v, the store at %+v", v.Revision(), r)
		}
	}
}

// TestCatchupsAreShared: who asks while the feed is read is served by the next read, with all others, and never by the
// one on its way, which may have missed what he has written.
func TestCatchupsAreShared(t *testing.T) {
	t.Parallel()
	const n = 50
	st := newStuck(openStore(t))
	s := openSnapshot(t, st)
	outcomes := make(chan error, n+1)
	go func() { outcomes <- s.Catchup(t.Context()) }()
	wait(t, st.asked, "the feed is not read")
	r := put(t, st, datacenter("a"))
	for range n {
		ctx := &joining{Context: t.Context(), joined: make(chan struct{})}
		go func() {
			err := s.Catchup(ctx)
			if at := s.View().Revision(); err == nil && at != r {
				err = fmt.Errorf("the view is at %+v, the store at %+v", at, r)
			}
			outcomes <- err
		}()
		wait(t, ctx.joined, "Catchup does not wait")
	}
	st.letGo <- struct{}{}
	st.letGo <- struct{}{}
	for range n + 1 {
		if err := <-outcomes; err != nil {
			t.Errorf("Catchup: %v", err)
		}
	}
	if more := len(st.asked); more != 1 {
		t.Errorf("the feed was read %d times more for %d callers", more, n)
	}
}

// joining is a context that says when its call waits.
type joining struct {
	context.Context
	once   sync.Once
	joined chan struct{}
}

func (j *joining) Done() <-chan struct{} {
	j.once.Do(func() { close(j.joined) })
	return j.Context.Done()
}

func TestFollower(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	put(t, st, datacenter("a"), datacenter("b"), datacenter("c"), peering("a", "b"))
	s := openSnapshot(t, st)
	f, slow := s.Follow(), s.Follow()
	next := func(f *snapshot.Follower) *snapshot.Batch {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		defer cancel()
		b, err := f.Next(ctx)
		if err != nil {
			t.Fatalf("Next: %v", err)
		}
		return b
	}
	if closed(f.Changed()) {
		t.Fatal("there is a change before there is one")
	}
	short, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Next(short); fault.CodeOf(err) != fault.Canceled {
		t.Fatalf("Next: %v", err)
	}

	changed := peering("a", "b")
	changed.Status = &isthmusv1.PeeringStatus{State: "ACTIVE"}
	write(t, st, store.Write{Puts: []store.Put{{Object: changed, Part: store.PartStatus}}})
	catchup(t, s)
	if !closed(f.Changed()) {
		t.Fatal("the change was not announced")
	}
	b := next(f)
	if len(b.Changes) != 1 || b.Changes[0].Part != store.PartStatus || b.Restarted() || b.View != f.View() {
		t.Fatalf("the batch is %+v", b)
	}
	before, after := b.Changes[0].Before.(*isthmusv1.Peering), b.Changes[0].After.(*isthmusv1.Peering)
	if before.GetStatus().GetState() != "" || after.GetStatus().GetState() != "ACTIVE" {
		t.Fatalf("from %v to %v", before, after)
	}

	put(t, st, peering("b", "c"))
	catchup(t, s)
	write(t, st, store.Write{Deletes: []store.Key{{Kind: resource.KindPeering, Name: "b-c"}, {Kind: resource.KindPeering, Name: "a-b"}}})
	catchup(t, s)
	// The slow one gets all in one: what came and went is no change, but it is told that it was there.
	b = next(slow)
	if !slices.Equal(b.Passed, []store.Key{{Kind: resource.KindPeering, Name: "b-c"}}) {
		t.Fatalf("what came and went: %v", b.Passed)
	}
	if len(b.Changes) != 1 || b.Changes[0].Key.Name != "a-b" || b.Changes[0].After != nil || b.Changes[0].Part != store.PartAll {
		t.Fatalf("the slow one's batch is %+v", b.Changes)
	}
	if closed(slow.Changed()) || slow.View().Revision() != s.View().Revision() {
		t.Fatal("the slow one is not at the end")
	}

	// A restore shows as what differs.
	if _, err := st.Restored(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, st, datacenter("d"))
	v := catchup(t, s)
	b = next(slow)
	if !b.Restarted() || len(b.Changes) != 1 || b.Changes[0].Key.Name != "d" || v.KindIndex(resource.KindPeering) != v.Revision().Index {
		t.Fatalf("after a restore: %+v, peerings at %d", b.Changes, v.KindIndex(resource.KindPeering))
	}
}

func equal(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, what string, got, want []resource.Object,
) {
	t.Helper()
	if d := cmp.Diff(want, got, protocmp.Transform()); d != "" {
		t.Fatalf("%s (-want +got):\n%s", what, d)
	}
}
