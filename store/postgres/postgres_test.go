package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pgx/v5"

	"isthmus/fault"
	"isthmus/migrations"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
	"isthmus/store/postgres"
	"isthmus/store/sqlstore"
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
			MigrateTo: func(t *testing.T, version int64) {
				t.Helper()
				db, err := sql.Open("pgx", url)
				if err != nil {
					t.Fatal(err)
				}
				storetest.MigrateTo(t, migrations.Postgres, db, version)
			},
		}
	}})
}

func TestChild(t *testing.T) { //nolint:paralleltest // it is a process of its own
	storetest.Child(t, func(ctx context.Context, target string, through storetest.Through) (storetest.Backend, error) {
		s, err := postgres.OpenThrough(ctx, target, through)
		if err != nil {
			return nil, err
		}
		return s, nil
	})
}

// TestCrash pulls PostgreSQL's plug while eight writers write: what was acknowledged is there when it is back, and the
// store goes on by itself.
func TestCrash(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	st, err := openStore(t.Context(), server.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	write := func(name string) (store.Revision, error) {
		return st.Write(t.Context(), store.Write{Puts: []store.Put{{
			Object: &isthmusv1.Datacenter{Name: name, Uid: name, Spec: &isthmusv1.DatacenterSpec{Runtime: "vm"}}, Part: store.PartAll,
		}}})
	}
	var acknowledged sync.Map
	var count atomic.Int32
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() {
			for n := 0; ; n++ {
				name := fmt.Sprintf("w%d-%d", i, n)
				r, err := write(name)
				if err != nil {
					if code := fault.CodeOf(err); code != fault.Unavailable && code != fault.Timeout {
						t.Errorf("writing during the crash: %v", err)
					}
					return
				}
				acknowledged.Store(name, r.Index)
				count.Add(1)
			}
		})
	}
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for count.Load() < 200 {
		<-poll.C
	}
	server.Crash(t)
	writers.Wait()
	server.Restart(t)
	for tries := 0; ; tries++ {
		if _, err := write("after"); err == nil {
			break
		} else if tries > 100 {
			t.Fatalf("the store does not recover: %v", err)
		}
		<-poll.C
	}
	acknowledged.Range(func(name, index any) bool {
		o, _, err := st.Get(t.Context(), store.Key{Kind: resource.KindDatacenter, Name: name.(string)})
		if err != nil || o.GetIndex() != index.(uint64) {
			t.Errorf("%v was acknowledged at %v: %v, %v", name, index, o, err)
		}
		return true
	})
}

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

// sleepy has the database take its time before the last statement of each reading.
type sleepy struct{ sqlstore.Database }

func (d sleepy) Read(ctx context.Context, statements ...sqlstore.Statement) error {
	last := len(statements) - 1
	return d.Database.Read(ctx, slices.Insert(slices.Clone(statements), last, sqlstore.Statement{SQL: `SELECT pg_sleep(0.5)`})...)
}

// A server that cannot load its fleet does not start: on a busy machine that takes the time that it takes.
func TestLoadTakesItsTime(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t).Database(t)
	sign := "?"
	if strings.Contains(url, sign) {
		sign = "&"
	}
	s, err := postgres.OpenThrough(t.Context(), url+sign+"statement_timeout=200", func(d sqlstore.Database) sqlstore.Database { return sleepy{d} })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := s.Load(t.Context(), func(resource.Object) error { return nil }); err != nil {
		t.Errorf("Load: %v", err)
	}
	if _, err := s.Changes(t.Context(), store.Revision{}, 1); err == nil {
		t.Error("another reading has no limit")
	}
}

// While nobody can listen for other servers' commits, readers are woken again and again, so that they look.
func TestWhoCannotListenLooks(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	url, other := server.Database(t), server.Database(t)
	st, err := postgres.Open(t.Context(), url, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	execute(t, other, fmt.Sprintf("ALTER DATABASE %s ALLOW_CONNECTIONS false", config.Database))
	execute(t, other, fmt.Sprintf("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s'", config.Database))
	for range 3 {
		select {
		case <-st.Wake():
		case <-time.After(time.Minute):
			t.Fatal("nobody is woken")
		}
	}
}
