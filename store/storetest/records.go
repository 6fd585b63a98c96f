package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/store"
)

// checkChain reads all events and proves their chain.
func checkChain(f *fixture, n int) []*isthmusv1.Event {
	t := f.t
	t.Helper()
	events, err := f.Events(f.ctx, store.EventQuery{Limit: 10_000})
	if err != nil || len(events) != n {
		t.Fatalf("Events: %d, %v; want %d", len(events), err, n)
	}
	if at := broken(events); at >= 0 {
		t.Fatalf("the chain breaks at event %v", events[at])
	}
	return events
}

// broken is where a chain breaks, or -1.
func broken(events []*isthmusv1.Event) int {
	previous := ""
	for i, e := range events {
		if e.GetStatus().GetPreviousHash() != previous || e.GetStatus().GetHash() != store.EventHash(e) {
			return i
		}
		previous = e.GetStatus().GetHash()
	}
	return -1
}

func testEvents(f *fixture) {
	t := f.t
	at := event("create", "Datacenter", "dc1")
	at.CreateTime = instant()
	f.write(store.Write{Puts: puts(datacenter("dc1")), Events: []*isthmusv1.Event{at, event("create", "Datacenter", "<ünïcødé> & \"more\"")}})
	f.write(store.Write{Events: []*isthmusv1.Event{event("refuse", "", "")}})
	concurrently(8, func(i int) {
		f.write(store.Write{Puts: puts(datacenter(number("dc", i))), Events: []*isthmusv1.Event{event("create", "Datacenter", number("dc", i))}})
	})
	events := checkChain(f, 11)
	if first := events[0]; first.GetName() != "000000000001" || first.GetIndex() != 1 || !first.GetCreateTime().AsTime().Equal(instant().AsTime()) || first.GetSpec().GetTarget() != "dc1" {
		t.Fatalf("the first event is %v", first)
	}
	for i, e := range events {
		if e.GetCreateTime() == nil {
			t.Fatalf("an event without a time: %v", e)
		}
		if number, err := store.EventNumber(e.GetName()); err != nil || number != uint64(i+1) {
			t.Fatalf("the number of %s is %d: %v", e.GetName(), number, err)
		}
	}
	if number, err := store.EventNumber(store.EventName(store.MaxEventNumber)); err != nil || number != store.MaxEventNumber {
		t.Fatalf("the largest number comes back as %d: %v", number, err)
	}
	for _, name := range []string{
		"", "1", "x", "-00000000001", "+00000000001", "0000000000012", "000000000000", "9223372036854775808", "18446744073709551615", "99999999999999999999",
	} {
		if _, err := store.EventNumber(name); fault.CodeOf(err) != fault.NotFound {
			t.Fatalf("%q is an event: %v", name, err)
		}
	}
	f.db.Exec(t, `UPDATE events SET spec = '{"actor":"somebody else"}' WHERE number = 5`)
	f.db.Exec(t, `DELETE FROM events WHERE number = 8`)
	changed, err := f.Events(f.ctx, store.EventQuery{Limit: 100})
	if err != nil || broken(changed) != 4 || broken(append(changed[:4:4], events[4:7]...)) != -1 {
		t.Fatalf("a changed event does not show: %d, %v", broken(changed), err)
	}
	if at := broken(append(events[:7:7], changed[7:]...)); at != 7 {
		t.Fatalf("a missing event does not show: %d", at)
	}
}

// testOldEvents: the log of a release that knew less of events still verifies, and goes on.
func testOldEvents(f *fixture) {
	t := f.t
	// What that release hashed, and stored: the event's canonical JSON, in which there is no field that is not set.
	const (
		spec = `{"action":"create","actor":"api-token/admin","digestAfter":"d1","kind":"Datacenter","role":"admin","target":"dc1"}`
		old  = `{"createTime":"2026-01-01T12:00:00Z","index":"1","name":"000000000001","spec":` + spec + `,"status":{}}`
	)
	sum := sha256.Sum256([]byte(old))
	hash := hex.EncodeToString(sum[:])
	f.db.Exec(t, `INSERT INTO events (number, "index", create_time, actor, action, kind, target, spec, previous_hash, hash)
		VALUES (1, 1, '2026-01-01T12:00:00.000000000Z', 'api-token/admin', 'create', 'Datacenter', 'dc1', '`+spec+`', '', '`+hash+`')`)
	f.db.Exec(t, `UPDATE revision SET "index" = 1, events = 1, chain_head = '`+hash+`'`)
	next := event("update", "Datacenter", "dc1")
	next.Spec.Changes = []*isthmusv1.FieldChange{{Field: "spec.drift", Before: `"correct"`, After: `"<report> & \"more\""`}, {Field: "labels.env", After: `"prod"`}}
	f.write(store.Write{Events: []*isthmusv1.Event{next}})
	events := checkChain(f, 2)
	if events[0].GetStatus().GetHash() != hash || events[1].GetStatus().GetPreviousHash() != hash {
		t.Fatalf("the old event's hash is %v, want %s", events[0].GetStatus(), hash)
	}
	if !slices.EqualFunc(events[1].GetSpec().GetChanges(), next.GetSpec().GetChanges(), func(a, b *isthmusv1.FieldChange) bool { return proto.Equal(a, b) }) {
		t.Fatalf("the fields came back as %v", events[1].GetSpec().GetChanges())
	}
	f.db.Exec(t, `UPDATE events SET spec = '`+strings.ReplaceAll(spec, "admin", "eve")+`' WHERE number = 1`)
	changed, err := f.Events(f.ctx, store.EventQuery{Limit: 100})
	if err != nil || broken(changed) != 0 {
		t.Fatalf("a changed event does not show: %d, %v", broken(changed), err)
	}
}

func testEventQueries(f *fixture) {
	t := f.t
	for i := range 10 {
		kind := []string{"Datacenter", "Peering"}[i%2]
		e := event([]string{"update", "update", "transition"}[i%3], kind, number("x", i/4))
		e.Spec.Actor = []string{"controller", "api-token/ann", "agent/a"}[i/4]
		f.write(store.Write{Events: []*isthmusv1.Event{e}})
	}
	numbers := func(q store.EventQuery) string {
		t.Helper()
		events, err := f.Events(f.ctx, q)
		if err != nil {
			t.Fatalf("Events: %v", err)
		}
		var out strings.Builder
		for _, e := range events {
			out.WriteString(e.GetName()[10:])
		}
		return out.String()
	}
	for want, q := range map[string]store.EventQuery{
		"010203":     {Limit: 3},
		"040506":     {Limit: 3, After: 3},
		"":           {Limit: 3, After: 10},
		"1009":       {Limit: 2, Descending: true},
		"0201":       {Limit: 9, Descending: true, After: 3},
		"0103050709": {Limit: 9, Kind: "Datacenter"},
		"0204":       {Limit: 9, Kind: "Peering", Target: "x0000"},
		"0806":       {Limit: 9, Kind: "Peering", Target: "x0001", Descending: true},
		"05060708":   {Limit: 9, Actor: "api-token/ann"},
		"030609":     {Limit: 9, Action: "transition"},
		"0906":       {Limit: 2, Action: "transition", Descending: true},
		"06":         {Limit: 9, Action: "transition", Actor: "api-token/ann", Kind: "Peering", Target: "x0001"},
		"10":         {Limit: 9, After: 9, Target: "x0002", Actor: "agent/a", Action: "update"},
		"0102":       {Limit: 2, Actor: "controller", Action: "update"},
		"07":         {Limit: 1, Actor: "api-token/ann", Kind: "Datacenter", Descending: true},
		"0204060810": {Limit: 9, ExceptKind: "Datacenter"},
		"1008":       {Limit: 2, ExceptKind: "Datacenter", Descending: true},
		"060402":     {Limit: 9, ExceptKind: "Datacenter", Descending: true, After: 8},
		"09":         {Limit: 9, ExceptKind: "Peering", Kind: "Datacenter", Actor: "agent/a"},
	} {
		if got := numbers(q); got != want {
			t.Fatalf("%+v gives %s, want %s", q, got, want)
		}
	}
	if got := numbers(store.EventQuery{Limit: 9, Kind: "Peering", ExceptKind: "Peering"}); got != "" {
		t.Fatalf("of a kind that is left out: %q", got)
	}
	for _, descending := range []bool{false, true} {
		want := map[bool]string{true: "10"}[descending]
		if got := numbers(store.EventQuery{After: store.MaxEventNumber, Descending: descending, Limit: 1}); got != want {
			t.Fatalf("with the largest number, descending %v: %q, want %q", descending, got, want)
		}
		if got := numbers(store.EventQuery{Descending: descending}); got != "" {
			t.Fatalf("with limit 0: %q", got)
		}
		for _, q := range []store.EventQuery{
			{After: store.MaxEventNumber + 1, Limit: 1}, {After: math.MaxUint64, Limit: 1}, {Limit: -1},
		} {
			q.Descending = descending
			if events, err := f.Events(f.ctx, q); fault.CodeOf(err) != fault.Invalid {
				t.Fatalf("%+v: %d events, %v", q, len(events), err)
			}
		}
	}
}

func testSecrets(f *fixture) {
	t := f.t
	get := func(digest string) []byte {
		t.Helper()
		s, err := f.Secret(f.ctx, digest)
		if fault.CodeOf(err) == fault.NotFound {
			return nil
		}
		if err != nil || s.Digest != digest || s.Kind != "peering-token" {
			t.Fatalf("Secret %s: %+v, %v", digest, s, err)
		}
		return s.Body
	}
	body := []byte{0, 1, 2, 255, 0}
	secret := func(digest string, body []byte) store.Secret {
		return store.Secret{Digest: digest, Kind: "peering-token", Body: body}
	}
	if get("a") != nil {
		t.Fatal("a secret that was not stored")
	}
	old := secret("old", body)
	old.ExpireTime = time.Now().Add(-time.Hour)
	young := secret("young", body)
	young.ExpireTime = time.Date(2100, 1, 1, 0, 0, 0, 123456789, time.UTC)
	f.write(store.Write{Secrets: []store.Secret{secret("a", body), old, young}})
	f.write(store.Write{Secrets: []store.Secret{secret("a", []byte("another"))}})
	if !bytes.Equal(get("a"), body) {
		t.Fatalf("a is %v", get("a"))
	}
	if s, err := f.Secret(f.ctx, "young"); err != nil || !s.ExpireTime.Equal(young.ExpireTime) {
		t.Fatalf("young: %+v, %v", s, err)
	}
	f.write(store.Write{DeleteSecrets: []string{"a", "no-such"}, Secrets: []store.Secret{secret("b", body)}})
	f.write(store.Write{DeleteSecrets: []string{"b"}, Secrets: []store.Secret{secret("b", []byte("new"))}})
	if get("a") != nil || string(get("b")) != "new" {
		t.Fatalf("a is %v, b is %v", get("a"), get("b"))
	}
	if at := f.revision().Index; at != 0 {
		t.Fatalf("writes of secrets alone moved the index to %d", at)
	}
	if _, err := f.Compact(f.ctx, 10); err != nil {
		t.Fatal(err)
	}
	if get("old") != nil || get("young") == nil || get("b") == nil {
		t.Fatal("compaction did not delete the expired secret only")
	}
}

func testObservations(f *fixture) {
	t := f.t
	base := time.Date(2030, 1, 1, 0, 0, 0, 1, time.UTC)
	o := func(dc, part, body string, seconds int) store.Observation {
		at := base.Add(time.Duration(seconds) * time.Second)
		return store.Observation{Datacenter: dc, Part: part, Agent: dc + "-a", Digest: "d" + body, Body: []byte(body), ReceiveTime: at, HeardTime: at}
	}
	observe := func(all ...store.Observation) {
		t.Helper()
		if err := f.Observe(f.ctx, all); err != nil {
			t.Fatalf("Observe: %v", err)
		}
	}
	read := func(since time.Time) map[string]store.Observation {
		t.Helper()
		all, err := f.Observations(f.ctx, since)
		if err != nil {
			t.Fatalf("Observations: %v", err)
		}
		out := map[string]store.Observation{}
		for _, o := range all {
			out[o.Datacenter+"/"+o.Part] = o
		}
		if len(out) != len(all) {
			t.Fatalf("a part twice: %v", all)
		}
		return out
	}
	heard := func(dc, part string, seconds int) store.Observation {
		return store.Observation{Datacenter: dc, Part: part, HeardTime: base.Add(time.Duration(seconds) * time.Second)}
	}
	observe()
	observe(o("dc1", "inventory", `{"b":1,"a":"<\u0000>"}`, 1), o("dc1", "peerings", `{}`, 2), o("dc2", "inventory", `{"x":1}`, 3))
	observe(o("dc1", "peerings", `{"n":2}`, 4), heard("dc1", "inventory", 5), heard("dc3", "inventory", 5))
	all := read(time.Time{})
	got := all["dc1/inventory"]
	if len(all) != 3 || string(got.Body) != `{"b":1,"a":"<\u0000>"}` || got.Agent != "dc1-a" || !got.ReceiveTime.Equal(base.Add(time.Second)) || !got.HeardTime.Equal(base.Add(5*time.Second)) {
		t.Fatalf("observations: %+v", all)
	}
	if since := read(base.Add(4 * time.Second)); len(since) != 2 || since["dc2/inventory"].Body != nil {
		t.Fatalf("observations since: %+v", since)
	}
	// A server's own have no datacenter.
	observe(o("", "replica/a", `"a"`, 5))
	for of, want := range map[string]int{"": 1, "dc1": 2, "dc2": 1, "dc": 0} {
		if rows, err := f.ObservationsOf(f.ctx, of); err != nil || len(rows) != want {
			t.Fatalf("observations of %q: %+v, %v", of, rows, err)
		}
	}
	if err := f.Forget(f.ctx, "", "replica/a"); err != nil {
		t.Fatal(err)
	}
	// Several for one part in one call, and in calls that arrive together.
	observe(o("dc2", "inventory", `{"x":2}`, 6), heard("dc2", "inventory", 7), heard("dc1", "peerings", 8), o("dc1", "peerings", `{"n":3}`, 9))
	all = read(time.Time{})
	if got := all["dc2/inventory"]; string(got.Body) != `{"x":2}` || !got.HeardTime.Equal(base.Add(7*time.Second)) || !got.ReceiveTime.Equal(base.Add(6*time.Second)) {
		t.Fatalf("dc2: %+v", got)
	}
	concurrently(8, func(i int) { observe(o(number("many", i), "services", `{}`, i), heard("dc1", "peerings", 10)) })
	if got := read(time.Time{})["dc1/peerings"]; string(got.Body) != `{"n":3}` || !got.HeardTime.Equal(base.Add(10*time.Second)) {
		t.Fatalf("dc1: %+v", got)
	}
	if err := f.Forget(f.ctx, "dc1", "peerings"); err != nil {
		t.Fatal(err)
	}
	if err := f.Forget(f.ctx, "dc2", ""); err != nil {
		t.Fatal(err)
	}
	all = read(time.Time{})
	if len(all) != 9 || all["dc1/inventory"].Datacenter == "" {
		t.Fatalf("after forgetting: %+v", all)
	}
	if at := f.revision().Index; at != 0 {
		t.Fatalf("observations moved the index to %d", at)
	}
}

func testLeases(f *fixture) {
	t := f.t
	acquire := func(holder string, ttl time.Duration) (store.Lease, error) {
		return f.Acquire(f.ctx, "controller", holder, ttl)
	}
	if _, err := f.Held(f.ctx, "controller"); fault.CodeOf(err) != fault.NotFound {
		t.Fatalf("before anybody holds it: %v", err)
	}
	a, err := acquire("a", time.Minute)
	if err != nil || a.Fencing != 1 || a.Holder != "a" || a.Name != "controller" || time.Until(a.Expires) > time.Hour {
		t.Fatalf("Acquire: %+v, %v", a, err)
	}
	if _, err := acquire("b", time.Minute); fault.CodeOf(err) != fault.Conflict {
		t.Fatalf("a second holder: %v", err)
	}
	if again, err := acquire("a", time.Minute); err != nil || again.Fencing != 1 || again.Expires.Before(a.Expires) {
		t.Fatalf("renewing: %+v, %v", again, err)
	} else if held, err := f.Held(f.ctx, "controller"); err != nil || held != again {
		t.Fatalf("held: %+v, %v; want %+v", held, err, again)
	}
	if other, err := f.Acquire(f.ctx, "restart/dc1", "b", time.Minute); err != nil || other.Fencing != 1 {
		t.Fatalf("another lease: %+v, %v", other, err)
	}
	stale := a
	stale.Fencing = 7
	if err := f.Release(f.ctx, stale); err != nil {
		t.Fatal(err)
	}
	if _, err := acquire("b", time.Minute); fault.CodeOf(err) != fault.Conflict {
		t.Fatalf("after giving back what is not held: %v", err)
	}
	if err := f.Release(f.ctx, a); err != nil {
		t.Fatal(err)
	}
	if held, err := f.Held(f.ctx, "controller"); fault.CodeOf(err) != fault.NotFound {
		t.Fatalf("after a release %+v holds it: %v", held, err)
	}
	b, err := acquire("b", 20*time.Millisecond)
	if err != nil || b.Fencing != 2 {
		t.Fatalf("after a release: %+v, %v", b, err)
	}
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		c, err := acquire("c", time.Minute)
		if err == nil {
			if c.Fencing != 3 {
				t.Fatalf("after the end of a lease: %+v", c)
			}
			break
		}
		select {
		case <-poll.C:
		case <-f.ctx.Done():
			t.Fatalf("the lease does not end: %v", err)
		}
	}
}

func testLeaseRace(f *fixture) {
	t := f.t
	var holders atomic.Int32
	concurrently(16, func(i int) {
		_, err := f.Acquire(f.ctx, "controller", number("h", i), time.Minute)
		switch fault.CodeOf(err) {
		case "":
			holders.Add(1)
		case fault.Conflict:
		default:
			t.Errorf("Acquire: %v", err)
		}
	})
	if holders.Load() != 1 {
		t.Fatalf("%d holders", holders.Load())
	}
}

func testFences(f *fixture) {
	t := f.t
	a, err := f.Acquire(f.ctx, "controller", "a", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	f.write(store.Write{Fence: &a, Puts: puts(datacenter("dc1"))})
	if err := f.refusal(fault.Conflict, store.Write{Fence: &store.Lease{Name: "no-such", Holder: "a", Fencing: 1}, Puts: puts(datacenter("dc2"))}); !store.Fenced(err) {
		t.Errorf("a fence that does not hold is told as any Conflict: %v", err)
	}
	if err := f.refusal(fault.Conflict, store.Write{Fence: &a, Requires: []store.Require{{Key: datacenterKey("dc1"), Index: 99}}}); store.Fenced(err) {
		t.Errorf("a Conflict is told as a lost fence: %v", err)
	}
	if err := f.Release(f.ctx, a); err != nil {
		t.Fatal(err)
	}
	f.refused(fault.Conflict, store.Write{Fence: &a, Puts: puts(datacenter("dc2"))})
	b, err := f.Acquire(f.ctx, "controller", "b", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	f.refused(fault.Conflict, store.Write{Fence: &a, Puts: puts(datacenter("dc2"))})

	// The lease changes hands while its holders write: no write of an old holder comes after one of a new one.
	current, give := b, make(chan struct{})
	ctx, cancel := context.WithCancel(f.ctx)
	go func() {
		defer close(give)
		for n := 0; ctx.Err() == nil; n++ {
			if f.Release(f.ctx, current) != nil {
				return
			}
			next, err := f.Acquire(f.ctx, "controller", number("h", n), time.Minute)
			if err != nil {
				return
			}
			current = next
			dc := datacenter("holder")
			dc.Generation = int32(next.Fencing)
			concurrently(3, func(int) { _, _ = f.Write(f.ctx, store.Write{Fence: &next, Puts: puts(dc)}) })
		}
	}()
	for range 20 {
		if _, err := f.Write(f.ctx, store.Write{Fence: &b, Puts: puts(datacenter("holder"))}); err != nil && fault.CodeOf(err) != fault.Conflict {
			t.Errorf("Write: %v", err)
		}
	}
	cancel()
	<-give
	_, err = f.Write(f.ctx, store.Write{Fence: &b, Puts: puts(datacenter("holder"))})
	if fault.CodeOf(err) != fault.Conflict {
		t.Fatalf("an old holder's write: %v", err)
	}
}
