package postgres

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"isthmus/fault"
	"isthmus/store/sqlstore"
)

// mapped makes a *fault.Error of what the driver says, by SQLSTATE.
func mapped(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return mappedState(e)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fault.Wrap(fault.Timeout, err, "the deadline passed before the store answered")
	case ctx.Err() != nil:
		return fault.Wrap(fault.Canceled, err, "the request was canceled")
	case errors.Is(err, context.Canceled):
		// Not the caller's doing: closing the pool ends the connections that are being made.
		return fault.Wrap(fault.Unavailable, err, "the connection to PostgreSQL was given up")
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return fault.Wrap(fault.Unavailable, err, "PostgreSQL cannot be reached")
	}
	return fault.Wrap(fault.Unavailable, err, "the connection to PostgreSQL failed")
}

// SQLSTATEs and classes (their first two characters) that mean something to callers.
const (
	stateLockNotAvailable = "55P03"
	stateQueryCanceled    = "57014"
	stateReadOnly         = "25006"
	stateIdleTransaction  = "25P03"
	classConnection       = "08"
	classData             = "22"
	classAuthorization    = "28"
	classCatalog          = "3D"
	classRollback         = "40"
	classResources        = "53"
	classLimit            = "54"
	classOperator         = "57"
	classSystem           = "58"
)

func mappedState(e *pgconn.PgError) *fault.Error {
	// A PgError's text may quote values (Detail); its message and state do not.
	cause := &stateError{state: e.Code, message: e.Message, constraint: e.ConstraintName, severity: cmp.Or(e.SeverityUnlocalized, e.Severity)}
	switch e.Code {
	case stateLockNotAvailable, stateQueryCanceled, stateIdleTransaction:
		return fault.Wrap(fault.Unavailable, cause, "PostgreSQL is too busy")
	case stateReadOnly:
		return fault.Wrap(fault.Unavailable, cause, "PostgreSQL is read-only, a standby perhaps")
	}
	switch e.Code[:min(2, len(e.Code))] {
	case classConnection, classOperator, classSystem, classResources:
		return fault.Wrap(fault.Unavailable, cause, "PostgreSQL is not available")
	case classAuthorization, classCatalog:
		return fault.Wrap(fault.Unavailable, cause, "PostgreSQL refuses the connection")
	case classRollback:
		return fault.Wrap(fault.Unavailable, cause, "PostgreSQL gave up the transaction")
	case classData, classLimit:
		return fault.Wrap(fault.Invalid, cause, "a value cannot be stored")
	}
	return fault.Wrap(fault.Internal, cause, "the store failed")
}

// stateError is a PgError without the values that it quotes.
type stateError struct{ state, message, constraint, severity string }

// Is tells that nothing was stored: a statement that fails ends its transaction, whose COMMIT is not looked at any more. What ends the
// connection (FATAL, PANIC, or what a pooler says of it as class 08) may come after it.
func (e *stateError) Is(target error) bool {
	return target == sqlstore.ErrUndone && e.severity == "ERROR" && !strings.HasPrefix(e.state, classConnection)
}

func (e *stateError) Error() string {
	text := "SQLSTATE " + e.state + ": " + e.message
	if e.constraint != "" {
		text += " (" + e.constraint + ")"
	}
	return text
}
