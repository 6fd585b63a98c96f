package policy_test

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
)

// standingWorld is a fleet whose policies are looked at again and again, as a controller does.
type standingWorld struct {
	objects map[[2]string]resource.Object
	index   uint64
	reports map[string]*isthmusv1.PolicyReport
	silent  map[string]bool
	known   map[[2]string]*policy.Standing
	now     time.Time
}

func (w *standingWorld) fleet() *resourcetest.Fleet {
	f := resourcetest.New()
	for _, o := range w.objects {
		f.Put(o)
	}
	return f
}

func keyOf(o resource.Object) [2]string { return [2]string{resource.KindOf(o).Name, o.GetName()} }

func (w *standingWorld) put(o resource.Object) (before resource.Object) {
	before = w.objects[keyOf(o)]
	w.index++
	m := resource.MetadataOf(o)
	m.Index, m.Generation, m.UID = w.index, 1, fmt.Sprint("uid-", w.index)
	if before != nil {
		m.UID, m.Generation = before.GetUid(), before.GetGeneration()+1
		if status := resource.Status(before); resource.KindOf(o).Name != resource.KindDatacenter && resource.KindOf(o).Name != resource.KindFederation {
			resource.SetStatus(o, status)
		}
	}
	resource.SetMetadata(o, m)
	resource.Default(o)
	w.objects[keyOf(o)] = o
	return before
}

// see gives a resource the status of another one, and nothing else of it.
func (w *standingWorld) see(was, seen resource.Object) resource.Object {
	o := resource.Clone(was)
	resource.SetStatus(o, resource.Status(resource.Clone(seen)))
	w.index++
	m := resource.MetadataOf(o)
	m.Index = w.index
	resource.SetMetadata(o, m)
	w.objects[keyOf(o)] = o
	return o
}

// allPolicies are all policies, in all of their homes.
func allPolicies(r resource.Reader) iter.Seq2[resource.Object, string] {
	return func(yield func(resource.Object, string) bool) {
		for _, kind := range []string{resource.KindIntention, resource.KindTrafficPolicy} {
			for o := range r.List(kind) {
				if !yield(o, "") {
					return
				}
			}
		}
	}
}

func drawOf(t *rapid.T, label string, words ...string) string {
	return rapid.SampledFrom(words).Draw(t, label)
}

// somewhere draws a choice of datacenters.
func somewhere(t *rapid.T, label string) (names []string, selector string) {
	if rapid.Bool().Draw(t, label+" by name") {
		return rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"dc1", "dc2", "dc3", "dc4"}), 1, 2, rapid.ID).Draw(t, label), ""
	}
	return nil, drawOf(t, label, "env=prod", "env=test", "env")
}

func (w *standingWorld) object(t *rapid.T) resource.Object {
	dc := func(label string) string { return drawOf(t, label, "dc1", "dc2", "dc3", "dc4") }
	going := func() *timestamppb.Timestamp {
		if rapid.IntRange(0, 4).Draw(t, "going") > 0 {
			return nil
		}
		return timestamppb.New(noon)
	}
	service := func(label string) string { return drawOf(t, label, "api", "API", "web", "*") }
	switch rapid.IntRange(0, 8).Draw(t, "kind") {
	case 0, 1:
		d := datacenter(dc("datacenter"), drawOf(t, "env", "prod", "test"))
		d.Labels["rack"] = drawOf(t, "rack", "a", "b")
		d.DeleteTime = going()
		d.Status = &isthmusv1.DatacenterStatus{ConsulVersion: drawOf(t, "version", "", "1.20.6", "1.20.6+ent")}
		if d.GetDeleteTime() != nil {
			d.Status.Removal = &isthmusv1.DatacenterRemoval{}
		}
		return d
	case 2, 3:
		i := rapid.IntRange(1, 3).Draw(t, "acceptor")
		p := named(peering(fmt.Sprint("dc", i), fmt.Sprint("dc", rapid.IntRange(i+1, 4).Draw(t, "dialer"))), drawOf(t, "name there", "", "x"), "")
		p.DeleteTime = going()
		p.Status = &isthmusv1.PeeringStatus{State: drawOf(t, "seen of the peering", "", "ACTIVE")}
		return p
	case 4:
		f := federated("dc1", rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"dc2", "dc3"}), 0, 2, rapid.ID).Draw(t, "secondaries")...)
		for _, m := range f.GetStatus().GetMembers() {
			m.Phase = drawOf(t, "phase", resource.PhaseJoined, resource.PhaseWaiting)
		}
		return f
	case 5:
		e := export(drawOf(t, "export", "e1", "e2"), service("exported"), nil, &isthmusv1.ExportConsumers{Selector: "env"})
		e.Spec.Datacenters, e.Spec.Selector = somewhere(t, "exporters")
		return e
	case 6:
		p := &isthmusv1.TrafficPolicy{Name: drawOf(t, "traffic", "p1", "p2"), Spec: &isthmusv1.TrafficPolicySpec{Service: service("service"), Scope: drawOf(t, "scope", "", resource.ScopeFederation)}}
		p.Spec.Datacenters, p.Spec.Selector = somewhere(t, "callers")
		if rapid.Bool().Draw(t, "redirect") {
			p.Spec.Redirect = &isthmusv1.TrafficTarget{Service: service("to"), Datacenter: drawOf(t, "target", "", "dc2", "dc3")}
		} else {
			step := &isthmusv1.FailoverStep{SameLabel: drawOf(t, "same", "", "env", "rack")}
			step.Datacenters, step.Selector = somewhere(t, "failover")
			p.Spec.Failover = []*isthmusv1.FailoverStep{step}
		}
		return p
	}
	i := &isthmusv1.Intention{
		Name: drawOf(t, "intention", "i1", "i2", "i3", "i4"),
		Spec: &isthmusv1.IntentionSpec{Destination: &isthmusv1.IntentionDestination{Service: service("destination")}, Scope: drawOf(t, "scope", "", resource.ScopeFederation)},
	}
	i.DeleteTime = going()
	i.Spec.Destination.Datacenters, i.Spec.Destination.Selector = somewhere(t, "in")
	s := &isthmusv1.IntentionSource{Service: service("source"), Action: drawOf(t, "action", "allow", "deny"), Namespace: drawOf(t, "namespace", "", "team")}
	switch rapid.IntRange(0, 2).Draw(t, "from") {
	case 0:
		s.Datacenters, s.Selector = somewhere(t, "sources")
	case 1:
		s.Peer = drawOf(t, "peer", "dc2", "x")
	}
	i.Spec.Sources = []*isthmusv1.IntentionSource{s}
	return i
}

// report draws what an agent says.
func (w *standingWorld) report(t *rapid.T, f *resourcetest.Fleet, dc string) *isthmusv1.PolicyReport {
	switch rapid.IntRange(0, 4).Draw(t, "report") {
	case 0:
		return nil
	case 1:
		return &isthmusv1.PolicyReport{ErrorReason: "Denied", Error: "no"}
	}
	report := written(f, dc, drawOf(t, "state", resource.PolicyApplied, resource.PolicyConflict, resource.PolicyDrifted, "odd"))
	for _, e := range policy.Entries(f, dc).GetEntries() {
		if rapid.IntRange(0, 3).Draw(t, "drifts") == 0 && len(e.GetParts()) > 0 {
			report.Drifts = append(report.Drifts, &isthmusv1.Drift{
				Entry: e.GetKind() + "/" + e.GetName(), Part: e.GetParts()[0].GetKey(),
				Time: timestamppb.New(noon.Add(time.Duration(rapid.IntRange(0, 1000).Draw(t, "second")) * time.Second)),
			})
		}
	}
	return report
}

// step changes something, and gives what is to be looked at.
func (w *standingWorld) step(t *rapid.T) map[[2]string]*policy.Look {
	looks := map[[2]string]*policy.Look{}
	mark := func(o resource.Object, home string) {
		key := keyOf(o)
		if looks[key] == nil {
			looks[key] = &policy.Look{}
		}
		looks[key].Add(home)
	}
	w.now = w.now.Add(time.Second)
	before := w.fleet()
	type change struct {
		was, is resource.Object
		seen    bool
	}
	var changes []change
	for range rapid.IntRange(0, 2).Draw(t, "changes") {
		o := w.object(t)
		was, there := w.objects[keyOf(o)]
		if there && rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
			delete(w.objects, keyOf(o))
			changes = append(changes, change{was: was})
			continue
		}
		_, status := resource.Status(o).(*isthmusv1.PolicyStatus) // which only look writes
		if there && !status && rapid.IntRange(0, 3).Draw(t, "seen") == 0 {
			o = w.see(was, o)
			changes = append(changes, change{was, o, true})
			continue
		}
		w.put(o)
		changes = append(changes, change{was: was, is: o})
	}
	after := w.fleet()
	for _, c := range changes {
		for o, at := range policy.Affected(before, after, c.was, c.is, c.seen) {
			if o != nil {
				mark(o, at)
				continue
			}
			near := policy.Near(after, at)
			if at == "" {
				near = allPolicies(after)
			}
			for o, home := range near {
				mark(o, home)
			}
		}
	}
	for _, dc := range rapid.SliceOfNDistinct(rapid.SampledFrom(w.names()), 0, 3, rapid.ID).Draw(t, "reporting") {
		w.reports[dc], w.silent[dc] = w.report(t, after, dc), rapid.IntRange(0, 4).Draw(t, "silent") == 0
		for o, home := range policy.Near(after, dc) {
			mark(o, home)
		}
	}
	return looks
}

func (w *standingWorld) names() []string {
	out := []string{"dc1", "dc2", "dc3", "dc4"}
	for key := range w.objects {
		if key[0] == resource.KindDatacenter && !slices.Contains(out, key[1]) {
			out = append(out, key[1])
		}
	}
	slices.Sort(out)
	return out
}

// A policy's status is the same whether it is looked at where it may stand otherwise, or everywhere and from nothing.
func TestStandingIsAsFromNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := &standingWorld{
			objects: map[[2]string]resource.Object{}, reports: map[string]*isthmusv1.PolicyReport{}, silent: map[string]bool{},
			known: map[[2]string]*policy.Standing{}, now: noon,
		}
		// More than a status shows, now and then.
		for n := range rapid.SampledFrom([]int{0, 0, 0, 0, 0, 0, 0, 110}).Draw(t, "others") {
			w.put(datacenter(fmt.Sprintf("other-%03d", n), "prod"))
		}
		for range rapid.IntRange(5, 30).Draw(t, "steps") {
			w.look(t, w.step(t))
		}
	})
}

// look looks at all policies of which anything is known, as far as they may stand otherwise, and stores their statuses.
func (w *standingWorld) look(t *rapid.T, looks map[[2]string]*policy.Look) {
	f := w.fleet()
	reported := func(dc string) (*isthmusv1.PolicyReport, bool) { return w.reports[dc], !w.silent[dc] }
	byName := func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }
	for _, key := range slices.SortedFunc(maps.Keys(w.objects), byName) {
		if key[0] != resource.KindIntention && key[0] != resource.KindTrafficPolicy {
			continue
		}
		o := w.objects[key]
		known, ok := w.known[key]
		if !ok {
			known = &policy.Standing{}
			w.known[key] = known
		}
		at := policy.Look{}
		if looks[key] != nil {
			at = *looks[key]
		}
		was := proto.CloneOf(o)
		got := known.Status(f, o, at, reported, w.now)
		want := policy.StatusOf(f, was, reported, w.now)
		if d := cmp.Diff(want, got, protocmp.Transform()); d != "" {
			t.Fatalf("%v, looked at in %+v (-from nothing +looked at again):\n%s", key, at, d)
		}
		if got == resource.Status(o) || rapid.IntRange(0, 5).Draw(t, "somebody was faster") == 0 {
			continue
		}
		next := resource.Clone(o)
		resource.SetStatus(next, got)
		w.index++
		m := resource.MetadataOf(next)
		m.Index = w.index
		resource.SetMetadata(next, m)
		w.objects[key] = next
	}
}

// A label by which nobody chooses is nobody's affair; one by which a federation or an export does is.
func TestALabelConcernsWhoChoosesByIt(t *testing.T) {
	t.Parallel()
	f := fleet()
	f.Put(intention("i", "api@dc1", "web@[env=prod]=allow"))
	was, _ := resource.Lookup[*isthmusv1.Datacenter](f, resource.KindDatacenter, "dc2")
	is := proto.CloneOf(was)
	is.Labels["rack"] = "b"
	affected := func() (n int) {
		for range policy.Affected(f, f, was, is, false) {
			n++
		}
		return n
	}
	if n := affected(); n > 0 {
		t.Errorf("%d policies are affected by a label that none knows", n)
	}
	for _, chooser := range []resource.Object{
		&isthmusv1.Federation{Name: "global", Spec: &isthmusv1.FederationSpec{Primary: "dc3", SecondarySelector: "rack=b"}},
		export("e", "web", []string{"dc1"}, &isthmusv1.ExportConsumers{Selector: "rack=b"}),
	} {
		f.Put(chooser)
		if affected() == 0 {
			t.Errorf("nothing is affected by a label by which %s chooses", resource.KindOf(chooser).Name)
		}
		f.Delete(resource.KindOf(chooser).Name, chooser.GetName())
	}
}
