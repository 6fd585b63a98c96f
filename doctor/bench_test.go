package doctor_test

import (
	"fmt"
	"testing"

	"isthmus/doctor"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// BenchmarkChecks asks everything of a fleet of 1,000 datacenters: 100 in one federation, each of which reaches all others, and 900 that are
// peered with its primary.
func BenchmarkChecks(b *testing.B) {
	w := healthy()
	f, _ := resource.Lookup[*isthmusv1.Federation](w, resource.KindFederation, "global")
	f = resource.Clone(f)
	var members []string
	for i := 4; i <= 1000; i++ {
		dc := fmt.Sprintf("dc%d", i)
		w.add(dc, byte('4'))
		if i <= 101 {
			members = append(members, dc)
			f.Spec.Secondaries = append(f.Spec.Secondaries, dc)
			m := resource.Clone(&isthmusv1.Federation{Status: &isthmusv1.FederationStatus{Members: f.Status.Members[1:2]}}).Status.Members[0]
			m.Datacenter, m.ConsulDatacenter = dc, dc
			f.Status.Members = append(f.Status.Members, m)
			continue
		}
		w.Put(&isthmusv1.Peering{Name: "dc1-" + dc, Uid: dc, Spec: &isthmusv1.PeeringSpec{Acceptor: "dc1", Dialer: dc}})
		w.evidence.Connections = append(w.evidence.Connections, &isthmusv1.Connection{Kind: "peering", Name: "dc1-" + dc, A: "dc1", B: dc, Verdict: "healthy"})
	}
	w.Put(f)
	for _, from := range members {
		w.see(from, func(s *doctor.Seen) {
			for _, to := range members {
				if to != from {
					s.Federation.Probes = append(s.Federation.Probes, &isthmusv1.ObservedProbe{Datacenter: to, Address: "198.51.100.4:8443", Ok: true})
				}
			}
		})
	}
	b.ReportAllocs()
	for b.Loop() {
		if checks := w.checks(); len(checks) < 1000 {
			b.Fatalf("%d checks", len(checks))
		}
	}
}
