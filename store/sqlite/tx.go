package sqlite

import (
	"context"
	"database/sql"

	"isthmus/fault"
	"isthmus/store/sqlstore"
)

// tx is a write transaction on the one writing connection. Once it has its turn it is not interrupted: it is short, and
// an interrupted commit would leave in doubt what is certain.
type tx struct {
	d     *database
	begun bool
	ended bool
}

// Begin implements sqlstore.Database: it waits for the connection.
func (d *database) Begin(ctx context.Context) (sqlstore.Tx, error) {
	select {
	case d.turn <- struct{}{}:
		return &tx{d: d}, nil
	case <-d.closed:
		return nil, fault.New(fault.Unavailable, "the database is closed")
	case <-ctx.Done():
		return nil, mapped(ctx, ctx.Err())
	}
}

// Run implements sqlstore.Tx.
func (t *tx) Run(ctx context.Context, statements ...sqlstore.Statement) error {
	ctx = context.WithoutCancel(ctx)
	if !t.begun {
		if err := t.d.run(ctx, sqlstore.Statement{SQL: "BEGIN IMMEDIATE"}); err != nil {
			return err
		}
		t.begun = true
	}
	for _, s := range statements {
		if err := t.d.run(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// Commit implements sqlstore.Tx.
func (t *tx) Commit(ctx context.Context, statements ...sqlstore.Statement) error {
	if err := t.Run(ctx, statements...); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	if err := t.d.run(ctx, sqlstore.Statement{SQL: "COMMIT"}); err != nil {
		return err
	}
	t.finish()
	return nil
}

// Rollback implements sqlstore.Tx.
func (t *tx) Rollback() {
	if t.ended {
		return
	}
	if t.begun {
		// SQLite may have rolled back by itself, which is an error here and all that was wanted.
		_, _ = t.d.conn.ExecContext(context.Background(), "ROLLBACK")
	}
	t.finish()
}

func (t *tx) finish() {
	t.ended = true
	<-t.d.turn
}

// run runs one statement on the writing connection, whose statements stay prepared.
func (d *database) run(ctx context.Context, s sqlstore.Statement) error {
	prepared, err := d.prepare(ctx, s.SQL) //nolint:sqlclosecheck // kept for the next run; Close closes it
	if err != nil {
		return err
	}
	if s.Row == nil {
		if _, err := prepared.ExecContext(ctx, s.Args...); err != nil {
			return mapped(ctx, err)
		}
		return nil
	}
	rows, err := prepared.QueryContext(ctx, s.Args...)
	if err != nil {
		return mapped(ctx, err)
	}
	return visit(ctx, rows, s)
}

func (d *database) prepare(ctx context.Context, text string) (*sql.Stmt, error) {
	if s, ok := d.prepared[text]; ok {
		return s, nil
	}
	s, err := d.conn.PrepareContext(ctx, text)
	if err != nil {
		return nil, mapped(ctx, err)
	}
	d.prepared[text] = s
	return s, nil
}
