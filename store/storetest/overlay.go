package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
)

// queueing is a context that says when its call waits for its outcome: by then its write has its place in the order.
type queueing struct {
	context.Context
	once   sync.Once
	queued chan struct{}
}

func (q *queueing) Done() <-chan struct{} {
	q.once.Do(func() { close(q.queued) })
	return q.Context.Done()
}

// result is what a write was told.
type result struct {
	code  fault.Code
	index uint64
}

// plain is another store, on a database of its own, that looks up all that its writes are about.
type plain struct {
	*fixture
	written int
}

func newPlain(f *fixture) *plain {
	return &plain{fixture: f.on(open(f.ctx, f.t, f.options.New(f.t)))}
}

// Write implements store.Store: what nobody has ever asked about has to be looked at, and so has all else.
func (p *plain) Write(ctx context.Context, w store.Write) (store.Revision, error) {
	p.written++
	w.Requires = append(slices.Clone(w.Requires), store.Require{Key: datacenterKey(number("nobody", p.written)), Absent: true})
	return p.fixture.Write(ctx, w)
}

// twoLeases are one that was lost, and one that is held; the same on each fresh database.
func (f *fixture) twoLeases() (lost, held store.Lease) {
	f.t.Helper()
	acquire := func(holder string) store.Lease {
		lease, err := f.Acquire(f.ctx, "fence", holder, time.Hour)
		if err != nil {
			f.t.Fatal(err)
		}
		return lease
	}
	lost = acquire("one")
	if err := f.Release(f.ctx, lost); err != nil {
		f.t.Fatal(err)
	}
	return lost, acquire("two")
}

// testOverlay gives the same random writes to two stores: to one all at once, so that they are committed together, to the
// other one after the other. Outcomes, resources, feed, events and secrets are the same.
func testOverlay(f *fixture) {
	t := f.t
	const seed, rounds, perRound = 20, 40, 24
	single := newPlain(f)
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // the same writes each time
	accepted := 0
	for round := range rounds {
		writes := make([]store.Write, perRound)
		for i := range writes {
			writes[i] = randomWrite(f, random)
		}
		start := single.revision()
		want := make([]result, perRound)
		for i, w := range writes {
			r, err := single.Write(f.ctx, w)
			want[i] = result{fault.CodeOf(err), r.Index}
			if err == nil {
				accepted++
			}
		}
		for i, got := range writeInOrder(f, writes) {
			if got != want[i] {
				t.Fatalf("round %d, write %d %+v: %+v together, %+v alone", round, i, writes[i], got, want[i])
			}
		}
		compareStores(f, single.fixture, start)
	}
	if all := rounds * perRound; accepted < all/5 || accepted > all*4/5 {
		t.Fatalf("%d of %d writes were accepted: the test does not test much", accepted, all)
	}
}

// testForesight gives random writes, a few at once, to one of two servers on a database, for a while all to the same one, and one after the
// other to a store that looks everything up: what a server knows of its own last commits makes no difference, whatever the other one did
// meanwhile.
func testForesight(f *fixture) {
	t := f.t
	const seed, rounds, most, turn = 25, 250, 6, 12
	single, start := newPlain(f), store.Revision{}
	servers := []*fixture{f}
	if f.options.Replicas {
		servers = append(servers, f.on(open(f.ctx, t, f.db)))
	}
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // the same writes each time
	lost, held := single.twoLeases()
	if again, same := f.twoLeases(); again.Fencing != lost.Fencing || same.Fencing != held.Fencing {
		t.Fatalf("the leases of two databases differ: %+v and %+v, %+v and %+v", lost, again, held, same)
	}
	server := f
	for round := range rounds {
		if random.IntN(turn) == 0 {
			server = servers[random.IntN(len(servers))]
		}
		var writes []store.Write
		var want []result
		for range 1 + random.IntN(most) {
			w := foreseeable(f, random)
			switch random.IntN(8) {
			case 0:
				w.Fence = &lost
			case 1, 2, 3:
				w.Fence = &held
			}
			r, err := single.Write(f.ctx, w)
			writes, want = append(writes, w), append(want, result{fault.CodeOf(err), r.Index})
		}
		for i, got := range writeInOrder(server, writes) {
			if got != want[i] {
				t.Fatalf("round %d, write %d %+v: %+v, all looked up %+v", round, i, writes[i], got, want[i])
			}
		}
	}
	compareStores(f, single.fixture, start)
}

// foreseeable is a random write that deletes nothing, but for a few, and mostly says of what it puts whether it is there.
func foreseeable(f *fixture, random *rand.Rand) store.Write {
	w := randomWrite(f, random)
	if random.IntN(8) != 0 {
		w.Deletes, w.Requires = nil, nil
	}
	for _, p := range w.Puts {
		if random.IntN(4) == 0 {
			continue
		}
		key := store.Key{Kind: resource.KindOf(p.Object).Name, Name: p.Object.GetName()}
		if _, _, err := f.Get(f.ctx, key); err == nil || random.IntN(8) == 0 {
			w.Requires = append(w.Requires, store.Require{Key: key})
		} else {
			w.Requires = append(w.Requires, store.Require{Key: key, Absent: true})
		}
	}
	return w
}

// writeInOrder lets all writes wait at the same time, in their order.
func writeInOrder(f *fixture, writes []store.Write) []result {
	out := make([]result, len(writes))
	var calls sync.WaitGroup
	for i, w := range writes {
		ctx := &queueing{Context: f.ctx, queued: make(chan struct{})}
		calls.Go(func() {
			r, err := f.Write(ctx, w)
			out[i] = result{fault.CodeOf(err), r.Index}
			_ = ctx.Done() // for one that was refused before it was queued
		})
		<-ctx.queued
	}
	calls.Wait()
	return out
}

func compareStores(f, single *fixture, start store.Revision) {
	t := f.t
	t.Helper()
	resources := func(b *fixture) map[store.Key]resource.Object {
		out := map[store.Key]resource.Object{}
		if _, err := b.Load(b.ctx, func(o resource.Object) error {
			out[store.Key{Kind: resource.KindOf(o).Name, Name: o.GetName()}] = o
			return nil
		}); err != nil {
			t.Fatalf("Load: %v", err)
		}
		return out
	}
	together, alone := resources(f), resources(single)
	if len(together) != len(alone) {
		t.Fatalf("%d resources together, %d alone", len(together), len(alone))
	}
	for key, o := range alone {
		if together[key] == nil {
			t.Fatalf("%v is not there", key)
		}
		same(t, fmt.Sprint(key), together[key], o)
	}
	feed := func(b *fixture) (out []string) {
		for _, c := range b.changes(store.Revision{Epoch: b.revision().Epoch, Index: start.Index}, 10_000).Changes {
			out = append(out, fmt.Sprint(c.Index, c.Key, c.UID, c.Operation, c.Part, c.Datacenters))
		}
		return out
	}
	if got, want := fmt.Sprint(feed(f)), fmt.Sprint(feed(single)); got != want {
		t.Fatalf("the feed together is\n%s\nalone\n%s", got, want)
	}
	for _, digest := range overlaySecrets() {
		a, errA := f.Secret(f.ctx, digest)
		b, errB := single.Secret(f.ctx, digest)
		if string(a.Body) != string(b.Body) || fault.CodeOf(errA) != fault.CodeOf(errB) {
			t.Fatalf("secret %s: %q, %v together; %q, %v alone", digest, a.Body, errA, b.Body, errB)
		}
	}
	events, err := single.Events(f.ctx, store.EventQuery{Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	checkChain(f, len(events))
}

func overlaySecrets() []string { return []string{"s1", "s2"} }

// randomWrite is about few resources, so that writes meet.
func randomWrite(f *fixture, random *rand.Rand) store.Write {
	var w store.Write
	for range random.IntN(3) {
		part := []store.Part{store.PartAll, store.PartAll, store.PartSpec, store.PartStatus}[random.IntN(4)]
		w.Puts = append(w.Puts, store.Put{Object: randomObject(random), Part: part, Given: random.IntN(2) == 0})
	}
	if random.IntN(3) == 0 {
		w.Deletes = append(w.Deletes, randomKey(random))
	}
	if random.IntN(8) == 0 {
		w.Deletes = append(w.Deletes, randomKey(random))
	}
	switch key := randomKey(random); random.IntN(6) {
	case 0:
		w.Requires = append(w.Requires, store.Require{Key: key, Absent: true})
	case 1:
		w.Requires = append(w.Requires, store.Require{Key: key})
	case 2:
		if o, _, err := f.Get(f.ctx, key); err == nil {
			w.Requires = append(w.Requires, store.Require{Key: key, Index: o.GetIndex()})
		}
	}
	if random.IntN(3) == 0 {
		e := event("update", "Datacenter", "a")
		e.CreateTime = instant()
		w.Events = append(w.Events, e)
	}
	digest := overlaySecrets()[random.IntN(len(overlaySecrets()))]
	switch random.IntN(6) {
	case 0:
		w.Secrets = append(w.Secrets, store.Secret{Digest: digest, Kind: "test", Body: []byte(fmt.Sprint(random.Uint32()))})
	case 1:
		w.DeleteSecrets = append(w.DeleteSecrets, digest)
	}
	return w
}

func randomName(random *rand.Rand) string { return []string{"a", "b", "c"}[random.IntN(3)] }

func randomKey(random *rand.Rand) store.Key {
	if random.IntN(2) == 0 {
		return datacenterKey(randomName(random))
	}
	return peeringKey("p" + randomName(random))
}

func randomObject(random *rand.Rand) resource.Object {
	key := randomKey(random)
	var o resource.Object
	if key.Kind == resource.KindDatacenter {
		dc := datacenter(key.Name)
		dc.Spec.ConsulDatacenter = fmt.Sprint(random.IntN(100))
		if random.IntN(2) == 0 {
			dc.Status = &isthmusv1.DatacenterStatus{ConsulVersion: fmt.Sprint(random.IntN(100))}
		}
		o = dc
	} else {
		p := peering(randomName(random), randomName(random))
		p.Name = key.Name
		if random.IntN(2) == 0 {
			p.Status = &isthmusv1.PeeringStatus{Message: fmt.Sprint(random.IntN(100))}
		}
		o = p
	}
	m := resource.Metadata{UID: []string{"u1", "u1", "u1", "u2"}[random.IntN(4)], Generation: int32(random.IntN(9))}
	if random.IntN(2) == 0 {
		m.CreateTime, m.UpdateTime = instant(), instant()
	}
	resource.SetMetadata(o, m)
	return o
}
