package api_test

import (
	"testing"
)

// BenchmarkGetFleet is one look at 1,000 datacenters with 5,000 peerings.
func BenchmarkGetFleet(b *testing.B) {
	p := newPlace(b)
	p.ring(1000, 5, 50)
	b.ResetTimer()
	for b.Loop() {
		f := p.fleet()
		if len(f.GetDatacenters()) != 1000 || len(f.GetLinks()) != 5000 || f.GetDatacenters()[7].GetHealth() != "healthy" || f.GetLinks()[7].GetVerdict() != "healthy" {
			b.Fatalf("%d datacenters, %d links; %v, %v", len(f.GetDatacenters()), len(f.GetLinks()), f.GetDatacenters()[7], f.GetLinks()[7])
		}
	}
}
