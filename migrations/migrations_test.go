package migrations_test

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	"isthmus/migrations"
)

func list(t *testing.T, d migrations.Database) []string {
	t.Helper()
	entries, err := fs.ReadDir(migrations.Files(d), ".")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestMirrored: a query that works on one schema works on the other.
func TestMirrored(t *testing.T) {
	t.Parallel()
	postgres, sqlite := list(t, migrations.Postgres), list(t, migrations.SQLite)
	if !slices.Equal(postgres, sqlite) || len(postgres) == 0 {
		t.Fatalf("the migrations do not mirror each other:\npostgres %v\nsqlite   %v", postgres, sqlite)
	}
	for _, name := range postgres {
		if a, b := objects(t, migrations.Postgres, name), objects(t, migrations.SQLite, name); !slices.Equal(a, b) {
			t.Errorf("%s makes different things:\npostgres %v\nsqlite   %v", name, a, b)
		}
	}
}

// objects are the statements of a migration without their types. Those after a comment "Differs:" are one database's own.
func objects(t *testing.T, d migrations.Database, name string) []string {
	t.Helper()
	text, err := fs.ReadFile(migrations.Files(d), name)
	if err != nil {
		t.Fatal(err)
	}
	types := regexp.MustCompile(`(?i) (text COLLATE "C"|text\b|jsonb\b|bytea\b|blob\b|bigint\b|integer\b)`)
	value := regexp.MustCompile(`VALUES \(1, .*\(.*\)`)
	own := regexp.MustCompile(`(?ms)^-- Differs:.*?;$`)
	var out []string
	for line := range strings.Lines(strings.ReplaceAll(own.ReplaceAllString(string(text), ""), " WITHOUT ROWID", "")) {
		line = value.ReplaceAllString(types.ReplaceAllString(strings.TrimSpace(line), ""), "VALUES (1, EPOCH")
		if line != "" && !strings.HasPrefix(line, "--") {
			out = append(out, strings.ReplaceAll(strings.Join(strings.Fields(line), " "), " ,", ","))
		}
	}
	return out
}

func TestForwardOnly(t *testing.T) {
	t.Parallel()
	for _, d := range []migrations.Database{migrations.Postgres, migrations.SQLite} {
		for i, name := range list(t, d) {
			text, err := fs.ReadFile(migrations.Files(d), name)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), "+goose Down") {
				t.Errorf("%s/%s goes back: a database is restored from a backup instead", d, name)
			}
			if !strings.HasPrefix(name, fmt.Sprintf("%05d_", i+1)) {
				t.Errorf("%s/%s: numbers have five digits and no gaps", d, name)
			}
		}
		if newest, err := migrations.Newest(d); err != nil || int(newest) != len(list(t, d)) {
			t.Errorf("%s: the newest migration is %d: %v", d, newest, err)
		}
	}
}
