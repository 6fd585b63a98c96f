package secretfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"isthmus/fault"
	"isthmus/secretfile"
)

func TestWriteIsForTheOwnerOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys", "fleet.key")
	for _, want := range []string{"first", "second"} {
		if err := secretfile.Write(path, []byte(want)); err != nil {
			t.Fatal(err)
		}
		got, err := secretfile.Read(path)
		if err != nil || string(got) != want {
			t.Fatalf("read %q, %v; want %q", got, err, want)
		}
	}
	for name, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("mode of %s is %v (%v), want %v", name, info.Mode().Perm(), err, want)
		}
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestReadRefusesWhatOthersCanRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	if err := secretfile.Write(path, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := secretfile.Read(path); fault.CodeOf(err) != fault.Refused {
		t.Errorf("got %v, want it refused", err)
	}
	if _, err := secretfile.Read(path + "x"); !errors.Is(err, fs.ErrNotExist) || fault.CodeOf(err) != fault.NotFound {
		t.Errorf("got %v, want that it does not exist", err)
	}
	if _, err := secretfile.Read(filepath.Dir(path)); fault.CodeOf(err) != fault.Refused {
		t.Errorf("got %v for a directory, want it refused", err)
	}
}

func TestCreateHasOneWinner(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	if err := secretfile.Create(path, []byte("x")); err != nil {
		t.Fatal(err)
	}
	var made atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := secretfile.Create(path, []byte("y")); err == nil {
				made.Add(1)
			} else if fault.CodeOf(err) != fault.AlreadyExists {
				t.Errorf("got %v, want that it exists", err)
			}
		})
	}
	wg.Wait()
	got, err := secretfile.Read(path)
	if made.Load() != 0 || string(got) != "x" || err != nil {
		t.Errorf("%d overwrote it: %q, %v", made.Load(), got, err)
	}
}
