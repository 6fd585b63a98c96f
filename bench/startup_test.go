package bench_test

import (
	"context"
	"testing"
	"time"

	"isthmus/resource"
	"isthmus/store"
	"isthmus/store/storetest"
	"isthmus/test/pgtest"
)

const (
	// storedResources is how many a server starts from: a mesh of 447 datacenters, with the statuses of healthy peerings.
	storedResources = 100_000
	storedMembers   = 447
	// storedDatacenter is one of them.
	storedDatacenter = "dc0000"
	// storedTogether is how many are written at a time.
	storedTogether = 5_000
)

// The works of the table.
const (
	startAnswers = "started → answers, s"
	startCPU     = "… processor time of the server, s"
	startMemory  = "… memory then, MiB"
	restMemory   = "memory 10 s later, MiB"
)

// BenchmarkStartUp starts a server on a store with 100,000 resources, on both stores by turns.
func BenchmarkStartUp(b *testing.B) {
	c := compare(b, "startup")
	server := pgtest.Start(b)
	fleets := map[string]*fleet{onPostgres: {dir: b.TempDir(), store: server.Database(b)}, onSQLite: {dir: b.TempDir()}}
	c.ran(postgresVersion(b, fleets[onPostgres].store))
	for _, f := range fleets {
		f.fillStore(b)
	}
	rounds := map[string][]map[string]float64{}
	for b.Loop() {
		for _, subject := range []string{onPostgres, onSQLite} {
			rounds[subject] = append(rounds[subject], fleets[subject].startRound(b))
		}
	}
	for _, subject := range []string{onPostgres, onSQLite} {
		for _, line := range []struct{ work, format string }{{startAnswers, "%.2f"}, {startCPU, "%.2f"}, {startMemory, "%.0f"}, {restMemory, "%.0f"}} {
			c.record(line.work, subject, middle(rounds[subject], func(r map[string]float64) float64 { return r[line.work] }), line.format)
		}
	}
}

// fillStore writes the resources.
func (f *fleet) fillStore(b *testing.B) {
	b.Helper()
	st := f.openStore(b)
	objects := storetest.Mesh(storedResources - storedMembers)
	for len(objects) > 0 {
		var w store.Write
		for _, o := range objects[:min(len(objects), storedTogether)] {
			w.Puts = append(w.Puts, store.Put{Object: o, Part: store.PartAll})
		}
		_, err := st.Write(b.Context(), w)
		must(b, err)
		objects = objects[len(w.Puts):]
	}
	must(b, st.Close())
}

// startRound starts the server, and ends it again.
func (f *fleet) startRound(b *testing.B) map[string]float64 {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), stepTimeout)
	defer cancel()
	out, began := map[string]float64{}, time.Now()
	f.startServer(b)
	_, err := f.client.Get(ctx, kind(b, resource.KindDatacenter), storedDatacenter)
	must(b, err)
	out[startAnswers] = time.Since(began).Seconds()
	out[startCPU] = processorTime(b, f.server.Process.Pid).Seconds()
	out[startMemory] = resident(b, f.server)
	<-time.After(rest)
	out[restMemory] = resident(b, f.server)
	f.stopServer(b)
	return out
}
