package sqlite_test

import (
	"testing"

	"github.com/hashicorp/go-hclog"

	"isthmus/store/sqlite"
)

// A data directory may be given as it is typed: beside where one stands.
func TestRelativeDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	for range 2 {
		s, err := sqlite.Open(t.Context(), "server", hclog.NewNullLogger())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
