package sqlstore

import (
	"context"
	"strconv"
	"sync"

	"github.com/google/uuid"

	"isthmus/fault"
	"isthmus/store"
)

// horizon is the newest revision that this process has seen stored. A database that is behind it has lost commits that were acknowledged: a
// standby without them was promoted, or a backup was restored under running servers. What it has from then on is another history, in which the same
// indexes mean something else, so it gets another epoch: readers load it anew, and agents hold removals back.
type horizon struct {
	mu sync.Mutex
	at store.Revision
}

func (h *horizon) now() store.Revision {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at
}

func (h *horizon) see(r store.Revision) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.Epoch != h.at.Epoch || r.Index > h.at.Index {
		h.at = r
	}
}

// lacks tells whether a database lacks commits that it had. had was taken from the horizon before has was read.
func lacks(has, had store.Revision) bool { return has.Epoch == had.Epoch && has.Index < had.Index }

// anew begins another history, unless another server has done so already, or nothing is lacking; renewed says whether it did.
func (s *Store) anew(has, had store.Revision, renewed *bool) []Statement {
	out := []Statement{{SQL: s.sql.renewLost, Args: []any{uuid.NewString(), had.Epoch, int64(had.Index)}, Row: func(scan func(...any) error) error {
		*renewed = true
		var epoch string
		return scan(&epoch)
	}}}
	if s.sql.notify != "" {
		out = append(out, Statement{SQL: s.sql.notify, Args: []any{strconv.FormatUint(has.Index, 10)}})
	}
	return out
}

// writeAnew begins another history in the transaction of a write, which holds the revision, and refuses that write: its preconditions were looked at in
// the history that is lost.
func (s *Store) writeAnew(ctx context.Context, tx Tx, has, had store.Revision) error {
	s.recall.forget()
	renewed := false
	if err := tx.Commit(ctx, s.anew(has, had, &renewed)...); err != nil {
		return err
	}
	s.lost(has, had, renewed)
	return fault.New(fault.Unavailable, "the database has lost its newest commits, and is loaded anew: nothing of this write is stored; try again")
}

// readAnew begins another history for a reader. Where those who write have all that there was, the reader was at another database: Unavailable.
func (s *Store) readAnew(ctx context.Context, has, had store.Revision) (store.Revision, error) {
	var now store.Revision
	renewed := false
	if err := s.transact(ctx, append(s.anew(has, had, &renewed), s.readRevision(&now, nil))...); err != nil {
		return store.Revision{}, err
	}
	if now.Epoch == had.Epoch {
		return store.Revision{}, fault.New(fault.Unavailable, "a connection reaches a database that is behind: it has %d commits, %d were seen", has.Index, had.Index)
	}
	s.lost(has, had, renewed)
	return now, nil
}

func (s *Store) lost(has, had store.Revision, renewed bool) {
	if !renewed {
		return // another server has told
	}
	s.log.Error("the database has lost commits: a standby that lacks them was promoted, or a backup was restored under running servers; what it has is taken "+
		"as restored, with an epoch of its own", "epoch", had.Epoch, "had-index", had.Index, "has-index", has.Index)
	s.signal()
}
