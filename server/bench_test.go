package server_test

import (
	"context"
	"fmt"
	"os"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// meshSize is the number of datacenters that the full mesh connects: 4,950 peerings.
const meshSize = 100

// BenchmarkFullMesh measures from the apply of 100 datacenters and a full mesh until all 4,950 peerings are stored and each
// of 100 connected agents holds a desired state with its 99 peerings.
func BenchmarkFullMesh(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		n, fleet := start(b), fleetKey(b)
		var manifests strings.Builder
		agents := make([]*agent, meshSize)
		for i := range agents {
			name := fmt.Sprintf("dc%03d", i+1)
			manifests.WriteString(datacenters(name))
			agents[i] = n.enrol(newWorld(), fleet, name)
		}
		manifests.WriteString("---\nkind: PeeringGroup\nname: mesh\nspec: {shape: full-mesh, selector: env=demo}\n")
		profile(b)
		b.StartTimer()
		began := time.Now()
		var group errgroup.Group
		for _, a := range agents {
			group.Go(func() error { return a.holds(b.Context(), meshSize-1) })
		}
		n.apply(manifests.String())
		applied := time.Since(began)
		if err := group.Wait(); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		pprof.StopCPUProfile()
		b.ReportMetric(applied.Seconds(), "s/apply")
		if got := len(n.peeringsOfMesh()); got != meshSize*(meshSize-1)/2 {
			b.Fatalf("%d peerings", got)
		}
		n.stop()
		b.StartTimer()
	}
}

// profile writes a CPU profile of the measured part to the file that ISTHMUS_BENCH_PROFILE names.
func profile(b *testing.B) {
	b.Helper()
	path := os.Getenv("ISTHMUS_BENCH_PROFILE")
	if path == "" {
		return
	}
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = f.Close() })
	if err := pprof.StartCPUProfile(f); err != nil {
		b.Fatal(err)
	}
}

// holds pulls until the desired state has a number of peerings.
func (a *agent) holds(ctx context.Context, peerings int) error {
	request := &isthmusv1.PullRequest{Version: "test", Features: plan.Features()}
	for {
		response, err := a.sync.Pull(ctx, request)
		if err != nil {
			return err
		}
		request.Epoch, request.MinIndex, request.Have = response.GetEpoch(), response.GetIndex(), response.GetDigest()
		have := 0
		for _, item := range response.GetState().GetItems() {
			if item.GetPeeringAcceptor() != nil || item.GetPeeringDialer() != nil {
				have++
			}
		}
		if have == peerings {
			return nil
		}
	}
}

func (n *node) peeringsOfMesh() []*isthmusv1.Peering {
	n.t.Helper()
	var out []*isthmusv1.Peering
	r := &isthmusv1.ListRequest{PageSize: 1000}
	for {
		page, err := isthmusv1.NewPeeringServiceClient(n.shared()).ListPeerings(n.as(n.token), r)
		if err != nil {
			n.t.Fatal(err)
		}
		out = append(out, page.GetPeerings()...)
		if r.PageToken = page.GetNextPageToken(); r.GetPageToken() == "" {
			return out
		}
	}
}
