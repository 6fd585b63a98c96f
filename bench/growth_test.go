package bench_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/client"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
)

const (
	// simulatedHealthy bounds how long a simulated fleet takes to be healthy.
	simulatedHealthy = 5 * time.Minute
	// settled is how long a fleet is left alone before it counts as at rest; restFor, how long it is looked at then.
	settled = 15 * time.Second
	restFor = 15 * time.Second
	// How often a label is changed, and how many peerings are added one after the other.
	labelChanges  = 100
	addedPeerings = 20
	// storedOnly is how many datacenters are stored without agents.
	storedOnly = 100_000
)

// The works of the table of growth.
const (
	grownHealthy   = "enrolled, declared and healthy after, s"
	grownServer    = "… processor time of the server, s"
	grownPostgres  = "… of PostgreSQL, s"
	grownMemory    = "memory of the server at rest, MiB"
	grownRest      = "processor time of the server at rest, % of a core"
	grownRestStore = "… of PostgreSQL, % of a core"
	grownRestWire  = "bytes on the wire at rest, per agent and minute"
	grownWrite     = "a label changed → acknowledged, p50, ms"
	grownChange    = "a peering added → healthy, p50, ms"
	grownChangeCPU = "… processor time of the server, ms"
	grownChangeOut = "… bytes on the wire, KiB"
	grownDatabase  = "database, MiB"
	grownStart     = "server started again → answers, s"
)

// BenchmarkGrowth says how what a fleet costs grows with it: 100, 1,000 and 10,000 simulated datacenters with as many peerings, connected to a
// server on PostgreSQL; and 100,000 that are only stored. Each size once, whatever -benchtime says.
func BenchmarkGrowth(b *testing.B) {
	c := compare(b, "growth")
	for _, n := range []int{100, 1_000, 10_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			once(b, func() { growConnected(b, c, n, strconv.Itoa(n)+" connected") })
		})
	}
	b.Run(strconv.Itoa(storedOnly), func(b *testing.B) {
		once(b, func() { growStored(b, c, strconv.Itoa(storedOnly)+" stored") })
	})
	c.below(grownRest, "10000 connected", 0.5)
	c.judge(aim{of: place{grownChangeCPU, "10000 connected"}, than: place{grownChangeCPU, "100 connected"}, factor: 2})
}

// once does something in the first round only.
func once(b *testing.B, do func()) {
	b.Helper()
	for i := 0; b.Loop(); i++ {
		if i == 0 {
			do()
		}
	}
}

// grown is a fleet that is looked at.
type grown struct {
	*fleet
	c         *comparison
	subject   string
	database  int
	simulator int
}

func (g *grown) record(work string, value float64, format string) {
	g.c.record(work, g.subject, value, format)
}

func growConnected(b *testing.B, c *comparison, n int, subject string) {
	b.Helper()
	url, pid := newPostgres(b)
	c.ran(postgresVersion(b, url))
	g := &grown{fleet: startFleet(b, newPair(b), url), c: c, subject: subject, database: pid}
	before, kept := processorTime(b, g.server.Process.Pid), processorTime(b, pid)
	g.record(grownHealthy, g.startSimulator(b, n), "%.1f")
	g.record(grownServer, (processorTime(b, g.server.Process.Pid) - before).Seconds(), "%.1f")
	g.record(grownPostgres, (processorTime(b, pid) - kept).Seconds(), "%.1f")
	<-time.After(settled)
	anyway := g.atRest(b, n)
	g.changeLabels(b)
	g.addPeerings(b, anyway)
	g.sizeOfDatabase(b)
	g.startAgain(b)
}

// startSimulator runs isthmus simulate until its fleet is healthy, and gives the seconds that took.
func (g *grown) startSimulator(b *testing.B, n int) float64 {
	b.Helper()
	began := time.Now()
	cmd, out := start(b, filepath.Join(g.dir, "simulate.log"), []string{
		"ISTHMUS_ADDR=" + g.config.Address, "ISTHMUS_CACERT=" + g.config.CACert, "ISTHMUS_TOKEN_FILE=" + filepath.Join(g.dir, "server", "admin.token"),
	}, "simulate", "--datacenters", strconv.Itoa(n), "--peerings", strconv.Itoa(n), "--log-level", "error")
	g.simulator = cmd.Process.Pid
	healthy := make(chan float64, 1)
	go func() {
		defer close(healthy)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if strings.Contains(lines.Text(), "are healthy after") {
				healthy <- time.Since(began).Seconds()
			}
		}
	}()
	select {
	case took, ok := <-healthy:
		if !ok {
			b.Fatal("the simulator has ended")
		}
		return took
	case <-time.After(simulatedHealthy):
		b.Fatalf("the fleet is not healthy after %s", simulatedHealthy)
		return 0
	}
}

// standing is what a fleet takes each second in which nothing changes: bytes on the wire, and seconds of the server's processor time.
type standing struct{ bytes, server float64 }

// atRest looks at a fleet in which nothing changes.
func (g *grown) atRest(b *testing.B, n int) standing {
	b.Helper()
	server, database, wire, began := processorTime(b, g.server.Process.Pid), processorTime(b, g.database), transferred(b, g.simulator), time.Now()
	<-time.After(restFor)
	seconds := time.Since(began).Seconds()
	each := standing{
		bytes:  float64(transferred(b, g.simulator)-wire) / seconds,
		server: (processorTime(b, g.server.Process.Pid) - server).Seconds() / seconds,
	}
	g.record(grownMemory, resident(b, g.server), "%.0f")
	g.record(grownRest, 100*each.server, "%.1f")
	g.record(grownRestStore, 100*(processorTime(b, g.database)-database).Seconds()/seconds, "%.1f")
	g.record(grownRestWire, each.bytes*60/float64(n), "%.0f")
	return each
}

// transferred is how many bytes a process has read and written; those of the simulator go over its connections to the server.
func transferred(b *testing.B, pid int) (n int64) {
	b.Helper()
	for _, direction := range []string{"rchar", "wchar"} {
		bytes, err := strconv.ParseInt(field(fmt.Sprintf("/proc/%d/io", pid), direction), 10, 64)
		must(b, err)
		n += bytes
	}
	return n
}

// changeLabels changes a label of a datacenter again and again.
func (g *grown) changeLabels(b *testing.B) {
	b.Helper()
	conn, err := dialGRPC(g.grpc, g.config.CACert)
	must(b, err)
	defer conn.Close()
	datacenters := isthmusv1.NewDatacenterServiceClient(conn)
	ctx := metadata.AppendToOutgoingContext(b.Context(), "authorization", "Bearer "+g.config.Token)
	some, err := datacenters.ListDatacenters(ctx, &isthmusv1.ListRequest{PageSize: 1})
	must(b, err)
	dc := some.GetDatacenters()[0]
	var took times
	for i := range labelChanges {
		labels := map[string]string{"round": strconv.Itoa(i)}
		began := time.Now()
		_, err := datacenters.UpdateDatacenter(ctx, &isthmusv1.UpdateDatacenterRequest{
			Datacenter: &isthmusv1.Datacenter{Name: dc.GetName(), Labels: labels, Spec: dc.GetSpec()},
		})
		must(b, err)
		took = append(took, time.Since(began))
	}
	g.record(grownWrite, took.at(0.5).Seconds()*1000, "%.1f")
}

// addPeerings adds one peering after the other, each once the one before is healthy. What the fleet takes anyway is not counted.
func (g *grown) addPeerings(b *testing.B, anyway standing) {
	b.Helper()
	names := []string{}
	for o, err := range g.client.List(b.Context(), kind(b, resource.KindDatacenter), client.ListOptions{}) {
		must(b, err)
		names = append(names, o.GetName())
	}
	var took times
	server, wire, began := processorTime(b, g.server.Process.Pid), transferred(b, g.simulator), time.Now()
	for i := 0; len(took) < addedPeerings; i++ {
		if i == len(names)/2 {
			b.Fatalf("only %d of %d pairs were free", len(took), addedPeerings)
		}
		began := time.Now()
		added, err := g.addPeering(b, names[i], names[len(names)-1-i])
		must(b, err)
		if added {
			took = append(took, time.Since(began))
		}
	}
	each := float64(len(took))
	seconds := time.Since(began).Seconds()
	out := float64(transferred(b, g.simulator)-wire) - anyway.bytes*seconds
	used := (processorTime(b, g.server.Process.Pid) - server).Seconds() - anyway.server*seconds
	g.record(grownChange, took.at(0.5).Seconds()*1000, "%.0f")
	g.record(grownChangeCPU, max(0, used)*1000/each, "%.1f")
	g.record(grownChangeOut, max(0, out)/1024/each, "%.1f")
}

// addPeering adds one and waits until it is healthy; false: the two have one.
func (g *grown) addPeering(b *testing.B, acceptor, dialer string) (bool, error) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), stepTimeout)
	defer cancel()
	name := "added-" + acceptor
	_, err := g.client.Apply(ctx, fmt.Appendf(nil, "kind: Peering\nname: %s\nspec: {acceptor: %s, dialer: %s}\n", name, acceptor, dialer), client.ApplyOptions{})
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Code != fault.Unavailable {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	target := client.Target{Kind: kind(b, resource.KindPeering), Name: name}
	return true, g.client.Wait(ctx, []client.Target{target}, func(client.Target, client.Readiness) {})
}

func (g *grown) sizeOfDatabase(b *testing.B) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), g.store)
	must(b, err)
	defer func() { must(b, conn.Close(b.Context())) }()
	var size int64
	must(b, conn.QueryRow(b.Context(), "SELECT pg_database_size(current_database())").Scan(&size))
	g.record(grownDatabase, float64(size)/(1<<20), "%.0f")
}

// startAgain ends the server and starts it on the same store.
func (g *grown) startAgain(b *testing.B) {
	b.Helper()
	g.stopServer(b)
	began := time.Now()
	again := &fleet{dir: g.dir, store: g.store}
	again.startServer(b)
	_, err := again.client.Server(b.Context())
	must(b, err)
	g.record(grownStart, time.Since(began).Seconds(), "%.2f")
}

// growStored looks at a server whose store has many datacenters, of which none has an agent.
func growStored(b *testing.B, c *comparison, subject string) {
	b.Helper()
	url, pid := newPostgres(b)
	g := &grown{fleet: &fleet{dir: b.TempDir(), store: url}, c: c, subject: subject, database: pid}
	st := g.openStore(b)
	for from := 0; from < storedOnly; from += storedTogether {
		var w store.Write
		for i := range storedTogether {
			dc := small(fmt.Sprintf("dc-%06d", from+i))
			resource.SetMetadata(dc, resource.Metadata{UID: dc.GetName(), Generation: 1, CreateTime: timestamppb.Now(), UpdateTime: timestamppb.Now()})
			w.Puts = append(w.Puts, store.Put{Object: dc, Part: store.PartAll})
		}
		_, err := st.Write(b.Context(), w)
		must(b, err)
	}
	must(b, st.Close())
	g.fleet = startFleet(b, newPair(b), url)
	<-time.After(rest)
	g.record(grownMemory, resident(b, g.server), "%.0f")
	g.changeLabels(b)
	g.sizeOfDatabase(b)
	g.startAgain(b)
}
