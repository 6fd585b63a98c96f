// Package sqlite is the embedded store: one file in the server's data directory.
//
// Owns: the file, its lock against a second server, and the driver. Does not own: queries and rules (store/sqlstore),
// schema (migrations). Start reading at Open.
//
// One connection writes, in BEGIN IMMEDIATE transactions with synchronous FULL, so what is acknowledged is on disk; a
// pool reads, each at one state of the write-ahead log, without waiting for the writer.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	"github.com/hashicorp/go-hclog"
	_ "modernc.org/sqlite" // the driver

	"isthmus/fault"
	"isthmus/migrations"
	"isthmus/store/sqlstore"
)

// File is the database's name in the data directory.
const File = "isthmus.db"

// Open opens the store in dir, which is made when it is not there. Refused when another process has it open.
func Open(ctx context.Context, dir string, log hclog.Logger) (*sqlstore.Store, error) {
	db, err := openLocked(ctx, dir)
	if err != nil {
		return nil, err
	}
	return sqlstore.New(db, dialect(), log), nil
}

func dialect() sqlstore.Dialect {
	return sqlstore.Dialect{
		Milliseconds: `CAST(unixepoch('subsec') * 1000 AS integer)`,
		OrRollback:   " OR ROLLBACK",
		Elements:     `json_each(p.changes)`,
	}
}

// openLocked opens the database, and keeps others out.
func openLocked(ctx context.Context, dir string) (*database, error) {
	dir, err := filepath.Abs(dir) // in a URI, the first part of a relative path would be a host
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "finding the data directory %s", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "making the data directory %s", dir)
	}
	held, err := lockDirectory(dir)
	if err != nil {
		return nil, err
	}
	db, err := open(ctx, dir)
	if err != nil {
		return nil, errors.Join(err, held.Close())
	}
	db.lock = held
	return db, nil
}

// database is the two ends of the file.
type database struct {
	// writer has one connection, which belongs, with the statements that it has prepared, to whoever holds turn.
	writer   *sql.DB
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
	turn     chan struct{}
	reader   *sql.DB
	lock     *os.File
	signals  chan struct{}
	closed   chan struct{}
}

func open(ctx context.Context, dir string) (_ *database, err error) {
	path := filepath.Join(dir, File)
	// Made here for its mode, which SQLite gives to the files beside it.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "opening %s", path)
	}
	if err := f.Close(); err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "opening %s", path)
	}
	d := &database{
		turn: make(chan struct{}, 1), signals: make(chan struct{}), closed: make(chan struct{}), prepared: map[string]*sql.Stmt{},
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	if d.writer, err = sql.Open("sqlite", dsn(path)); err != nil {
		return nil, mapped(ctx, err)
	}
	d.writer.SetMaxOpenConns(1)
	if err := migrations.Up(ctx, migrations.SQLite, d.writer); err != nil {
		return nil, err
	}
	if d.conn, err = d.writer.Conn(ctx); err != nil {
		return nil, mapped(ctx, err)
	}
	if d.reader, err = sql.Open("sqlite", dsn(path, "query_only(true)")); err != nil {
		return nil, mapped(ctx, err)
	}
	readers := max(4, runtime.GOMAXPROCS(0))
	d.reader.SetMaxOpenConns(readers)
	d.reader.SetMaxIdleConns(readers)
	return d, nil
}

// checkpoint is after how many pages of 4 KiB the write-ahead log is folded into the file: what many commits write again and again is then
// folded in once.
const checkpoint = "wal_autocheckpoint(4000)"

func dsn(path string, more ...string) string {
	pragmas := append([]string{"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", checkpoint, "cache_size(-4096)", "temp_store(MEMORY)"}, more...)
	return (&url.URL{Scheme: "file", Path: path, RawQuery: url.Values{"_pragma": pragmas}.Encode()}).String()
}

// Signals implements sqlstore.Database: nobody else writes the file.
func (d *database) Signals() <-chan struct{} { return d.signals }

// Ping implements sqlstore.Database.
func (d *database) Ping(ctx context.Context) error {
	if _, err := d.reader.ExecContext(ctx, `SELECT 1 FROM revision`); err != nil {
		return mapped(ctx, err)
	}
	return nil
}

// Read implements sqlstore.Database.
func (d *database) Read(ctx context.Context, statements ...sqlstore.Statement) (err error) {
	tx, err := d.reader.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return mapped(ctx, err)
	}
	// Nothing is lost with a read transaction that ends badly.
	defer func() { _ = tx.Rollback() }()
	for _, s := range statements {
		rows, err := tx.QueryContext(ctx, s.SQL, s.Args...)
		if err != nil {
			return mapped(ctx, err)
		}
		if err := visit(ctx, rows, s); err != nil {
			return err
		}
	}
	return nil
}

// visit hands out the rows. An error of the visitor's own keeps its code.
func visit(ctx context.Context, rows *sql.Rows, s sqlstore.Statement) (err error) {
	defer func() {
		if closing := rows.Close(); err == nil && closing != nil {
			err = mapped(ctx, closing)
		}
	}()
	for rows.Next() {
		if s.Row == nil {
			continue
		}
		if err := s.Row(rows.Scan); err != nil {
			return mapped(ctx, err)
		}
	}
	if err := rows.Err(); err != nil {
		return mapped(ctx, err)
	}
	return nil
}

// Close implements sqlstore.Database. The transaction that is on its way ends first, and no other begins. Closing the
// writer last folds the write-ahead log into the file.
func (d *database) Close() error {
	d.turn <- struct{}{}
	close(d.closed)
	var errs []error
	if d.reader != nil {
		errs = append(errs, d.reader.Close())
	}
	for _, s := range d.prepared {
		errs = append(errs, s.Close())
	}
	if d.conn != nil {
		errs = append(errs, d.conn.Close())
	}
	if d.writer != nil {
		errs = append(errs, d.writer.Close())
	}
	if d.lock != nil {
		errs = append(errs, d.lock.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fault.Wrap(fault.Unavailable, err, "closing the database")
	}
	return nil
}
