package bench_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"isthmus/demo/consulrun"
)

// binary is the isthmus that is measured, built as `make build` does unless -binary names one.
var binary string

// TestMain builds isthmus, and prints the tables when all has been measured. Without -bench there is nothing to do.
func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(runChild(os.Getenv(childEnv)))
	}
	write := flag.Bool("write", false, "write the tables of comparisons to "+benchmarks)
	flag.StringVar(&binary, "binary", "", "the isthmus to measure, instead of one that is built for it")
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() == "" {
		os.Exit(m.Run())
	}
	os.Exit(run(m, *write))
}

func run(m *testing.M, write bool) int {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "isthmus-bench-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if binary == "" {
		binary = filepath.Join(dir, "isthmus")
		if err := build(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "building isthmus:", err)
			return 1
		}
	}
	busy := load()
	code := m.Run()
	printTable(ctx)
	if err := publish(ctx, busy, write); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func build(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", binary, "isthmus/cmd/isthmus")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}

// row is one line of the table.
type row struct{ what, figure, aim string }

var table struct {
	sync.Mutex
	rows []row
}

// record adds a figure to the table. A benchmark that Go runs again, with more iterations, replaces its own.
func record(what, aim, format string, args ...any) {
	table.Lock()
	defer table.Unlock()
	next := row{what, fmt.Sprintf(format, args...), aim}
	if i := slices.IndexFunc(table.rows, func(r row) bool { return r.what == what }); i >= 0 {
		table.rows[i] = next
		return
	}
	table.rows = append(table.rows, next)
}

func printTable(ctx context.Context) {
	if len(table.rows) == 0 {
		return
	}
	fmt.Printf("\n%s\n\n| what | figure | aim |\n|---|---|---|\n", machine(ctx))
	for _, r := range table.rows {
		fmt.Printf("| %s | %s | %s |\n", r.what, r.figure, r.aim)
	}
	fmt.Println()
}

// machine says what the figures are worth.
func machine(ctx context.Context) string {
	parts := []string{fmt.Sprintf("%d × %s", runtime.NumCPU(), processor())}
	if memory := field("/proc/meminfo", "MemTotal"); memory != "" {
		var kib int
		if _, err := fmt.Sscan(memory, &kib); err == nil {
			parts = append(parts, fmt.Sprintf("%d GiB", (kib+1<<19)>>20))
		}
	}
	parts = append(parts, runtime.GOOS+"/"+runtime.GOARCH, runtime.Version())
	if path, err := consulrun.Binary(ctx); err == nil {
		if out, err := exec.CommandContext(ctx, path, "version").Output(); err == nil {
			first, _, _ := strings.Cut(string(out), "\n")
			parts = append(parts, first)
		}
	}
	return strings.Join(parts, ", ")
}

// load is how many processes wanted a processor in the minute before; empty where the system does not tell. At rest it is below 0.5.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(text), " ")
	return "load " + first + " before"
}

func processor() string {
	if name := field("/proc/cpuinfo", "model name"); name != "" {
		return name
	}
	return runtime.GOARCH
}

// field is the first value of a key in one of Linux's "key: value" files; empty elsewhere.
func field(path, key string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// times are measured durations.
type times []time.Duration

// at is a quantile: 0.5 is the median.
func (t times) at(q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(t))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// quantile of figures: 0.5 is the median.
func quantile(figures []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(figures))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// report gives the figures to Go's output and to the table.
func (t times) report(b *testing.B, what, aim string) {
	b.Helper()
	if len(t) == 0 {
		return
	}
	b.ReportMetric(float64(t.at(0.5).Milliseconds()), "ms-median")
	b.ReportMetric(float64(t.at(1).Milliseconds()), "ms-max")
	record(what, aim, "%s median, %s worst of %d", t.at(0.5).Round(time.Millisecond), t.at(1).Round(time.Millisecond), len(t))
}
