package pgtest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Standby keeps what some tables of a database have now, as a standby does that gets nothing more. What it returns promotes it: the tables
// have that again, under whoever is connected, at once. They are locked meanwhile, in
// the order in which they are given: it should be that of whoever is connected.
func Standby(tb testing.TB, url string, tables ...string) (promote func(tb testing.TB)) {
	tb.Helper()
	exec := func(tb testing.TB, each string) {
		tb.Helper()
		all := []string{"BEGIN", "LOCK TABLE " + strings.Join(tables, ", ")}
		for _, table := range tables {
			all = append(all, fmt.Sprintf(each, table))
		}
		conn, err := pgx.Connect(tb.Context(), url)
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := conn.Exec(tb.Context(), strings.Join(append(all, "COMMIT"), "; ")); err != nil {
			tb.Fatal(err)
		}
		if err := conn.Close(tb.Context()); err != nil {
			tb.Fatal(err)
		}
	}
	exec(tb, `CREATE TABLE standby_%[1]s AS TABLE %[1]s`)
	return func(tb testing.TB) {
		tb.Helper()
		exec(tb, `DELETE FROM %[1]s; INSERT INTO %[1]s SELECT * FROM standby_%[1]s`)
	}
}
