package sqlstore

import "isthmus/store"

const (
	// maxRecalled is how many resources are remembered: some MiB at most.
	maxRecalled = 8 << 10
	// maxForeseen is how many resources a write may change that is not read for: of more, reading them costs little. What it makes is not counted.
	maxForeseen = 32
)

// mark is what the revision's row says.
type mark struct {
	epoch     string
	index     uint64
	events    uint64
	chainHead string
}

func (m mark) revision() store.Revision { return store.Revision{Epoch: m.epoch, Index: m.index} }

// recall is what this process knows of the database since its last commit. While nobody else commits, which the next commit proves as it
// begins, that is still so: what is in it need not be read again. It belongs to the goroutine that commits.
type recall struct {
	mark
	// alone: nobody else committed between the last two commits of this process. Else it is not relied upon: with other writers about,
	// most such commits would be refused, and tried anew.
	alone bool
	// rows are resources as the last commit left them, those that are not there included.
	rows map[store.Key]row
}

// forget what is known: somebody else may have committed.
func (r *recall) forget() { *r = recall{} }

// learn takes over what a commit has read and left.
func (r *recall) learn(st *state) {
	alone := r.epoch != "" && r.mark == st.began
	switch {
	case !alone:
		r.rows = make(map[store.Key]row, min(len(st.cells), maxRecalled))
	case len(r.rows)+len(st.cells) > maxRecalled:
		clear(r.rows) // it fills again: many come after each other
	}
	r.alone, r.mark = alone, st.mark
	if len(st.cells) > maxRecalled {
		return
	}
	for key, c := range st.cells {
		r.rows[key] = c.now
	}
}

// foresee is the state that writes would be applied to if nobody else has committed; nil when not all of it is known. A resource that is
// to be made may be assumed not to be there: the database has names once.
func (r *recall) foresee(c *codec, writes []*write) *state {
	if !r.alone {
		return nil
	}
	st := newState(c, writes)
	st.mark, st.began = r.mark, r.mark
	for _, w := range writes {
		if !r.covers(st, w) {
			return nil
		}
	}
	return st
}

// covers tells whether all is known that a write's preconditions are about, and puts it into the state.
func (r *recall) covers(st *state, w *write) bool {
	made := w.made()
	if len(w.deletes) > 0 || len(w.puts)-len(made) > maxForeseen || w.fence != nil && !st.assumeHeld(*w.fence) {
		return false
	}
	for _, q := range w.requires {
		if !r.row(st, q.Key, q.Absent && made[q.Key]) {
			return false
		}
	}
	for _, p := range w.puts {
		if !r.row(st, p.key, false) {
			return false
		}
		for _, ref := range p.references {
			if !r.row(st, store.Key{Kind: ref.Kind, Name: ref.Name}, false) {
				return false
			}
		}
	}
	return true
}

// made are the resources of which a write puts the whole.
func (w *write) made() map[store.Key]bool {
	out := make(map[store.Key]bool, len(w.puts))
	for _, p := range w.puts {
		if p.part == store.PartAll {
			out[p.key] = true
		}
	}
	return out
}

// assumeHeld takes a lease to be held as a fence says, which the commit has to prove; false: another write says otherwise.
func (s *state) assumeHeld(fence store.Lease) bool {
	if known, there := s.leases[fence.Name]; there {
		return known.Holder == fence.Holder && known.Fencing == fence.Fencing
	}
	s.leases[fence.Name] = fence
	s.fences = append(s.fences, fence)
	return true
}

// row puts what is known of a resource into the state; false: nothing is, and it may not be assumed to be absent.
func (r *recall) row(st *state, key store.Key, absent bool) bool {
	if _, there := st.cells[key]; there {
		return true
	}
	known, ok := r.rows[key]
	if !ok {
		if !absent {
			return false
		}
		st.assumed = append(st.assumed, key)
	}
	st.cells[key] = &cell{before: known, now: known}
	for _, claim := range known.relations.claims {
		st.claims[claim] = key
	}
	return true
}

// proves tells whether the database refuses the batch if anything was not as it was assumed: what was taken to be absent is made, and claims
// that were taken to be free are taken. Why a write is refused has to be looked up.
func (s *state) proves(writes []*write, outcomes []outcome) bool {
	for i, w := range writes {
		if outcomes[i].err != nil {
			return false
		}
		for _, p := range w.puts {
			if p.part != store.PartStatus && len(p.claims) > 0 && s.cells[p.key].spec != p {
				return false
			}
		}
	}
	for _, key := range s.assumed {
		if c := s.cells[key]; c.whole == nil || !c.now.exists {
			return false
		}
	}
	return s.dirty()
}
