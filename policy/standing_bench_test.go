package policy_test

import (
	"fmt"
	"testing"

	"isthmus/policy"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
)

// BenchmarkStanding is what a change costs of 1,000 datacenters with an Intention each and one of all, each time in a new view.
func BenchmarkStanding(b *testing.B) {
	f := resourcetest.New()
	for n := range 1000 {
		name := fmt.Sprintf("dc%04d", n)
		f.Put(datacenter(name, "prod"), intention("only-"+name, "web@"+name, "api=allow"))
	}
	f.Put(intention("everywhere", "db@[env=prod]", "api=allow"))
	all, _ := f.Get(resource.KindIntention, "everywhere")
	one, _ := f.Get(resource.KindIntention, "only-dc0007")
	f.List(resource.KindIntention)
	b.Run("plan of all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			v := &resourcetest.View{Fleet: f}
			for n := range 1000 {
				if got := len(policy.Entries(v, fmt.Sprintf("dc%04d", n)).GetEntries()); got != 2 {
					b.Fatalf("%d entries", got)
				}
			}
		}
	})
	b.Run("admission of all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if got := policy.Check(&resourcetest.View{Fleet: f}, all); len(got) > 0 {
				b.Fatal(got)
			}
		}
	})
	b.Run("status of all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			policy.StatusOf(&resourcetest.View{Fleet: f}, all, silence, noon)
		}
	})
	b.Run("homes of all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			policy.Homes(&resourcetest.View{Fleet: f}, all)
		}
	})
	b.Run("status of one home of all", func(b *testing.B) {
		b.ReportAllocs()
		s := &policy.Standing{}
		s.Status(f, all, policy.Look{All: true}, silence, noon)
		for b.Loop() {
			s.Status(&resourcetest.View{Fleet: f}, all, policy.Look{Homes: map[string]bool{"dc0500": true}}, silence, noon)
		}
	})
	b.Run("affected by one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			v := &resourcetest.View{Fleet: f}
			for range policy.Affected(v, v, one, one, false) {
				continue
			}
		}
	})
}
