package snapshot_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
	"isthmus/store/snapshot"
	"isthmus/store/sqlite"
	"isthmus/store/sqlstore"
)

// machine writes at random and now and then lets a snapshot and a follower catch up: they must be what the store is.
type machine struct {
	ctx      context.Context
	store    *sqlstore.Store
	snapshot *snapshot.Snapshot
	follower *snapshot.Follower
	// told is what the follower's changes amount to.
	told map[store.Key]resource.Object
	// written is where the store stands.
	written store.Revision
	uids    int
}

func (m *machine) write(t *rapid.T, w store.Write) {
	r, err := m.store.Write(m.ctx, w)
	switch fault.CodeOf(err) {
	case "":
		m.written = r
	case fault.NotFound, fault.Conflict, fault.AlreadyExists, fault.Referenced, fault.Invalid:
	default:
		t.Fatalf("Write: %v", err)
	}
}

func drawDatacenter(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "c", "a-b"}).Draw(t, "datacenter")
}

func (m *machine) object(t *rapid.T) resource.Object {
	m.uids++
	var o resource.Object
	if rapid.Bool().Draw(t, "peering") {
		p := peering(drawDatacenter(t), drawDatacenter(t))
		p.Status = &isthmusv1.PeeringStatus{State: rapid.SampledFrom([]string{"", "ACTIVE"}).Draw(t, "state")}
		o = p
	} else {
		o = datacenter(drawDatacenter(t))
	}
	resource.SetMetadata(o, resource.Metadata{UID: fmt.Sprint(m.uids), Generation: 1})
	return o
}

// Put creates or replaces, some at once.
func (m *machine) Put(t *rapid.T) {
	w := store.Write{}
	for range rapid.IntRange(1, 4).Draw(t, "puts") {
		w.Puts = append(w.Puts, store.Put{Object: m.object(t), Part: store.PartAll})
	}
	m.write(t, w)
}

// Change writes one part of what is there.
func (m *machine) Change(t *rapid.T) {
	o := m.object(t)
	k := store.Key{Kind: resource.KindOf(o).Name, Name: o.GetName()}
	if old, _, err := m.store.Get(m.ctx, k); err == nil {
		resource.SetMetadata(o, resource.MetadataOf(old))
	}
	part := rapid.SampledFrom([]store.Part{store.PartSpec, store.PartStatus}).Draw(t, "part")
	m.write(t, store.Write{Puts: []store.Put{{Object: o, Part: part}}})
}

// Delete deletes, some at once, or with something new.
func (m *machine) Delete(t *rapid.T) {
	w := store.Write{}
	for range rapid.IntRange(1, 2).Draw(t, "deletes") {
		o := m.object(t)
		w.Deletes = append(w.Deletes, store.Key{Kind: resource.KindOf(o).Name, Name: o.GetName()})
	}
	if rapid.Bool().Draw(t, "with-put") {
		w.Puts = []store.Put{{Object: m.object(t), Part: store.PartAll}}
	}
	m.write(t, w)
}

// Event moves the index without a resource.
func (m *machine) Event(t *rapid.T) {
	m.write(t, store.Write{Events: []*isthmusv1.Event{{Spec: &isthmusv1.EventSpec{Action: "refuse"}}}})
}

// Compact makes the snapshot load everything when it is behind.
func (m *machine) Compact(t *rapid.T) {
	if _, err := m.store.Compact(m.ctx, rapid.IntRange(0, 3).Draw(t, "keep")); err != nil {
		t.Fatalf("Compact: %v", err)
	}
}

// Restore begins another epoch.
func (m *machine) Restore(t *rapid.T) {
	r, err := m.store.Restored(m.ctx)
	if err != nil {
		t.Fatalf("Restored: %v", err)
	}
	m.written = r
}

// Follow brings the snapshot up to date and compares it with the store.
func (m *machine) Follow(t *rapid.T) {
	old := m.snapshot.View()
	kinds := map[string]<-chan struct{}{}
	for _, kind := range []string{resource.KindDatacenter, resource.KindPeering} {
		kinds[kind] = old.Watch(kind)
	}
	place := old.WatchDatacenter("a")
	if err := m.snapshot.Catchup(m.ctx); err != nil {
		t.Fatalf("Catchup: %v", err)
	}
	v := m.snapshot.View()
	stored := map[string][]resource.Object{}
	revision, err := m.store.Load(m.ctx, func(o resource.Object) error {
		kind := resource.KindOf(o).Name
		stored[kind] = append(stored[kind], o)
		return nil
	})
	if err != nil || revision != v.Revision() {
		t.Fatalf("the store is at %+v, the view at %+v: %v", revision, v.Revision(), err)
	}
	for kind, changed := range kinds {
		m.compare(t, v, kind, stored[kind])
		// The kind's index and its watch tell of every difference.
		if !sameObjects(slices.Collect(old.List(kind)), slices.Collect(v.List(kind))) {
			if v.KindIndex(kind) <= old.KindIndex(kind) && v.Revision().Epoch == old.Revision().Epoch {
				t.Fatalf("%s changed, but its index went from %d to %d", kind, old.KindIndex(kind), v.KindIndex(kind))
			}
			if !closed(changed) {
				t.Fatalf("the watch of %s missed a change", kind)
			}
		}
	}
	if !sameObjects(slices.Collect(old.Touching(resource.KindPeering, "a")), slices.Collect(v.Touching(resource.KindPeering, "a"))) && !closed(place) {
		t.Fatal("the watch of a datacenter missed a change")
	}
}

func (m *machine) compare(t *rapid.T, v *snapshot.View, kind string, stored []resource.Object) {
	slices.SortFunc(stored, func(a, b resource.Object) int { return compareNames(a, b) })
	equal(t, kind, slices.Collect(v.List(kind)), stored)
	for _, dc := range []string{"a", "b", "c", "a-b"} {
		var touching []resource.Object
		for _, o := range stored {
			if slices.Contains(resource.KindOf(o).Datacenters(o), dc) {
				touching = append(touching, o)
			}
		}
		equal(t, kind+" touching "+dc, slices.Collect(v.Touching(kind, dc)), touching)
	}
}

// Told lets the follower catch up: its changes, applied to what it knew, are the view.
func (m *machine) Told(t *rapid.T) {
	if !closed(m.follower.Changed()) {
		return
	}
	b, err := m.follower.Next(m.ctx)
	if err != nil {
		t.Fatalf("Next: %v", err)
	}
	for _, c := range b.Changes {
		if had := m.told[c.Key]; (had == nil) != (c.Before == nil) || had != nil && !proto.Equal(had, c.Before) {
			t.Fatalf("the change of %v starts from %v, not from %v", c.Key, c.Before, had)
		}
		if c.After == nil {
			delete(m.told, c.Key)
		} else {
			m.told[c.Key] = c.After
		}
	}
	n := 0
	for _, kind := range []string{resource.KindDatacenter, resource.KindPeering} {
		for o := range b.View.List(kind) {
			n++
			if !proto.Equal(m.told[store.Key{Kind: kind, Name: o.GetName()}], o) {
				t.Fatalf("the follower was told %v, the view has %v", m.told[store.Key{Kind: kind, Name: o.GetName()}], o)
			}
		}
	}
	if n != len(m.told) {
		t.Fatalf("the follower knows %d resources, the view has %d", len(m.told), n)
	}
}

// Check proves what always holds: nobody is ahead of what he follows.
func (m *machine) Check(t *rapid.T) {
	at := m.snapshot.View().Revision()
	if at.Epoch == m.written.Epoch && at.Index > m.written.Index {
		t.Fatalf("the snapshot is at %d, the store at %d", at.Index, m.written.Index)
	}
	if told := m.follower.View().Revision(); told.Epoch == at.Epoch && told.Index > at.Index {
		t.Fatalf("the follower is at %d, the snapshot at %d", told.Index, at.Index)
	}
}

func compareNames(a, b resource.Object) int {
	switch {
	case a.GetName() < b.GetName():
		return -1
	case a.GetName() > b.GetName():
		return 1
	}
	return 0
}

func sameObjects(a, b []resource.Object) bool {
	return slices.EqualFunc(a, b, func(x, y resource.Object) bool { return proto.Equal(x, y) })
}

func TestSnapshotIsTheStore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "store") //nolint:usetesting // one for each run of many, in the test's own
		if err != nil {
			rt.Fatal(err)
		}
		st, err := sqlite.Open(t.Context(), dir, hclog.NewNullLogger())
		if err != nil {
			rt.Fatal(err)
		}
		defer func() {
			if err := st.Close(); err != nil {
				rt.Errorf("Close: %v", err)
			}
		}()
		s, err := snapshot.Open(t.Context(), st, hclog.NewNullLogger())
		if err != nil {
			rt.Fatal(err)
		}
		m := &machine{ctx: t.Context(), store: st, snapshot: s, follower: s.Follow(), told: map[store.Key]resource.Object{}}
		rt.Repeat(rapid.StateMachineActions(m))
		m.Follow(rt)
		m.Told(rt)
	})
}
