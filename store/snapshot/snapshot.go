package snapshot

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/hashicorp/go-hclog"

	"isthmus/fault"
	"isthmus/resource"
	"isthmus/store"
	"isthmus/store/snapshot/tree"
)

const (
	// pageSize of one read of the feed.
	pageSize = 5_000
	// pollInterval is the safety net under Wake, whose signals may be lost.
	pollInterval = 5 * time.Second
	// firstPause and longestPause are between tries while the store cannot be reached.
	firstPause, longestPause = 100 * time.Millisecond, 5 * time.Second
)

// Snapshot follows a store.
type Snapshot struct {
	store store.Store
	log   hclog.Logger
	kinds map[string]*resource.Kind
	// nudge asks Run to look now.
	nudge chan struct{}
	// opened is the gate of every signal that was given.
	opened *tree.Gate

	catchups catchups
	// publishing is held from reading the head to setting the next one: by one reading of the feed at a time, or an announcement.
	publishing sync.Mutex
	head       atomic.Pointer[step]
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

// change is what a step changed of one resource: before is nil where it was not there, after where it is not any more.
type change struct {
	key           store.Key
	part          store.Part
	before, after *entry
}

// Open loads all of the store. What this process commits from then on is in the snapshot before its writer is told so, if the store is a
// store.Announcer; that is why there may be one Snapshot of each.
func Open(ctx context.Context, st store.Store, log hclog.Logger) (*Snapshot, error) {
	s := &Snapshot{store: st, log: log, kinds: map[string]*resource.Kind{}, nudge: make(chan struct{}, 1), opened: tree.NewOpenGate()}
	for _, k := range resource.Kinds() {
		s.kinds[k.Name] = &k
	}
	s.head.Store(&step{view: &View{state: &state{recent: &recent{}, federated: &federated{}}}, superseded: make(chan struct{})})
	s.catchups.read = s.readFeed
	if a, ok := st.(store.Announcer); ok {
		a.Announce(s.announced)
	}
	if err := s.reload(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// View is the newest state.
func (s *Snapshot) View() *View { return &View{state: s.newest().view.state} }

// Run follows the store until ctx ends. While the store cannot be reached, the last state stays.
func (s *Snapshot) Run(ctx context.Context) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = firstPause, longestPause
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

// hurry has Run look now.
func (s *Snapshot) hurry() {
	select {
	case s.nudge <- struct{}{}:
	default:
	}
}

// WaitIndex gives a view whose index is index or later. When ctx ends before, the error is Unavailable: this replica is
// behind.
func (s *Snapshot) WaitIndex(ctx context.Context, index uint64) (*View, error) {
	at := s.newest()
	if at.view.Revision().Index < index {
		s.hurry()
	}
	for at.view.Revision().Index < index {
		select {
		case <-at.superseded:
			at = s.newest()
		case <-ctx.Done():
			return nil, fault.Wrap(fault.Unavailable, ctx.Err(), "this server is at index %d and has not seen index %d yet", at.view.Revision().Index, index)
		}
	}
	return at.view, nil
}

// Reach gives a view of what was written at a revision, or later: at once when it was announced, else after a Catchup.
func (s *Snapshot) Reach(ctx context.Context, written store.Revision) (*View, error) {
	if v := s.View(); v.Revision().Epoch == written.Epoch && v.Revision().Index >= written.Index {
		return v, nil
	}
	if err := s.Catchup(ctx); err != nil {
		return nil, err
	}
	return s.View(), nil
}

// publish makes a draft the newest state. The caller holds publishing since before it began the draft.
func (s *Snapshot) publish(d *draft, revision store.Revision, changes []change) {
	last := s.newest()
	d.state.revision = revision
	next := &step{view: &View{state: d.state}, changes: changes, superseded: make(chan struct{})}
	last.next = next
	s.head.Store(next)
	close(last.superseded)
	last.view.state.superseded.Give(s.opened)
	for _, signal := range d.Superseded {
		signal.Give(s.opened)
	}
	// Nodes know their edit for as long as they live; what it replaced need not live as long.
	d.Superseded = nil
}

// newest is the end of the list of steps.
func (s *Snapshot) newest() *step { return s.head.Load() }
