package sqlstore

import (
	"context"
	"errors"
)

// ErrUndone is in the chain of an error of a Tx after which it is certain that nothing was stored, whatever its code: the database has said so.
var ErrUndone = errors.New("the transaction was undone")

// Statement is one query of a batch. Parameters are written as ?, each used once.
type Statement struct {
	SQL  string
	Args []any
	// Into, when set, is the table, with its columns, that the statement inserts its Args into, each of which is a Column: a database that has a quicker
	// way for many rows may take it in place of SQL.
	Into string
	// Row, when set, is called for each row of the answer; scan copies its columns.
	Row func(scan func(dest ...any) error) error
}

// Database is what the shared store needs of a driver. Its errors are *fault.Error: Invalid and Internal mean that
// nothing was stored because of what was asked; Unavailable and Timeout, that it may be asked again.
type Database interface {
	// Read runs statements in one read-only transaction that sees one state, in one round trip.
	Read(ctx context.Context, statements ...Statement) error
	// Begin starts a write transaction. It takes no lock yet.
	Begin(ctx context.Context) (Tx, error)
	// Signals of commits that other processes made; hints. One that cannot be told of them gives one each second.
	Signals() <-chan struct{}
	Ping(ctx context.Context) error
	Close() error
}

// Tx is a write transaction. The store ends each with Commit or Rollback.
type Tx interface {
	// Run runs statements in one round trip; the first call, of Run or Commit, begins the transaction. Statements see what was
	// committed before them.
	Run(ctx context.Context, statements ...Statement) error
	// Commit runs statements and commits, in one round trip. After an error that is Unavailable or Timeout it is not
	// known whether it was committed, unless ErrUndone is in it.
	Commit(ctx context.Context, statements ...Statement) error
	// Rollback gives up. After Commit it does nothing.
	Rollback()
}

// Dialect is where the two databases' SQL differs.
type Dialect struct {
	// Numbered: parameters are $1, $2 … in place of ?, and carry their type where it cannot be inferred.
	Numbered bool
	// LockRow and ShareRow end a SELECT whose rows shall be locked until the transaction ends. Empty where a write
	// transaction excludes all others.
	LockRow, ShareRow string
	// Milliseconds is the database's time, an integer since 1970.
	Milliseconds string
	// OrRollback follows INSERT and UPDATE of many rows where a statement that fails halfway need not be undone by itself,
	// because the transaction is: that saves a copy of each page that it touches.
	OrRollback string
	// Elements are those of the JSON array p.changes, as rows with a column value.
	Elements string
	// ByIndex, when set, has the statements after it in a transaction find rows by their indexes, whatever the database
	// thinks of its tables' sizes.
	ByIndex string
	// Unhurried, when set, lifts the limit of time from the statements after it in a transaction: what they read is decoded while they run,
	// on a machine that may be busy.
	Unhurried string
	// Notify, when set, is a statement with one parameter, the new index, that wakes other processes at commit.
	Notify string
}
