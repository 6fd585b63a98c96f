package controller

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
)

// actor is how the audit log names what controllers decide.
const actor = "controller"

// maxWrites is how many resources one transaction changes at most: the lock is held for milliseconds.
const maxWrites = 1000

// change is one resource that a controller writes or deletes.
type change struct {
	put      *store.Put
	remove   *store.Key
	requires []store.Require
	events   []*isthmusv1.Event
	secrets  []string
}

// statusChange writes a status over the one that was read.
func statusChange(after resource.Object, events ...*isthmusv1.Event) change {
	key := keyOf(after)
	return change{
		put:      &store.Put{Object: after, Part: store.PartStatus},
		requires: []store.Require{{Key: key, Index: after.GetIndex()}},
		events:   events,
	}
}

// removal deletes a resource that was read.
func removal(o resource.Object, events ...*isthmusv1.Event) change {
	key := keyOf(o)
	return change{remove: &key, requires: []store.Require{{Key: key, Index: o.GetIndex()}}, events: events}
}

func keyOf(o resource.Object) store.Key {
	return store.Key{Kind: resource.KindOf(o).Name, Name: o.GetName()}
}

// event is an entry of the audit log about something that a controller decided.
func (l *leader) event(action string, o resource.Object, message string) *isthmusv1.Event {
	return &isthmusv1.Event{
		CreateTime: timestamppb.New(l.now()),
		Spec: &isthmusv1.EventSpec{
			Actor: actor, Role: actor, Action: action, Kind: resource.KindOf(o).Name, Target: o.GetName(), TargetUid: o.GetUid(), Message: message,
		},
	}
}

// write stores changes, as many in a transaction as are allowed. Those that somebody else was faster with are left out:
// the snapshot will bring what is there now, and the next round looks again.
func (l *leader) write(ctx context.Context, changes []change) error {
	for len(changes) > 0 {
		n := min(len(changes), maxWrites)
		if err := l.writeSome(ctx, changes[:n]); err != nil {
			return err
		}
		changes = changes[n:]
	}
	return l.Snapshot.Catchup(ctx)
}

func (l *leader) writeSome(ctx context.Context, changes []change) error {
	w := store.Write{Fence: &l.lease}
	for _, c := range changes {
		if c.put != nil {
			w.Puts = append(w.Puts, *c.put)
		}
		if c.remove != nil {
			w.Deletes = append(w.Deletes, *c.remove)
		}
		w.Requires = append(w.Requires, c.requires...)
		w.Events = append(w.Events, c.events...)
		w.DeleteSecrets = append(w.DeleteSecrets, c.secrets...)
	}
	_, err := l.Store.Write(ctx, w)
	switch {
	case err == nil:
		return nil
	case !outdated(err):
		return err
	case len(changes) == 1:
		l.log.Debug("left out a change: somebody was faster", "error", err)
		return nil
	}
	half := len(changes) / 2
	if err := l.writeSome(ctx, changes[:half]); err != nil {
		return err
	}
	return l.writeSome(ctx, changes[half:])
}

// outdated tells that a write was refused for what somebody else wrote meanwhile.
func outdated(err error) bool {
	switch fault.CodeOf(err) { //nolint:exhaustive // the others are failures.
	case fault.Conflict, fault.NotFound, fault.AlreadyExists, fault.Referenced, fault.Invalid:
		return true
	}
	return false
}
