package snapshot

import (
	"context"

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
	before := f.at.view
	parts := map[store.Key]store.Part{}
	var order []store.Key
	for f.at.isSuperseded() {
		f.at = f.at.next
		for _, c := range f.at.changes {
			part, again := parts[c.key]
			switch {
			case !again:
				order = append(order, c.key)
				parts[c.key] = c.part
			case part != c.part:
				parts[c.key] = store.PartAll
			}
		}
	}
	batch := &Batch{Before: before, View: f.at.view}
	for _, k := range order {
		c := Change{Key: k, Part: parts[k]}
		var had, has bool
		c.Before, had = before.Get(k.Kind, k.Name)
		c.After, has = batch.View.Get(k.Kind, k.Name)
		if !had && !has {
			batch.Passed = append(batch.Passed, k)
			continue
		}
		if !had || !has || c.Before.GetUid() != c.After.GetUid() {
			c.Part = store.PartAll
		}
		batch.Changes = append(batch.Changes, c)
	}
	return batch, nil
}

func (s *step) isSuperseded() bool {
	select {
	case <-s.superseded:
		return true
	default:
		return false
	}
}
