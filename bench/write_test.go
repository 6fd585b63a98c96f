package bench_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"isthmus/client"
	"isthmus/store/postgres"
	"isthmus/store/sqlite"
)

// writeFor is how long each target is written to in each round, by each number of clients.
const writeFor = 1500 * time.Millisecond

// The subjects of the table.
const (
	onPostgres     = "isthmus, PostgreSQL"
	onSQLite       = "isthmus, SQLite"
	ofEtcd         = "etcd"
	ofConsul       = "Consul KV"
	emptyGRPC      = "an empty gRPC call over TLS"
	floorPostgres  = "PostgreSQL, same transaction and groups"
	singlePostgre  = "PostgreSQL one by one"
	singleSQLiteDB = "SQLite one by one"
)

// target is something that is written to, with its clients' process.
type target struct {
	name string
	task writing
	load *child
	// server and database are the processes whose time is counted, 0 for none.
	server, database int
	rounds           map[int][]effort
}

// effort is what one round took.
type effort struct {
	written
	server, database time.Duration
}

// BenchmarkWrites creates small objects durably, 64 clients at a time and one alone: isthmus on both of its stores, etcd, Consul's KV
// store, what gRPC alone takes, and what the databases do by themselves with the same transaction. They take turns in each round.
func BenchmarkWrites(b *testing.B) {
	c := compare(b, "writes")
	targets := writeTargets(b, c)
	round := 0
	for b.Loop() {
		round++
		for _, clients := range []int{maxClients, 1} {
			for _, t := range targets {
				t.write(b, clients, round)
			}
		}
	}
	for _, clients := range []int{maxClients, 1} {
		for _, t := range targets {
			t.record(c, clients)
		}
	}
	many, alone := perSecond(maxClients), median(1)
	c.atLeast(many, onPostgres, 2, ofEtcd)
	c.atLeast(many, onPostgres, 0.6, floorPostgres)
	c.atLeast(many, onSQLite, 3, singleSQLiteDB)
	c.atMost(alone, onPostgres, 1, ofConsul)
	c.atMost(alone, onSQLite, 1, ofConsul)
}

// The works of the table.
func perSecond(clients int) string { return fmt.Sprintf("creates per second, %s", people(clients)) }

func median(clients int) string {
	return fmt.Sprintf("… until acknowledged, %s, p50, ms", people(clients))
}

func people(clients int) string {
	if clients == 1 {
		return "1 client"
	}
	return fmt.Sprintf("%d clients", clients)
}

// write has a target written to for one round.
func (t *target) write(b *testing.B, clients, round int) {
	b.Helper()
	t.task.Clients, t.task.Round, t.task.For = clients, round, writeFor
	server, database := usedBy(b, t.server), usedBy(b, t.database)
	e := effort{written: do[written](b, t.load, t.task)}
	e.server, e.database = usedBy(b, t.server)-server, usedBy(b, t.database)-database
	t.rounds[clients] = append(t.rounds[clients], e)
}

func usedBy(b *testing.B, pid int) time.Duration {
	b.Helper()
	if pid == 0 {
		return 0
	}
	return processorTime(b, pid)
}

// record puts the medians of the rounds into the table.
func (t *target) record(c *comparison, clients int) {
	of := func(figure func(effort) float64) float64 { return middle(t.rounds[clients], figure) }
	each := func(spent func(effort) time.Duration) func(effort) float64 {
		return func(e effort) float64 { return float64(spent(e).Microseconds()) / float64(e.Writes) }
	}
	c.record(perSecond(clients), t.name, of(func(e effort) float64 { return float64(e.Writes) / e.Took.Seconds() }), "%.0f")
	c.record(median(clients), t.name, of(func(e effort) float64 { return e.P50.Seconds() * 1000 }), "%.2f")
	c.record(fmt.Sprintf("… %s, p99, ms", people(clients)), t.name, of(func(e effort) float64 { return e.P99.Seconds() * 1000 }), "%.2f")
	if t.server != 0 {
		c.record(fmt.Sprintf("… processor time of the server per create, %s, µs", people(clients)), t.name, of(each(func(e effort) time.Duration { return e.server })), "%.0f")
	}
	if t.database != 0 {
		c.record(fmt.Sprintf("… of PostgreSQL, %s, µs", people(clients)), t.name, of(each(func(e effort) time.Duration { return e.database })), "%.0f")
	}
	c.record(fmt.Sprintf("… of the clients, %s, µs", people(clients)), t.name, of(each(func(e effort) time.Duration { return e.CPU })), "%.0f")
}

// middle is the median of a figure of all rounds.
func middle[T any](rounds []T, figure func(T) float64) float64 {
	figures := make([]float64, len(rounds))
	for i, r := range rounds {
		figures[i] = figure(r)
	}
	return quantile(figures, 0.5)
}

// writeTargets starts all of them.
func writeTargets(b *testing.B, c *comparison) []*target {
	b.Helper()
	var targets []*target
	add := func(name string, server, database int, task writing) {
		targets = append(targets, &target{name: name, task: task, load: startChild(b, "writes"), server: server, database: database, rounds: map[int][]effort{}})
	}
	keys := newPair(b)
	store, pid := newPostgres(b)
	f := startFleet(b, keys, store)
	add(onPostgres, f.server.Process.Pid, pid, writing{Target: "isthmus", Addr: f.grpc, CAFile: keys.certFile, Token: f.config.Token})
	f = startFleet(b, keys, "")
	add(onSQLite, f.server.Process.Pid, 0, writing{Target: "isthmus", Addr: f.grpc, CAFile: keys.certFile, Token: f.config.Token})

	e := startEtcd(b)
	c.ran(e.version)
	add(ofEtcd, e.cmd.Process.Pid, 0, writing{Target: "etcd", Addr: e.addr, CAFile: e.caFile})

	consul := startConsul(b)
	add(ofConsul, consul.PID(), 0, writing{Target: "consul", Addr: strings.TrimPrefix(consul.HTTPAddr, "https://"), CAFile: consul.CAFile, Token: consul.ManagementToken})

	server, addr := startChild(b, "empty"), freeAddr(b)
	c.ran(do[floorServing](b, server, floorTask{Addr: addr, CertFile: keys.certFile, KeyFile: keys.keyFile}).Version)
	add(emptyGRPC, server.cmd.Process.Pid, 0, writing{Target: "isthmus", Addr: addr, CAFile: keys.certFile})

	c.ran(postgresVersion(b, store))
	for _, floor := range []struct{ name, target string }{{floorPostgres, "postgres"}, {singlePostgre, "postgres-single"}} {
		store, pid := newPostgres(b)
		st, err := postgres.Open(b.Context(), store, hclog.NewNullLogger()) // for the schema
		must(b, err)
		must(b, st.Close())
		add(floor.name, 0, pid, writing{Target: floor.target, Addr: store})
	}
	dir := b.TempDir()
	st, err := sqlite.Open(b.Context(), dir, hclog.NewNullLogger())
	must(b, err)
	must(b, st.Close())
	add(singleSQLiteDB, 0, 0, writing{Target: "sqlite-single", Addr: filepath.Join(dir, sqlite.File)})
	return targets
}

// startFleet starts a server with TLS on all of its ports and no limits, and a store: SQLite without one.
func startFleet(b *testing.B, keys pair, store string, flags ...string) *fleet {
	b.Helper()
	f := &fleet{dir: b.TempDir(), store: store, config: client.Config{CACert: keys.certFile}}
	f.startServer(b, append([]string{
		"--grpc-cert-file", keys.certFile, "--grpc-key-file", keys.keyFile, "--http-cert-file", keys.certFile, "--http-key-file", keys.keyFile,
		"--reads-per-second", "-1", "--writes-per-second", "-1",
	}, flags...)...)
	return f
}
