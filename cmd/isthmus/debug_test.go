package main_test

import (
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A profile is a file for its owner alone, and pprof reads it.
func TestProfileCommand(t *testing.T) {
	t.Parallel()
	environment := realServer(t)
	for _, what := range []string{"cpu", "heap", "goroutine"} {
		out := filepath.Join(t.TempDir(), "server.pprof")
		got := runNow(t, environment, "", "debug", "profile", what, "--seconds", "1", "--out", out)
		if got.code != 0 || !strings.Contains(got.out, "go tool pprof -top "+out) {
			t.Fatalf("%s: code %d\n%s%s", what, got.code, got.out, got.err)
		}
		info, err := os.Stat(out)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%s: %v %v", what, info, err)
		}
		file, err := os.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := gzip.NewReader(file); err != nil {
			t.Errorf("%s is no profile: %v", what, err)
		}
		_ = file.Close()
	}
	refused(t, environment, "", []string{"nonsense"}, "debug", "profile", "nonsense")
	refused(t, environment, "", []string{"--seconds"}, "debug", "profile", "cpu", "--seconds", "0")
	refused(t, environment, "", []string{"seconds", "from 1 to 120"}, "debug", "profile", "cpu", "--seconds", "121")
}
