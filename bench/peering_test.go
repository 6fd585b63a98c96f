package bench_test

import (
	"context"
	"testing"
	"time"

	"isthmus/client"
	"isthmus/resource"
)

// settling is how long Consul is left alone before a measurement. Its leader looks for streams to open five times in a row,
// and then once in 5 s (loopRateLimit and retryBucketSize in its leader_connect.go): after 25 s without a change it is as quick
// again as for a user who peers two clusters that were at rest.
const settling = 26 * time.Second

// BenchmarkPeering is from apply until both Consul servers themselves say ACTIVE.
func BenchmarkPeering(b *testing.B) {
	f := newFleet(b, "dc1", "dc2")
	f.declare(b, datacenters(2))
	var took times
	for b.Loop() {
		b.StopTimer()
		<-time.After(settling)
		b.StartTimer()
		ctx, cancel := context.WithTimeout(b.Context(), stepTimeout)
		began := time.Now()
		f.declare(b, "kind: Peering\nname: dc1-dc2\nspec: {acceptor: dc1, dialer: dc2}\n")
		f.awaitState(ctx, b, "dc1", "dc2", "ACTIVE")
		f.awaitState(ctx, b, "dc2", "dc1", "ACTIVE")
		took = append(took, time.Since(began))
		cancel()
		b.StopTimer()
		f.remove(b, resource.KindPeering, "dc1-dc2")
		b.StartTimer()
	}
	took.report(b, "one peering: apply → ACTIVE at both Consul servers", "< 1 s")
}

// BenchmarkMesh is from apply until three peerings have the verdict healthy, which takes a heartbeat at both ends of each.
func BenchmarkMesh(b *testing.B) {
	f := newFleet(b, "dc1", "dc2", "dc3")
	f.declare(b, datacenters(3))
	group := client.Target{Kind: kind(b, resource.KindPeeringGroup), Name: "mesh"}
	var took times
	for b.Loop() {
		b.StopTimer()
		<-time.After(settling)
		b.StartTimer()
		ctx, cancel := context.WithTimeout(b.Context(), stepTimeout)
		began := time.Now()
		f.declare(b, "kind: PeeringGroup\nname: mesh\nspec: {shape: full-mesh, selector: env=bench}\n")
		must(b, f.client.Wait(ctx, []client.Target{group}, func(client.Target, client.Readiness) {}))
		took = append(took, time.Since(began))
		cancel()
		b.StopTimer()
		f.remove(b, resource.KindPeeringGroup, "mesh")
		b.StartTimer()
	}
	took.report(b, "mesh of 3 datacenters: apply → all 3 peerings healthy", "")
	reportMemory(b, f)
}
