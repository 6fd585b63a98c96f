package controller_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server/controller"
	"isthmus/server/observation"
	"isthmus/store"
	"isthmus/store/snapshot"
	"isthmus/store/sqlite"
	"isthmus/store/sqlstore"
)

const patience = 20 * time.Second

// deceived is a leaser that gives the lease, and says of every renewal that it is still held.
type deceived struct {
	store.Leaser
	mu      sync.Mutex
	lease   store.Lease
	limited bool
}

func (d *deceived) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (store.Lease, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, d.limited = ctx.Deadline()
	if d.lease.Fencing == 0 {
		lease, err := d.Leaser.Acquire(ctx, name, holder, ttl)
		d.lease = lease
		return lease, err
	}
	return d.lease, nil
}

func (d *deceived) held() (store.Lease, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lease, d.limited
}

func run(t *testing.T, st *sqlstore.Store, leaser store.Leaser) *controller.Controller {
	t.Helper()
	return runOn(t, st, st, leaser)
}

// runOn runs the controllers, which write to one store, over what is in another.
func runOn(t *testing.T, writes store.Store, st *sqlstore.Store, leaser store.Leaser) *controller.Controller {
	t.Helper()
	return runAt(t, writes, st, leaser, time.Now)
}

func runAt(t *testing.T, writes store.Store, st *sqlstore.Store, leaser store.Leaser, now func() time.Time) *controller.Controller {
	t.Helper()
	s, err := snapshot.Open(t.Context(), st, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	seen, err := observation.Open(t.Context(), st, false, time.Now, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	c := &controller.Controller{
		Store: writes, Leaser: leaser, Keeper: st, Snapshot: s, Observations: seen, Holder: "here", KeepChanges: 100,
		Now: now, Log: hclog.NewNullLogger(),
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() { _ = s.Run(ctx) })
	wait.Go(func() { _ = seen.Run(ctx) })
	wait.Go(func() { _ = c.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wait.Wait()
	})
	return c
}

func leads(t *testing.T, c *controller.Controller, want bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for c.Leading() != want {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("leading is not %t", want)
		}
	}
}

// A term ends with the first write that is fenced off, whatever its holder believes of its lease.
func TestFencedTermEnds(t *testing.T) {
	t.Parallel()
	st, err := sqlite.Open(t.Context(), t.TempDir(), hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	leaser := &deceived{Leaser: st}
	c := run(t, st, leaser)
	leads(t, c, true)
	lease, limited := leaser.held()
	if !limited {
		t.Error("a lease is asked for without a limit of time")
	}
	if err := st.Release(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Acquire(t.Context(), lease.Name, "there", time.Hour); err != nil {
		t.Fatal(err)
	}
	// Something to do.
	dc := &isthmusv1.Datacenter{Name: "dc1", Uid: "u", Generation: 1, Spec: &isthmusv1.DatacenterSpec{Runtime: "vm"}}
	if _, err := st.Write(t.Context(), store.Write{Puts: []store.Put{{Object: dc, Part: store.PartAll}}}); err != nil {
		t.Fatal(err)
	}
	leads(t, c, false)
}
