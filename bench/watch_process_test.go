package bench_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// exactTime is the processor time that processes have used so far, to the nanosecond: the scheduler's own count of each thread. Threads
// and processes that ended take theirs along, which Go's and a pool's connections do not do while they work.
func exactTime(b *testing.B, pids ...int) time.Duration {
	b.Helper()
	var sum time.Duration
	for _, pid := range pids {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		must(b, err)
		for _, task := range tasks {
			text, err := os.ReadFile(task)
			if err != nil {
				continue // it ended
			}
			var ran, waited, slices int64
			_, err = fmt.Sscan(string(text), &ran, &waited, &slices)
			must(b, err)
			sum += time.Duration(ran)
		}
	}
	return sum
}

// residentBytes is how much memory a process has in RAM.
func residentBytes(b *testing.B, pid int) float64 {
	b.Helper()
	text := field(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Rss")
	var kib float64
	_, err := fmt.Sscan(strings.TrimSuffix(text, "kB"), &kib)
	must(b, err)
	return kib * 1024
}
