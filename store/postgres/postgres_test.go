package postgres_test

import (
	"context"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pgx/v5"

	"isthmus/fault"
	"isthmus/store/postgres"
	"isthmus/store/storetest"
	"isthmus/test/pgtest"
)

func openStore(ctx context.Context, url string) (storetest.Backend, error) {
	s, err := postgres.Open(ctx, url, hclog.NewNullLogger())
	if err != nil {
		return nil, err
	}
	return s, nil
}

func execute(t *testing.T, url, query string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestStore(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	storetest.Run(t, storetest.Options{Replicas: true, ChildTest: "TestChild", New: func(t *testing.T) storetest.Database {
		t.Helper()
		url := server.Database(t)
		return storetest.Database{
			Target: url,
			Open:   func(ctx context.Context) (storetest.Backend, error) { return openStore(ctx, url) },
			Exec:   func(t *testing.T, query string) { t.Helper(); execute(t, url, query) },
		}
	}})
}

func TestChild(t *testing.T) { storetest.Child(t, openStore) } //nolint:paralleltest // it is a process of its own

func TestAddressIsNotQuoted(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"postgres://u:hunter2@[::1:5432/x", "postgres://u:hunter2@127.0.0.1:1/x?sslmode=disable", "host=127.0.0.1 port=1 password=hunter2", "hunter2"} {
		_, err := openStore(t.Context(), url)
		if code := fault.CodeOf(err); code != fault.Invalid && code != fault.Unavailable {
			t.Errorf("opening: %v", err)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error quotes the password")
		}
	}
}

func BenchmarkStore(b *testing.B) {
	server := pgtest.Start(b)
	storetest.Bench(b, func(b *testing.B) storetest.Backend {
		b.Helper()
		s, err := openStore(b.Context(), server.Database(b))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := s.Close(); err != nil {
				b.Error(err)
			}
		})
		return s
	})
}
