package postgres_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"isthmus/store/postgres"
	"isthmus/store/storetest"
	"isthmus/test/pgtest"
)

func BenchmarkStore(b *testing.B) {
	server := pgtest.Start(b)
	storetest.Bench(b, func(b *testing.B, through storetest.Through) storetest.Subject {
		b.Helper()
		url := server.Database(b)
		s, err := postgres.OpenThrough(b.Context(), url, through)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := s.Close(); err != nil {
				b.Error(err)
			}
		})
		return storetest.Subject{Backend: s, Processor: func() time.Duration { return processor(b, url) }}
	})
}

// processor is the time that PostgreSQL's processes have used so far, those that have ended left out.
func processor(b *testing.B, url string) time.Duration {
	b.Helper()
	ctx := context.WithoutCancel(b.Context())
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		b.Fatal(err)
	}
	rows, err := conn.Query(ctx, "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
	if err != nil {
		b.Fatal(err)
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		b.Fatal(err)
	}
	var total time.Duration
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
		if err != nil {
			continue // it has ended
		}
		var used int64
		if _, err := fmt.Sscan(string(text), &used); err != nil {
			b.Fatal(err)
		}
		total += time.Duration(used)
	}
	if err := conn.Close(ctx); err != nil {
		b.Fatal(err)
	}
	return total
}
