package bench_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"isthmus/client"
	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store/snapshot"
	"isthmus/store/sqlite"
)

const (
	members = 100
	pairs   = members * (members - 1) / 2
)

// BenchmarkFullMesh100 is a full mesh of 100 simulated datacenters: from apply until all 4,950 peerings are stored by a
// server on SQLite; and then the plan of all 100 datacenters, with its digest, out of what was stored.
func BenchmarkFullMesh100(b *testing.B) {
	var stored, planned times
	for b.Loop() {
		b.StopTimer()
		f := newFleet(b)
		b.StartTimer()
		ctx, cancel := context.WithTimeout(b.Context(), stepTimeout)
		began := time.Now()
		f.declare(b, datacenters(members)+"kind: PeeringGroup\nname: mesh\nspec: {shape: full-mesh, selector: env=bench}\n")
		f.awaitPeerings(ctx, b, pairs)
		stored = append(stored, time.Since(began))
		cancel()
		b.StopTimer()
		f.stopServer(b)
		planned = append(planned, planAll(b, filepath.Join(f.dir, "server")))
		b.StartTimer()
	}
	stored.report(b, "full mesh of 100 datacenters: apply → 4,950 peerings stored", "< 3 s, planned too")
	planned.report(b, "… → planned for all 100 datacenters", "")
}

// awaitPeerings waits until the group owns as many.
func (f *fleet) awaitPeerings(ctx context.Context, b *testing.B, n int) {
	b.Helper()
	for group, err := range f.client.WatchName(ctx, kind(b, resource.KindPeeringGroup), "mesh") {
		must(b, err)
		if g, ok := group.(*isthmusv1.PeeringGroup); ok && int(g.GetStatus().GetPeerings()) == n {
			break
		}
	}
	found := 0
	for _, err := range f.client.List(ctx, kind(b, resource.KindPeering), client.ListOptions{}) {
		must(b, err)
		found++
	}
	if found != n {
		b.Fatalf("%d peerings, expected %d", found, n)
	}
}

// stopServer ends the server before the benchmark does, so that its database can be opened.
func (f *fleet) stopServer(b *testing.B) {
	b.Helper()
	must(b, f.server.Process.Signal(shutdown))
	must(b, f.server.Wait())
}

// planAll plans every datacenter of a database.
func planAll(b *testing.B, dir string) time.Duration {
	b.Helper()
	st, err := sqlite.Open(b.Context(), dir, hclog.NewNullLogger())
	must(b, err)
	s, err := snapshot.Open(b.Context(), st, hclog.NewNullLogger())
	must(b, err)
	view := s.View()
	began := time.Now()
	items := 0
	for dc := range resource.All[*isthmusv1.Datacenter](view, resource.KindDatacenter) {
		state, _ := plan.For(view, dc.GetName(), plan.Features())
		items += len(state.GetItems())
		if plan.Digest(state) == "" {
			b.Fatal("a state without a digest")
		}
	}
	took := time.Since(began)
	if items < 2*pairs {
		b.Fatalf("%d items, expected %d at least: each peering has two ends", items, 2*pairs)
	}
	must(b, st.Close())
	return took
}
