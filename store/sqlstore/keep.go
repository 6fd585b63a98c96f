package sqlstore

import (
	"context"
	"time"

	"github.com/google/uuid"

	"isthmus/fault"
	"isthmus/store"
)

// DefaultKeep is how many changes Compact keeps unless it is told otherwise.
const DefaultKeep = 100_000

// compactStep is how many changes go in one transaction, so that none holds others up.
const compactStep = 5_000

// Compact implements store.Keeper.
func (s *Store) Compact(ctx context.Context, keep int) (uint64, error) {
	if keep < 0 {
		keep = DefaultKeep
	}
	var below int64
	err := s.read(ctx, Statement{SQL: s.sql.compactAt, Args: []any{int64(keep)}, Row: func(scan func(...any) error) error {
		return scan(&below)
	}})
	if err != nil {
		return 0, err
	}
	var compacted uint64
	var revision store.Revision
	// Readers learn that they are behind before the rows go.
	err = s.transact(ctx,
		Statement{SQL: s.sql.compacted, Args: []any{below, below}},
		s.readRevision(&revision, &compacted),
		Statement{SQL: s.sql.compactSecrets, Args: []any{formatTime(s.now())}})
	if err != nil {
		return 0, err
	}
	for {
		n := 0
		err := s.transact(ctx, Statement{
			SQL: s.sql.compactChanges, Args: []any{int64(compacted), int64(compacted), int64(compactStep)},
			Row: func(scan func(...any) error) error {
				var index int64
				n++
				return scan(&index)
			},
		})
		if err != nil {
			return compacted, err
		}
		if n == 0 {
			return compacted, nil
		}
	}
}

// Restored implements store.Keeper.
func (s *Store) Restored(ctx context.Context) (store.Revision, error) {
	var revision store.Revision
	statements := []Statement{{SQL: s.sql.renew, Args: []any{uuid.NewString()}}, s.readRevision(&revision, nil)}
	if s.sql.notify != "" {
		statements = append(statements, Statement{SQL: s.sql.notify, Args: []any{"restored"}})
	}
	if err := s.transact(ctx, statements...); err != nil {
		return store.Revision{}, err
	}
	s.signal()
	return revision, nil
}

// Acquire implements store.Leaser.
func (s *Store) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (store.Lease, error) {
	lease := store.Lease{Name: name, Holder: holder}
	err := s.transact(ctx, Statement{
		SQL: s.sql.acquire, Args: []any{name, holder, ttl.Milliseconds()}, Row: func(scan func(...any) error) error {
			var fencing, expires int64
			err := scan(&fencing, &expires)
			lease.Fencing, lease.Expires = uint64(fencing), time.UnixMilli(expires)
			return err
		},
	})
	if err != nil {
		return store.Lease{}, err
	}
	if lease.Fencing == 0 {
		return store.Lease{}, fault.New(fault.Conflict, "somebody else holds the lease %s", name)
	}
	return lease, nil
}

// Held implements store.Leaser.
func (s *Store) Held(ctx context.Context, name string) (store.Lease, error) {
	lease := store.Lease{Name: name}
	err := s.read(ctx, Statement{SQL: s.sql.held, Args: []any{name}, Row: func(scan func(...any) error) error {
		var fencing, expires int64
		err := scan(&lease.Holder, &fencing, &expires)
		lease.Fencing, lease.Expires = uint64(fencing), time.UnixMilli(expires)
		return err
	}})
	if err != nil {
		return store.Lease{}, err
	}
	if lease.Fencing == 0 {
		return store.Lease{}, fault.New(fault.NotFound, "nobody holds the lease %s", name)
	}
	return lease, nil
}

// Release implements store.Leaser.
func (s *Store) Release(ctx context.Context, lease store.Lease) error {
	return s.transact(ctx, Statement{SQL: s.sql.release, Args: []any{lease.Name, lease.Holder, int64(lease.Fencing)}})
}
