package snapshot_test

import (
	"runtime"
	"testing"

	"github.com/hashicorp/go-hclog"

	"isthmus/resource"
	"isthmus/store"
	"isthmus/store/snapshot"
	"isthmus/store/sqlite"
	"isthmus/store/storetest"
)

// BenchmarkOpen loads 4,950 healthy peerings of 100 datacenters, and says what they take in memory.
func BenchmarkOpen(b *testing.B) {
	st, err := sqlite.Open(b.Context(), b.TempDir(), hclog.NewNullLogger())
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close() //nolint:errcheck // the benchmark is over
	w := store.Write{}
	for _, o := range storetest.Mesh(4_950) {
		w.Puts = append(w.Puts, store.Put{Object: o, Part: store.PartAll})
	}
	if _, err := st.Write(b.Context(), w); err != nil {
		b.Fatal(err)
	}
	w = store.Write{}
	var s *snapshot.Snapshot
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for b.Loop() {
		if s, err = snapshot.Open(b.Context(), st, hclog.NewNullLogger()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(heap()-before)/(1<<20), "MiB")
	runtime.KeepAlive(s)
}

// BenchmarkChange is one write of a status to the view that has it, among 4,950 peerings.
func BenchmarkChange(b *testing.B) {
	st, err := sqlite.Open(b.Context(), b.TempDir(), hclog.NewNullLogger())
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close() //nolint:errcheck // the benchmark is over
	mesh := storetest.Mesh(4_950)
	w := store.Write{}
	for _, o := range mesh {
		w.Puts = append(w.Puts, store.Put{Object: o, Part: store.PartAll})
	}
	if _, err := st.Write(b.Context(), w); err != nil {
		b.Fatal(err)
	}
	s, err := snapshot.Open(b.Context(), st, hclog.NewNullLogger())
	if err != nil {
		b.Fatal(err)
	}
	last := mesh[len(mesh)-1]
	for b.Loop() {
		if _, err := st.Write(b.Context(), store.Write{Puts: []store.Put{{Object: resource.Clone(last), Part: store.PartStatus}}}); err != nil {
			b.Fatal(err)
		}
		if err := s.Catchup(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
