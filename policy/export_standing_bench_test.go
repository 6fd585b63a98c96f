package policy_test

import (
	"fmt"
	"testing"

	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource/resourcetest"
)

// BenchmarkExportStanding is what a report of one exporter costs, each time in a new view: of a hub that exports to so many peers, and of one of
// so many exporters with a peer each.
func BenchmarkExportStanding(b *testing.B) {
	for _, n := range []int{100, 2000} {
		hub, many := resourcetest.New(datacenter("hub", "hub")), resourcetest.New(datacenter("peer", "prod"))
		toAll, ofAll := export("web", "web", []string{"hub"}, everyone()), export("web", "web", nil, everyone())
		ofAll.Spec.Selector = "env=spoke"
		hub.Put(toAll)
		many.Put(ofAll)
		written := &isthmusv1.ObservedExport{Name: "web", Namespace: "default", State: "applied"}
		for i := range n {
			name := fmt.Sprintf("dc%04d", i)
			hub.Put(datacenter(name, "prod"), peering("hub", name))
			many.Put(datacenter(name, "spoke"), peering(name, "peer"))
			if i > 0 {
				written.Peers = append(written.Peers, name)
			}
		}
		reported := func(string) (*isthmusv1.ExportsReport, bool) {
			return &isthmusv1.ExportsReport{Exports: []*isthmusv1.ObservedExport{written}}, true
		}
		run := func(name string, f *resourcetest.Fleet, e *isthmusv1.ServiceExport, at string) {
			b.Run(fmt.Sprintf("%s=%d", name, n), func(b *testing.B) {
				s, x := &policy.ExportStanding{}, policy.NewExportings()
				s.Status(f, e, policy.Look{All: true}, x, reported, noon)
				b.ReportAllocs()
				for b.Loop() {
					s.Status(&resourcetest.View{Fleet: f}, e, policy.Look{Homes: map[string]bool{at: true}}, x, reported, noon)
				}
			})
		}
		run("peers", hub, toAll, "hub")
		run("exporters", many, ofAll, "dc0007")
	}
}
