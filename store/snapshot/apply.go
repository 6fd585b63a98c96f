package snapshot

import (
	"bytes"
	"context"

	"isthmus/resource"
	"isthmus/store"
)

// announced takes over a commit of this process, when it follows what is here. Else somebody else has committed before it: the feed has both.
func (s *Snapshot) announced(c store.Commit) {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	if s.newest().view.Revision() != c.Before {
		s.hurry()
		return
	}
	s.apply([]store.Feed{{Changes: c.Changes}}, c.After)
}

// readFeed reads the feed to its end, now.
func (s *Snapshot) readFeed(ctx context.Context) error {
	began := s.newest().view.Revision()
	since := began
	var pages []store.Feed
	for {
		page, cancel := context.WithTimeout(ctx, readTimeout)
		feed, err := s.store.Changes(page, since, pageSize)
		cancel()
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
	s.publishing.Lock()
	defer s.publishing.Unlock()
	// What was announced meanwhile is here already.
	if s.newest().view.Revision().Index < since.Index {
		s.apply(pages, since)
	}
	return nil
}

// apply makes the changes of all pages that are not here yet one step: only the last page's end is a consistent state. The caller holds
// publishing.
func (s *Snapshot) apply(pages []store.Feed, revision store.Revision) {
	here := s.newest().view.state
	d := draftOf(here)
	seen := map[store.Key]int{}
	last := map[string]*store.Change{}
	var changes []change
	for _, feed := range pages {
		for i := range feed.Changes {
			c := &feed.Changes[i]
			if c.Index <= here.revision.Index {
				continue
			}
			last[c.Key.Kind] = c
			if c.Key.Kind == store.KindEvent {
				continue
			}
			made := change{key: c.Key, part: c.Part}
			if c.Object == nil {
				made.before = d.remove(c.Key)
			} else {
				made.after = newEntry(s.kinds[c.Key.Kind], c.Object, c.Encoded)
				made.after.remember(c.Object)
				made.before = d.put(made.after)
			}
			if i, again := seen[c.Key]; again {
				changes[i] = changes[i].then(made)
				continue
			}
			seen[c.Key] = len(changes)
			changes = append(changes, made)
		}
	}
	for kind, c := range last {
		d.touch(kind, c.Index, c.Key.Name)
	}
	s.publish(d, revision, changes)
}

// reload compares all of the store with what is here and makes the differences one step, so that only those are told
// about whose resources changed.
func (s *Snapshot) reload(ctx context.Context) error {
	before := s.newest().view.state
	d := draftOf(before)
	loaded := map[*entry]bool{}
	touched := map[string]bool{}
	var changes []change
	revision, err := s.store.Load(ctx, func(o resource.Object) error {
		e := newEntry(s.kinds[string(o.ProtoReflect().Descriptor().Name())], o, nil)
		if old, ok := before.resources.Get(e.Key()); ok {
			loaded[old] = true
			if bytes.Equal(old.encoded, e.encoded) {
				return nil
			}
		}
		touched[e.kind.Name] = true
		made := change{key: e.Key(), part: store.PartAll, before: d.put(e), after: e}
		if before.revision.Epoch != "" { // else nobody follows yet
			changes = append(changes, made)
		}
		return nil
	})
	if err != nil {
		return err
	}
	before.resources.From(store.Key{}, func(old *entry) bool {
		if !loaded[old] {
			touched[old.kind.Name] = true
			changes = append(changes, change{key: old.Key(), part: store.PartAll, before: d.remove(old.Key())})
		}
		return true
	})
	for kind := range s.kinds {
		// Of another history nothing is known, deletions and their indexes least of all.
		if touched[kind] || revision.Epoch != before.revision.Epoch || revision.Index < before.revision.Index {
			d.touch(kind, revision.Index, "")
		}
	}
	d.touch(store.KindEvent, revision.Index, "")
	if s.replace(before, d, revision, changes) {
		return nil
	}
	// A commit was announced that follows what was here: the feed tells whether that is still another history.
	return s.readFeed(ctx)
}

// replace publishes a draft if nothing else was published since it was begun.
func (s *Snapshot) replace(before *state, d *draft, revision store.Revision, changes []change) bool {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	if s.newest().view.state != before {
		return false
	}
	s.publish(d, revision, changes)
	return true
}
