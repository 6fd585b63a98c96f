package sqlstore

import (
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

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
	// What it is searched by.
	actor, action, kind, target string
	// text is its spec as canonical JSON.
	text string
	time time.Time
	// created is time as canonical JSON.
	created []byte
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

// encode copies all of w: its caller may give up and go on with it while it is still committed.
func (s *Store) encode(w store.Write) (*write, error) {
	out := &write{requires: slices.Clone(w.Requires), secrets: slices.Clone(w.Secrets), drops: slices.Clone(w.DeleteSecrets)}
	for i := range out.secrets {
		out.secrets[i].Body = slices.Clone(out.secrets[i].Body)
	}
	if w.Fence != nil {
		fence := *w.Fence
		out.fence = &fence
	}
	seen := map[store.Key]bool{}
	for _, key := range w.Deletes {
		if !seen[key] {
			seen[key] = true
			out.deletes = append(out.deletes, key)
		}
	}
	var err error
	if out.puts, err = s.codec.encodeAll(w.Puts); err != nil {
		return nil, err
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
	spec := e.GetSpec()
	if spec == nil {
		spec = &isthmusv1.EventSpec{}
	}
	out := &event{actor: spec.GetActor(), action: spec.GetAction(), kind: spec.GetKind(), target: spec.GetTarget(), time: s.now()}
	if e.GetCreateTime() != nil {
		out.time = e.GetCreateTime().AsTime()
	}
	var err error
	if out.text, err = s.codec.text(spec); err != nil || hasNUL(out.text) {
		return nil, fault.Wrap(fault.Internal, err, "an event has text that cannot be stored")
	}
	if out.created, err = resource.CanonicalJSON(timestamppb.New(out.time)); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "an event has a time that cannot be stored")
	}
	return out, nil
}

// commit brings a group of writes into the database, each with its own outcome.
func (s *Store) commit(batch []*ticket[*write]) {
	writes := make([]*write, len(batch))
	for i, t := range batch {
		writes[i] = t.item
	}
	group := settling[*write]{try: s.commitAll, fail: func(w *write, err error) { w.err = err }}
	group.run(writes)
}

// commitAll is one transaction: it commits those writes whose preconditions hold and gives the others their own errors.
// When it fails itself, it has given none of them an outcome.
func (s *Store) commitAll(writes []*write) error {
	ctx, cancel := context.WithTimeout(s.life, commitTimeout)
	defer cancel()
	if st := s.recall.foresee(s.codec, writes); st != nil {
		if over, err := s.commitForeseen(ctx, st, writes); over {
			return err
		}
	}
	tx, err := s.db.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	st, had := newState(s.codec, writes), s.horizon.now()
	if err := tx.Run(ctx, s.reads(st, writes)...); err != nil {
		return err
	}
	if lacks(st.revision(), had) {
		return s.writeAnew(ctx, tx, st.revision(), had)
	}
	outcomes := st.applyAll(writes)
	if st.dirty() {
		if err := tx.Commit(ctx, s.changes(st)...); err != nil {
			return s.failed(err)
		}
		s.committed(st)
	}
	settle(writes, outcomes)
	return nil
}

// commitForeseen is commitAll in one round trip, for writes that need nothing read. over is false when it came to nothing, because somebody
// else has committed, or has what was taken to be absent: then it is to be read what is there, and the error is of no interest.
func (s *Store) commitForeseen(ctx context.Context, st *state, writes []*write) (over bool, err error) {
	outcomes := st.applyAll(writes)
	if !st.proves(writes, outcomes) {
		return false, nil
	}
	tx, err := s.db.Begin(ctx)
	if err != nil {
		return true, err
	}
	defer tx.Rollback()
	if err := tx.Commit(ctx, s.changes(st)...); err != nil {
		err = s.failed(err)
		return !refused(err), err
	}
	s.committed(st)
	settle(writes, outcomes)
	return true, nil
}

// committed tells of a commit, and remembers it.
func (s *Store) committed(st *state) {
	s.recall.learn(st)
	s.horizon.see(st.revision())
	if s.told == nil {
		s.signal()
	}
	s.announce(st)
}

// outcome of one write.
type outcome struct {
	revision store.Revision
	err      error
}

// applyAll applies writes one after the other.
func (s *state) applyAll(writes []*write) []outcome {
	outcomes := make([]outcome, len(writes))
	for i, w := range writes {
		if err := s.apply(w); err != nil {
			outcomes[i].err = err
		} else {
			outcomes[i].revision = s.revision()
		}
	}
	return outcomes
}

func settle(writes []*write, outcomes []outcome) {
	for i, w := range writes {
		w.revision, w.err = outcomes[i].revision, outcomes[i].err
	}
}

// failed says what is known after a commit that failed.
func (s *Store) failed(err error) error {
	s.recall.forget()
	switch {
	case refused(err):
		return err
	case errors.Is(err, ErrUndone):
		return fault.Wrap(fault.Unavailable, err, "the store could not commit just now: nothing of the write is stored")
	}
	s.signal() // it may be stored
	return fault.Wrap(fault.Unavailable, err, "the store did not answer while it committed: the write may be stored, or not")
}

// refused tells that the database has something against what was to be stored.
func refused(err error) bool {
	code := fault.CodeOf(err)
	return code == fault.Invalid || code == fault.Internal
}
