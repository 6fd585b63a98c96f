package storetest

import (
	"database/sql"
	"testing"

	"github.com/pressly/goose/v3"

	"isthmus/fault"
	"isthmus/migrations"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
)

// MigrateTo brings an empty database to the schema of an older isthmus.
func MigrateTo(t *testing.T, d migrations.Database, db *sql.DB, version int64) {
	t.Helper()
	dialect := goose.DialectSQLite3
	if d == migrations.Postgres {
		dialect = goose.DialectPostgres
	}
	provider, err := goose.NewProvider(dialect, db, migrations.Files(d), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// testUpgrade opens a database of the schema 2 with resources, claims, references and changes in it.
func testUpgrade(f *fixture) {
	t := f.t
	db := f.options.New(t)
	db.MigrateTo(t, 2)
	for _, query := range []string{
		`INSERT INTO resources (kind, name, uid, labels, generation, "index", spec, shape, datacenters) VALUES
			('Datacenter', 'a', 'a', '{}', 1, 1, '{"runtime":"vm"}', 'old', '["a"]'), ('Datacenter', 'b', 'b', '{}', 1, 1, '{"runtime":"vm"}', 'old', '["b"]'),
			('Peering', 'a-b', 'p', '{}', 1, 2, '{"acceptor":"a","dialer":"b"}', 'old', '["a","b"]')`,
		`INSERT INTO claims (scope, key, kind, name) VALUES ('peering-pair', 'a/b', 'Peering', 'a-b'), ('a "claim" of old', 'x', 'Peering', 'a-b')`,
		`INSERT INTO refs (from_kind, from_name, field, to_kind, to_name) VALUES
			('Peering', 'a-b', 'spec.acceptor', 'Datacenter', 'a'), ('Peering', 'a-b', 'spec.dialer', 'Datacenter', 'b')`,
		`INSERT INTO changes ("index", kind, name, uid, operation, part, datacenters) VALUES
			(1, 'Datacenter', 'a', 'a', 'put', 'all', '["a"]'), (1, 'Datacenter', 'b', 'b', 'put', 'all', '["b"]'), (2, 'Peering', 'a-b', 'p', 'put', 'all', '["a","b"]')`,
		`UPDATE revision SET "index" = 2`,
	} {
		db.Exec(t, query)
	}
	old := f.on(open(f.ctx, t, db))
	at := old.revision()
	if got := old.get(resource.KindPeering, "a-b").(*isthmusv1.Peering); got.GetSpec().GetDialer() != "b" || at.Index != 2 {
		t.Fatalf("at %+v there is %v", at, got)
	}
	if feed := old.changes(store.Revision{Epoch: at.Epoch, Index: 1}, 10); !feed.Reload {
		t.Fatalf("the feed before the upgrade is %+v", feed)
	}
	old.refused(fault.Referenced, store.Write{Deletes: []store.Key{datacenterKey("a")}})
	second := peering("b", "a")
	second.Name, second.Uid = "second", "second"
	old.refused(fault.AlreadyExists, store.Write{Puts: puts(second)})
	// All that it held goes with it, what this isthmus would not claim as well.
	old.write(store.Write{Deletes: []store.Key{peeringKey("a-b")}})
	db.Exec(t, `UPDATE revision SET "index" = "index" / (SELECT CASE count(*) WHEN 0 THEN 1 ELSE 0 END FROM claims)`)
	old.write(store.Write{Puts: puts(second)})
	old.write(store.Write{Deletes: []store.Key{peeringKey("second"), datacenterKey("a"), datacenterKey("b")}})
	if feed := old.changes(at, 10); feed.Reload || len(feed.Changes) != 5 {
		t.Fatalf("the feed after the upgrade is %+v", feed)
	}
}
