package policy_test

import (
	"fmt"
	"testing"

	"isthmus/policy"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
)

// BenchmarkTraffic compiles 200 policies for a hub with 1,000 peers, each of which fails over to all of them, those of its region first.
func BenchmarkTraffic(b *testing.B) {
	f := resourcetest.New(in("eu", "hub"))
	for n := range 1000 {
		name := fmt.Sprintf("dc%04d", n)
		f.Put(in([]string{"us", "eu"}[n%2], name), peering("hub", name))
	}
	for n := range 200 {
		f.Put(traffic(b, fmt.Sprintf("p%d", n), fmt.Sprintf(`service: s%d, datacenters: [hub], failover: [{selector: env=prod, sameLabel: region}]`, n)))
	}
	one, _ := f.Get(resource.KindTrafficPolicy, "p7")
	b.Run("entries", func(b *testing.B) {
		for b.Loop() {
			if got := len(policy.Entries(f, "hub").GetEntries()); got != 200 {
				b.Fatalf("%d entries", got)
			}
		}
	})
	b.Run("admission", func(b *testing.B) {
		for b.Loop() {
			if got := policy.Check(f, one); len(got) > 0 {
				b.Fatal(got)
			}
		}
	})
}
