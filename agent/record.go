package agent

import (
	"maps"
	"path/filepath"
	"sync"
	"time"

	"isthmus/fault"
)

// record is what this agent did for one peering last. Consul's Meta says it too, but a failed Establish writes Meta as well,
// and GenerateToken does not.
type record struct {
	// Generation of the token that was made (acceptor) or used (dialer).
	Generation int32 `json:"generation"`
	// Outcome at the dialer: resource.OutcomeUsed or OutcomeRefused.
	Outcome string `json:"outcome,omitempty"`
	// LeaderTransfer is the last one that was begun at the dialer, and LeaderTransferError what was in its way; empty: it was done.
	LeaderTransfer      int32  `json:"leaderTransfer,omitempty"`
	LeaderTransferError string `json:"leaderTransferError,omitempty"`
}

// election is the last transfer of leadership that this agent began, whatever it was for: it outlives the records of peerings, which go
// when the server wants no such peering any more.
type election struct {
	Time time.Time `json:"time"`
	// Problem was in its way; empty: it was done.
	Problem string `json:"problem,omitempty"`
}

// records keeps them, by the peering's uid, on disk.
type records struct {
	path, transferPath string

	mu       sync.Mutex
	all      map[string]record
	election election
}

func openRecords(dir string) (*records, error) {
	r := &records{path: filepath.Join(dir, fileRecords), transferPath: filepath.Join(dir, fileTransfer), all: map[string]record{}}
	if err := readJSON(r.path, &r.all); err != nil && fault.CodeOf(err) != fault.NotFound {
		return nil, err
	}
	if err := readJSON(r.transferPath, &r.election); err != nil && fault.CodeOf(err) != fault.NotFound {
		return nil, err
	}
	return r, nil
}

// elected is the last transfer that was begun; its time is zero where none was.
func (r *records) elected() election {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.election
}

// elect enters one.
func (r *records) elect(e election) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := writeJSON(r.transferPath, e); err != nil {
		return err
	}
	r.election = e
	return nil
}

func (r *records) get(uid string) record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all[uid]
}

// token enters what was done with the token of a generation.
func (r *records) token(uid string, generation int32, outcome string) error {
	return r.put(uid, func(one *record) { one.Generation, one.Outcome = generation, outcome })
}

// transfer enters a transfer of leadership.
func (r *records) transfer(uid string, number int32, problem string) error {
	return r.put(uid, func(one *record) { one.LeaderTransfer, one.LeaderTransferError = number, problem })
}

func (r *records) put(uid string, enter func(*record)) error {
	return r.change(func(all map[string]record) bool {
		one := all[uid]
		enter(&one)
		if all[uid] == one {
			return false
		}
		all[uid] = one
		return true
	})
}

// keep drops the records of all other peerings.
func (r *records) keep(uids map[string]bool) error {
	return r.change(func(all map[string]record) bool {
		before := len(all)
		maps.DeleteFunc(all, func(uid string, _ record) bool { return !uids[uid] })
		return len(all) != before
	})
}

func (r *records) change(edit func(map[string]record) bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := maps.Clone(r.all)
	if !edit(next) {
		return nil
	}
	if err := writeJSON(r.path, next); err != nil {
		return err
	}
	r.all = next
	return nil
}
