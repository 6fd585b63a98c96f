package snapshot_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
	"isthmus/store"
	"isthmus/store/snapshot"
	"isthmus/store/sqlite"
	"isthmus/store/sqlstore"
)

// replica is one of several servers' ways to the store: it is told of what it wrote itself.
type replica struct {
	*sqlstore.Store
	told func(store.Commit)
}

func (r *replica) Announce(told func(store.Commit)) { r.told = told }

// machine writes at random through two replicas and now and then lets their snapshots and a follower catch up: they must be what the store is.
type machine struct {
	ctx       context.Context
	store     *sqlstore.Store
	replicas  []*replica
	snapshots []*snapshot.Snapshot
	// seen are the views at which the snapshots were followed last.
	seen []*looking
	// follower is of the first one.
	follower *snapshot.Follower
	// told is what the follower's changes amount to.
	told map[store.Key]resource.Object
	// written is where the store stands.
	written store.Revision
	uids    int
}

func (m *machine) write(t *rapid.T, w store.Write) {
	by := rapid.IntRange(0, len(m.replicas)-1).Draw(t, "replica")
	m.store.Announce(m.replicas[by].told)
	behind := m.snapshots[by].View().Revision() != m.written
	r, err := m.store.Write(m.ctx, w)
	switch fault.CodeOf(err) {
	case "":
		m.written = r
		if at := m.snapshots[by].View().Revision(); !behind && at != r {
			t.Fatalf("a write at %+v was acknowledged before the snapshot, at %+v, had it", r, at)
		}
	case fault.NotFound, fault.Conflict, fault.AlreadyExists, fault.Referenced, fault.Invalid:
	default:
		t.Fatalf("Write: %v", err)
	}
}

func drawDatacenter(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "c", "a-b"}).Draw(t, "datacenter")
}

func drawnKinds() []string {
	return []string{resource.KindDatacenter, resource.KindPeering, resource.KindIntention, resource.KindFederation}
}

func drawnSelectors() []string { return []string{"env=a", "env=b", "env"} }

func (m *machine) object(t *rapid.T) resource.Object {
	m.uids++
	var o resource.Object
	switch rapid.IntRange(0, 5).Draw(t, "kind") {
	case 5:
		f := &isthmusv1.Federation{
			Name: rapid.SampledFrom([]string{"f", "g"}).Draw(t, "federation"), Spec: &isthmusv1.FederationSpec{Primary: drawDatacenter(t)}, Status: &isthmusv1.FederationStatus{},
		}
		if rapid.Bool().Draw(t, "by selector") {
			f.Spec.SecondarySelector = rapid.SampledFrom(drawnSelectors()).Draw(t, "secondaries")
		}
		f.Status.Members = []*isthmusv1.FederationMember{{
			Datacenter: drawDatacenter(t), Role: resource.RoleSecondary, Phase: rapid.SampledFrom([]string{resource.PhaseJoined, resource.PhaseWaiting}).Draw(t, "phase"),
		}}
		resource.Default(f)
		o = f
	case 0:
		d := &isthmusv1.IntentionDestination{Namespace: "default", Service: rapid.SampledFrom([]string{"api", "API", "web"}).Draw(t, "service")}
		if rapid.Bool().Draw(t, "by name") {
			d.Datacenters = []string{drawDatacenter(t)}
		} else {
			d.Selector = rapid.SampledFrom(drawnSelectors()).Draw(t, "selector")
		}
		o = &isthmusv1.Intention{Name: rapid.SampledFrom([]string{"i", "j", "k"}).Draw(t, "intention"), Spec: &isthmusv1.IntentionSpec{
			Destination: d, Sources: []*isthmusv1.IntentionSource{{Service: "web", Selector: rapid.SampledFrom([]string{"", "env=a", "env=b"}).Draw(t, "sources")}},
		}}
	case 1, 2:
		p := peering(drawDatacenter(t), drawDatacenter(t))
		p.Status = &isthmusv1.PeeringStatus{State: rapid.SampledFrom([]string{"", "ACTIVE"}).Draw(t, "state")}
		o = p
	default:
		dc := datacenter(drawDatacenter(t))
		dc.Labels = rapid.MapOf(rapid.SampledFrom([]string{"env", "region"}), rapid.SampledFrom([]string{"", "a", "b"})).Draw(t, "labels")
		o = dc
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

// Follow brings all up to date.
func (m *machine) Follow(t *rapid.T) {
	for i := range m.snapshots {
		m.follow(t, i)
	}
}

// FollowOne brings one replica up to date, and leaves the other where it is.
func (m *machine) FollowOne(t *rapid.T) {
	m.follow(t, rapid.IntRange(0, len(m.snapshots)-1).Draw(t, "replica"))
}

// follow brings a snapshot up to date and compares it with the store.
func (m *machine) follow(t *rapid.T, i int) {
	old := m.seen[i]
	if err := m.snapshots[i].Catchup(m.ctx); err != nil {
		t.Fatalf("Catchup: %v", err)
	}
	v := m.snapshots[i].View()
	m.seen[i] = look(v)
	stored := map[string][]resource.Object{}
	revision, err := m.store.Load(m.ctx, func(o resource.Object) error {
		kind := resource.KindOf(o).Name
		stored[kind] = append(stored[kind], o)
		return nil
	})
	if err != nil || revision != v.Revision() {
		t.Fatalf("the store is at %+v, the view at %+v: %v", revision, v.Revision(), err)
	}
	for kind := range old.kinds {
		m.compare(t, v, kind, stored[kind])
		// The kind's index tells of every difference.
		if !sameObjects(slices.Collect(old.view.List(kind)), slices.Collect(v.List(kind))) &&
			v.KindIndex(kind) <= old.view.KindIndex(kind) && v.Revision().Epoch == old.view.Revision().Epoch {
			t.Fatalf("%s changed, but its index went from %d to %d", kind, old.view.KindIndex(kind), v.KindIndex(kind))
		}
	}
	old.check(t, v)
	// Who is in which federation is the same as if it were found now.
	fresh := resourcetest.New()
	for _, objects := range stored {
		fresh.Put(objects...)
	}
	want := resource.Memberships(fresh)
	if got := resource.Memberships(v); !maps.EqualFunc(got, want, func(a, b resource.Membership) bool {
		return proto.Equal(a.Federation, b.Federation) && proto.Equal(a.Member, b.Member) && a.Role == b.Role && a.Leaving == b.Leaving
	}) {
		t.Fatalf("memberships are %v, want %v", got, want)
	}
}

// looking is a view with watches of all that may change in it: some from the beginning, the others, of the same, from when it is no longer
// the newest.
type looking struct {
	view          *snapshot.View
	kinds, places map[string]<-chan struct{}
	names         map[store.Key]<-chan struct{}
}

func look(v *snapshot.View) *looking {
	l := &looking{v, map[string]<-chan struct{}{}, map[string]<-chan struct{}{}, map[store.Key]<-chan struct{}{}}
	for _, kind := range drawnKinds() {
		l.kinds[kind] = v.Watch(kind)
		for _, name := range []string{"a", "b", "c", "a-b", "b-a", "a-c", "b-c", "a-b-c"} {
			l.names[store.Key{Kind: kind, Name: name}] = v.WatchName(kind, name)
		}
	}
	for _, place := range []string{"a", "b", "c", "a-b"} {
		l.places[place] = v.WatchDatacenter(place)
	}
	return l
}

// check proves that the watches told of every difference to a later view.
func (l *looking) check(t *rapid.T, later *snapshot.View) {
	for kind, changed := range l.kinds {
		if !sameObjects(slices.Collect(l.view.List(kind)), slices.Collect(later.List(kind))) && (!closed(changed) || !closed(l.view.Watch(kind))) {
			t.Fatalf("the watch of %s missed a change", kind)
		}
	}
	for k, changed := range l.names {
		was, had := l.view.Get(k.Kind, k.Name)
		is, has := later.Get(k.Kind, k.Name)
		if (had != has || had && !proto.Equal(was, is)) && (!closed(changed) || !closed(l.view.WatchName(k.Kind, k.Name))) {
			t.Fatalf("the watch of %v missed a change", k)
		}
		if had && has && was.GetIndex() == is.GetIndex() && l.view.Revision().Epoch == later.Revision().Epoch && closed(changed) {
			t.Fatalf("the watch of %v told of a change that was none", k)
		}
	}
	for place, changed := range l.places {
		for kind := range l.kinds {
			if !sameObjects(slices.Collect(l.view.Touching(kind, place)), slices.Collect(later.Touching(kind, place))) &&
				(!closed(changed) || !closed(l.view.WatchDatacenter(place))) {
				t.Fatalf("the watch of datacenter %s missed a change of a %s", place, kind)
			}
		}
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
	switch kind {
	case resource.KindDatacenter:
		compareChoices(t, v, stored)
	case resource.KindIntention:
	default:
		return
	}
	terms := map[string][]resource.Object{}
	for _, o := range stored {
		for _, term := range slices.Compact(slices.Sorted(slices.Values(resource.KindOf(o).Terms(o)))) {
			terms[term] = append(terms[term], o)
		}
	}
	// What was found out of the words is the same as if it were found now.
	words := v.RememberTerms(kind, "all", func() any { return slices.Collect(v.Terms(kind, "")) })
	if want := slices.Sorted(maps.Keys(terms)); !slices.Equal(words.([]string), want) {
		t.Fatalf("the words are remembered as %q, want %q", words, want)
	}
	for _, prefix := range []string{"", "selector ", "other selector ", "service ", "label "} {
		want := slices.DeleteFunc(slices.Sorted(maps.Keys(terms)), func(term string) bool { return !strings.HasPrefix(term, prefix) })
		if got := slices.Collect(v.Terms(kind, prefix)); !slices.Equal(got, want) {
			t.Fatalf("terms that begin with %q: %q, want %q", prefix, got, want)
		}
	}
	for _, term := range append(slices.Collect(maps.Keys(terms)), "selector env=c") {
		equal(t, kind+" having "+term, slices.Collect(v.Having(kind, term)), terms[term])
	}
}

// compareChoices has selectors choose out of a view whom they choose out of all.
func compareChoices(t *rapid.T, v *snapshot.View, stored []resource.Object) {
	for _, text := range []string{"env=a", "env in (a,b,c)", "region==b,env=", "env", "!env", "env!=a", "region notin (a)", "region=a,!env", "other=a"} {
		s, err := resource.ParseSelector(text)
		if err != nil {
			t.Fatal(err)
		}
		var got, want []resource.Object
		for _, o := range stored {
			if s.Matches(o.GetLabels()) {
				want = append(want, o)
			}
		}
		for dc := range resource.Select(v, nil, text) {
			got = append(got, dc)
		}
		equal(t, "chosen by "+text, got, want)
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
	for _, kind := range drawnKinds() {
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
	at := m.snapshots[0].View().Revision()
	for _, s := range m.snapshots {
		if at := s.View().Revision(); at.Epoch == m.written.Epoch && at.Index > m.written.Index {
			t.Fatalf("the snapshot is at %d, the store at %d", at.Index, m.written.Index)
		}
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
		m := &machine{ctx: t.Context(), store: st, told: map[store.Key]resource.Object{}}
		for range 2 {
			r := &replica{Store: st}
			s, err := snapshot.Open(t.Context(), r, hclog.NewNullLogger())
			if err != nil {
				rt.Fatal(err)
			}
			m.replicas, m.snapshots, m.seen = append(m.replicas, r), append(m.snapshots, s), append(m.seen, look(s.View()))
			m.written = s.View().Revision()
		}
		m.follower = m.snapshots[0].Follow()
		rt.Repeat(rapid.StateMachineActions(m))
		m.Follow(rt)
		m.Told(rt)
	})
}
