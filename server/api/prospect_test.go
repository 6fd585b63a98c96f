package api_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
	"isthmus/server/api"
	"isthmus/store"
	"isthmus/store/snapshot"
	"isthmus/store/sqlite"
)

// aPolicy draws an Intention, which is found by datacenters and by terms.
func aPolicy(t *rapid.T, name string) *isthmusv1.Intention {
	d := &isthmusv1.IntentionDestination{Service: rapid.SampledFrom([]string{"api", "API", "web"}).Draw(t, "service")}
	if rapid.Bool().Draw(t, "by name") {
		d.Datacenters = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"dc1", "dc2"}), 1, 2, rapid.ID).Draw(t, "in")
	} else {
		d.Selector = rapid.SampledFrom([]string{"env=a", "env=b"}).Draw(t, "selector")
	}
	o := &isthmusv1.Intention{Name: name, Uid: name, Generation: 1, Spec: &isthmusv1.IntentionSpec{Destination: d}}
	resource.Default(o)
	return o
}

// What edits are checked against reads as the fleet will when they are written.
func TestProspectIsTheFleetAfterwards(t *testing.T) {
	t.Parallel()
	st, err := sqlite.Open(t.Context(), t.TempDir(), hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	s, err := snapshot.Open(t.Context(), st, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	var named store.Write
	for _, name := range []string{"dc1", "dc2"} {
		dc := datacenter(name, "x")
		dc.Uid, dc.Generation = name, 1
		named.Puts = append(named.Puts, store.Put{Object: dc, Part: store.PartAll})
	}
	if _, err := st.Write(t.Context(), named); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		var w store.Write
		for o := range s.View().List(resource.KindIntention) {
			w.Deletes = append(w.Deletes, store.Key{Kind: resource.KindIntention, Name: o.GetName()})
		}
		for n := range rapid.IntRange(0, 5).Draw(rt, "there") {
			o := aPolicy(rt, fmt.Sprint("i", n))
			w.Deletes = slices.DeleteFunc(w.Deletes, func(k store.Key) bool { return k.Name == o.GetName() })
			w.Puts = append(w.Puts, store.Put{Object: o, Part: store.PartAll})
		}
		if len(w.Puts)+len(w.Deletes) > 0 {
			if _, err := st.Write(t.Context(), w); err != nil {
				rt.Fatal(err)
			}
		}
		v := s.View()
		fleet := resourcetest.New(slices.Collect(v.List(resource.KindIntention))...)
		var put, gone []resource.Object
		for n := range 7 {
			name := fmt.Sprint("i", n)
			before, there := v.Get(resource.KindIntention, name)
			switch {
			case rapid.IntRange(0, 2).Draw(rt, "edit "+name) > 0:
			case there && rapid.Bool().Draw(rt, "gone"):
				gone = append(gone, before)
				fleet.Delete(resource.KindIntention, name)
			default:
				o := aPolicy(rt, name)
				put = append(put, o)
				fleet.Put(o)
			}
		}
		sameFleet(rt, api.NewProspect(v, put, gone), fleet)
	})
}

func sameFleet(t *rapid.T, got, want resource.Reader) {
	const kind = resource.KindIntention
	same := func(what string, a, b []resource.Object) {
		if !slices.EqualFunc(a, b, func(x, y resource.Object) bool {
			return x.GetName() == y.GetName() && proto.Equal(resource.Spec(x), resource.Spec(y))
		}) {
			t.Fatalf("%s are %v, want %v", what, a, b)
		}
	}
	same("all", slices.Collect(got.List(kind)), slices.Collect(want.List(kind)))
	for _, dc := range []string{"dc1", "dc2"} {
		same("touching "+dc, slices.Collect(got.Touching(kind, dc)), slices.Collect(want.Touching(kind, dc)))
	}
	terms := slices.Collect(got.Terms(kind, ""))
	for term := range want.Terms(kind, "") {
		if !slices.Contains(terms, term) {
			t.Fatalf("term %q is not among %q", term, terms)
		}
	}
	for _, term := range terms {
		same("having "+term, slices.Collect(got.Having(kind, term)), slices.Collect(want.Having(kind, term)))
	}
	slices.Sort(terms)
	if len(slices.Compact(slices.Clone(terms))) != len(terms) {
		t.Fatalf("a term comes twice: %q", terms)
	}
	for _, label := range []string{"a", "b", "c"} {
		dc := &isthmusv1.Datacenter{Name: "dc1", Labels: map[string]string{"env": label}}
		names := func(r resource.Reader) (out []string) {
			for _, i := range resource.Choosing[*isthmusv1.Intention](r, kind, dc) {
				out = append(out, i.GetName())
			}
			return out
		}
		if a, b := names(got), names(want); !slices.Equal(a, b) {
			t.Fatalf("%v choose dc1 with env=%s, want %v", a, label, b)
		}
	}
}
