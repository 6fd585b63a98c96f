package snapshot

import (
	"context"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-memdb"
	"google.golang.org/protobuf/proto"

	"isthmus/fault"
	"isthmus/resource"
	"isthmus/store"
)

const (
	// pageSize of one read of the feed.
	pageSize = 5_000
	// pollInterval is the safety net under Wake, whose signals may be lost.
	pollInterval = time.Second
	// longestPause between tries while the store cannot be reached.
	longestPause = 5 * time.Second
)

// Snapshot follows a store.
type Snapshot struct {
	store store.Store
	log   hclog.Logger
	kinds map[string]resource.Kind
	// nudge asks Run to look now.
	nudge chan struct{}

	// db is changed by one of catchups at a time.
	db       *memdb.MemDB
	catchups catchups

	headMu sync.Mutex
	head   *step
}

// step is one state and the way to the next one. Steps are a list that only grows at its end: whoever holds one can walk
// on from there, and what nobody holds is collected.
type step struct {
	view *View
	// changes that led from the step before to this one.
	changes []change
	// next is set before superseded is closed.
	next       *step
	superseded chan struct{}
}

// change is what a step changed of one resource.
type change struct {
	key  store.Key
	part store.Part
}

// Open loads all of the store.
func Open(ctx context.Context, st store.Store, log hclog.Logger) (*Snapshot, error) {
	db, err := memdb.NewMemDB(schema())
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "making the snapshot")
	}
	s := &Snapshot{store: st, log: log, kinds: map[string]resource.Kind{}, nudge: make(chan struct{}, 1), db: db}
	for _, k := range resource.Kinds() {
		s.kinds[k.Name] = k
	}
	s.head = &step{view: s.View(), superseded: make(chan struct{})}
	s.catchups.read = s.readFeed
	if err := s.reload(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// View is the newest state.
func (s *Snapshot) View() *View {
	v := &View{db: s.db.Snapshot()}
	if r, ok := must(v.db.Txn(false).First(tableRevision, indexID, "")).(*store.Revision); ok {
		v.revision = *r
	}
	return v
}

// Run follows the store until ctx ends. While the store cannot be reached, the last state stays.
func (s *Snapshot) Run(ctx context.Context) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = pollInterval/10, longestPause
	failing := false
	timer := time.NewTimer(pollInterval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		case <-s.store.Wake():
		case <-s.nudge:
		}
		wait := pollInterval
		switch err := s.Catchup(ctx); {
		case err == nil:
			if failing {
				s.log.Info("following the store again", "index", s.View().Revision().Index)
			}
			failing = false
			pause.Reset()
		case ctx.Err() == nil:
			if !failing {
				s.log.Warn("cannot follow the store: reads show its last known state", "error", err)
			}
			failing = true
			wait = pause.NextBackOff()
		}
		timer.Reset(wait)
	}
}

// WaitIndex gives a view whose index is index or later. When ctx ends before, the error is Unavailable: this replica is
// behind.
func (s *Snapshot) WaitIndex(ctx context.Context, index uint64) (*View, error) {
	at := s.newest()
	if at.view.revision.Index < index {
		select {
		case s.nudge <- struct{}{}:
		default:
		}
	}
	for at.view.revision.Index < index {
		select {
		case <-at.superseded:
			at = s.newest()
		case <-ctx.Done():
			return nil, fault.Wrap(fault.Unavailable, ctx.Err(), "this server is at index %d and has not seen index %d yet", at.view.revision.Index, index)
		}
	}
	return at.view, nil
}

// readFeed reads the feed to its end, now.
func (s *Snapshot) readFeed(ctx context.Context) error {
	since := s.View().Revision()
	var pages []store.Feed
	for {
		feed, err := s.store.Changes(ctx, since, pageSize)
		if err != nil {
			return err
		}
		if feed.Reload {
			s.log.Info("loading the store again", "epoch", feed.Revision.Epoch, "index", feed.Revision.Index, "had-epoch", since.Epoch, "had-index", since.Index)
			return s.reload(ctx)
		}
		pages = append(pages, feed)
		since = feed.Revision
		if !feed.More {
			break
		}
	}
	if since == s.View().Revision() {
		return nil
	}
	s.apply(pages, since)
	return nil
}

// apply makes the changes of all pages in one step: only the last page's end is a consistent state.
func (s *Snapshot) apply(pages []store.Feed, revision store.Revision) {
	txn := s.db.Txn(true)
	defer txn.Abort()
	seen := map[store.Key]int{}
	touched := map[string]*kindEntry{}
	var changes []change
	for _, feed := range pages {
		for _, c := range feed.Changes {
			touched[c.Key.Kind] = &kindEntry{kind: c.Key.Kind, index: c.Index, last: c.Key.Name}
			if c.Key.Kind == store.KindEvent {
				continue
			}
			if i, again := seen[c.Key]; !again {
				seen[c.Key] = len(changes)
				changes = append(changes, change{key: c.Key, part: c.Part})
			} else if changes[i].part != c.Part {
				changes[i].part = store.PartAll
			}
			if c.Object == nil {
				s.remove(txn, c.Key)
			} else {
				s.insert(txn, c.Key, c.Object)
			}
		}
	}
	for _, k := range touched {
		must(0, txn.Insert(tableKinds, k))
	}
	s.publish(txn, revision, changes)
}

// reload compares all of the store with what is here and makes the differences one step, so that only those are told
// about whose resources changed.
func (s *Snapshot) reload(ctx context.Context) error {
	txn := s.db.Txn(true)
	defer txn.Abort()
	before := s.View()
	loaded := map[store.Key]bool{}
	touched := map[string]bool{}
	var changes []change
	revision, err := s.store.Load(ctx, func(o resource.Object) error {
		k := store.Key{Kind: string(o.ProtoReflect().Descriptor().Name()), Name: o.GetName()}
		loaded[k] = true
		if old, ok := before.Get(k.Kind, k.Name); ok && proto.Equal(old, o) {
			return nil
		}
		touched[k.Kind] = true
		changes = append(changes, change{key: k, part: store.PartAll})
		s.insert(txn, k, o)
		return nil
	})
	if err != nil {
		return err
	}
	for kind := range s.kinds {
		for o := range before.List(kind) {
			if k := (store.Key{Kind: kind, Name: o.GetName()}); !loaded[k] {
				touched[kind] = true
				changes = append(changes, change{key: k, part: store.PartAll})
				s.remove(txn, k)
			}
		}
		// Of another history nothing is known, deletions and their indexes least of all.
		if touched[kind] || revision.Epoch != before.revision.Epoch || revision.Index < before.revision.Index {
			must(0, txn.Insert(tableKinds, &kindEntry{kind: kind, index: revision.Index}))
		}
	}
	must(0, txn.Insert(tableKinds, &kindEntry{kind: store.KindEvent, index: revision.Index}))
	s.publish(txn, revision, changes)
	return nil
}

func (s *Snapshot) insert(txn *memdb.Txn, k store.Key, o resource.Object) {
	e := &entry{kind: k.Kind, name: k.Name, object: o}
	if places := s.kinds[k.Kind].Datacenters; places != nil {
		e.datacenters = places(o)
	}
	must(0, txn.Insert(tableResources, e))
}

func (s *Snapshot) remove(txn *memdb.Txn, k store.Key) {
	if old := must(txn.First(tableResources, indexID, k.Kind, k.Name)); old != nil {
		must(0, txn.Delete(tableResources, old))
	}
}

// publish makes the transaction the newest state.
func (s *Snapshot) publish(txn *memdb.Txn, revision store.Revision, changes []change) {
	must(0, txn.Insert(tableRevision, &revision))
	txn.Commit()
	last := s.head
	next := &step{view: s.View(), changes: changes, superseded: make(chan struct{})}
	last.next = next
	s.headMu.Lock()
	s.head = next
	s.headMu.Unlock()
	close(last.superseded)
}

// newest is the end of the list of steps.
func (s *Snapshot) newest() *step {
	s.headMu.Lock()
	defer s.headMu.Unlock()
	return s.head
}
