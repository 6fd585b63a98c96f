package snapshot

import (
	"context"
	"slices"

	"isthmus/fault"
	"isthmus/resource"
	"isthmus/store"
)

// Follower goes from state to state and is told everything that changed on the way. It has its own place in the history:
// a slow one holds nobody up and misses nothing, it only gets larger batches. It need not be closed. A Follower is for one
// goroutine.
type Follower struct {
	at *step
}

// Change is what became of one resource between two views.
type Change struct {
	Key store.Key
	// Part that changed; PartAll when it was created or deleted, or both parts changed.
	Part store.Part
	// Before is nil for one that was created, After for one that was deleted. Both are shared: Clone before changing.
	Before, After resource.Object
}

// Batch is the way from one view to a later one.
type Batch struct {
	Before, View *View
	// Changes has each resource once, in the order of their first change. One that came and went is not in it, but in Passed: whoever read a view
	// between the two may have seen it.
	Changes []Change
	Passed  []store.Key
}

// Restarted tells that the store's history began anew: it was restored from a backup.
func (b *Batch) Restarted() bool { return b.Before.Revision().Epoch != b.View.Revision().Epoch }

// Follow starts at the newest state.
func (s *Snapshot) Follow() *Follower { return &Follower{at: s.newest()} }

// View is the state that the follower has been told about.
func (f *Follower) View() *View { return f.at.view }

// Changed gives a channel that is closed when Next would not block.
func (f *Follower) Changed() <-chan struct{} { return f.at.superseded }

// Next waits for something newer than View, and gives all that there is. A batch may be without changes: the index has
// moved, by an event.
func (f *Follower) Next(ctx context.Context) (*Batch, error) {
	select {
	case <-f.at.superseded:
	case <-ctx.Done():
		return nil, fault.Wrap(fault.Canceled, ctx.Err(), "stopped following the store")
	}
	batch := &Batch{Before: f.at.view}
	f.at = f.at.next
	changes := f.at.changes
	if f.at.isSuperseded() {
		changes = f.onward()
	}
	batch.View = f.at.view
	batch.Changes = make([]Change, 0, len(changes))
	for i := range changes {
		batch.take(&changes[i])
	}
	return batch, nil
}

// onward goes on to the newest step, and gives what it and those on the way to it have changed, each resource once.
func (f *Follower) onward() []change {
	out := slices.Clone(f.at.changes)
	at := make(map[store.Key]int, len(out))
	for i := range out {
		at[out[i].key] = i
	}
	for f.at.isSuperseded() {
		f.at = f.at.next
		for _, c := range f.at.changes {
			if i, again := at[c.key]; again {
				out[i] = out[i].then(c)
				continue
			}
			at[c.key] = len(out)
			out = append(out, c)
		}
	}
	return out
}

// then is a change with one of the same resource after it.
func (c change) then(next change) change {
	c.after = next.after
	if c.part != next.part {
		c.part = store.PartAll
	}
	return c
}

func (b *Batch) take(c *change) {
	if c.before == nil && c.after == nil {
		b.Passed = append(b.Passed, c.key)
		return
	}
	out := Change{Key: c.key, Part: c.part}
	if c.before != nil {
		out.Before = c.before.object(b.Before.state.recent)
	}
	if c.after != nil {
		out.After = c.after.object(b.View.state.recent)
	}
	if c.before == nil || c.after == nil || out.Before.GetUid() != out.After.GetUid() {
		out.Part = store.PartAll
	}
	b.Changes = append(b.Changes, out)
}

// Skip goes to the newest state without being told what changed.
func (f *Follower) Skip() {
	for f.at.isSuperseded() {
		f.at = f.at.next
	}
}

func (s *step) isSuperseded() bool {
	select {
	case <-s.superseded:
		return true
	default:
		return false
	}
}
