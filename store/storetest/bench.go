package storetest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
	"isthmus/store/sqlstore"
)

// benchPeerings is a full mesh of 100 datacenters, and a bit.
const benchPeerings = 5_000

// Subject is a store to measure.
type Subject struct {
	Backend
	// Processor time that the database has used in processes of its own; nil when it has none.
	Processor func() time.Duration
}

// Bench measures a store that openThrough makes, a fresh one each time.
func Bench(b *testing.B, openThrough func(b *testing.B, through Through) Subject) {
	b.Helper()
	open := func(b *testing.B) Subject {
		b.Helper()
		return openThrough(b, func(db sqlstore.Database) sqlstore.Database { return db })
	}
	for _, writers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("Create/writers=%d", writers), func(b *testing.B) { benchCreate(b, open(b), writers) })
		b.Run(fmt.Sprintf("Floor/writers=%d", writers), func(b *testing.B) { benchFloor(b, openThrough, writers) })
	}
	for _, writers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("Write/writers=%d", writers), func(b *testing.B) { benchWrite(b, open(b), writers) })
	}
	b.Run("PutPeerings", func(b *testing.B) { benchPutPeerings(b, open) })
	b.Run("LoadPeerings", func(b *testing.B) {
		st := open(b)
		if _, err := st.Write(b.Context(), store.Write{Puts: puts(Mesh(benchPeerings)...)}); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := st.Load(b.Context(), func(resource.Object) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// benchCreate counts small creates as operators' calls make them: a resource that must not be there yet, with an event.
func benchCreate(b *testing.B, st Subject, writers int) {
	b.Helper()
	own, database := processorTimes(b, st)
	b.ResetTimer()
	createMany(b, st, writers)
	b.StopTimer()
	report(b, st, own, database)
}

// createMany has b.N creates made by writers.
func createMany(b *testing.B, st Subject, writers int) {
	b.Helper()
	st.Announce(func(store.Commit) {})
	shared(b, writers, func(writer, n int) error {
		name := fmt.Sprintf("dc-%d-%d", writer, n)
		_, err := st.Write(context.Background(), store.Write{
			Requires: []store.Require{{Key: datacenterKey(name), Absent: true}},
			Puts:     puts(datacenter(name)),
			Events:   []*isthmusv1.Event{event("create", "Datacenter", name)},
		})
		return err
	})
}

// shared has b.N writes made by writers, all at the same time.
func shared(b *testing.B, writers int, write func(writer, n int) error) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(b.N))
	concurrently(writers, func(writer int) {
		for n := 0; left.Add(-1) >= 0; n++ {
			if err := write(writer, n); err != nil {
				b.Errorf("Write: %v", err)
				return
			}
		}
	})
}

// report tells the rate of b.N writes, and what one cost in processor time since own and database.
func report(b *testing.B, st Subject, own, database time.Duration) {
	b.Helper()
	ownAfter, databaseAfter := processorTimes(b, st)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
	b.ReportMetric(float64((ownAfter-own).Microseconds())/float64(b.N), "own-µs/write")
	if st.Processor != nil {
		b.ReportMetric(float64((databaseAfter-database).Microseconds())/float64(b.N), "database-µs/write")
	}
	b.ReportMetric(0, "ns/op")
}

// benchPutPeerings stores a full mesh of 300 datacenters in one write, each peering with an event; the datacenters are there.
func benchPutPeerings(b *testing.B, open func(b *testing.B) Subject) {
	b.Helper()
	const members = 300
	mesh := Mesh(members * (members - 1) / 2)
	var own, database time.Duration
	for b.Loop() {
		b.StopTimer()
		st := open(b)
		st.Announce(func(store.Commit) {})
		if _, err := st.Write(b.Context(), store.Write{Puts: puts(mesh[:members]...)}); err != nil {
			b.Fatal(err)
		}
		w := store.Write{Puts: puts(mesh[members:]...)}
		for _, o := range mesh[members:] {
			w.Events = append(w.Events, event("create", resource.KindPeering, o.GetName()))
		}
		own0, database0 := processorTimes(b, st)
		b.StartTimer()
		if _, err := st.Write(b.Context(), w); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		own1, database1 := processorTimes(b, st)
		own, database = own+own1-own0, database+database1-database0
		b.StartTimer()
	}
	b.ReportMetric(own.Seconds()*1e3/float64(b.N), "own-ms/op")
	b.ReportMetric(database.Seconds()*1e3/float64(b.N), "database-ms/op")
}

// processorTimes are what this process and the database's own have used so far.
func processorTimes(b *testing.B, st Subject) (own, database time.Duration) {
	b.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	if st.Processor != nil {
		database = st.Processor()
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()), database
}

// benchWrite counts status writes, each with a check-and-set of its own, as agents' reports make them.
func benchWrite(b *testing.B, st Subject, writers int) {
	b.Helper()
	st.Announce(func(store.Commit) {})
	indexes := make([]uint64, writers)
	for i := range writers {
		r, err := st.Write(b.Context(), store.Write{Puts: puts(datacenter(number("dc", i)))})
		if err != nil {
			b.Fatal(err)
		}
		indexes[i] = r.Index
	}
	own, database := processorTimes(b, st)
	b.ResetTimer()
	shared(b, writers, func(i, _ int) error {
		dc := datacenter(number("dc", i))
		dc.Status = &isthmusv1.DatacenterStatus{Agent: "online", Agents: int32(indexes[i])}
		r, err := st.Write(context.Background(), store.Write{
			Requires: []store.Require{{Key: datacenterKey(dc.GetName()), Index: indexes[i]}},
			Puts:     []store.Put{{Object: dc, Part: store.PartStatus}},
		})
		indexes[i] = r.Index
		return err
	})
	b.StopTimer()
	report(b, st, own, database)
}

// Mesh is about that many peerings in a full mesh, with statuses such as healthy ones have, after their datacenters.
func Mesh(peerings int) []resource.Object {
	n := 2
	for n*(n-1)/2 < peerings {
		n++
	}
	var out []resource.Object
	for i := range n {
		out = append(out, datacenter(number("dc", i)))
	}
	for i := range n {
		for j := range i {
			if len(out) == n+peerings {
				return out
			}
			out = append(out, healthy(number("dc", i), number("dc", j)))
		}
	}
	return out
}

func healthy(acceptor, dialer string) *isthmusv1.Peering {
	p := peering(acceptor, dialer)
	end := func(dc string) *isthmusv1.PeeringEnd {
		return &isthmusv1.PeeringEnd{
			Datacenter: dc, State: "ACTIVE", Seen: true, Since: instant(), PeerId: "8f0c1d2e-0000-4000-8000-" + p.GetName(), Heartbeat: "fresh", Generation: 1,
		}
	}
	p.Status = &isthmusv1.PeeringStatus{
		Group: "mesh", State: "ACTIVE", Verdict: "healthy", VerdictSince: instant(), Reason: "BothEndsActive",
		Message: "Both ends are ACTIVE and heard from each other.", Acceptor: end(acceptor), Dialer: end(dialer),
		Token: &isthmusv1.TokenStatus{Generation: 1, Reason: "Created", RequestTime: instant(), Ledger: []*isthmusv1.TokenEntry{{
			Generation: 1, Attempt: 1, ClaimedBy: acceptor + "-abcdef", ClaimTime: instant(), MadeBy: acceptor + "-abcdef", MakeTime: instant(),
			SecretDigest: fmt.Sprintf("%064x", len(p.GetName())), Recipients: []string{"age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq"},
			DeliveredTo: dialer + "-abcdef", DeliverTime: instant(), UsedBy: dialer + "-abcdef", UseTime: instant(), Outcome: "used", ExpireTime: instant(),
		}}},
	}
	return p
}
