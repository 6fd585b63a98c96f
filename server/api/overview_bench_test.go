package api_test

import (
	"testing"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server/api"
)

// BenchmarkGetFleet is one look at 1,000 datacenters with 5,000 peerings.
func BenchmarkGetFleet(b *testing.B) {
	p := newPlace(b)
	p.ring(1000, 5, 50)
	b.ResetTimer()
	for b.Loop() {
		// One that nobody has asked for yet.
		p.Fleets = &api.Fleets{Snapshot: p.Snapshot, Observations: p.table, Now: p.clock.now}
		f := p.fleet()
		if len(f.GetDatacenters()) != 1000 || len(f.GetLinks()) != 5000 || f.GetDatacenters()[7].GetHealth() != "healthy" || f.GetLinks()[7].GetVerdict() != "healthy" {
			b.Fatalf("%d datacenters, %d links; %v, %v", len(f.GetDatacenters()), len(f.GetLinks()), f.GetDatacenters()[7], f.GetLinks()[7])
		}
	}
}

// BenchmarkListServices is one look at 50,000 services of 1,000 datacenters: all names, a few of them, and those of one datacenter.
func BenchmarkListServices(b *testing.B) {
	p := newPlace(b)
	p.ring(1000, 1, 50)
	for name, r := range map[string]*isthmusv1.ListServicesRequest{
		"all": {PageSize: 20}, "some": {Query: "service-00", PageSize: 5}, "datacenter": {Datacenter: "dc0007", PageSize: 5},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				found, err := p.ListServices(b.Context(), r)
				if err != nil || len(found.GetServices()) == 0 || len(found.GetServices()[0].GetPlaces()) != 1000 {
					b.Fatalf("%d services, %v", len(found.GetServices()), err)
				}
			}
		})
	}
}
