// Package migrations is the schema of the store's databases, step by step.
//
// Owns: the SQL files, embedded. The files of postgres and sqlite mirror each other: same numbers, same names, forward
// only. A release expands what the next one contracts; a migration that contracts raises revision.oldest to its own
// number, and older servers refuse to start. Does not own: queries (store/sqlstore). Start reading at Up.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"isthmus/fault"
)

//go:embed postgres/*.sql sqlite/*.sql
var files embed.FS

// Database is which database a schema is for.
type Database string

// The databases.
const (
	Postgres Database = "postgres"
	SQLite   Database = "sqlite"
)

// lockPeriod and lockTries bound how long replicas that start together wait for the one that migrates: two minutes.
const (
	lockPeriod = 1
	lockTries  = 120
)

// Files are a database's migrations.
func Files(d Database) fs.FS {
	sub, err := fs.Sub(files, string(d))
	if err != nil {
		panic("migrations: " + err.Error()) // the folders are embedded
	}
	return sub
}

// Newest is the number of the newest migration that this binary has.
func Newest(d Database) (int64, error) {
	entries, err := fs.ReadDir(Files(d), ".")
	if err != nil {
		return 0, fault.Wrap(fault.Internal, err, "listing migrations")
	}
	var newest int64
	for _, e := range entries {
		number, err := strconv.ParseInt(strings.SplitN(path.Base(e.Name()), "_", 2)[0], 10, 64)
		if err != nil {
			return 0, fault.Wrap(fault.Internal, err, "numbering migration %s", e.Name())
		}
		newest = max(newest, number)
	}
	return newest, nil
}

// Up brings the schema up to date. A schema that a newer isthmus made stays as it is, and is refused when that one says
// that this one cannot live with it.
func Up(ctx context.Context, d Database, db *sql.DB) error {
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	dialect := goose.DialectSQLite3
	if d == Postgres {
		dialect = goose.DialectPostgres
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(lockPeriod, lockTries))
		if err != nil {
			return fault.Wrap(fault.Internal, err, "preparing the migration lock")
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	provider, err := goose.NewProvider(dialect, db, Files(d), options...)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "reading migrations")
	}
	if _, err := provider.Up(ctx); err != nil {
		return fault.Wrap(fault.Unavailable, err, "migrating the database")
	}
	return checkOldest(ctx, d, db)
}

func checkOldest(ctx context.Context, d Database, db *sql.DB) error {
	newest, err := Newest(d)
	if err != nil {
		return err
	}
	var oldest int64
	if err := db.QueryRowContext(ctx, `SELECT oldest FROM revision`).Scan(&oldest); err != nil {
		return fault.Wrap(fault.Unavailable, err, "reading which servers the database allows")
	}
	if newest < oldest {
		return fault.New(fault.Refused,
			"the database was upgraded by a newer isthmus (schema %d) and this one is too old for it (schema %d): start a newer isthmus", oldest, newest)
	}
	return nil
}
