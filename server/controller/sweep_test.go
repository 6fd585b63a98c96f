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

// declared are a store with some datacenters, and its snapshot.
func declared(t *testing.T, names ...string) (store.Store, *snapshot.Snapshot) {
	t.Helper()
	st, err := sqlite.Open(t.Context(), t.TempDir(), hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	f := &fleet{t: t, st: st}
	for _, name := range names {
		f.put(datacenter(name))
	}
	s, err := snapshot.Open(t.Context(), st, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	return st, s
}

// Sweeps go through all of a kind in turns, and begin again at its end; of a few they mark all each time.
func TestSweepsGoRound(t *testing.T) {
	t.Parallel()
	st, s := declared(t, "a", "b", "c", "d", "e")
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

// What has chosen much is swept the more seldom; nothing is left out for ever, and of a few small ones all are swept each time.
func TestSweepsCostTheSameInALargeFleet(t *testing.T) {
	t.Parallel()
	_, s := declared(t, "a", "b", "c", "d")
	sizes := map[store.Key]int{}
	for name, size := range map[string]int{"a": 2500, "b": 10, "c": 0, "d": 900} {
		sizes[store.Key{Kind: resource.KindDatacenter, Name: name}] = size
	}
	sweep := controller.NewStandingSweeps(sizes)
	for i, want := range [][]string{{"a"}, nil, {"b", "c", "d"}, {"a"}, nil, {"b", "c", "d"}, {"a"}} {
		if got := sweep(s.View(), resource.KindDatacenter); !slices.Equal(got, want) {
			t.Errorf("sweep %d marks %q, want %q", i, got, want)
		}
	}
	few := controller.NewStandingSweeps(map[store.Key]int{})
	for range 2 {
		if got := few(s.View(), resource.KindDatacenter); !slices.Equal(got, []string{"a", "b", "c", "d"}) {
			t.Errorf("of a few small ones %q are marked", got)
		}
	}
}
