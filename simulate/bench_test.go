package simulate_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"isthmus/simulate"
)

// BenchmarkStart measures how long 1,000 datacenters and 5,000 peerings take until all is healthy, server and agents in one process.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		h := newHub(b)
		ctx, cancel := context.WithTimeout(b.Context(), 10*time.Minute)
		began := time.Now()
		f, err := simulate.Start(ctx, simulate.Config{Server: h.config, Datacenters: 1000, Peerings: 5000, Regions: 6, Services: 20})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/declared")
		if err := f.WaitHealthy(ctx); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/healthy")
		b.ReportMetric(float64(runtime.NumGoroutine())/1000, "goroutines/datacenter")
		f.Close()
		cancel()
	}
}
