package feed

import (
	"context"
	"slices"
	"sync"

	"github.com/google/uuid"

	"isthmus/server/observation"
	"isthmus/store"
	"isthmus/store/snapshot"
)

// remembered is how many changes are remembered, each resource and each datacenter once. A reader that missed more reads everything again, which
// costs it less than being told of each.
const remembered = 8192

// Feed is the last changes that this process knows of. Make one with New; Run keeps it up to date.
type Feed struct {
	// id is another one after each start: counts begin anew.
	id       string
	follower *snapshot.Gathering
	table    *observation.Table
	seen     *observation.Subscription
	looks    looks

	mu    sync.Mutex
	order *order
	// revision is how far the store was followed.
	revision store.Revision
	// changed is closed, and another one made, with every change.
	changed chan struct{}
}

// Answer is what a reader is told.
type Answer struct {
	// Cursor is for the next time.
	Cursor Cursor
	// Reset: anything may have changed; everything else is empty.
	Reset bool
	// Changes are in the order in which they happened last, Observed are datacenters of which agents told something new, or whose verdict changed.
	Changes  []Change
	Observed []string
	// Everywhere: that may be so of every datacenter; Observed is empty.
	Everywhere bool
}

// Empty tells whether there is nothing to tell.
func (a Answer) Empty() bool {
	return !a.Reset && !a.Everywhere && len(a.Changes) == 0 && len(a.Observed) == 0
}

// New begins to remember. digests gives, by datacenter, a number that is another one when the verdicts on it and on its connections are others; it
// is called once a second while somebody listens, never twice at the same time.
func New(s *snapshot.Snapshot, table *observation.Table, digests func() map[string]uint64) *Feed {
	f := &Feed{
		id: uuid.NewString(), follower: s.Follow().Gathering(snapshot.Moment), table: table, seen: table.Subscribe(), changed: make(chan struct{}),
		looks: looks{digests: digests, poke: make(chan struct{}, 1)},
	}
	f.begin(f.follower.View())
	return f
}

// Run remembers what changes until ctx ends.
func (f *Feed) Run(ctx context.Context) error {
	defer f.table.Unsubscribe(f.seen)
	var looking sync.WaitGroup
	defer looking.Wait()
	looking.Go(func() { f.look(ctx) })
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.seen.Wake:
			f.observed(f.seen.Take())
		case <-f.follower.Rested():
		case <-f.follower.Changed():
			batch, err := f.follower.Next(ctx)
			if err != nil {
				return nil // Next fails when ctx ends, which is how Run is stopped.
			}
			f.take(batch)
		}
	}
}

// begin forgets everything, and begins at a view. It is called with the lock held, or before anybody knows the feed.
func (f *Feed) begin(v *snapshot.View) {
	seq := uint64(0)
	if f.order != nil {
		seq = f.order.seq + 1
	}
	f.revision = v.Revision()
	f.order = newOrder(remembered, f.revision.Index)
	f.order.seq, f.order.forgotten = seq, seq
}

// take takes in what changed in the store.
func (f *Feed) take(batch *snapshot.Batch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.tell()
	before, after := batch.Before.KindIndex(store.KindEvent), batch.View.KindIndex(store.KindEvent)
	// Where everything was loaded again it is not known what else may have changed, such as entries of the audit log.
	if loaded := after != before && batch.View.LastEvent() == ""; loaded || batch.Restarted() {
		f.begin(batch.View)
		return
	}
	f.revision = batch.View.Revision()
	at := f.revision.Index
	for _, c := range batch.Changes {
		told := Change{Key: c.Key, Deleted: c.After == nil, Index: at}
		if c.After != nil {
			told.Index = c.After.GetIndex()
		}
		f.order.add(c.Key, told, at)
	}
	for _, key := range batch.Passed { // a reader may have seen it meanwhile: what it reads is newer than what it was told
		f.order.add(key, Change{Key: key, Deleted: true, Index: at}, at)
	}
	if after != before {
		// All entries have one place: the last one is told of.
		f.order.add(store.Key{Kind: store.KindEvent}, Change{Key: store.Key{Kind: store.KindEvent, Name: batch.View.LastEvent()}, Index: after}, at)
	}
}

// observed takes in that something new is known of datacenters.
func (f *Feed) observed(datacenters []string) {
	if len(datacenters) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range datacenters {
		f.order.add(store.Key{Name: name}, Change{Key: store.Key{Name: name}}, 0)
	}
	f.tell()
}

// tell wakes who waits. It is called with the lock held.
func (f *Feed) tell() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// Listen lets verdicts be looked for that change with the time alone, until stop is called. Whoever asks Begin or Since listens.
func (f *Feed) Listen() (stop func()) { return f.looks.listen() }

// Begin is a cursor from now on: what is read after it, and whatever is told of later, is all there is.
func (f *Feed) Begin() Answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Answer{Cursor: f.here(Cursor{})}
}

// here is the cursor of a reader that is told everything now. It is called with the lock held.
func (f *Feed) here(c Cursor) Cursor {
	return c.at(f.revision.Epoch, f.revision.Index, Place{Feed: f.id, Seq: f.order.seq})
}

// Since is what came after a cursor. changed is closed when there may be more.
func (f *Feed) Since(c Cursor) (_ Answer, changed <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := Answer{Cursor: f.here(c)}
	seq, known := c.place(f.id)
	switch {
	case c.Epoch != f.revision.Epoch:
		out.Reset = true
	case known:
		out.Reset = seq < f.order.forgotten || seq > f.order.seq
		if !out.Reset {
			out.Changes, out.Observed = f.order.after(seq, c.Index)
		}
	default:
		out.Everywhere = c.Index >= f.order.known
		if out.Everywhere {
			out.Changes = f.order.afterIndex(c.Index)
		}
		out.Reset = !out.Everywhere
	}
	slices.Sort(out.Observed)
	return out, f.changed
}
