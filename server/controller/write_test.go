package controller_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
	"isthmus/store/sqlite"
)

// spoiler is a store that cannot take what is written of one resource, as if it had text in it that no database takes.
type spoiler struct {
	store.Store
	name string
}

func (s spoiler) Write(ctx context.Context, w store.Write) (store.Revision, error) {
	if slices.ContainsFunc(w.Puts, func(p store.Put) bool { return p.Object.GetName() == s.name }) {
		return store.Revision{}, fault.New(fault.Internal, "an event has text that cannot be stored")
	}
	return s.Store.Write(ctx, w)
}

// One resource that the store cannot take does not stop what the controllers do for all others.
func TestSpoiledWriteIsLeftOut(t *testing.T) {
	t.Parallel()
	st, err := sqlite.Open(t.Context(), t.TempDir(), hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	f := &fleet{t: t, st: st}
	f.c = runOn(t, spoiler{st, "b"}, st, st)
	leads(t, f.c, true)
	f.put(datacenter("dc1"), intention("a", "a", "web", "dc1"), intention("b", "b", "web", "dc1"), intention("c", "c", "web", "dc1"))
	f.ready(resource.KindIntention, "a", "Pending")
	f.ready(resource.KindIntention, "c", "Pending")
}

// What agents find in Consul may have a letter of several bytes anywhere.
func TestConflictIsCutBetweenLetters(t *testing.T) {
	t.Parallel()
	f := newFleet(t, datacenter("dc1"), intention("api-from-web", "api", "web", "dc1"))
	f.ready(resource.KindIntention, "api-from-web", "Pending")
	for _, before := range []string{"", "a"} {
		report := f.wrote("dc1")
		report.Entries[0].State = resource.PolicyConflict
		report.Entries[0].Parts = []*isthmusv1.ObservedPart{{
			Key: "source/default/web", State: resource.PolicyConflict, Reason: "ForeignContent", Message: "m",
			Found: `{"Description":"` + before + strings.Repeat("ü", 300) + `"}`,
		}}
		f.report("a1", "dc1", &isthmusv1.ReportRequest{Policy: report})
		f.policy(resource.KindIntention, "api-from-web", "told what is there", func(s *isthmusv1.PolicyStatus) bool {
			return len(s.GetPlacements()) == 1 && len(s.GetPlacements()[0].GetConflicts()) == 1 &&
				strings.Contains(s.GetPlacements()[0].GetConflicts()[0].GetFound(), `"`+before+"ü")
		})
	}
}

// A group of more peerings than a transaction takes is made of all of them but for one that the store cannot take.
func TestLargeGroupWithSpoiledWrite(t *testing.T) {
	t.Parallel()
	const members = 47 // 1,081 peerings
	st, err := sqlite.Open(t.Context(), t.TempDir(), hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	f := &fleet{t: t, st: st}
	f.c = runOn(t, spoiler{st, "mesh-dc05-dc07"}, st, st)
	leads(t, f.c, true)
	var all []resource.Object
	var names []string
	for i := range members {
		names = append(names, fmt.Sprintf("dc%02d", i))
		all = append(all, datacenter(names[i]))
	}
	f.put(append(all, &isthmusv1.PeeringGroup{Name: "mesh", Spec: &isthmusv1.PeeringGroupSpec{Shape: resource.ShapeFullMesh, Datacenters: names}})...)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for made := 0; made != members*(members-1)/2-1; {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d peerings are made", made)
		}
		made = len(slices.Collect(f.c.Snapshot.View().List(resource.KindPeering)))
	}
}
