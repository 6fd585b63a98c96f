package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
)

// testBatch has writes that arrive together, of which some fail: each gets its own outcome, and none the other's.
func testBatch(f *fixture) {
	t := f.t
	const n = 60
	f.put(datacenter("dc1"))
	results := make([]store.Revision, n)
	errs := make([]error, n)
	concurrently(n, func(i int) {
		w := store.Write{Puts: puts(datacenter(number("good", i))), Events: []*isthmusv1.Event{event("create", "Datacenter", number("good", i))}}
		switch i % 4 {
		case 1:
			w.Requires = []store.Require{{Key: datacenterKey("no-such"), Index: 3}}
		case 2:
			w.Puts = append(w.Puts, puts(peering("dc1", "no-such"))...)
		case 3:
			w.Deletes = []store.Key{datacenterKey("no-such")}
		}
		results[i], errs[i] = f.Write(f.ctx, w)
	})
	want := []fault.Code{"", fault.Conflict, fault.Invalid, fault.NotFound}
	seen := map[uint64]bool{}
	for i := range n {
		if code := fault.CodeOf(errs[i]); code != want[i%4] {
			t.Fatalf("write %d: %v, want %q", i, errs[i], want[i%4])
		}
		_, _, err := f.Get(f.ctx, datacenterKey(number("good", i)))
		if stored := err == nil; stored != (i%4 == 0) {
			t.Fatalf("write %d: stored %v", i, stored)
		}
		if i%4 == 0 && seen[results[i].Index] {
			t.Fatalf("two writes share index %d", results[i].Index)
		}
		seen[results[i].Index] = true
	}
	if at := f.revision().Index; at != 1+n/4 {
		t.Fatalf("%d accepted writes moved the index to %d", n/4, at)
	}
	checkChain(f, n/4)
}

// poison is a generation that testPoison makes the database refuse.
const poison = 77

// testPoison has writes among others that the database itself refuses, beyond what is checked before: each fails alone,
// and no other outcome is lost with it: neither what is stored nor what the store refuses.
func testPoison(f *fixture) {
	t := f.t
	first := datacenter("dc1")
	first.Generation = poison
	f.put(first, datacenter("dc2"), peering("dc1", "dc2"))
	f.db.Exec(t, fmt.Sprintf(`CREATE UNIQUE INDEX poison ON resources (generation) WHERE generation = %d`, poison))
	stale, err := f.Acquire(f.ctx, "controller", "a", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Release(f.ctx, stale); err != nil {
		t.Fatal(err)
	}
	const rounds, n = 5, 24
	before := f.revision().Index
	stored := 0
	for round := range rounds {
		errs := make([]error, n)
		revisions := make([]store.Revision, n)
		concurrently(n, func(i int) {
			revisions[i], errs[i] = f.Write(f.ctx, poisoned(fmt.Sprintf("p%d-%d", round, i), i, &stale))
		})
		for i, err := range errs {
			want := poisonOutcome(i)
			if fault.CodeOf(err) != want {
				t.Fatalf("round %d, write %d: %v, want %q", round, i, err, want)
			}
			o, _, missing := f.Get(f.ctx, datacenterKey(fmt.Sprintf("p%d-%d", round, i)))
			if (missing == nil) != (want == "") {
				t.Fatalf("round %d, write %d: its outcome was %q, but then %v", round, i, want, missing)
			}
			if want != "" {
				continue
			}
			stored++
			if o.GetIndex() != revisions[i].Index {
				t.Fatalf("round %d, write %d: acknowledged at %d, stored at %d", round, i, revisions[i].Index, o.GetIndex())
			}
		}
	}
	if at := f.revision().Index; at != before+uint64(stored) {
		t.Fatalf("%d accepted writes moved the index from %d to %d", stored, before, at)
	}
	checkChain(f, stored)
}

// poisoned is one of testPoison's writes: all want to store a datacenter and an event, some cannot.
func poisoned(name string, i int, stale *store.Lease) store.Write {
	dc := datacenter(name)
	w := store.Write{Events: []*isthmusv1.Event{event("create", "Datacenter", name)}}
	switch i % 6 {
	case 1:
		w.Requires = []store.Require{{Key: datacenterKey("dc1"), Index: 99}}
	case 2:
		dc.Generation = poison
	case 3:
		w.Fence = stale
	case 4:
		w.Puts = puts(peering("dc2", "dc1"))
	}
	w.Puts = append(w.Puts, puts(dc)...)
	return w
}

func poisonOutcome(i int) fault.Code {
	return []fault.Code{"", fault.Conflict, fault.Internal, fault.Conflict, fault.AlreadyExists, ""}[i%6]
}

// testRequireRace counts up a resource with check-and-set from many writers: none is lost.
func testRequireRace(f *fixture) {
	t := f.t
	const writers, rounds = 8, 12
	f.put(datacenter("counter"))
	concurrently(writers, func(int) {
		for done := 0; done < rounds; {
			o, _, err := f.Get(f.ctx, datacenterKey("counter"))
			if err != nil {
				t.Errorf("Get: %v", err)
				return
			}
			dc := o.(*isthmusv1.Datacenter)
			dc.Generation++
			_, err = f.Write(f.ctx, store.Write{
				Requires: []store.Require{{Key: datacenterKey("counter"), Index: dc.GetIndex()}},
				Puts:     []store.Put{{Object: dc, Part: store.PartSpec}},
			})
			switch fault.CodeOf(err) {
			case "":
				done++
			case fault.Conflict:
			default:
				t.Errorf("Write: %v", err)
				return
			}
		}
	})
	if got := f.get(resource.KindDatacenter, "counter").GetGeneration(); got != 1+writers*rounds {
		t.Fatalf("the counter is at %d, want %d", got, 1+writers*rounds)
	}
}

// testClaimRace lets both directions of each pair race.
func testClaimRace(f *fixture) {
	t := f.t
	const n = 6
	var all []resource.Object
	for i := range n {
		all = append(all, datacenter(number("dc", i)))
	}
	f.put(all...)
	var accepted, refused atomic.Int32
	concurrently(2*n, func(i int) {
		for j := range n {
			a, b := number("dc", i/2), number("dc", j)
			if i%2 == 1 {
				a, b = b, a
			}
			if a == b {
				continue
			}
			switch _, err := f.Write(f.ctx, store.Write{
				Requires: []store.Require{{Key: peeringKey(a + "-" + b), Absent: true}}, Puts: puts(peering(a, b)),
			}); fault.CodeOf(err) {
			case "":
				accepted.Add(1)
			case fault.AlreadyExists:
				refused.Add(1)
			default:
				t.Errorf("Write: %v", err)
			}
		}
	})
	if accepted.Load() != n*(n-1)/2 {
		t.Fatalf("%d pairs were accepted, %d refused; want %d accepted", accepted.Load(), refused.Load(), n*(n-1)/2)
	}
}

// testDeleteRace lets the deletion of a datacenter race with peerings that refer to it: never both.
func testDeleteRace(f *fixture) {
	t := f.t
	for round := range 15 {
		a, b := number("a", round), number("b", round)
		f.put(datacenter(a), datacenter(b))
		var deleted, made atomic.Int32
		concurrently(4, func(i int) {
			var err error
			if i%2 == 0 {
				if _, err = f.Write(f.ctx, store.Write{Deletes: []store.Key{datacenterKey(a)}}); err == nil {
					deleted.Add(1)
				}
			} else if _, err = f.Write(f.ctx, store.Write{Puts: puts(peering(a, b))}); err == nil {
				made.Add(1)
			}
			switch fault.CodeOf(err) {
			case "", fault.NotFound, fault.Referenced, fault.Invalid:
			default:
				t.Errorf("Write: %v", err)
			}
		})
		if (deleted.Load() > 0) == (made.Load() > 0) {
			t.Fatalf("round %d: deleted %d times, referred to %d times", round, deleted.Load(), made.Load())
		}
	}
}

func testCancellation(f *fixture) {
	t := f.t
	ended, cancel := context.WithCancel(f.ctx)
	cancel()
	before := f.revision()
	if _, err := f.Write(ended, store.Write{Puts: puts(datacenter("dc1"))}); fault.CodeOf(err) != fault.Canceled {
		t.Fatalf("Write: %v", err)
	}
	if _, _, err := f.Get(ended, datacenterKey("dc1")); fault.CodeOf(err) != fault.Canceled {
		t.Fatalf("Get: %v", err)
	}
	if _, err := f.Changes(ended, before, 10); fault.CodeOf(err) != fault.Canceled {
		t.Fatalf("Changes: %v", err)
	}
	if at := f.revision(); at != before {
		t.Fatalf("a canceled write moved the index to %+v", at)
	}
	late, cancelLate := context.WithDeadline(f.ctx, instant().AsTime().AddDate(-20, 0, 0))
	defer cancelLate()
	if _, err := f.Write(late, store.Write{Puts: puts(datacenter("dc1"))}); fault.CodeOf(err) != fault.Timeout {
		t.Fatalf("Write: %v", err)
	}

	// Callers that give up at any moment: what they are told is true, and nobody else notices.
	var mu sync.Mutex
	outcome := map[string]error{}
	concurrently(24, func(i int) {
		for n := range 8 {
			name := fmt.Sprintf("c%d-%d", i, n)
			ctx, cancel := context.WithCancel(f.ctx)
			if i%3 == 0 {
				go cancel()
			}
			_, err := f.Write(ctx, store.Write{Puts: puts(datacenter(name))})
			cancel()
			mu.Lock()
			outcome[name] = err
			mu.Unlock()
		}
	})
	f.put(datacenter("barrier"))
	for name, err := range outcome {
		_, _, missing := f.Get(f.ctx, datacenterKey(name))
		switch fault.CodeOf(err) {
		case "":
			if missing != nil {
				t.Fatalf("%s was acknowledged: %v", name, missing)
			}
		case fault.Canceled:
			if missing == nil {
				t.Fatalf("%s is stored, although it was canceled", name)
			}
		case fault.Unavailable: // stored or not
		default:
			t.Fatalf("%s: %v", name, err)
		}
	}
}

func testClosed(f *fixture) {
	t := f.t
	f.put(datacenter("dc1"))
	// Whatever else is on its way when it closes ends, or fails as all does afterwards.
	others := make(chan error, 8)
	for i := range cap(others) {
		go func() { others <- untilClosed(f, i) }()
	}
	// Writes that are on their way when it closes are stored or fail, never both.
	outcome := make([]error, 16)
	done := make(chan struct{})
	go func() {
		defer close(done)
		concurrently(len(outcome), func(i int) {
			_, outcome[i] = f.Write(f.ctx, store.Write{Puts: puts(datacenter(number("late", i)))})
		})
	}()
	if err := f.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	<-done
	for range cap(others) {
		if err := <-others; fault.CodeOf(err) != fault.Unavailable {
			t.Errorf("a call while it was closed: %v", err)
		}
	}
	for what, err := range map[string]error{
		"Get":     func() error { _, _, err := f.Get(f.ctx, datacenterKey("dc1")); return err }(),
		"Write":   func() error { _, err := f.Write(f.ctx, store.Write{Puts: puts(datacenter("x"))}); return err }(),
		"Observe": f.Observe(f.ctx, []store.Observation{{Datacenter: "dc1", Part: "inventory"}}),
		"Acquire": func() error { _, err := f.Acquire(f.ctx, "l", "h", 1); return err }(),
		"Ping":    f.Ping(f.ctx),
	} {
		if fault.CodeOf(err) != fault.Unavailable {
			t.Fatalf("%s after Close: %v", what, err)
		}
	}
	again := f.on(open(f.ctx, t, f.db))
	for i, err := range outcome {
		_, _, missing := again.Get(f.ctx, datacenterKey(number("late", i)))
		if (err == nil) != (missing == nil) {
			t.Fatalf("write %d: %v, but then %v", i, err, missing)
		}
	}
}

// untilClosed calls one of the store's methods again and again, until it fails for another reason than a lease's holder.
func untilClosed(f *fixture, i int) error {
	for n := 0; ; n++ {
		var err error
		switch i % 4 {
		case 0:
			_, err = f.Acquire(f.ctx, number("lease", n), number("h", i), time.Minute)
		case 1:
			_, err = f.Changes(f.ctx, store.Revision{}, 10)
		case 2:
			err = f.Ping(f.ctx)
		case 3:
			_, err = f.Compact(f.ctx, 1)
		}
		if err != nil && fault.CodeOf(err) != fault.Conflict {
			return err
		}
	}
}
