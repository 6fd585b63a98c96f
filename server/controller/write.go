package controller

import (
	"context"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/change"
	"isthmus/store"
)

// author is how the audit log names what controllers decide.
func author() change.Author { return change.Author{Actor: "controller", Role: "controller"} }

// maxSpoiled is how many changes of one write may be such that the store cannot take them; more than that, and it is the store.
const maxSpoiled = 16

const (
	// maxWrites is how many resources one transaction changes at most: the lock is held for milliseconds.
	maxWrites = 1000
	// inFlight is how many transactions that create resources are on their way: while one is committed, the next is encoded.
	inFlight = 2
)

// edit is one resource that a controller writes or deletes, or only entries of the audit log.
type edit struct {
	put      *store.Put
	remove   *store.Key
	requires []store.Require
	events   []*isthmusv1.Event
	secrets  []string
	// told makes an entry of the audit log when it is written, of what nobody changes any more: many are, while others are committed.
	told func() *isthmusv1.Event
}

// key is empty where nothing but entries of the audit log is written.
func (e edit) key() store.Key {
	switch {
	case e.remove != nil:
		return *e.remove
	case e.put != nil:
		return keyOf(e.put.Object)
	}
	return store.Key{}
}

// statusChange writes a status over the one that was read.
func statusChange(after resource.Object, events ...*isthmusv1.Event) edit {
	key := keyOf(after)
	return edit{
		put:      &store.Put{Object: after, Part: store.PartStatus},
		requires: []store.Require{{Key: key, Index: after.GetIndex()}},
		events:   events,
	}
}

// removal deletes a resource that was read.
func removal(o resource.Object, events ...*isthmusv1.Event) edit {
	key := keyOf(o)
	return edit{remove: &key, requires: []store.Require{{Key: key, Index: o.GetIndex()}}, events: events}
}

func keyOf(o resource.Object) store.Key {
	return store.Key{Kind: resource.KindOf(o).Name, Name: o.GetName()}
}

// event is an entry of the audit log about something that a controller decided.
func (l *leader) event(action string, o resource.Object, message string) *isthmusv1.Event {
	return author().Event(action, o, message, l.now())
}

// moved is an event about a status: the fields that became others, as resource.Moved takes them.
func (l *leader) moved(o resource.Object, message string, fields ...string) *isthmusv1.Event {
	e := l.event(resource.ActionTransition, o, message)
	e.Spec.Changes = resource.Moved(fields...)
	return e
}

// gone is an event about the end of a resource.
func (l *leader) gone(o resource.Object, message string) *isthmusv1.Event {
	return author().SpecEvent(resource.ActionDelete, o, nil, message, l.now())
}

// write stores changes, as many in a transaction as are allowed. Those that somebody else was faster with are left out:
// the snapshot will bring what is there now, and the next round looks again. So is what the store cannot take: one resource that is wrong
// must not stop all others. The error is store.Fenced when the term is over.
func (l *leader) write(ctx context.Context, edits []edit) error {
	var spoiled atomic.Int32
	created, others := apart(edits)
	group, grouped := errgroup.WithContext(ctx)
	group.SetLimit(inFlight)
	for some := range slices.Chunk(created, maxWrites) {
		group.Go(func() error {
			if grouped.Err() != nil {
				return grouped.Err() // another one failed before, which is what Wait tells
			}
			return l.writeSome(grouped, some, &spoiled)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for some := range slices.Chunk(others, maxWrites) {
		if err := l.writeSome(ctx, some, &spoiled); err != nil {
			return err
		}
	}
	return nil
}

// apart are the edits that create resources, of which none depends on another, as long as they are worth more than one transaction; and all others.
func apart(edits []edit) (created, others []edit) {
	if len(edits) <= maxWrites {
		return nil, edits
	}
	for _, e := range edits {
		if slices.ContainsFunc(e.requires, func(r store.Require) bool { return r.Absent }) {
			created = append(created, e)
		} else {
			others = append(others, e)
		}
	}
	return created, others
}

func (l *leader) writeSome(ctx context.Context, edits []edit, spoiled *atomic.Int32) error {
	w := store.Write{Fence: &l.lease}
	for i, e := range edits {
		if e.told != nil {
			e.events, e.told = append(e.events, e.told()), nil
			edits[i] = e
		}
		if e.put != nil {
			w.Puts = append(w.Puts, *e.put)
		}
		if e.remove != nil {
			w.Deletes = append(w.Deletes, *e.remove)
		}
		w.Requires = append(w.Requires, e.requires...)
		w.Events = append(w.Events, e.events...)
		w.DeleteSecrets = append(w.DeleteSecrets, e.secrets...)
	}
	written, err := l.transact(ctx, w)
	switch {
	case err == nil:
		_, err := l.Snapshot.Reach(ctx, written)
		return err
	case !outdated(err) && (fault.CodeOf(err) != fault.Internal || spoiled.Load() >= maxSpoiled):
		return err
	case len(edits) == 1:
		if fault.CodeOf(err) == fault.Internal {
			spoiled.Add(1)
		}
		l.leftOut(edits[0], err)
		return l.Snapshot.Catchup(ctx)
	}
	half := len(edits) / 2
	if err := l.writeSome(ctx, edits[:half], spoiled); err != nil {
		return err
	}
	return l.writeSome(ctx, edits[half:], spoiled)
}

// transact writes, and gives up when the lease could not outlive it.
func (l *leader) transact(ctx context.Context, w store.Write) (store.Revision, error) {
	ctx, cancel := context.WithTimeout(ctx, leaseTTL)
	defer cancel()
	return l.Store.Write(ctx, w)
}

// leftOut tells of a change that the store refused. Being late is normal; what is Invalid was wrong already here.
func (l *leader) leftOut(e edit, err error) {
	if code := fault.CodeOf(err); code == fault.Invalid || code == fault.Internal {
		l.log.Error("the store refused a change, which is left out", "kind", e.key().Kind, "name", e.key().Name, "error", err)
		return
	}
	l.log.Debug("left out a change: somebody was faster", "kind", e.key().Kind, "name", e.key().Name, "error", err)
}

// outdated tells that a write was refused for what somebody else wrote meanwhile.
func outdated(err error) bool {
	switch fault.CodeOf(err) { //nolint:exhaustive // the others are failures.
	case fault.Conflict:
		return !store.Fenced(err)
	case fault.NotFound, fault.AlreadyExists, fault.Referenced, fault.Invalid:
		return true
	}
	return false
}
