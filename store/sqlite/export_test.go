package sqlite

import (
	"context"

	"github.com/hashicorp/go-hclog"

	"isthmus/store/sqlstore"
)

// OpenThrough opens the store over what through makes of its database.
func OpenThrough(ctx context.Context, dir string, through func(sqlstore.Database) sqlstore.Database) (*sqlstore.Store, error) {
	db, err := openLocked(ctx, dir)
	if err != nil {
		return nil, err
	}
	return sqlstore.New(through(db), dialect(), hclog.NewNullLogger()), nil
}

// WriterPragma is a setting of the connection that writes, in a fresh database.
func WriterPragma(ctx context.Context, dir, name string) (value string, err error) {
	d, err := open(ctx, dir)
	if err != nil {
		return "", err
	}
	if err := d.conn.QueryRowContext(ctx, "PRAGMA "+name).Scan(&value); err != nil {
		return "", err
	}
	return value, d.Close()
}
