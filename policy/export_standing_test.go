package policy_test

import (
	"fmt"
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

// exportWorld is a fleet whose exports are looked at again and again, as a controller does.
type exportWorld struct {
	standingWorld
	said   map[string]*isthmusv1.ExportsReport
	stands map[string]*policy.ExportStanding
	looks  map[string]policy.Look
	// exporters are as they are noted.
	exporters *policy.Exportings
}

// thing draws what exports depend on.
func (w *exportWorld) thing(t *rapid.T) resource.Object {
	dc := func(label string) string { return drawOf(t, label, "dc1", "dc2", "dc3", "dc4") }
	going := func() *timestamppb.Timestamp {
		if rapid.IntRange(0, 5).Draw(t, "going") > 0 {
			return nil
		}
		return timestamppb.New(noon)
	}
	switch rapid.IntRange(0, 7).Draw(t, "kind") {
	case 0, 1, 2:
		d := datacenter(dc("datacenter"), drawOf(t, "env", "prod", "test"))
		if rapid.Bool().Draw(t, "bare") {
			d.Labels = nil
		}
		d.DeleteTime = going()
		return d
	case 3, 4:
		i := rapid.IntRange(1, 3).Draw(t, "acceptor")
		p := named(peering(fmt.Sprint("dc", i), fmt.Sprint("dc", rapid.IntRange(i+1, 4).Draw(t, "dialer"))), drawOf(t, "name there", "", "x"), "")
		p.DeleteTime = going()
		p.Status = &isthmusv1.PeeringStatus{State: drawOf(t, "seen of the peering", "", "ACTIVE")}
		return p
	case 5:
		f := federated("dc1", rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"dc2", "dc3"}), 0, 2, rapid.ID).Draw(t, "secondaries")...)
		for _, m := range f.GetStatus().GetMembers() {
			m.Phase = drawOf(t, "phase", resource.PhaseJoined, resource.PhaseWaiting)
		}
		return f
	}
	to := &isthmusv1.ExportConsumers{}
	if rapid.IntRange(0, 3).Draw(t, "to a peer") == 0 {
		to.Peers = []string{drawOf(t, "peer", "partner", "dc2")}
	} else {
		to.Datacenters, to.Selector = somewhere(t, "consumers")
	}
	e := export(drawOf(t, "export", "e1", "e2", "e3"), drawOf(t, "service", "api", "api", "API"), nil, to)
	e.Spec.Datacenters, e.Spec.Selector = somewhere(t, "exporters")
	e.DeleteTime = going()
	return e
}

// say draws what an agent reports of its exports: mostly what it has been told, and what it has not taken out yet.
func (w *exportWorld) say(t *rapid.T, f *resourcetest.Fleet, dc string) *isthmusv1.ExportsReport {
	out := &isthmusv1.ExportsReport{}
	switch rapid.IntRange(0, 7).Draw(t, "report") {
	case 0:
		return nil
	case 1:
		out.ErrorReason, out.Error = "Denied", "no"
	}
	for _, s := range policy.Exports(f, dc).GetServices() {
		seen := &isthmusv1.ObservedExport{
			Name: s.GetName(), Namespace: s.GetNamespace(), Peers: slices.Clone(s.GetPeers()),
			State: drawOf(t, "state", resource.ExportApplied, resource.ExportApplied, resource.ExportApplied, resource.ExportConflict, resource.ExportExcluded, "odd"),
		}
		switch rapid.IntRange(0, 5).Draw(t, "exported to") {
		case 0:
			seen.Peers = seen.GetPeers()[1:]
		case 1:
			seen.Peers = append([]string{drawOf(t, "still", "dc1", "dc2", "dc3", "dc4", "x")}, seen.GetPeers()...)
		case 2:
			slices.Reverse(seen.Peers)
		}
		out.Exports = append(out.Exports, seen)
		if rapid.IntRange(0, 2).Draw(t, "drifts") == 0 {
			out.Drifts = append(out.Drifts, &isthmusv1.Drift{
				Part: "export/default/" + s.GetName() + "@" + s.GetPeers()[0],
				Time: timestamppb.New(noon.Add(time.Duration(rapid.IntRange(0, 1000).Draw(t, "second")) * time.Second)),
			})
		}
	}
	return out
}

func (w *exportWorld) mark(export, home string) {
	at := w.looks[export]
	at.Add(home)
	w.looks[export] = at
}

// step changes something, and marks what is to be looked at.
func (w *exportWorld) step(t *rapid.T) {
	w.now, w.looks = w.now.Add(time.Second), map[string]policy.Look{}
	before := w.fleet()
	type change struct{ was, is resource.Object }
	var changes []change
	for range rapid.IntRange(0, 2).Draw(t, "changes") {
		o := w.thing(t)
		was, there := w.objects[keyOf(o)]
		if there && rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
			delete(w.objects, keyOf(o))
			changes = append(changes, change{was: was})
			continue
		}
		w.put(o)
		changes = append(changes, change{was: was, is: o})
	}
	after := w.fleet()
	near := func(datacenter string) {
		for _, e := range policy.NearExports(after, datacenter) {
			w.mark(e.GetName(), datacenter)
		}
	}
	for _, c := range changes {
		w.exporters.Note(before, after, c.was, c.is, false)
		for e, home := range policy.AffectedExports(before, after, c.was, c.is, false) {
			switch {
			case e != nil:
				w.mark(e.GetName(), home)
			case home != "":
				near(home)
			default:
				for e := range resource.All[*isthmusv1.ServiceExport](after, resource.KindServiceExport) {
					w.mark(e.GetName(), "")
				}
			}
		}
	}
	for _, dc := range rapid.SliceOfNDistinct(rapid.SampledFrom(w.names()), 0, 3, rapid.ID).Draw(t, "reporting") {
		w.said[dc], w.silent[dc] = w.say(t, after, dc), rapid.IntRange(0, 4).Draw(t, "silent") == 0
		near(dc)
	}
}

// look looks at all exports as far as they may stand otherwise, and stores their statuses, unless somebody else has written meanwhile.
func (w *exportWorld) look(t *rapid.T) {
	f := w.fleet()
	reported := func(dc string) (*isthmusv1.ExportsReport, bool) { return w.said[dc], !w.silent[dc] }
	for _, key := range slices.SortedFunc(maps.Keys(w.objects), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		e, ok := w.objects[key].(*isthmusv1.ServiceExport)
		if !ok {
			continue
		}
		known, ok := w.stands[key[1]]
		if !ok {
			known = &policy.ExportStanding{}
			w.stands[key[1]] = known
		}
		at := w.looks[key[1]]
		got := known.Status(f, e, at, w.exporters, reported, w.now)
		want := policy.ExportStatus(f, proto.CloneOf(e), reported, w.now)
		if d := cmp.Diff(want, got, protocmp.Transform()); d != "" {
			t.Fatalf("%s, looked at in %+v (-from nothing +looked at again):\n%s", key[1], at, d)
		}
		if got == e.GetStatus() || rapid.IntRange(0, 5).Draw(t, "somebody was faster") == 0 {
			continue
		}
		w.see(e, &isthmusv1.ServiceExport{Name: e.GetName(), Status: got})
	}
}

// An export's status is the same whether it is looked at where it may stand otherwise, or everywhere and from nothing.
func TestExportStandingIsAsFromNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := &exportWorld{
			standingWorld: standingWorld{objects: map[[2]string]resource.Object{}, silent: map[string]bool{}, now: noon},
			said:          map[string]*isthmusv1.ExportsReport{}, stands: map[string]*policy.ExportStanding{}, exporters: policy.NewExportings().Holding(rapid.SampledFrom([]int{4, 1000}).Draw(t, "held")),
		}
		for i := range 4 {
			w.put(datacenter(fmt.Sprint("dc", i+1), "prod"))
			for j := range i {
				w.put(peering(fmt.Sprint("dc", j+1), fmt.Sprint("dc", i+1)))
			}
		}
		// More than a status shows, now and then.
		for n := range rapid.SampledFrom([]int{0, 0, 0, 0, 0, 0, 0, 110}).Draw(t, "others") {
			w.put(datacenter(fmt.Sprintf("other-%03d", n), "prod"))
		}
		for range rapid.IntRange(5, 30).Draw(t, "steps") {
			w.step(t)
			w.look(t)
			if said, held := w.exporters.Size(); said != held {
				t.Fatalf("%d exporters and consumers are held, and it says %d", held, said)
			}
		}
	})
}

// The last export by a selector goes, a datacenter gets other labels, which nobody tells apart then, and another export comes that chooses alike: it goes
// to whom it chooses now.
func TestExportsThatChooseAsAFormerOneDid(t *testing.T) {
	t.Parallel()
	toProd := &isthmusv1.ExportConsumers{Selector: "env=prod"}
	before, later := export("old", "api", []string{"dc1"}, toProd), export("new", "web", []string{"dc1"}, toProd)
	for _, labels := range [][2]string{{"test", "prod"}, {"prod", "test"}} {
		stays := export("stays", "db", []string{"dc1"}, &isthmusv1.ExportConsumers{Datacenters: []string{"dc2"}})
		f := resourcetest.New(datacenter("dc1", "x"), datacenter("dc2", labels[0]), peering("dc1", "dc2"), before, stays)
		x := policy.NewExportings()
		none := func(string) (*isthmusv1.ExportsReport, bool) { return nil, false }
		(&policy.ExportStanding{}).Status(f, before, policy.Look{All: true}, x, none, noon)
		f.Delete(resource.KindServiceExport, "old")
		x.Note(f, f, before, nil, false)
		is := datacenter("dc2", labels[1])
		f.Put(is)
		x.Note(f, f, datacenter("dc2", labels[0]), is, false)
		f.Put(later)
		x.Note(f, f, nil, later, false)
		got := (&policy.ExportStanding{}).Status(f, later, policy.Look{All: true}, x, none, noon)
		if want := policy.ExportStatus(f, later, none, noon); !proto.Equal(got, want) {
			t.Errorf("%s: %v, want %v", labels, got, want)
		}
	}
}
