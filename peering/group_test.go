package peering_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"isthmus/fault"
	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
)

func member(name string, labels ...string) *isthmusv1.Datacenter {
	d := &isthmusv1.Datacenter{Name: name, Labels: map[string]string{}, Spec: &isthmusv1.DatacenterSpec{Runtime: "vm"}}
	for _, label := range labels {
		key, value, _ := strings.Cut(label, "=")
		d.Labels[key] = value
	}
	return d
}

func mesh() *isthmusv1.PeeringGroup {
	return &isthmusv1.PeeringGroup{Name: "demo", Spec: &isthmusv1.PeeringGroupSpec{Shape: "full-mesh", Selector: "env=demo"}}
}

func star() *isthmusv1.PeeringGroup {
	return &isthmusv1.PeeringGroup{Name: "demo", Spec: &isthmusv1.PeeringGroupSpec{Shape: "hub-and-spoke", Selector: "env=demo", Hub: "hub"}}
}

// apply does what an expansion asks for, deletions to their end.
func apply(f *resourcetest.Fleet, x peering.Expansion) {
	for _, p := range slices.Concat(x.Create, x.Update) {
		f.Put(p)
	}
	for _, p := range x.Delete {
		f.Delete(resource.KindPeering, p.GetName())
	}
}

func ends(peerings []*isthmusv1.Peering) []string {
	out := []string{}
	for _, p := range peerings {
		out = append(out, p.GetSpec().GetAcceptor()+"<"+p.GetSpec().GetDialer())
	}
	slices.Sort(out)
	return out
}

func TestExpandShapes(t *testing.T) {
	t.Parallel()
	f := resourcetest.New(
		member("a", "env=demo"), member("b", "env=demo", "hub=yes"), member("c", "env=demo"),
		member("d", "env=demo", "hub=yes"), member("x", "env=prod", "hub=yes"),
	)
	for _, c := range []struct {
		name  string
		group *isthmusv1.PeeringGroup
		want  []string
	}{
		{"full mesh", mesh(), []string{"a<b", "a<c", "a<d", "b<c", "b<d", "c<d"}},
		{"hubs accept, and know each other", star(), []string{"b<a", "b<c", "b<d", "d<a", "d<c"}},
		{
			"by name", &isthmusv1.PeeringGroup{Name: "demo", Spec: &isthmusv1.PeeringGroupSpec{Shape: "full-mesh", Datacenters: []string{"x", "a", "a"}}},
			[]string{"a<x"},
		},
		{"nobody", &isthmusv1.PeeringGroup{Name: "demo", Spec: &isthmusv1.PeeringGroupSpec{Shape: "full-mesh", Selector: "env=none"}}, []string{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x := peering.Expand(f, c.group)
			if diff := cmp.Diff(c.want, ends(x.Create)); diff != "" {
				t.Error(diff)
			}
			for _, p := range x.Create {
				if err := resource.Validate(p); err != nil || peering.Owner(p) != "demo" {
					t.Errorf("%v: %v", p, err)
				}
			}
		})
	}
}

func TestExpandChanges(t *testing.T) {
	t.Parallel()
	f := resourcetest.New(member("a", "env=demo"), member("b", "env=demo"), member("c", "env=demo"))
	apply(f, peering.Expand(f, mesh()))
	if x := peering.Expand(f, mesh()); len(x.Create)+len(x.Update)+len(x.Delete)+len(x.Skipped) != 0 || len(x.Owned) != 3 {
		t.Errorf("no rest: %+v", x)
	}
	through := mesh()
	through.Spec.ThroughGateways = new(false)
	if x := peering.Expand(f, through); len(x.Update) != 3 || x.Update[0].GetSpec().ThroughGateways == nil || len(x.Create) != 0 {
		t.Errorf("through gateways: %+v", x)
	}
	heals := proto.CloneOf(through)
	heals.Spec.ThroughGateways, heals.Spec.Heal = nil, resource.HealAuto
	if x := peering.Expand(f, heals); len(x.Update) != 3 || x.Update[0].GetSpec().GetHeal() != resource.HealAuto || len(x.Create) != 0 {
		t.Errorf("heal is not told to the group's peerings: %v", x)
	}
	f.Put(member("b", "env=prod"))
	if x := peering.Expand(f, mesh()); !slices.Equal(ends(x.Delete), []string{"a<b", "b<c"}) {
		t.Errorf("b left: %+v", x)
	}
	leaving := member("c", "env=demo")
	leaving.DeleteTime = timestamppb.New(start)
	f.Put(leaving)
	if x := peering.Expand(f, mesh()); len(x.Delete) != 3 {
		t.Errorf("c is being deleted: %+v", x)
	}
	gone := mesh()
	gone.DeleteTime = timestamppb.New(start)
	if x := peering.Expand(f, gone); len(x.Delete) != 3 || len(x.Members) != 0 {
		t.Errorf("the group is being deleted: %+v", x)
	}
}

func TestExpandSkips(t *testing.T) {
	t.Parallel()
	byHand := &isthmusv1.Peering{Name: "mine", Spec: &isthmusv1.PeeringSpec{Acceptor: "b", Dialer: "a"}}
	other := &isthmusv1.Peering{
		Name: "theirs", Spec: &isthmusv1.PeeringSpec{Acceptor: "a", Dialer: "c"}, Status: &isthmusv1.PeeringStatus{Group: "other"},
	}
	leaving := &isthmusv1.Peering{
		Name: "demo-a-d", DeleteTime: timestamppb.New(start), Spec: &isthmusv1.PeeringSpec{Acceptor: "a", Dialer: "d"},
		Status: &isthmusv1.PeeringStatus{Group: "demo"},
	}
	named := &isthmusv1.Peering{Name: "acme", Spec: &isthmusv1.PeeringSpec{Acceptor: "c", ExternalDialer: "d"}}
	f := resourcetest.New(
		member("a", "env=demo"), member("b", "env=demo"), member("c", "env=demo"), member("d", "env=demo"),
		byHand, other, leaving, named,
	)
	x := peering.Expand(f, mesh())
	want := []*isthmusv1.SkippedPair{
		{Acceptor: "a", Dialer: "b", Reason: "Peering mine, written by hand, connects them"},
		{Acceptor: "a", Dialer: "c", Reason: "Peering theirs, of PeeringGroup other, connects them"},
		{Acceptor: "a", Dialer: "d", Reason: "Peering demo-a-d is being deleted: it comes back when that is done"},
		{Acceptor: "c", Dialer: "d", Reason: "Peering acme uses the peer name d in c"},
	}
	if diff := cmp.Diff(want, x.Skipped, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if !slices.Equal(ends(x.Create), []string{"b<c", "b<d"}) || x.Leaving != 1 || len(x.Delete) != 0 {
		t.Errorf("%+v", x)
	}
}

// One pair is left out for the same reason as among all.
func TestWish(t *testing.T) {
	t.Parallel()
	f := resourcetest.New(member("a", "env=demo"), member("b", "env=demo"), member("c", "env=demo"), member("x"),
		&isthmusv1.Peering{Name: "by-hand", Spec: &isthmusv1.PeeringSpec{Acceptor: "b", Dialer: "a"}})
	if create, skipped := peering.Wish(f, mesh(), "a", "b"); create != nil || skipped.GetReason() != "Peering by-hand, written by hand, connects them" {
		t.Errorf("by hand: %v %v", create, skipped)
	}
	if create, skipped := peering.Wish(f, mesh(), "c", "b"); skipped != nil || create.GetName() != "demo-b-c" || create.GetSpec().GetAcceptor() != "b" {
		t.Errorf("not there yet: %v %v", create, skipped)
	}
	going := mesh()
	going.DeleteTime = timestamppb.Now()
	for what, got := range map[string]func() (*isthmusv1.Peering, *isthmusv1.SkippedPair){
		"not a member":      func() (*isthmusv1.Peering, *isthmusv1.SkippedPair) { return peering.Wish(f, mesh(), "a", "x") },
		"itself":            func() (*isthmusv1.Peering, *isthmusv1.SkippedPair) { return peering.Wish(f, mesh(), "a", "a") },
		"two spokes":        func() (*isthmusv1.Peering, *isthmusv1.SkippedPair) { return peering.Wish(f, star(), "a", "c") },
		"a group that goes": func() (*isthmusv1.Peering, *isthmusv1.SkippedPair) { return peering.Wish(f, going, "a", "c") },
	} {
		if create, skipped := got(); create != nil || skipped != nil {
			t.Errorf("%s: %v %v", what, create, skipped)
		}
	}
}

func TestExpandNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 40)
	f := resourcetest.New(
		member("b-c", "env=demo"), member("d", "env=demo"), member("b", "env=demo"), member("c-d", "env=demo"), member(long, "env=demo"),
	)
	x := peering.Expand(f, mesh())
	seen := map[string]bool{}
	for _, p := range x.Create {
		if seen[p.GetName()] || !resource.ValidName(p.GetName()) {
			t.Errorf("%s is there twice, or no name", p.GetName())
		}
		seen[p.GetName()] = true
	}
	if !seen["demo-b-c-d"] || len(x.Create) != 10 {
		t.Errorf("%v", seen)
	}
}

func TestExpandLimit(t *testing.T) {
	t.Parallel()
	f := resourcetest.New()
	for i := range 5 {
		f.Put(member(fmt.Sprint("d", i), "env=demo"))
	}
	group := mesh()
	apply(f, peering.Expand(f, group))
	f.Put(member("d0"))
	x := peering.Expand(f, group)
	if err := x.Check(0); x.Limit() != 2 || fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), "would lose 4 of its 10 peerings") {
		t.Errorf("limit %d: %v", x.Limit(), err)
	}
	if err := x.Check(4); err != nil {
		t.Errorf("allowed: %v", err)
	}
	status := peering.GroupStatus(x, start)
	if c := status.GetConditions()[0]; c.GetReason() != "DeletionLimit" {
		t.Errorf("%v", c)
	}
	group.Spec.MaxDeletions = proto.Int32(4)
	if err := peering.Expand(f, group).Check(0); err != nil {
		t.Errorf("the limit is 4: %v", err)
	}
	group.Spec.MaxDeletions = proto.Int32(0)
	if err := peering.Expand(f, group).Check(0); err == nil {
		t.Error("a limit of none")
	}
}

// The peerings between members of a federation go, all of them, when the members have begun to join, and not before.
func TestExpandInAFederation(t *testing.T) {
	t.Parallel()
	f := resourcetest.New(mesh(), member("a", "env=demo"), member("b", "env=demo"), member("c", "env=demo"), member("d", "env=demo"))
	apply(f, peering.Expand(f, mesh()))
	wan := &isthmusv1.Federation{Name: "wan", Spec: &isthmusv1.FederationSpec{Primary: "a", Secondaries: []string{"b", "c"}}}
	for phase, want := range map[string][]string{resource.PhaseBlocked: {}, resource.PhaseTrusting: {"a<b", "a<c", "b<c"}} {
		wan.Status = &isthmusv1.FederationStatus{Members: []*isthmusv1.FederationMember{
			{Datacenter: "a", Role: resource.RolePrimary, Phase: resource.PhaseJoined},
			{Datacenter: "b", Role: resource.RoleSecondary, Phase: phase},
			{Datacenter: "c", Role: resource.RoleSecondary, Phase: phase},
		}}
		f.Put(wan)
		x := peering.Expand(f, mesh())
		if diff := cmp.Diff(want, ends(x.Delete)); diff != "" || x.Federated != len(want) || x.Check(0) != nil {
			t.Errorf("%s: %s %v", phase, diff, x.Check(0))
		}
		f.Put(member("d")) // leaves the group, with its three peerings
		if x = peering.Expand(f, mesh()); len(x.Delete) != len(want)+3 || fault.CodeOf(x.Check(0)) != fault.Refused || strings.Contains(x.Check(0).Error(), "a-b") {
			t.Errorf("%s: %v %v", phase, ends(x.Delete), x.Check(0))
		}
		f.Put(member("d", "env=demo"))
	}
}

func TestGroupStatus(t *testing.T) {
	t.Parallel()
	f := resourcetest.New(member("a", "env=demo"), member("b", "env=demo"), member("c", "env=demo"))
	group := mesh()
	group.Status = peering.GroupStatus(peering.Expand(f, group), start)
	if c := group.GetStatus().GetConditions()[0]; c.GetReason() != "Changing" || c.GetMessage() != "0 of 0 peerings healthy; 3 to create, 0 to delete" {
		t.Errorf("%v", c)
	}
	apply(f, peering.Expand(f, group))
	verdicts := func(verdict string) *isthmusv1.PeeringGroupStatus {
		for p := range resource.All[*isthmusv1.Peering](f, resource.KindPeering) {
			p.Status.Verdict = verdict
		}
		return peering.GroupStatus(peering.Expand(f, group), start)
	}
	for verdict, want := range map[string]string{"healthy": "true Healthy", "stale": "false NotHealthy", "unknown": "unknown Unknown"} {
		s := verdicts(verdict)
		if c := s.GetConditions()[0]; c.GetStatus()+" "+c.GetReason() != want || s.GetPeerings() != 3 || s.GetDatacenters() != 3 {
			t.Errorf("%s: %v", verdict, s)
		}
	}
	group.Status = verdicts("healthy")
	if again := peering.GroupStatus(peering.Expand(f, group), start.Add(later)); again != group.GetStatus() {
		t.Errorf("no rest: %v", again)
	}
}

func TestGroupStatusIsOfThePresentGeneration(t *testing.T) {
	t.Parallel()
	group := mesh()
	f := resourcetest.New(group)
	for _, generation := range []int32{1, 2} {
		group.Generation = generation
		group.Status = peering.GroupStatus(peering.Expand(f, group), start)
		if c := group.GetStatus().GetConditions()[0]; c.GetObservedGeneration() != generation {
			t.Errorf("of generation %d: %v", generation, c)
		}
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	byName := &isthmusv1.PeeringGroup{Name: "named", Spec: &isthmusv1.PeeringGroupSpec{Shape: "full-mesh", Datacenters: []string{"x"}}}
	a, x := member("a", "env=demo"), member("x")
	f := resourcetest.New(mesh(), byName, a, x)
	names := func(before, after resource.Object) []string {
		var out []string
		for _, g := range peering.ChoosersOf(f).Concerned(before, after) {
			out = append(out, g.GetName())
		}
		return out
	}
	if got := names(a, member("a")); !slices.Equal(got, []string{"demo"}) {
		t.Errorf("a leaves: %v", got)
	}
	if got := names(a, member("a", "env=demo", "rack=b")); len(got) > 0 {
		t.Errorf("a has another label, by which nobody chooses: %v", got)
	}
	if got := names(nil, x); !slices.Equal(got, []string{"named"}) {
		t.Errorf("x comes: %v", got)
	}
	p := &isthmusv1.Peering{Name: "p", Spec: &isthmusv1.PeeringSpec{Acceptor: "a", Dialer: "x"}}
	if got := names(p, nil); !slices.Equal(got, []string{"demo", "named"}) {
		t.Errorf("a peering that is in the way goes: %v", got)
	}
	if got := names(mesh(), mesh()); !slices.Equal(got, []string{"demo"}) {
		t.Errorf("the group: %v", got)
	}
}

// Members come, go and become hubs; peerings are written by hand: each pair that the shape wants is connected by exactly one
// peering, the group's if nobody else's; no peering ever changes who accepts; and after one application there is rest.
func TestExpandIsStable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := resourcetest.New()
		group := mesh()
		if rapid.Bool().Draw(t, "star") {
			group = star()
		}
		names := []string{"a", "b", "c", "d", "e", "a-b", "b-c"}
		before := map[string]string{}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			name := rapid.SampledFrom(names).Draw(t, "datacenter")
			f.Put(member(name, rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"env=demo", "hub=yes"}), 0, 2, rapid.ID).Draw(t, "labels")...))
			x := peering.Expand(f, group)
			if wishes := wishes(f, group, names); !cmp.Equal(wishes, ends(x.Create)) {
				t.Fatalf("each pair by itself: %v, all of them: %v", wishes, ends(x.Create))
			}
			apply(f, x)
			if again := peering.Expand(f, group); len(again.Create)+len(again.Update)+len(again.Delete) != 0 {
				t.Fatalf("no rest: %+v", again)
			}
			now, pairs := map[string]string{}, map[string]bool{}
			for p := range resource.All[*isthmusv1.Peering](f, resource.KindPeering) {
				spec := p.GetSpec()
				now[p.GetName()] = spec.GetAcceptor() + "<" + spec.GetDialer()
				if was, there := before[p.GetName()]; there && was != now[p.GetName()] {
					t.Fatalf("%s was %s and is %s", p.GetName(), was, now[p.GetName()])
				}
				pair := min(spec.GetAcceptor(), spec.GetDialer()) + "/" + max(spec.GetAcceptor(), spec.GetDialer())
				if pairs[pair] {
					t.Fatalf("%s twice", pair)
				}
				pairs[pair] = true
			}
			before = now
			if want := wantedPairs(f, group); !cmp.Equal(want, pairs) {
				t.Fatalf("connected (-want +got):\n%s", cmp.Diff(want, pairs))
			}
		}
	})
}

// wishes asks for each pair by itself what the group is about to create.
func wishes(f *resourcetest.Fleet, group *isthmusv1.PeeringGroup, names []string) []string {
	var out []*isthmusv1.Peering
	for i, a := range names {
		for _, b := range names[i:] {
			if p, _ := peering.Wish(f, group, b, a); p != nil {
				out = append(out, p)
			}
		}
	}
	return ends(out)
}

// wantedPairs says the same as the shapes' definition, in another way.
func wantedPairs(f *resourcetest.Fleet, group *isthmusv1.PeeringGroup) map[string]bool {
	out := map[string]bool{}
	for a := range resource.All[*isthmusv1.Datacenter](f, resource.KindDatacenter) {
		for b := range resource.All[*isthmusv1.Datacenter](f, resource.KindDatacenter) {
			_, hubA := a.GetLabels()["hub"]
			_, hubB := b.GetLabels()["hub"]
			if a.GetName() < b.GetName() && a.GetLabels()["env"] == "demo" && b.GetLabels()["env"] == "demo" &&
				(group.GetSpec().GetShape() == "full-mesh" || hubA || hubB) {
				out[a.GetName()+"/"+b.GetName()] = true
			}
		}
	}
	return out
}
