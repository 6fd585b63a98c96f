package federation_test

import (
	"fmt"
	"testing"

	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// large has a federation of n secondaries that have all joined, and have all proven each other's gateways.
func large(b *testing.B, n int) *world {
	b.Helper()
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("s%04d", i))
	}
	w := newWorld(names...)
	w.primaryRuns()
	w.step()
	all := append([]string{"dc1"}, names...)
	for _, dc := range all {
		report := w.seen[dc].Federation
		for _, other := range all {
			if other == dc {
				continue
			}
			report.Probes = append(report.Probes, &isthmusv1.ObservedProbe{Datacenter: other, Address: other + ".example:8443", Ok: true})
			report.Reads = append(report.Reads, &isthmusv1.ObservedRead{Datacenter: other, Ok: true})
		}
		m := w.member(dc)
		m.Phase, m.WasJoined = resource.PhaseJoined, true
		if dc != "dc1" {
			m.Bundle = &isthmusv1.BundleEntry{Generation: 1, SecretDigest: dc}
			w.apply(dc)
		}
	}
	for range 3 {
		w.step()
	}
	return w
}

// BenchmarkNext is what the state machine costs each time when anything is said of a federation.
func BenchmarkNext(b *testing.B) {
	for _, n := range []int{50, 200, 800} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := large(b, n)
			if w.f.GetStatus().GetJoined() != int32(n) {
				b.Fatalf("%d joined, %v", w.f.GetStatus().GetJoined(), w.member("s0000"))
			}
			b.ReportAllocs()
			for b.Loop() {
				federation.Next(w, w.f, w.evidence(), w.now)
			}
		})
	}
}
