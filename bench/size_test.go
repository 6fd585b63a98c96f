package bench_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// shutdown asks a process to end.
const shutdown = syscall.SIGTERM

// rest is how long processes are left alone before their memory is read: some rounds of every loop they have.
const rest = 10 * time.Second

// reportMemory reads how much memory server and agents hold when nothing happens.
func reportMemory(b *testing.B, f *fleet) {
	b.Helper()
	if runtime.GOOS != "linux" {
		b.Log("memory is read on Linux only")
		return
	}
	<-time.After(rest)
	server := resident(b, f.server)
	largest := 0.0
	for _, cmd := range f.agents {
		largest = max(largest, resident(b, cmd))
	}
	b.ReportMetric(server, "server-MiB")
	b.ReportMetric(largest, "agent-MiB")
	record("server's memory at rest (resident, 3 datacenters)", "< 60 MiB", "%.0f MiB", server)
	record("agent's memory at rest (resident, the largest of 3)", "< 40 MiB", "%.0f MiB", largest)
}

func resident(b *testing.B, cmd *exec.Cmd) float64 {
	b.Helper()
	var kib float64
	_, err := fmt.Sscan(field(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid), "VmRSS"), &kib)
	must(b, err)
	return kib / 1024
}

// BenchmarkBinary is the size of the one binary.
func BenchmarkBinary(b *testing.B) {
	for b.Loop() {
		info, err := os.Stat(binary)
		must(b, err)
		mib := float64(info.Size()) / (1 << 20)
		b.ReportMetric(mib, "MiB")
		record("binary (static, stripped)", "", "%.0f MiB", mib)
	}
}
