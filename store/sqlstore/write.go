package sqlstore

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
)

// write is a store.Write, encoded before the lock is taken, and then what came of it.
type write struct {
	puts     []*put
	deletes  []store.Key
	requires []store.Require
	events   []*event
	secrets  []store.Secret
	drops    []string
	fence    *store.Lease

	revision store.Revision
	err      error
}

// event is an entry of the audit log that is not numbered yet.
type event struct {
	spec *isthmusv1.EventSpec
	text string
	time time.Time
}

// change is one row of the feed in the making.
type change struct {
	uid         string
	operation   store.Operation
	part        store.Part
	datacenters []string
}

// moves tells whether the write takes an index of its own.
func (w *write) moves() bool { return len(w.puts)+len(w.deletes)+len(w.events) > 0 }

// Write implements store.Store.
func (s *Store) Write(ctx context.Context, w store.Write) (store.Revision, error) {
	encoded, err := s.encode(w)
	if err != nil {
		return store.Revision{}, err
	}
	if err := s.writes.do(ctx, encoded); err != nil {
		return store.Revision{}, err
	}
	return encoded.revision, encoded.err
}

func (s *Store) encode(w store.Write) (*write, error) {
	out := &write{requires: w.Requires, secrets: w.Secrets, drops: w.DeleteSecrets, fence: w.Fence}
	seen := map[store.Key]bool{}
	for _, key := range w.Deletes {
		if !seen[key] {
			seen[key] = true
			out.deletes = append(out.deletes, key)
		}
	}
	for _, p := range w.Puts {
		encoded, err := s.codec.encode(p)
		if err != nil {
			return nil, err
		}
		out.puts = append(out.puts, encoded)
	}
	for _, e := range w.Events {
		encoded, err := s.encodeEvent(e)
		if err != nil {
			return nil, err
		}
		out.events = append(out.events, encoded)
	}
	return out, nil
}

func (s *Store) encodeEvent(e *isthmusv1.Event) (*event, error) {
	out := &event{spec: &isthmusv1.EventSpec{}, time: s.now()}
	if e.GetSpec() != nil {
		out.spec = proto.CloneOf(e.GetSpec())
	}
	if e.GetCreateTime() != nil {
		out.time = e.GetCreateTime().AsTime()
	}
	text, err := resource.CanonicalJSON(out.spec)
	if err != nil || hasNUL(text) {
		return nil, fault.Wrap(fault.Internal, err, "an event has text that cannot be stored")
	}
	out.text = string(text)
	return out, nil
}

// commit is one transaction for a group of writes, each with its own outcome.
func (s *Store) commit(batch []*ticket[*write]) {
	writes := make([]*write, len(batch))
	for i, t := range batch {
		writes[i] = t.item
	}
	err := s.commitAll(writes)
	code := fault.CodeOf(err)
	if len(writes) > 1 && (code == fault.Invalid || code == fault.Internal) {
		// Something in one of them is refused by the database itself: the others shall not suffer for it.
		for _, w := range writes {
			w.err = s.commitAll([]*write{w})
		}
		return
	}
	if err != nil {
		for _, w := range writes {
			w.err = err
		}
	}
}

// commitAll commits those writes whose preconditions hold; the others get their own errors. Its own error is of all.
func (s *Store) commitAll(writes []*write) error {
	ctx, cancel := context.WithTimeout(s.life, commitTimeout)
	defer cancel()
	for _, w := range writes {
		w.revision, w.err = store.Revision{}, nil
	}
	tx, err := s.db.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	st := newState(s.codec)
	if err := tx.Run(ctx, s.reads(st, writes)...); err != nil {
		return err
	}
	failed := make([]error, len(writes))
	applied := 0
	for i, w := range writes {
		if failed[i] = st.apply(w); failed[i] == nil {
			applied++
			w.revision = store.Revision{Epoch: st.epoch, Index: st.index}
		}
	}
	if applied > 0 && st.dirty() {
		if err := tx.Commit(ctx, s.changes(st)...); err != nil {
			return commitFault(err)
		}
		s.signal()
	}
	for i, w := range writes {
		w.err = failed[i]
	}
	return nil
}

// commitFault says what is known after a commit that failed.
func commitFault(err error) error {
	if code := fault.CodeOf(err); code == fault.Invalid || code == fault.Internal {
		return err
	}
	return fault.Wrap(fault.Unavailable, err, "the store did not answer while it committed: the write may be stored, or not")
}
