package bench_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// What is listed, and how often in each round.
const (
	fewListed   = 1_000
	manyListed  = 10_000
	listRepeats = 5
	cliRuns     = 5
	// listed is the work's name in the table.
	listed = "all of %d objects, p50, ms"
	// typed is the work of the CLI.
	typed = "`isthmus get datacenters` of 1000, the whole process, p50, ms"
)

// lister reads all objects, whole answers as bytes, and counts them. What a client would make of the bytes is its own.
type lister struct {
	name string
	// objects is how many there are.
	objects int
	list    func(ctx context.Context) (n int, err error)
	// pid is the server's process.
	pid int

	took  []float64
	spent []float64
}

// BenchmarkLists lists 1,000 and 10,000 objects of isthmus, over gRPC and over REST (in JSON, and in protobuf as the CLI asks for), of etcd, of
// Consul's KV store and its config entries, and the rows of PostgreSQL alone, by turns; all but PostgreSQL over TLS, on a connection that is
// there. And it runs the CLI's table of 1,000.
func BenchmarkLists(b *testing.B) {
	c := compare(b, "lists")
	keys := newPair(b)
	few, many := startListed(b, keys, fewListed), startListed(b, keys, manyListed)
	listers := append(isthmusListers(b, few, fewListed), isthmusListers(b, many, manyListed)...)
	listers = append(listers, etcdListers(b, c)...)
	listers = append(listers, consulListers(b)...)
	listers = append(listers, postgresListers(b, c, few, many)...)
	var cli, cliCPU []float64
	for b.Loop() {
		for _, l := range listers {
			l.round(b)
		}
		for range cliRuns {
			wall, cpu := few.getDatacenters(b)
			cli, cliCPU = append(cli, wall), append(cliCPU, cpu)
		}
	}
	for _, n := range []int{fewListed, manyListed} {
		for _, l := range listers {
			if l.objects == n {
				l.record(c)
			}
		}
	}
	c.record(typed, encodedREST, quantile(cli, 0.5), "%.0f")
	c.record("… processor time of the CLI, ms", encodedREST, quantile(cliCPU, 0.5), "%.0f")
	c.below(fmt.Sprintf(listed, fewListed), overGRPC, 10)
	c.below(typed, encodedREST, 100)
}

// The subjects of the table that are isthmus.
const (
	overGRPC = "isthmus, gRPC"
	overREST = "isthmus, REST"
	// encodedREST is REST for who asks for protobuf.
	encodedREST = "isthmus, REST in protobuf"
)

// round lists some times.
func (l *lister) round(b *testing.B) {
	b.Helper()
	before := usedBy(b, l.pid)
	for range listRepeats {
		began := time.Now()
		n, err := l.list(b.Context())
		l.took = append(l.took, time.Since(began).Seconds()*1000)
		must(b, err)
		if n != l.objects {
			b.Fatalf("%s: %d objects, expected %d", l.name, n, l.objects)
		}
	}
	if l.pid != 0 {
		l.spent = append(l.spent, (usedBy(b, l.pid)-before).Seconds()*1000/listRepeats)
	}
}

func (l *lister) record(c *comparison) {
	c.record(fmt.Sprintf(listed, l.objects), l.name, quantile(l.took, 0.5), "%.1f")
	if len(l.spent) > 0 {
		sum := 0.0
		for _, s := range l.spent { // counted in hundredths of a second: only their sum says something
			sum += s
		}
		c.record(fmt.Sprintf("… processor time of the server for %d, ms", l.objects), l.name, sum/float64(len(l.spent)), "%.1f")
	}
}

// startListed starts a server on PostgreSQL, and declares as many datacenters.
func startListed(b *testing.B, keys pair, n int) *fleet {
	b.Helper()
	store, _ := newPostgres(b)
	f := startFleet(b, keys, store)
	for from := 0; from < n; from += fewListed {
		f.declare(b, datacentersFrom(from, fewListed))
	}
	return f
}

// getDatacenters runs the CLI, and says how long the whole process took, and its processor time, in ms.
func (f *fleet) getDatacenters(b *testing.B) (wall, cpu float64) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), binary, "get", "datacenters")
	cmd.Env = append(os.Environ(), "ISTHMUS_ADDR="+f.config.Address, "ISTHMUS_CACERT="+f.config.CACert,
		"ISTHMUS_TOKEN_FILE="+filepath.Join(f.dir, "server", "admin.token"))
	began := time.Now()
	out, err := cmd.Output()
	took := time.Since(began)
	must(b, err)
	if lines := countLines(out); lines < fewListed {
		b.Fatalf("%d lines, expected %d at least", lines, fewListed)
	}
	used, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		b.Fatal("the system does not tell what a process has used")
	}
	return took.Seconds() * 1000, float64(used.Utime.Nano()+used.Stime.Nano()) / 1e6
}
