package postgres

import (
	"context"

	"github.com/hashicorp/go-hclog"

	"isthmus/store/sqlstore"
)

// OpenThrough opens the store over what through makes of its database.
func OpenThrough(ctx context.Context, url string, through func(sqlstore.Database) sqlstore.Database) (*sqlstore.Store, error) {
	log := hclog.NewNullLogger()
	d, err := open(ctx, url, log)
	if err != nil {
		return nil, err
	}
	return sqlstore.New(through(d), d.dialect(), log), nil
}
