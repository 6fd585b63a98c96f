package sqlite_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"isthmus/fault"
	"isthmus/migrations"
	"isthmus/store"
	"isthmus/store/sqlite"
	"isthmus/store/storetest"
)

func openStore(ctx context.Context, dir string) (storetest.Backend, error) {
	s, err := sqlite.Open(ctx, dir, hclog.NewNullLogger())
	if err != nil {
		return nil, err
	}
	return s, nil
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Options{ChildTest: "TestChild", New: func(t *testing.T) storetest.Database {
		t.Helper()
		dir := t.TempDir()
		return storetest.Database{
			Target: dir,
			Open:   func(ctx context.Context) (storetest.Backend, error) { return openStore(ctx, dir) },
			Exec: func(t *testing.T, query string) {
				t.Helper()
				db, err := sql.Open("sqlite", filepath.Join(dir, sqlite.File)+"?_pragma=busy_timeout(5000)")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := db.ExecContext(t.Context(), query); err != nil {
					t.Fatalf("%s: %v", query, err)
				}
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
			},
			MigrateTo: func(t *testing.T, version int64) {
				t.Helper()
				db, err := sql.Open("sqlite", filepath.Join(dir, sqlite.File))
				if err != nil {
					t.Fatal(err)
				}
				storetest.MigrateTo(t, migrations.SQLite, db, version)
			},
		}
	}})
}

func TestChild(t *testing.T) { //nolint:paralleltest // it is a process of its own
	storetest.Child(t, func(ctx context.Context, target string, through storetest.Through) (storetest.Backend, error) {
		s, err := sqlite.OpenThrough(ctx, target, through)
		if err != nil {
			return nil, err
		}
		return s, nil
	})
}

// TestWriterSyncs: each commit is on disk before it is acknowledged. Killing a process does not show it, only a power cut.
func TestWriterSyncs(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"journal_mode": "wal", "synchronous": "2"} {
		if got, err := sqlite.WriterPragma(t.Context(), t.TempDir(), name); err != nil || got != want {
			t.Errorf("%s is %q, want %q: %v", name, got, want, err)
		}
	}
}

// TestObservationsThatChangeNothing write nothing.
func TestObservationsThatChangeNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := openStore(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	full := store.Observation{Datacenter: "dc1", Part: "inventory", Agent: "a", Digest: "d", Body: []byte(`{}`), ReceiveTime: at, HeardTime: at}
	heard := store.Observation{Datacenter: "dc1", Part: "inventory", HeardTime: at}
	written := func(observations ...store.Observation) int64 {
		t.Helper()
		size := func() int64 {
			info, err := os.Stat(filepath.Join(dir, sqlite.File+"-wal"))
			if err != nil {
				t.Fatal(err)
			}
			return info.Size()
		}
		before := size()
		if err := s.Observe(t.Context(), observations); err != nil {
			t.Fatal(err)
		}
		return size() - before
	}
	if written(full) == 0 {
		t.Error("an observation is not written")
	}
	if n := written(full) + written(heard) + written(full, heard); n != 0 {
		t.Errorf("observations that change nothing write %d bytes", n)
	}
	heard.HeardTime = at.Add(time.Second)
	if written(heard) == 0 {
		t.Error("a later time is not written")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSecondServerIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := openStore(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openStore(t.Context(), dir); fault.CodeOf(err) != fault.Refused {
		t.Fatalf("a second server: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := openStore(t.Context(), dir)
	if err != nil {
		t.Fatalf("after the first has closed: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFilesAreForTheirOwnerOnly(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data with spaces & more%41?")
	s, err := openStore(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) < 3 {
		t.Fatalf("%d files: %v", len(entries), err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v: %v", e.Name(), info.Mode(), err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v: %v", info.Mode(), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkStore(b *testing.B) {
	storetest.Bench(b, func(b *testing.B, through storetest.Through) storetest.Subject {
		b.Helper()
		s, err := sqlite.OpenThrough(b.Context(), b.TempDir(), through)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := s.Close(); err != nil {
				b.Error(err)
			}
		})
		return storetest.Subject{Backend: s}
	})
}
