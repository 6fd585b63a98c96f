package sqlstore

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"isthmus/fault"
	"isthmus/store"
)

// commitTimeout bounds one transaction of the store's own goroutines, network included. The databases' own timeouts are
// shorter.
const commitTimeout = time.Minute

// Store implements all of package store's interfaces over a Database.
type Store struct {
	db    Database
	sql   *queries
	codec *codec
	log   hclog.Logger
	now   func() time.Time

	// life ends with Close.
	life  context.Context
	end   context.CancelFunc
	wake  chan struct{}
	relay chan struct{}

	closing sync.Once
	closed  error

	// told hears of commits; set once, before the first write.
	told func(store.Commit)

	// recall belongs to the goroutine of writes.
	recall  recall
	horizon horizon

	writes   *group[*write]
	observes *group[[]store.Observation]
}

var (
	_ store.Store       = (*Store)(nil)
	_ store.Announcer   = (*Store)(nil)
	_ store.Journal     = (*Store)(nil)
	_ store.Vault       = (*Store)(nil)
	_ store.Observatory = (*Store)(nil)
	_ store.Leaser      = (*Store)(nil)
	_ store.Keeper      = (*Store)(nil)
)

// New makes a store over an open database whose schema is up to date. Close closes the database.
func New(db Database, dialect Dialect, log hclog.Logger) *Store {
	life, end := context.WithCancel(context.Background())
	s := &Store{
		db: db, sql: newQueries(dialect), codec: newCodec(), log: log, now: time.Now,
		life: life, end: end, wake: make(chan struct{}, 1), relay: make(chan struct{}),
	}
	s.writes = newGroup(s.commit, func(w *write) int { return 1 + len(w.puts) + len(w.deletes) + len(w.events) + len(w.secrets) })
	s.observes = newGroup(s.observe, func(o []store.Observation) int { return len(o) })
	go s.relaySignals()
	return s
}

// relaySignals turns other processes' commits into wake-ups.
func (s *Store) relaySignals() {
	defer close(s.relay)
	for {
		select {
		case <-s.life.Done():
			return
		case <-s.db.Signals():
			s.signal()
		}
	}
}

func (s *Store) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Wake implements store.Store.
func (s *Store) Wake() <-chan struct{} { return s.wake }

// Ping implements store.Keeper.
func (s *Store) Ping(ctx context.Context) error {
	if s.life.Err() != nil {
		return errClosed()
	}
	return s.orClosed(s.db.Ping(ctx))
}

// Close implements store.Keeper: what waits to be committed is committed first.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.writes.close()
		s.observes.close()
		s.end()
		<-s.relay
		s.closed = s.db.Close()
	})
	return s.closed
}

// read runs statements at one state of the database.
func (s *Store) read(ctx context.Context, statements ...Statement) error {
	if s.life.Err() != nil {
		return errClosed()
	}
	return s.orClosed(s.db.Read(ctx, statements...))
}

// orClosed is an error in the light of a Close meanwhile, which takes a driver's connections away from under a call.
func (s *Store) orClosed(err error) error {
	if fault.CodeOf(err) == fault.Internal && s.life.Err() != nil {
		return errClosed()
	}
	return err
}

// transact is a write transaction of one round trip that needs no lock on the revision.
func (s *Store) transact(ctx context.Context, statements ...Statement) error {
	if s.life.Err() != nil {
		return errClosed()
	}
	tx, err := s.db.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return tx.Commit(ctx, statements...)
}
