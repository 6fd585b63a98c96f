package sqlstore

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"isthmus/fault"
	"isthmus/resource"
	"isthmus/store"
)

// loadBatch is how many rows go from hand to hand at a time.
const loadBatch = 128

// Load implements store.Store. Rows are decoded, which is nearly all of the work, on all processors; few are on their way at a time.
func (s *Store) Load(ctx context.Context, visit func(resource.Object) error) (store.Revision, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	var revision store.Revision
	rows, objects := make(chan []record), make(chan []resource.Object)
	group.Go(func() error {
		defer close(rows)
		return s.readAll(ctx, &revision, rows)
	})
	var decoders sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		decoders.Add(1)
		group.Go(func() error {
			defer decoders.Done()
			return s.codec.decodeAll(ctx, rows, objects)
		})
	}
	go func() {
		decoders.Wait()
		close(objects)
	}()
	var refused error
	for batch := range objects {
		for _, o := range batch {
			if refused == nil {
				refused = visit(o)
			}
		}
		if refused != nil {
			stop()
		}
	}
	err := group.Wait()
	if refused != nil {
		err = refused // the rest is what became of that
	}
	if err != nil {
		return store.Revision{}, err
	}
	s.horizon.see(revision)
	return revision, nil
}

// readAll reads the rows of all resources.
func (s *Store) readAll(ctx context.Context, revision *store.Revision, rows chan<- []record) error {
	var batch []record
	statements := []Statement{s.readRevision(revision, nil)}
	if s.sql.unhurried != "" {
		statements = append(statements, Statement{SQL: s.sql.unhurried})
	}
	err := s.read(ctx, append(statements, Statement{SQL: s.sql.load, Row: func(scan func(...any) error) error {
		if batch == nil {
			batch = make([]record, 0, loadBatch)
		}
		var r record
		if err := scan(r.destinations()...); err != nil {
			return err
		}
		if batch = append(batch, r); len(batch) < loadBatch {
			return nil
		}
		full := batch
		batch = nil
		return hand(ctx, rows, full)
	}})...)
	if err != nil {
		return err
	}
	return hand(ctx, rows, batch)
}

// decodeAll decodes rows until there are no more. Those of kinds that this binary does not have are passed over.
func (c *codec) decodeAll(ctx context.Context, rows <-chan []record, objects chan<- []resource.Object) error {
	for batch := range rows {
		decoded := make([]resource.Object, 0, len(batch))
		for i := range batch {
			o, known, err := c.decode(&batch[i])
			if err != nil {
				return err
			}
			if known {
				decoded = append(decoded, o)
			}
		}
		if err := hand(ctx, objects, decoded); err != nil {
			return err
		}
	}
	return nil
}

// hand gives a batch to the next one, unless nobody wants it any more.
func hand[T any](ctx context.Context, to chan<- T, batch T) error {
	select {
	case to <- batch:
		return nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fault.Wrap(fault.Timeout, ctx.Err(), "loading everything took too long")
		}
		return fault.Wrap(fault.Canceled, ctx.Err(), "loading everything was given up")
	}
}
