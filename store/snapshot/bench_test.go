package snapshot_test

import (
	"runtime"
	"testing"

	"github.com/hashicorp/go-hclog"

	"isthmus/resource"
	"isthmus/store"
	"isthmus/store/snapshot"
	"isthmus/store/sqlite"
	"isthmus/store/sqlstore"
	"isthmus/store/storetest"
)

// mesh is a store with 4,950 healthy peerings of 100 datacenters, and the last of them.
func mesh(b *testing.B) (*sqlstore.Store, resource.Object) {
	b.Helper()
	st, err := sqlite.Open(b.Context(), b.TempDir(), hclog.NewNullLogger())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := st.Close(); err != nil {
			b.Error(err)
		}
	})
	w := store.Write{}
	for _, o := range storetest.Mesh(4_950) {
		w.Puts = append(w.Puts, store.Put{Object: o, Part: store.PartAll})
	}
	if _, err := st.Write(b.Context(), w); err != nil {
		b.Fatal(err)
	}
	return st, resource.Clone(w.Puts[len(w.Puts)-1].Object)
}

// BenchmarkOpen loads the mesh, and says what it takes in memory.
func BenchmarkOpen(b *testing.B) {
	st, _ := mesh(b)
	heap := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	before := heap()
	var s *snapshot.Snapshot
	for b.Loop() {
		var err error
		if s, err = snapshot.Open(b.Context(), st, hclog.NewNullLogger()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric((heap()-before)/(1<<20), "MiB")
	runtime.KeepAlive(s)
}

// BenchmarkChange is one write of a status to the view that has it, among the mesh.
func BenchmarkChange(b *testing.B) {
	st, last := mesh(b)
	s, err := snapshot.Open(b.Context(), st, hclog.NewNullLogger())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := st.Write(b.Context(), store.Write{Puts: []store.Put{{Object: last, Part: store.PartStatus}}}); err != nil {
			b.Fatal(err)
		}
		if err := s.Catchup(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
