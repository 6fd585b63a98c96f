package sqlite

import (
	"context"
	"errors"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"isthmus/fault"
)

// mapped makes a *fault.Error of what the driver says, by SQLite's code.
func mapped(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fault.Wrap(fault.Timeout, err, "the deadline passed before the store answered")
	case errors.Is(err, context.Canceled), ctx.Err() != nil:
		return fault.Wrap(fault.Canceled, err, "the request was canceled")
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return fault.Wrap(fault.Internal, err, "the store failed")
	}
	// The low byte is the primary code, what is above it details it.
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fault.Wrap(fault.Unavailable, err, "the database is busy")
	case sqlite3.SQLITE_FULL:
		return fault.Wrap(fault.Unavailable, err, "the disk of the data directory is full")
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return fault.Wrap(fault.Unavailable, err, "the database file cannot be read or written")
	case sqlite3.SQLITE_TOOBIG:
		return fault.Wrap(fault.Invalid, err, "a value is too large for the store")
	}
	return fault.Wrap(fault.Internal, err, "the store failed")
}
