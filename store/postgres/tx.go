package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"isthmus/store/sqlstore"
)

// rollbackTimeout bounds what a connection costs whose transaction failed; then it is closed.
const rollbackTimeout = 5 * time.Second

const (
	beginRead = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
	// beginWrite: each statement sees what was committed before it, so those after the lock see the last writer's work.
	beginWrite = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
	commit     = "COMMIT"
)

// Read implements sqlstore.Database.
func (d *database) Read(ctx context.Context, statements ...sqlstore.Statement) error {
	conn, err := d.reads.Acquire(ctx)
	if err != nil {
		return mapped(ctx, err)
	}
	defer release(conn)
	batch := &pgx.Batch{}
	batch.Queue(beginRead)
	queue(batch, statements)
	batch.Queue(commit)
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return mapped(ctx, err)
	}
	return nil
}

func queue(batch *pgx.Batch, statements []sqlstore.Statement) {
	for _, s := range statements {
		queued := batch.Queue(s.SQL, s.Args...)
		if s.Row == nil {
			continue
		}
		queued.Query(func(rows pgx.Rows) error {
			for rows.Next() {
				if err := s.Row(rows.Scan); err != nil {
					return err
				}
			}
			return rows.Err()
		})
	}
}

// release gives a connection back, out of the transaction that an error may have left it in.
func release(conn *pgxpool.Conn) {
	if !conn.Conn().IsClosed() && conn.Conn().PgConn().TxStatus() != 'I' {
		ctx, cancel := context.WithTimeout(context.Background(), rollbackTimeout)
		defer cancel()
		// If that fails, the pool sees the state of the connection and closes it.
		_, _ = conn.Exec(ctx, "ROLLBACK")
	}
	conn.Release()
}

type tx struct {
	conn  *pgxpool.Conn
	begun bool
}

// Begin implements sqlstore.Database.
func (d *database) Begin(ctx context.Context) (sqlstore.Tx, error) {
	conn, err := d.writes.Acquire(ctx)
	if err != nil {
		return nil, mapped(ctx, err)
	}
	return &tx{conn: conn}, nil
}

// Run implements sqlstore.Tx.
func (t *tx) Run(ctx context.Context, statements ...sqlstore.Statement) error {
	return t.send(ctx, statements, false)
}

// Commit implements sqlstore.Tx.
func (t *tx) Commit(ctx context.Context, statements ...sqlstore.Statement) error {
	return t.send(ctx, statements, true)
}

// maxRows is how many rows go to PostgreSQL in one round trip: a batch is put together in memory before it is sent.
const maxRows = 4096

func (t *tx) send(ctx context.Context, statements []sqlstore.Statement, last bool) error {
	for len(statements) > 0 || last {
		if t.begun && len(statements) > 0 && copied(statements[0]) {
			if err := t.copy(ctx, statements[0]); err != nil {
				return mapped(ctx, err)
			}
			statements = statements[1:]
			continue
		}
		batch := &pgx.Batch{}
		if !t.begun {
			batch.Queue(beginWrite)
			t.begun = true
		}
		n := fitting(statements)
		queue(batch, statements[:n])
		if statements = statements[n:]; len(statements) == 0 && last {
			batch.Queue(commit)
			last = false
		}
		if err := t.conn.SendBatch(ctx, batch).Close(); err != nil {
			return mapped(ctx, err)
		}
	}
	return nil
}

// fitting is how many statements go together: as many as have no more than maxRows rows, or one, and none that is copied.
func fitting(statements []sqlstore.Statement) int {
	rows := 0
	for n, s := range statements {
		if rows += rowsOf(s); n > 0 && rows > maxRows || copied(s) {
			return n
		}
	}
	return len(statements)
}

// rowsOf is how many rows a statement has, if they come as columns.
func rowsOf(s sqlstore.Statement) int {
	if len(s.Args) > 0 {
		if column, ok := s.Args[0].(sqlstore.Column); ok {
			return column.Len()
		}
	}
	return 0
}

// fewest is how many rows are worth a round trip of their own, in which they are copied: the server takes them at less than inserting them, and they
// are not put together in memory here.
const fewest = 256

func copied(s sqlstore.Statement) bool { return s.Into != "" && rowsOf(s) >= fewest }

// copy inserts a statement's rows.
func (t *tx) copy(ctx context.Context, s sqlstore.Statement) error {
	_, err := t.conn.Conn().PgConn().CopyFrom(ctx, newCopying(s), "COPY "+s.Into+" FROM STDIN (FORMAT binary)")
	return err
}

// Rollback implements sqlstore.Tx.
func (t *tx) Rollback() { release(t.conn) }
