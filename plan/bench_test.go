package plan_test

import (
	"fmt"
	"slices"
	"testing"

	"isthmus/peering"
	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
)

// large is a fleet of n datacenters with an agent each, one group of all of them, and an export of one service.
func large(n int) (*resourcetest.Fleet, *isthmusv1.PeeringGroup) {
	group := &isthmusv1.PeeringGroup{Name: "mesh", Spec: &isthmusv1.PeeringGroupSpec{Shape: "full-mesh", Selector: "env=prod"}}
	f := resourcetest.New(group, &isthmusv1.ServiceExport{Name: "web", Spec: &isthmusv1.ServiceExportSpec{
		Service: "web", Selector: "env=prod", Consumers: &isthmusv1.ExportConsumers{Selector: "env=prod"},
	}})
	for i := range n {
		name := fmt.Sprintf("dc%03d", i)
		f.Put(datacenter(name, "prod"), agent(name+"-a", name, "fleet"))
	}
	return f, group
}

// BenchmarkExpandMesh expands a full mesh of 300 datacenters: 44,850 peerings.
func BenchmarkExpandMesh(b *testing.B) {
	f, group := large(300)
	b.ReportAllocs()
	for b.Loop() {
		if x := peering.Expand(f, group); len(x.Create) != 44850 {
			b.Fatal(len(x.Create))
		}
	}
}

// BenchmarkExpandUnchanged is the same when all 44,850 are there: what the controller pays when one of them changes.
func BenchmarkExpandUnchanged(b *testing.B) {
	f, group := large(300)
	for _, p := range peering.Expand(f, group).Create {
		f.Put(p)
	}
	b.ReportAllocs()
	for b.Loop() {
		if x := peering.Expand(f, group); len(x.Owned) != 44850 {
			b.Fatal(len(x.Owned))
		}
	}
}

// BenchmarkPlanMesh plans all 300 datacenters of a full mesh, and digests the plans.
func BenchmarkPlanMesh(b *testing.B) {
	f, group := large(300)
	for _, p := range peering.Expand(f, group).Create {
		p.Uid = p.GetName()
		f.Put(p)
	}
	b.ReportAllocs()
	for b.Loop() {
		for dc := range resource.All[*isthmusv1.Datacenter](f, resource.KindDatacenter) {
			state, _ := plan.For(f, dc.GetName(), plan.Features())
			if len(state.GetItems()) != 301 || plan.Digest(state) == "" {
				b.Fatal(len(state.GetItems()))
			}
		}
	}
}

// BenchmarkTouchedFederation is what a change of one member's phase costs before any plan is made: 200 secondaries by name, and 1,000 by
// labels, in a fleet of 1,000.
func BenchmarkTouchedFederation(b *testing.B) {
	for _, secondaries := range []int{200, 1000} {
		b.Run(fmt.Sprint(secondaries), func(b *testing.B) {
			f, _ := large(1000)
			before := &isthmusv1.Federation{Name: "global", Spec: &isthmusv1.FederationSpec{Primary: "dc000"}, Status: &isthmusv1.FederationStatus{}}
			for i := range secondaries {
				before.Status.Members = append(before.Status.Members, &isthmusv1.FederationMember{Datacenter: fmt.Sprintf("dc%03d", i)})
			}
			if secondaries == 1000 {
				before.Spec.SecondarySelector = "env=prod"
			} else {
				for _, m := range before.Status.Members[1:] {
					before.Spec.Secondaries = append(before.Spec.Secondaries, m.GetDatacenter())
				}
			}
			after := resource.Clone(before)
			after.Status.Members[7].Phase = resource.PhaseJoined
			f.Put(after)
			b.ReportAllocs()
			for b.Loop() {
				touched := map[string]bool{}
				for datacenter := range plan.Touched(f, before, after) {
					touched[datacenter] = true
				}
				if len(touched) != secondaries {
					b.Fatal(len(touched))
				}
			}
		})
	}
}

// hub is a fleet of one hub and n spokes, and the hub's Peerings.
func hub(n int) (*resourcetest.Fleet, []*isthmusv1.Peering) {
	f := resourcetest.New(datacenter("hub", "prod"), agent("hub-a", "hub", "fleet"))
	var peerings []*isthmusv1.Peering
	for i := range n {
		name := fmt.Sprintf("dc%04d", i)
		p := &isthmusv1.Peering{
			Name: "hub-" + name, Uid: fmt.Sprintf("0197a1b2-%04d-7000-8000-000000000000", i),
			Spec:   &isthmusv1.PeeringSpec{Acceptor: "hub", Dialer: name},
			Status: &isthmusv1.PeeringStatus{Token: &isthmusv1.TokenStatus{Generation: 1}},
		}
		f.Put(datacenter(name, "prod"), agent(name+"-a", name, "fleet"), p)
		peerings = append(peerings, p)
	}
	return f, peerings
}

// BenchmarkHub is what a hub's plan costs: made from nothing, and by the change of one Peering.
func BenchmarkHub(b *testing.B) {
	for _, spokes := range []int{16, 160, 1600} {
		f, peerings := hub(spokes)
		b.Run(fmt.Sprintf("from-nothing/spokes=%d", spokes), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				plan.New(f, "hub", plan.Features())
			}
		})
		b.Run(fmt.Sprintf("one-changed/spokes=%d", spokes), func(b *testing.B) {
			p := plan.New(f, "hub", plan.Features())
			b.ReportAllocs()
			for i := int32(2); b.Loop(); i++ {
				one := peerings[int(i)%spokes]
				before := resource.Clone(one)
				one.Status.Token.Generation = i
				if len(p.Update(f, touched(f, "hub", before, one))) != 1 {
					b.Fatal("no change")
				}
			}
		})
	}
}

// touched is what a change touches of a datacenter's plan.
func touched(f *resourcetest.Fleet, datacenter string, before, after resource.Object) (out plan.Touch) {
	for name, part := range plan.Touched(f, before, after) {
		if name == datacenter {
			out.Add(part)
		}
	}
	return out
}

// BenchmarkAddedPeering is what a peering that comes and goes costs the plans of a hub, which exports to all of its spokes and whose spokes have a
// gateway each, and of a spoke.
func BenchmarkAddedPeering(b *testing.B) {
	for _, spokes := range []int{20, 100, 2000} {
		f, _ := hub(spokes)
		f.Put(&isthmusv1.ServiceExport{Name: "web", Spec: &isthmusv1.ServiceExportSpec{
			Service: "web", Datacenters: []string{"hub"}, Consumers: &isthmusv1.ExportConsumers{Selector: "env=prod"},
		}})
		f.Put(datacenter("new", "prod"))
		added := &isthmusv1.Peering{Name: "hub-new", Uid: "0197a1b2-new", Spec: &isthmusv1.PeeringSpec{Acceptor: "hub", Dialer: "new"}}
		for _, gateways := range []bool{false, true} {
			if gateways {
				for i := range spokes {
					name := fmt.Sprintf("dc%04d", i)
					f.Put(&isthmusv1.Gateway{Name: name + "-gw", Spec: &isthmusv1.GatewaySpec{Datacenter: name, WanAddress: name + ".example:443"}})
				}
				f.Put(&isthmusv1.Gateway{Name: "new-gw", Spec: &isthmusv1.GatewaySpec{Datacenter: "new", WanAddress: "new.example:443"}})
			}
			with := resourcetest.New()
			for _, kind := range resource.Kinds() {
				with.Put(slices.Collect(f.List(kind.Name))...)
			}
			with.Put(added)
			b.Run(fmt.Sprintf("gateways=%v/spokes=%d", gateways, spokes), func(b *testing.B) {
				there, spoke := plan.New(f, "hub", plan.Features()), plan.New(f, "new", plan.Features())
				b.ReportAllocs()
				for b.Loop() {
					comes, goes := &resourcetest.View{Fleet: with}, &resourcetest.View{Fleet: f}
					changes := there.Update(comes, touched(with, "hub", nil, added))
					changes = append(changes, spoke.Update(comes, touched(with, "new", nil, added))...)
					changes = append(changes, there.Update(goes, touched(f, "hub", added, nil))...)
					changes = append(changes, spoke.Update(goes, touched(f, "new", added, nil))...)
					if len(changes) < 4 {
						b.Fatal("no change")
					}
				}
			})
		}
	}
}

// BenchmarkTouchedLabel is what a label of a hub costs before any plan is made: one by which nobody chooses, and one by which an export does.
func BenchmarkTouchedLabel(b *testing.B) {
	for _, spokes := range []int{100, 2000} {
		f, _ := hub(spokes)
		f.Put(&isthmusv1.ServiceExport{Name: "web", Spec: &isthmusv1.ServiceExportSpec{
			Service: "web", Datacenters: []string{"hub"}, Consumers: &isthmusv1.ExportConsumers{Selector: "env=prod"},
		}})
		before, _ := resource.Lookup[*isthmusv1.Datacenter](f, resource.KindDatacenter, "hub")
		for _, label := range []string{"rack", "env"} {
			after := resource.Clone(before)
			after.Labels[label] = "other"
			b.Run(fmt.Sprintf("%s/spokes=%d", label, spokes), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					for range plan.Touched(f, before, after) {
						continue
					}
				}
			})
		}
	}
}
