package bench_test

import (
	"fmt"
	"strings"
	"testing"
)

// residentBytes is how much memory a process has in RAM.
func residentBytes(b *testing.B, pid int) float64 {
	b.Helper()
	text := field(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Rss")
	var kib float64
	_, err := fmt.Sscan(strings.TrimSuffix(text, "kB"), &kib)
	must(b, err)
	return kib * 1024
}
