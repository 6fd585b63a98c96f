package storetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
)

func testFeed(f *fixture) {
	t := f.t
	start := f.revision()
	if feed := f.changes(start, 10); len(feed.Changes) != 0 || feed.Reload || feed.More || feed.Revision != start {
		t.Fatalf("the feed of a fresh store is %+v", feed)
	}
	f.put(datacenter("dc1"), datacenter("dc2"), datacenter("dc3"))
	f.put(peering("dc1", "dc2"))
	moved := peering("dc1", "dc3")
	moved.Name, moved.Uid = "dc1-dc2", "dc1-dc2"
	f.write(store.Write{Puts: []store.Put{{Object: moved, Part: store.PartSpec}}})
	f.write(store.Write{Puts: []store.Put{{Object: moved, Part: store.PartStatus}}})
	f.write(store.Write{Deletes: []store.Key{peeringKey("dc1-dc2")}})
	last := f.write(store.Write{Events: []*isthmusv1.Event{event("refuse", "", "")}})

	feed := f.changes(start, 100)
	if feed.Revision != last || feed.More || feed.Reload {
		t.Fatalf("the feed ends at %+v", feed.Revision)
	}
	type row struct {
		index       uint64
		name        string
		operation   store.Operation
		part        store.Part
		datacenters string
	}
	var got []row
	for _, c := range feed.Changes {
		got = append(got, row{c.Index, c.Key.Name, c.Operation, c.Part, fmt.Sprint(c.Datacenters)})
		if gone := c.Key.Kind != resource.KindDatacenter; gone != (c.Object == nil) {
			t.Fatalf("the object of %+v is %v", c, c.Object)
		}
	}
	want := []row{
		{1, "dc1", store.OperationPut, store.PartAll, "[dc1]"},
		{1, "dc2", store.OperationPut, store.PartAll, "[dc2]"},
		{1, "dc3", store.OperationPut, store.PartAll, "[dc3]"},
		{2, "dc1-dc2", store.OperationPut, store.PartAll, "[dc1 dc2]"},
		{3, "dc1-dc2", store.OperationPut, store.PartSpec, "[dc1 dc2 dc3]"}, // those before and after
		{4, "dc1-dc2", store.OperationPut, store.PartStatus, "[dc1 dc3]"},
		{5, "dc1-dc2", store.OperationDelete, store.PartAll, "[dc1 dc3]"},
		{6, "000000000001", store.OperationPut, store.PartAll, "[]"},
	}
	if !slices.Equal(got, want) {
		t.Fatalf("the feed is\n%v\nwant\n%v", got, want)
	}
	if feed := f.changes(store.Revision{Epoch: start.Epoch, Index: 99}, 10); !feed.Reload || feed.Revision != last {
		t.Fatalf("the feed after an index of the future is %+v", feed)
	}
}

func testFeedLimit(f *fixture) {
	t := f.t
	since := f.revision()
	f.put(datacenter("a"))
	f.put(datacenter("b"), datacenter("c"), datacenter("d"))
	f.put(datacenter("e"), datacenter("f"))
	last := f.put(datacenter("g"))
	for limit := 1; limit <= 8; limit++ {
		at, names := since, ""
		for more := true; more; {
			feed := f.changes(at, limit)
			more = feed.More
			if more == (feed.Revision == last) || len(feed.Changes) == 0 {
				t.Fatalf("with limit %d after %d: %+v", limit, at.Index, feed)
			}
			for i, c := range feed.Changes {
				names += c.Key.Name
				if c.Index <= at.Index || c.Index > feed.Revision.Index {
					t.Fatalf("with limit %d after %d: change %d has index %d", limit, at.Index, i, c.Index)
				}
			}
			at = feed.Revision
		}
		if names != "abcdefg" || at != last {
			t.Fatalf("with limit %d the feed is %s up to %+v", limit, names, at)
		}
	}
}

// tail follows the feed as a snapshot does, until it has seen until, and checks that it is complete and in order.
func tail(ctx context.Context, b store.Store, since store.Revision, until func(seen map[string]uint64) bool) (map[string]uint64, error) {
	seen := map[string]uint64{}
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for at := since; !until(seen); {
		feed, err := b.Changes(ctx, at, 50)
		if err != nil {
			return seen, err
		}
		if feed.Reload {
			return seen, fmt.Errorf("asked to reload after %d", at.Index)
		}
		previous := at.Index
		for _, c := range feed.Changes {
			if c.Index != previous && c.Index != previous+1 {
				return seen, fmt.Errorf("index %d after %d: something is missing", c.Index, previous)
			}
			previous = c.Index
			if again, ok := seen[c.Key.Name]; ok {
				return seen, fmt.Errorf("%s at %d and again at %d", c.Key.Name, again, c.Index)
			}
			seen[c.Key.Name] = c.Index
		}
		if feed.Revision.Index != previous {
			return seen, fmt.Errorf("the feed says it goes to %d, but its changes go to %d", feed.Revision.Index, previous)
		}
		at = feed.Revision
		if !feed.More {
			select {
			case <-poll.C:
			case <-ctx.Done():
				return seen, ctx.Err()
			}
		}
	}
	return seen, nil
}

// writeMany lets each of writers write rounds resources of its own, and returns at which index each was acknowledged.
func writeMany(f *fixture, backends []Backend, writers, rounds int) map[string]uint64 {
	f.t.Helper()
	acknowledged := make([]map[string]uint64, writers)
	concurrently(writers, func(i int) {
		mine := map[string]uint64{}
		acknowledged[i] = mine
		for n := range rounds {
			name := fmt.Sprintf("w%d-%d", i, n)
			r, err := backends[i%len(backends)].Write(f.ctx, store.Write{Puts: puts(datacenter(name))})
			if err != nil {
				f.t.Errorf("writing %s: %v", name, err)
				return
			}
			mine[name] = r.Index
		}
	})
	all := map[string]uint64{}
	for _, mine := range acknowledged {
		maps.Copy(all, mine)
	}
	return all
}

func testTail(f *fixture) { tailWriters(f, []Backend{f.Backend}) }

func tailWriters(f *fixture, backends []Backend) {
	t := f.t
	const writers, rounds, readers = 8, 60, 2
	start := f.revision()
	type result struct {
		seen map[string]uint64
		err  error
	}
	results := make(chan result)
	for i := range readers {
		go func() {
			seen, err := tail(f.ctx, backends[i%len(backends)], start, func(seen map[string]uint64) bool { return len(seen) == writers*rounds })
			results <- result{seen, err}
		}()
	}
	acknowledged := writeMany(f, backends, writers, rounds)
	if len(acknowledged) != writers*rounds {
		t.Fatalf("%d writes were acknowledged", len(acknowledged))
	}
	for range readers {
		r := <-results
		if r.err != nil {
			t.Fatalf("tailing: %v", r.err)
		}
		for name, index := range acknowledged {
			if r.seen[name] != index {
				t.Fatalf("%s was acknowledged at %d and seen at %d", name, index, r.seen[name])
			}
		}
	}
}

func testCompaction(f *fixture) {
	t := f.t
	start := f.revision()
	for i := range 20 {
		f.put(datacenter(number("dc", i)))
	}
	if below, err := f.Compact(f.ctx, 100); err != nil || below != 0 {
		t.Fatalf("compacting nothing: %d, %v", below, err)
	}
	below, err := f.Compact(f.ctx, 5)
	if err != nil || below != 15 {
		t.Fatalf("compacting: %d, %v", below, err)
	}
	at := func(index uint64) store.Revision { return store.Revision{Epoch: start.Epoch, Index: index} }
	if feed := f.changes(at(14), 10); !feed.Reload {
		t.Fatalf("the feed after a compacted index is %+v", feed)
	}
	if feed := f.changes(at(15), 10); feed.Reload || len(feed.Changes) != 5 {
		t.Fatalf("the feed after the last compacted index is %+v", feed)
	}
	if below, err := f.Compact(f.ctx, 5); err != nil || below != 15 {
		t.Fatalf("compacting again: %d, %v", below, err)
	}
	if below, err := f.Compact(f.ctx, 0); err != nil || below != 20 {
		t.Fatalf("compacting all: %d, %v", below, err)
	}
	if feed := f.changes(at(20), 10); feed.Reload || len(feed.Changes) != 0 {
		t.Fatalf("the feed at the end is %+v", feed)
	}
	f.put(datacenter("more"))
	if feed := f.changes(at(20), 10); feed.Reload || len(feed.Changes) != 1 {
		t.Fatalf("the feed after everything was compacted is %+v", feed)
	}
}

// testCompactionRace compacts down to little while writers write and slow readers follow: a reader that is too far behind
// is told to load everything again, as the last one surely is, who starts when its beginning is gone; none misses anything.
func testCompactionRace(f *fixture) {
	t := f.t
	const readers, writers, rounds = 3, 4, 60
	start := f.revision()
	done := make(chan struct{})
	problems := make(chan error, readers+1)
	go func() {
		defer close(done)
		writeMany(f, []Backend{f.Backend}, writers, rounds)
	}()
	compacted := make(chan struct{})
	go func() { problems <- compactUntil(f, start.Index, compacted, done) }()
	var reloads atomic.Int32
	for range readers - 1 {
		go func() { problems <- followAndReload(f, start, writers*rounds, &reloads) }()
	}
	go func() {
		<-compacted
		problems <- followAndReload(f, start, writers*rounds, &reloads)
	}()
	for range cap(problems) {
		if err := <-problems; err != nil {
			t.Fatal(err)
		}
	}
	<-done
	if reloads.Load() == 0 {
		t.Fatal("nobody had to load again: the test does not test what it should")
	}
}

// compactUntil compacts again and again, a last time when done is closed, and closes compacted when what follows start is
// gone.
func compactUntil(f *fixture, start uint64, compacted chan<- struct{}, done <-chan struct{}) error {
	reached := sync.OnceFunc(func() { close(compacted) })
	defer reached()
	for last := false; ; {
		below, err := f.Compact(f.ctx, 1)
		if err != nil {
			return fmt.Errorf("compacting: %w", err)
		}
		if below > start {
			reached()
		}
		if last {
			return nil
		}
		select {
		case <-done:
			last = true
		default:
		}
	}
}

// followAndReload follows the feed in small steps until it has seen all resources, and knows at every time those that
// were written up to its revision.
func followAndReload(f *fixture, at store.Revision, all int, reloads *atomic.Int32) error {
	seen := map[string]uint64{}
	for len(seen) < all {
		if err := f.ctx.Err(); err != nil {
			return err
		}
		feed, err := f.Changes(f.ctx, at, 2)
		if err != nil {
			return err
		}
		if feed.Reload {
			reloads.Add(1)
			clear(seen)
			if at, err = f.Load(f.ctx, func(o resource.Object) error {
				seen[o.GetName()] = o.GetIndex()
				return nil
			}); err != nil {
				return err
			}
		}
		for _, c := range feed.Changes {
			if c.Object == nil {
				return fmt.Errorf("%s at %d has no object", c.Key.Name, c.Index)
			}
			seen[c.Key.Name] = c.Index
		}
		if !feed.Reload {
			at = feed.Revision
		}
		// Each write is one resource and one index.
		if uint64(len(seen)) != at.Index {
			return fmt.Errorf("at index %d a reader knows %d resources", at.Index, len(seen))
		}
	}
	return nil
}

func testEpoch(f *fixture) {
	t := f.t
	before := f.put(datacenter("dc1"))
	after, err := f.Restored(f.ctx)
	if err != nil || after.Epoch == before.Epoch || after.Index != before.Index {
		t.Fatalf("after a restore: %+v, %v; before: %+v", after, err, before)
	}
	if feed := f.changes(before, 10); !feed.Reload || feed.Revision != after {
		t.Fatalf("the feed of the old epoch is %+v", feed)
	}
	if r := f.put(datacenter("dc2")); r.Epoch != after.Epoch || r.Index != 2 {
		t.Fatalf("the next write is at %+v", r)
	}
	other := f.options.New(t)
	if b := f.on(open(f.ctx, t, other)); b.revision().Epoch == after.Epoch || b.revision().Epoch == before.Epoch {
		t.Fatal("two databases have the same epoch")
	}
}

// testRevision: it is where every other answer of the store says that it stands.
func testRevision(f *fixture) {
	t := f.t
	agrees := func(what string, at store.Revision, err error) {
		t.Helper()
		if err != nil || at != f.revision() {
			t.Fatalf("%s is at %+v, the store at %+v: %v", what, at, f.revision(), err)
		}
	}
	f.put(datacenter("dc1"))
	r := f.write(store.Write{Events: []*isthmusv1.Event{event("refuse", "", "")}})
	agrees("a write", r, nil)
	_, at, err := f.Get(f.ctx, datacenterKey("dc1"))
	agrees("Get", at, err)
	page, err := f.List(f.ctx, resource.KindDatacenter, "", 1)
	agrees("List", page.Revision, err)
	at, err = f.Load(f.ctx, func(resource.Object) error { return nil })
	agrees("Load", at, err)
	feed, err := f.Changes(f.ctx, store.Revision{Epoch: r.Epoch}, 10)
	agrees("Changes", feed.Revision, err)
	if _, err := f.Compact(f.ctx, 0); err != nil {
		t.Fatal(err)
	}
	agrees("before a compaction", r, nil)
	at, err = f.Restored(f.ctx)
	agrees("Restored", at, err)
	ended, cancel := context.WithCancel(f.ctx)
	cancel()
	if at, err := f.Revision(ended); fault.CodeOf(err) != fault.Canceled || at != (store.Revision{}) {
		t.Fatalf("Revision, canceled: %+v, %v", at, err)
	}
}

func testWake(f *fixture) {
	t := f.t
	for drained := false; !drained; {
		select {
		case <-f.Wake():
		default:
			drained = true
		}
	}
	f.put(datacenter("dc1"))
	select {
	case <-f.Wake():
	case <-f.ctx.Done():
		t.Fatal("a write did not wake anybody")
	}
}

func testReplicas(f *fixture) {
	t := f.t
	second := f.on(open(f.ctx, t, f.db))
	r := f.put(datacenter("dc1"))
	select {
	case <-second.Wake():
	case <-f.ctx.Done():
		t.Fatal("the other replica was not woken")
	}
	if feed := second.changes(store.Revision{Epoch: r.Epoch}, 10); len(feed.Changes) != 1 || feed.Revision != r {
		t.Fatalf("the other replica sees %+v", feed)
	}
	// Each replica's commits are in one order.
	var total atomic.Int64
	concurrently(8, func(i int) {
		b := []*fixture{f, second}[i%2]
		for n := range 20 {
			if _, err := b.Write(b.ctx, store.Write{
				Requires: []store.Require{{Key: datacenterKey(number("only", n)), Absent: true}}, Puts: puts(datacenter(number("only", n))),
			}); err == nil {
				total.Add(1)
			}
		}
	})
	if total.Load() != 20 || f.revision().Index != 21 {
		t.Fatalf("%d of 20 unique writes were accepted, index %d", total.Load(), f.revision().Index)
	}
	// A store that is closed leaves the other alone.
	third := open(f.ctx, t, f.db)
	if err := third.Close(); err != nil {
		t.Fatal(err)
	}
	second.put(datacenter("last"))
}

func testReplicaTail(f *fixture) {
	t := f.t
	tailWriters(f, []Backend{f.Backend, open(f.ctx, t, f.db)})
}
