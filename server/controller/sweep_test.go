package controller_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/hashicorp/go-hclog"

	"isthmus/resource"
	"isthmus/server/controller"
	"isthmus/store"
	"isthmus/store/snapshot"
	"isthmus/store/sqlite"
)

// Sweeps go through all of a kind in turns, and begin again at its end; of a few they mark all each time.
func TestSweepsGoRound(t *testing.T) {
	t.Parallel()
	st, err := sqlite.Open(t.Context(), t.TempDir(), hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	f := &fleet{t: t, st: st}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		f.put(datacenter(name))
	}
	s, err := snapshot.Open(t.Context(), st, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	sweep := controller.NewSweeps()
	look := func(most int, want ...string) {
		t.Helper()
		if got := slices.Sorted(maps.Keys(sweep(s.View(), resource.KindDatacenter, most))); !slices.Equal(got, want) {
			t.Errorf("a sweep of %d marks %q, want %q", most, got, want)
		}
	}
	look(2, "a", "b")
	look(2, "c", "d")
	look(2, "a", "e")
	if _, err := st.Write(t.Context(), store.Write{Deletes: []store.Key{{Kind: resource.KindDatacenter, Name: "a"}, {Kind: resource.KindDatacenter, Name: "b"}}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Catchup(t.Context()); err != nil {
		t.Fatal(err)
	}
	look(2, "c", "d")
	look(3, "c", "d", "e")
	look(9, "c", "d", "e")
	look(9, "c", "d", "e")
}
