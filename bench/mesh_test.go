package bench_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"isthmus/client"
	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store/postgres"
	"isthmus/store/snapshot"
	"isthmus/store/sqlite"
	"isthmus/store/sqlstore"
	"isthmus/test/pgtest"
)

// members are the datacenters of the meshes that are measured.
const (
	members     = 100
	manyMembers = 300
	// countEvery is the resolution of what is measured by counting in the database, which takes some milliseconds itself.
	countEvery = 50 * time.Millisecond
)

// pairs are the peerings of a full mesh.
func pairs(members int) int { return members * (members - 1) / 2 }

// fullMesh is the manifest of one.
const fullMesh = "kind: PeeringGroup\nname: mesh\nspec: {shape: full-mesh, selector: env=bench}\n"

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
		f.declare(b, datacenters(members)+fullMesh)
		f.awaitPeerings(ctx, b, pairs(members))
		stored = append(stored, time.Since(began))
		cancel()
		b.StopTimer()
		f.countPeerings(b, pairs(members))
		f.stopServer(b)
		planned = append(planned, f.planAll(b, pairs(members)))
		b.StartTimer()
	}
	stored.report(b, "full mesh of 100 datacenters: apply → 4,950 peerings stored", "< 3 s, planned too")
	planned.report(b, "… → planned for all 100 datacenters", "")
}

// The works of the table of the large mesh.
const (
	meshStored  = "apply → stored, s"
	meshPlanned = "… → planned, s"
	meshBoth    = "stored and planned, s"
	meshServer  = "processor time of the server until stored, s"
	meshStore   = "… of PostgreSQL, s"
	meshMemory  = "server's memory then, MiB"
)

// BenchmarkFullMesh300 is the same of 300 datacenters and 44,850 peerings, on both stores by turns.
func BenchmarkFullMesh300(b *testing.B) {
	c := compare(b, "mesh")
	server := pgtest.Start(b)
	pid := postmaster(b, server.Database(b))
	rounds := map[string][]map[string]float64{}
	for b.Loop() {
		for _, subject := range []string{onPostgres, onSQLite} {
			f, database := &fleet{dir: b.TempDir()}, 0
			if subject == onPostgres {
				f.store, database = server.Database(b), pid
			}
			rounds[subject] = append(rounds[subject], f.meshRound(b, database))
		}
	}
	for _, subject := range []string{onPostgres, onSQLite} {
		for _, work := range []string{meshStored, meshPlanned, meshBoth, meshServer, meshStore, meshMemory} {
			if _, ok := rounds[subject][0][work]; ok {
				format := "%.2f"
				if work == meshMemory {
					format = "%.0f"
				}
				c.record(work, subject, middle(rounds[subject], func(r map[string]float64) float64 { return r[work] }), format)
			}
		}
		c.below(meshBoth, subject, 2)
	}
}

// meshRound starts a server, has it make the large mesh, and plans what it has stored. database is the process of its PostgreSQL, or 0.
func (f *fleet) meshRound(b *testing.B, database int) map[string]float64 {
	b.Helper()
	out := map[string]float64{}
	f.startServer(b)
	f.declare(b, datacenters(manyMembers))
	ctx, cancel := context.WithTimeout(b.Context(), stepTimeout)
	defer cancel()
	served, kept, began := processorTime(b, f.server.Process.Pid), usedBy(b, database), time.Now()
	f.declare(b, fullMesh)
	f.awaitStored(ctx, b, pairs(manyMembers))
	out[meshStored] = time.Since(began).Seconds()
	out[meshServer] = (processorTime(b, f.server.Process.Pid) - served).Seconds()
	if database != 0 {
		out[meshStore] = (usedBy(b, database) - kept).Seconds()
	}
	out[meshMemory] = resident(b, f.server)
	f.countPeerings(b, pairs(manyMembers))
	f.stopServer(b)
	out[meshPlanned] = f.planAll(b, pairs(manyMembers)).Seconds()
	out[meshBoth] = out[meshStored] + out[meshPlanned]
	return out
}

// awaitStored looks into the database until it has as many peerings. The group's own status, which counts them, may come later.
func (f *fleet) awaitStored(ctx context.Context, b *testing.B, n int) {
	b.Helper()
	driver, at := "sqlite", "file:"+filepath.Join(f.dir, "server", sqlite.File)+"?_pragma=query_only(true)&_pragma=busy_timeout(5000)"
	if f.store != "" {
		driver, at = "pgx", f.store
	}
	db, err := sql.Open(driver, at)
	must(b, err)
	defer func() { must(b, db.Close()) }()
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for {
		var found int
		must(b, db.QueryRowContext(ctx, `SELECT count(*) FROM resources WHERE kind = 'Peering'`).Scan(&found))
		if found >= n {
			return
		}
		<-tick.C
	}
}

// awaitPeerings waits until the group owns as many.
func (f *fleet) awaitPeerings(ctx context.Context, b *testing.B, n int) {
	b.Helper()
	for group, err := range f.client.WatchName(ctx, kind(b, resource.KindPeeringGroup), "mesh") {
		must(b, err)
		if g, ok := group.(*isthmusv1.PeeringGroup); ok && int(g.GetStatus().GetPeerings()) == n {
			return
		}
	}
}

// countPeerings makes sure that there are as many.
func (f *fleet) countPeerings(b *testing.B, n int) {
	b.Helper()
	found := 0
	for _, err := range f.client.List(b.Context(), kind(b, resource.KindPeering), client.ListOptions{}) {
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

// openStore opens the store of a server that has ended.
func (f *fleet) openStore(b *testing.B) *sqlstore.Store {
	b.Helper()
	if f.store != "" {
		st, err := postgres.Open(b.Context(), f.store, hclog.NewNullLogger())
		must(b, err)
		return st
	}
	st, err := sqlite.Open(b.Context(), filepath.Join(f.dir, "server"), hclog.NewNullLogger())
	must(b, err)
	return st
}

// planAll plans every datacenter of a store, whose peerings are known by their number.
func (f *fleet) planAll(b *testing.B, peerings int) time.Duration {
	b.Helper()
	st := f.openStore(b)
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
	if items < 2*peerings {
		b.Fatalf("%d items, expected %d at least: each peering has two ends", items, 2*peerings)
	}
	must(b, st.Close())
	return took
}
