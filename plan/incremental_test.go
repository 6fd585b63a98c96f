package plan_test

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"isthmus/desired"
	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
)

// held is a plan that goes on from view to view, and what its receiver has.
type held struct {
	*plan.Plan
	fresh func() (*plan.Plan, *isthmusv1.DesiredState)
	touch plan.Touch
	// spoilt: it has to be made anew.
	spoilt bool
	has    *isthmusv1.DesiredState
	// changes since the receiver's state.
	changes []plan.Change
}

// follow makes plans of all kinds for a datacenter.
func follow(f *resourcetest.Fleet, datacenter string) []*held {
	var out []*held
	for _, features := range [][]string{plan.Features(), {resource.ItemPeeringDialer, resource.ItemExportedServices}} {
		out = append(out, &held{fresh: func() (*plan.Plan, *isthmusv1.DesiredState) {
			state, _ := plan.For(f, datacenter, features)
			return plan.New(f, datacenter, features), state
		}})
	}
	out = append(out, &held{fresh: func() (*plan.Plan, *isthmusv1.DesiredState) {
		return plan.NewForGateway(f, datacenter), plan.ForGateway(f, datacenter)
	}})
	for _, h := range out {
		h.Plan, h.has = h.fresh()
	}
	return out
}

// Whatever happens to a fleet, a plan that goes on from view to view is the one that is made from nothing, and the delta out of its changes
// leads from any state that was sent to that of now.
func TestPlanGoesOnAsIfMadeFromNothing(t *testing.T) {
	t.Parallel()
	names := []string{"dc1", "dc2", "dc3", "dc4"}
	object := anyObject(names)
	rapid.Check(t, func(t *rapid.T) {
		f := resourcetest.New()
		plans := map[string][]*held{}
		for _, name := range names {
			plans[name] = follow(f, name)
		}
		touch := func(before, after resource.Object) {
			for name, peering := range plan.Touched(f, before, after) {
				for _, h := range plans[name] {
					h.touch.Add(peering)
				}
			}
		}
		spoil := func(before, after resource.Object) {
			for _, all := range plans {
				for _, h := range all {
					h.spoilt = h.spoilt || h.touch.Spoilt(before, after)
				}
			}
		}
		for i := range rapid.IntRange(1, 25).Draw(t, "changes") {
			after := object.Draw(t, fmt.Sprint("change ", i))
			kind := resource.KindOf(after).Name
			before, _ := f.Get(kind, after.GetName())
			if before != nil && rapid.Bool().Draw(t, "delete") {
				touch(before, nil)
				f.Delete(kind, after.GetName())
				touch(before, nil)
			} else {
				if before == nil && rapid.Bool().Draw(t, "anew") {
					resource.SetMetadata(after, resource.Metadata{UID: fmt.Sprint("uid", i)})
				}
				resource.Default(after)
				spoil(before, after)
				touch(before, after)
				f.Put(after)
				touch(before, after)
			}
			name := rapid.SampledFrom(names).Draw(t, "looked at")
			for _, h := range plans[name] {
				h.goOn(t, f, name, rapid.Bool().Draw(t, "sent"))
			}
		}
		for name, all := range plans {
			for _, h := range all {
				h.goOn(t, f, name, true)
			}
		}
	})
}

// goOn brings the plan to now, and holds it against one that is made from nothing.
func (h *held) goOn(t *rapid.T, f *resourcetest.Fleet, name string, sent bool) {
	fresh, state := h.fresh()
	if h.spoilt {
		h.Plan, _ = h.fresh()
		h.touch, h.spoilt, h.has, h.changes = plan.Touch{}, false, state, nil
	}
	before := h.Digest()
	changes := h.Update(f, h.touch)
	h.touch = plan.Touch{}
	h.changes = append(h.changes, changes...)
	if h.Digest() != fresh.Digest() || h.Digest() != plan.Digest(state) || h.Size() != len(state.GetItems()) {
		t.Fatalf("%s: the plan went on to %s (%d items), made from nothing it is %s, its state %s:\n%v",
			name, h.Digest(), h.Size(), fresh.Digest(), plan.Digest(state), state)
	}
	if len(changes) > 0 && h.Digest() == before {
		t.Fatalf("%s: changes %v, and the same digest", name, changes)
	}
	if got := h.State(f); !proto.Equal(got, state) {
		t.Fatalf("%s: state %v, want %v", name, got, state)
	}
	if !sent {
		return
	}
	delta := h.Delta(f, plan.Digest(h.has), h.changes)
	merged := desired.Merge(h.has, delta)
	if !proto.Equal(merged, state) || desired.Digest(merged) != h.Digest() {
		t.Fatalf("%s: %v\nand %v\nmerge to %v\nwant %v", name, h.has, delta, merged, state)
	}
	h.has, h.changes = merged, nil
}

// An export goes, its consumer gets other labels, and another export comes that chooses alike, before anybody looks.
func TestPlanIsSpoilt(t *testing.T) {
	t.Parallel()
	export := func(name string) *isthmusv1.ServiceExport {
		return &isthmusv1.ServiceExport{Name: name, Uid: name, Spec: &isthmusv1.ServiceExportSpec{
			Service: name, Datacenters: []string{"dc1"}, Consumers: &isthmusv1.ExportConsumers{Selector: "env=prod"},
		}}
	}
	p := &isthmusv1.Peering{Name: "p", Uid: "p", Spec: &isthmusv1.PeeringSpec{Acceptor: "dc1", Dialer: "dc2"}}
	f := resourcetest.New(datacenter("dc1", "x"), datacenter("dc2", "prod"), p, export("old"))
	one := plan.New(f, "dc1", plan.Features())
	var touch plan.Touch
	spoilt := false
	change := func(before, after resource.Object) {
		note := func() {
			for name, part := range plan.Touched(f, before, after) {
				if name == "dc1" {
					touch.Add(part)
				}
			}
		}
		spoilt = spoilt || touch.Spoilt(before, after)
		note()
		if after == nil {
			f.Delete(resource.KindOf(before).Name, before.GetName())
		} else {
			f.Put(after)
		}
		note()
	}
	change(export("old"), nil)
	change(datacenter("dc2", "prod"), datacenter("dc2", "test"))
	change(nil, export("new"))
	one.Update(f, touch)
	if fresh := plan.New(f, "dc1", plan.Features()); one.Digest() != fresh.Digest() && !spoilt {
		t.Error("the plan is another one than from nothing, and nobody is told to make it so")
	}
	if !touch.Pending() {
		t.Error("no export is to be looked at")
	}
}
