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
	has   *isthmusv1.DesiredState
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
	before := h.Digest()
	changes := h.Update(f, h.touch)
	h.touch = plan.Touch{}
	h.changes = append(h.changes, changes...)
	fresh, state := h.fresh()
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
