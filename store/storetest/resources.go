package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
)

// same compares two messages.
func same(t *testing.T, what string, got, want proto.Message) {
	t.Helper()
	if d := cmp.Diff(want, got, protocmp.Transform()); d != "" {
		t.Fatalf("%s (-want +got):\n%s", what, d)
	}
}

func testReadAndWrite(f *fixture) {
	t := f.t
	f.absent("dc1")
	if err := f.Ping(f.ctx); err != nil {
		t.Fatalf("Ping: %v", err)
	}
	start := f.revision()
	if start.Epoch == "" || start.Index != 0 {
		t.Fatalf("a fresh store is at %+v", start)
	}
	dc := datacenter("dc1")
	enabled := false
	dc.Status = &isthmusv1.DatacenterStatus{Agent: "online", AclEnabled: &enabled, AgentSince: instant()}
	r := f.put(dc)
	if r.Index != 1 || r.Epoch != start.Epoch {
		t.Fatalf("the first write is at %+v", r)
	}
	got, at, err := f.Get(f.ctx, datacenterKey("dc1"))
	if err != nil || at != r {
		t.Fatalf("Get at %+v: %v", at, err)
	}
	dc.Index = 1
	same(t, "what was stored", got, dc)

	loaded := 0
	if at, err = f.Load(f.ctx, func(o resource.Object) error {
		loaded++
		same(t, "what was loaded", o, dc)
		return nil
	}); err != nil || at != r || loaded != 1 {
		t.Fatalf("Load: %d objects at %+v: %v", loaded, at, err)
	}
	if r = f.write(store.Write{Deletes: []store.Key{datacenterKey("dc1")}}); r.Index != 2 {
		t.Fatalf("the second write is at %+v", r)
	}
	f.absent("dc1")
	f.refused(fault.NotFound, store.Write{Deletes: []store.Key{datacenterKey("dc1")}})
	if r = f.write(store.Write{}); r.Index != 2 {
		t.Fatalf("an empty write is at %+v", r)
	}
}

func testParts(f *fixture) {
	t := f.t
	dc := datacenter("dc1")
	dc.Status = &isthmusv1.DatacenterStatus{Agent: "online"}
	f.put(dc)

	status := datacenter("dc1")
	status.Spec, status.Labels = &isthmusv1.DatacenterSpec{Runtime: "kubernetes"}, nil
	status.Status = &isthmusv1.DatacenterStatus{Agent: "offline"}
	f.write(store.Write{Puts: []store.Put{{Object: status, Part: store.PartStatus}}})
	dc.Index, dc.Status = 2, status.GetStatus()
	same(t, "after a write of status", f.get(resource.KindDatacenter, "dc1"), dc)

	spec := datacenter("dc1")
	spec.Generation, spec.Labels, spec.DeleteTime = 2, map[string]string{"a": "b"}, instant()
	spec.Spec.Runtime = "kubernetes"
	f.write(store.Write{Puts: []store.Put{{Object: spec, Part: store.PartSpec}}})
	spec.Index, spec.Status = 3, dc.GetStatus()
	same(t, "after a write of spec", f.get(resource.KindDatacenter, "dc1"), spec)

	both := datacenter("dc1")
	both.Status = &isthmusv1.DatacenterStatus{Agent: "unknown"}
	f.write(store.Write{Puts: []store.Put{{Object: both, Part: store.PartSpec}, {Object: both, Part: store.PartStatus}}})
	both.Index = 4
	same(t, "after both in one write", f.get(resource.KindDatacenter, "dc1"), both)
	feed := f.changes(store.Revision{Epoch: f.revision().Epoch, Index: 1}, 10)
	var parts []store.Part
	for _, c := range feed.Changes {
		parts = append(parts, c.Part)
	}
	if want := []store.Part{store.PartStatus, store.PartSpec, store.PartAll}; !slices.Equal(parts, want) {
		t.Fatalf("parts in the feed: %v, want %v", parts, want)
	}

	// Only creating gives a create time: a spec that comes without it, alone or beside a status, does not take it away.
	bare := datacenter("dc1")
	bare.CreateTime = nil
	bare.Status = both.GetStatus()
	f.write(store.Write{Puts: []store.Put{{Object: bare, Part: store.PartSpec}}})
	f.write(store.Write{Puts: []store.Put{{Object: bare, Part: store.PartSpec}, {Object: bare, Part: store.PartStatus}}})
	both.Index = 6
	same(t, "after parts without a create time", f.get(resource.KindDatacenter, "dc1"), both)
	again := datacenter("dc2")
	f.write(store.Write{Puts: []store.Put{{Object: again, Part: store.PartAll}, {Object: func() resource.Object {
		spec := datacenter("dc2")
		spec.CreateTime = nil
		return spec
	}(), Part: store.PartSpec}}})
	again.Index = 7
	same(t, "after creating and changing in one write", f.get(resource.KindDatacenter, "dc2"), again)

	cleared := datacenter("dc1")
	f.write(store.Write{Puts: []store.Put{{Object: cleared, Part: store.PartStatus}}})
	cleared.Index = 8
	same(t, "after clearing the status", f.get(resource.KindDatacenter, "dc1"), cleared)
}

func testUIDs(f *fixture) {
	t := f.t
	dc := datacenter("dc1")
	for _, part := range []store.Part{store.PartSpec, store.PartStatus} {
		f.refused(fault.NotFound, store.Write{Puts: []store.Put{{Object: dc, Part: part}}})
	}
	f.put(dc)
	again := datacenter("dc1")
	again.Uid = "another"
	f.write(store.Write{Deletes: []store.Key{datacenterKey("dc1")}, Puts: puts(again)})
	for _, part := range []store.Part{store.PartSpec, store.PartStatus} {
		f.refused(fault.Conflict, store.Write{Puts: []store.Put{{Object: dc, Part: part}}})
	}
	again.Index = 2
	same(t, "after deleting and making it again in one write", f.get(resource.KindDatacenter, "dc1"), again)
	feed := f.changes(store.Revision{Epoch: f.revision().Epoch, Index: 1}, 10)
	if len(feed.Changes) != 1 || feed.Changes[0].UID != "another" || feed.Changes[0].Operation != store.OperationPut {
		t.Fatalf("the feed has %+v", feed.Changes)
	}
}

func testPreconditions(f *fixture) {
	t := f.t
	key := datacenterKey("dc1")
	require := func(r store.Require) store.Write {
		return store.Write{Requires: []store.Require{r}, Puts: puts(datacenter("dc2"))}
	}
	f.refused(fault.Conflict, require(store.Require{Key: key}))
	f.refused(fault.Conflict, require(store.Require{Key: key, Index: 1}))
	f.write(store.Write{Requires: []store.Require{{Key: key, Absent: true}}, Puts: puts(datacenter("dc1"))})
	f.refused(fault.AlreadyExists, require(store.Require{Key: key, Absent: true}))
	f.refused(fault.Conflict, require(store.Require{Key: key, Index: 7}))
	f.absent("dc2")
	if at := f.revision().Index; at != 1 {
		t.Fatalf("refused writes moved the index to %d", at)
	}
	f.write(require(store.Require{Key: key, Index: 1}))
	f.write(require(store.Require{Key: key}))
	f.write(store.Write{Requires: []store.Require{{Key: key, Index: 1}}})
}

func testClaims(f *fixture) {
	t := f.t
	f.put(datacenter("dc1"), datacenter("dc2"), datacenter("dc3"))
	f.put(peering("dc1", "dc2"))
	second := peering("dc2", "dc1")
	if e := f.refusal(fault.AlreadyExists, store.Write{Puts: puts(second)}); !strings.Contains(e.Message, "dc1-dc2") {
		t.Fatalf("the error does not name the holder: %v", e)
	}
	// Given up and taken in one write.
	f.write(store.Write{Deletes: []store.Key{peeringKey("dc1-dc2")}, Puts: puts(second)})
	f.refused(fault.AlreadyExists, store.Write{Puts: puts(peering("dc1", "dc2"))})
	// Given up by a change.
	moved := peering("dc2", "dc3")
	moved.Name, moved.Uid = "dc2-dc1", "dc2-dc1"
	f.write(store.Write{Puts: []store.Put{{Object: moved, Part: store.PartSpec}}})
	f.put(peering("dc1", "dc2"))
	// Two for one in one write.
	f.refused(fault.AlreadyExists, store.Write{Puts: puts(peering("dc1", "dc3"), peering("dc3", "dc1"))})
	// A status keeps them.
	f.write(store.Write{Puts: []store.Put{{Object: moved, Part: store.PartStatus}}})
	f.refused(fault.AlreadyExists, store.Write{Puts: puts(peering("dc3", "dc2"))})
}

func testReferences(f *fixture) {
	t := f.t
	f.put(datacenter("dc1"))
	e := f.refusal(fault.Invalid, store.Write{Puts: puts(peering("dc1", "dc2"))})
	if len(e.Violations) != 1 || e.Violations[0].Field != "spec.dialer" {
		t.Fatalf("violations: %+v", e.Violations)
	}
	// What refers and what is referred to, in one write, in any order.
	f.put(peering("dc1", "dc2"), datacenter("dc2"))
	e = f.refusal(fault.Referenced, store.Write{Deletes: []store.Key{datacenterKey("dc2")}})
	if len(e.Violations) != 1 || !strings.Contains(e.Violations[0].Message, "dc1-dc2") {
		t.Fatalf("violations: %+v", e.Violations)
	}
	// A status keeps them; replacing what is referred to does no harm.
	f.write(store.Write{Puts: []store.Put{{Object: peering("dc1", "dc2"), Part: store.PartStatus}}})
	f.write(store.Write{Deletes: []store.Key{datacenterKey("dc2")}, Puts: puts(datacenter("dc2"))})
	f.refused(fault.Referenced, store.Write{Deletes: []store.Key{datacenterKey("dc1")}})
	// A change of spec changes them.
	f.put(datacenter("dc3"))
	moved := peering("dc1", "dc3")
	moved.Name, moved.Uid = "dc1-dc2", "dc1-dc2"
	f.write(store.Write{Puts: []store.Put{{Object: moved, Part: store.PartSpec}}})
	f.write(store.Write{Deletes: []store.Key{datacenterKey("dc2")}})
	f.refused(fault.Referenced, store.Write{Deletes: []store.Key{datacenterKey("dc3")}})
	f.refused(fault.Invalid, store.Write{Deletes: []store.Key{datacenterKey("dc3")}, Puts: puts(moved)})
	f.write(store.Write{Deletes: []store.Key{datacenterKey("dc3"), peeringKey("dc1-dc2"), datacenterKey("dc1")}})
	if at := f.changes(store.Revision{Epoch: f.revision().Epoch}, 100); len(at.Changes) == 0 {
		t.Fatal("the feed is empty")
	}
}

func testPaging(f *fixture) {
	t := f.t
	names := []string{"a", "a-b", "a0", "ab", "b", "b-1", "ba", "z"}
	for _, name := range names {
		f.put(datacenter(name))
	}
	f.put(&isthmusv1.Gateway{Name: "a-gateway", Uid: "g", Spec: &isthmusv1.GatewaySpec{Datacenter: "a", WanAddress: "192.0.2.1:8443"}})
	slices.Sort(names)
	for limit := 1; limit <= len(names)+1; limit++ {
		var got []string
		after := ""
		for {
			page, err := f.List(f.ctx, resource.KindDatacenter, after, limit)
			if err != nil {
				t.Fatalf("List after %q: %v", after, err)
			}
			if len(page.Objects) > limit || page.Revision.Index != uint64(len(names)+1) {
				t.Fatalf("a page of %d has %d objects at %+v", limit, len(page.Objects), page.Revision)
			}
			for _, o := range page.Objects {
				got = append(got, o.GetName())
			}
			if after = page.Next; after == "" {
				break
			}
		}
		if !slices.Equal(got, names) {
			t.Fatalf("pages of %d give %v, want %v", limit, got, names)
		}
	}
}

// testOddText stores what databases like to change.
func testOddText(f *fixture) {
	t := f.t
	for i, text := range []string{
		"", " ", "it's", `"quoted"`, `back\slash`, `\u0000`, "<b>&amp;</b>", "ünïcødé 日本 🎉", "line\nbreak\ttab", "\u2028", "null", "$1 ?", strings.Repeat("x", 100_000),
	} {
		p := peering("dc1", "dc2")
		p.Name = number("odd", i)
		p.Labels = map[string]string{"text": text}
		p.Spec = &isthmusv1.PeeringSpec{ExternalAcceptor: number("ext", i), ExternalDialer: text, ServerExternalAddresses: []string{text, ""}}
		p.Status = &isthmusv1.PeeringStatus{Message: text, VerdictSince: &timestamppb.Timestamp{}}
		r := f.put(p)
		p.Index = r.Index
		same(t, text, f.get(resource.KindPeering, p.GetName()), p)
	}
	p := peering("dc1", "dc2")
	p.Spec = &isthmusv1.PeeringSpec{ExternalAcceptor: "a", ExternalDialer: "nul\x00"}
	f.refused(fault.Invalid, store.Write{Puts: puts(p)})
}

func testAtomic(f *fixture) {
	t := f.t
	before := f.revision()
	f.refused(fault.NotFound, store.Write{
		Puts: puts(datacenter("dc1")), Deletes: []store.Key{datacenterKey("no-such")},
		Events: []*isthmusv1.Event{event("create", "Datacenter", "dc1")}, Secrets: []store.Secret{{Digest: "d", Kind: "k", Body: []byte("x")}},
	})
	f.refused(fault.AlreadyExists, store.Write{
		Puts: append(puts(datacenter("dc1"), datacenter("dc2"), peering("dc1", "dc2")), puts(peering("dc2", "dc1"))...),
	})
	f.absent("dc1")
	if _, err := f.Secret(f.ctx, "d"); fault.CodeOf(err) != fault.NotFound {
		t.Fatalf("the secret of a refused write: %v", err)
	}
	if at := f.revision(); at != before {
		t.Fatalf("refused writes moved the index to %+v", at)
	}
	f.put(datacenter("dc1"), datacenter("dc2"), peering("dc2", "dc1"))
}

// testManyRows writes more than one statement takes, in each way that rows are written.
func testManyRows(f *fixture) {
	t := f.t
	const n = 777
	var all []resource.Object
	for i := range n {
		all = append(all, datacenter(number("dc", i)))
	}
	for i := range n - 1 {
		all = append(all, peering(number("dc", i), number("dc", i+1)))
	}
	r := f.put(all...)
	var specs, statuses []store.Put
	for i, o := range all {
		dc, ok := o.(*isthmusv1.Datacenter)
		if !ok {
			continue
		}
		dc = proto.CloneOf(dc)
		if i%2 == 0 {
			dc.Spec.Runtime = "kubernetes"
			specs = append(specs, store.Put{Object: dc, Part: store.PartSpec})
		} else {
			dc.Status = &isthmusv1.DatacenterStatus{Agent: "online"}
			statuses = append(statuses, store.Put{Object: dc, Part: store.PartStatus})
		}
	}
	f.write(store.Write{Puts: specs})
	f.write(store.Write{Puts: statuses})
	feed := f.changes(r, 10*n)
	if len(feed.Changes) != n || feed.More {
		t.Fatalf("the feed has %d changes", len(feed.Changes))
	}
	for _, c := range feed.Changes {
		dc := c.Object.(*isthmusv1.Datacenter)
		if even := dc.GetSpec().GetRuntime() == "kubernetes"; even != (dc.GetStatus() == nil) || even != (c.Part == store.PartSpec) {
			t.Fatalf("%s: %v", dc.GetName(), dc)
		}
	}
	var deletes []store.Key
	for _, o := range all {
		deletes = append(deletes, store.Key{Kind: resource.KindOf(o).Name, Name: o.GetName()})
	}
	f.write(store.Write{Deletes: deletes})
	if _, err := f.Load(f.ctx, func(o resource.Object) error { t.Fatalf("%s is left", o.GetName()); return nil }); err != nil {
		t.Fatal(err)
	}
	f.put(all...)
}

// testUnknownFields plays a newer isthmus.
func testUnknownFields(f *fixture) {
	t := f.t
	f.put(datacenter("dc1"), datacenter("dc2"))
	f.db.Exec(t, `UPDATE resources SET shape = 'newer', spec = '{"runtime":"vm","consulDatacenter":"dc1","invention":{"a":1}}' WHERE name = 'dc1'`)
	f.db.Exec(t, `UPDATE resources SET shape = 'older' WHERE name = 'dc2'`)
	want := datacenter("dc1")
	want.Index = 1
	same(t, "a row with an unknown field", f.get(resource.KindDatacenter, "dc1"), want)
	for _, w := range []store.Write{
		{Puts: []store.Put{{Object: want, Part: store.PartStatus}}},
		{Puts: []store.Put{{Object: want, Part: store.PartSpec}}},
		{Puts: puts(want)},
		{Deletes: []store.Key{datacenterKey("dc1")}},
	} {
		f.refused(fault.Refused, w)
	}
	// It can be referred to, and one of another shape without unknown fields can be written.
	f.put(peering("dc1", "dc2"))
	other := datacenter("dc2")
	other.Status = &isthmusv1.DatacenterStatus{Agent: "online"}
	f.write(store.Write{Puts: []store.Put{{Object: other, Part: store.PartStatus}}})
	other.Index = 3
	same(t, "a row of another shape", f.get(resource.KindDatacenter, "dc2"), other)
}

func testUnknownKind(f *fixture) {
	t := f.t
	r := f.put(datacenter("dc1"))
	f.db.Exec(t, `INSERT INTO resources (kind, name, uid, labels, generation, "index", spec, shape, datacenters)
		VALUES ('Invention', 'new', 'u', '{}', 1, 2, '{}', 'newer', '[]')`)
	f.db.Exec(t, `INSERT INTO refs (from_kind, from_name, field, to_kind, to_name) VALUES ('Invention', 'new', 'spec.x', 'Datacenter', 'dc1')`)
	f.db.Exec(t, `INSERT INTO commits (last_index, number, preceding, changes) VALUES (2, 1, 1, '[[2,"Invention","new","u","put","all",[]]]')`)
	f.db.Exec(t, `UPDATE revision SET "index" = 2`)
	if feed := f.changes(r, 10); len(feed.Changes) != 0 || feed.Revision.Index != 2 || feed.Reload || feed.More {
		t.Fatalf("the feed is %+v", feed)
	}
	if _, err := f.Load(f.ctx, func(o resource.Object) error { return nil }); err != nil {
		t.Fatalf("Load: %v", err)
	}
	f.refused(fault.Referenced, store.Write{Deletes: []store.Key{datacenterKey("dc1")}})
}

func testViews(f *fixture) {
	t := f.t
	f.put(datacenter("dc1"), datacenter("dc2"), peering("dc1", "dc2"),
		&isthmusv1.Gateway{Name: "gw", Uid: "g", Spec: &isthmusv1.GatewaySpec{Datacenter: "dc1", WanAddress: "192.0.2.1:8443"}})
	// Each of these fails when the view does not show the row.
	for _, query := range []string{
		`UPDATE revision SET "index" = 1 / (SELECT count(*) FROM datacenters WHERE name = 'dc1' AND runtime = 'vm')`,
		`UPDATE revision SET "index" = 1 / (SELECT count(*) FROM peerings WHERE acceptor = 'dc1' AND dialer = 'dc2')`,
		`UPDATE revision SET "index" = 1 / (SELECT count(*) FROM gateway_endpoints WHERE datacenter = 'dc1' AND wan_address = '192.0.2.1:8443' AND source = 'static')`,
	} {
		f.db.Exec(t, query)
	}
}

// testManyRefused has the database refuse one row of many that come together: nothing of the write is stored, and the next one is.
func testManyRefused(f *fixture) {
	t := f.t
	const n = 600
	f.put(datacenter("taken"))
	f.db.Exec(t, fmt.Sprintf(`CREATE UNIQUE INDEX poison ON resources (generation) WHERE generation = %d`, poison))
	if f.options.Replicas {
		f = f.on(open(f.ctx, t, f.db)) // which has not met the one that is taken
	}
	f.put(datacenter("first"))
	f.put(datacenter("second"))
	write := func(prefix string, other ...resource.Object) (w store.Write, peerings int) {
		for i := range n {
			w.Puts = append(w.Puts, puts(datacenter(number(prefix, i)))...)
			w.Events = append(w.Events, event("create", "Datacenter", number(prefix, i)))
			if i > 0 {
				w.Puts = append(w.Puts, puts(peering(number(prefix, i-1), number(prefix, i)))...)
				peerings++
			}
		}
		w.Puts = append(w.Puts, puts(other...)...)
		for _, p := range w.Puts {
			w.Requires = append(w.Requires, store.Require{Key: store.Key{Kind: resource.KindOf(p.Object).Name, Name: p.Object.GetName()}, Absent: true})
		}
		return w, peerings
	}
	before := f.revision()
	bad, worse := datacenter("bad"), datacenter("worse")
	bad.Generation, worse.Generation = poison, poison
	w, _ := write("a", bad, worse)
	f.refused(fault.Internal, w)
	w, _ = write("a", datacenter("taken"))
	f.refused(fault.AlreadyExists, w)
	if now := f.revision(); now != before {
		t.Fatalf("refused writes moved the store from %+v to %+v", before, now)
	}
	w, peerings := write("a")
	f.write(w)
	found := map[string]int{}
	if _, err := f.Load(f.ctx, func(o resource.Object) error { found[resource.KindOf(o).Name]++; return nil }); err != nil {
		t.Fatal(err)
	}
	if found[resource.KindDatacenter] != n+3 || found[resource.KindPeering] != peerings {
		t.Fatalf("stored: %v", found)
	}
	checkChain(f, n)
	// What came with the rows holds: claims and references.
	f.refused(fault.AlreadyExists, store.Write{Puts: puts(named(peering("a0000", "a0001"), "again"))})
	f.refused(fault.Referenced, store.Write{Deletes: []store.Key{datacenterKey("a0300")}})
}

func named(p *isthmusv1.Peering, name string) *isthmusv1.Peering {
	p.Name = name
	return p
}
