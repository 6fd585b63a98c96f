package storetest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
)

// benchPeerings is a full mesh of 100 datacenters, and a bit.
const benchPeerings = 5_000

// Bench measures a store that open makes, a fresh one each time.
func Bench(b *testing.B, open func(b *testing.B) Backend) {
	b.Helper()
	for _, writers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("Write/writers=%d", writers), func(b *testing.B) { benchWrite(b, open(b), writers) })
	}
	b.Run("PutPeerings", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			st := open(b)
			w := store.Write{Puts: puts(Mesh(benchPeerings)...)}
			b.StartTimer()
			if _, err := st.Write(b.Context(), w); err != nil {
				b.Fatal(err)
			}
		}
	})
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

// benchWrite counts status writes, each with a check-and-set of its own, as agents' reports make them.
func benchWrite(b *testing.B, st Backend, writers int) {
	b.Helper()
	indexes := make([]uint64, writers)
	for i := range writers {
		r, err := st.Write(b.Context(), store.Write{Puts: puts(datacenter(number("dc", i)))})
		if err != nil {
			b.Fatal(err)
		}
		indexes[i] = r.Index
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	concurrently(writers, func(i int) {
		for left.Add(-1) >= 0 {
			dc := datacenter(number("dc", i))
			dc.Status = &isthmusv1.DatacenterStatus{Agent: "online", Agents: int32(indexes[i])}
			r, err := st.Write(context.Background(), store.Write{
				Requires: []store.Require{{Key: datacenterKey(dc.GetName()), Index: indexes[i]}},
				Puts:     []store.Put{{Object: dc, Part: store.PartStatus}},
			})
			if err != nil {
				b.Errorf("Write: %v", err)
				return
			}
			indexes[i] = r.Index
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
	b.ReportMetric(0, "ns/op")
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
