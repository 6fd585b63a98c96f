package controller

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"isthmus/fault"
	"isthmus/server/observation"
	"isthmus/store"
	"isthmus/store/snapshot"
)

const (
	leaseName = "controller"
	// leaseTTL is how long after the death of a replica another one takes over, at the latest.
	leaseTTL = 15 * time.Second
	// renewEvery leaves two tries before the lease ends; one that takes longer has failed.
	renewEvery = leaseTTL / 3
	// askEvery is how often a replica without the lease asks for it: how long nobody leads after an orderly end.
	askEvery = 2 * time.Second
)

// Controller runs all controllers on the replica that holds the lease.
type Controller struct {
	Store        store.Store
	Leaser       store.Leaser
	Keeper       store.Keeper
	Snapshot     *snapshot.Snapshot
	Observations *observation.Table
	// Holder is this replica's name for the lease. One that is the same after a restart takes over at once.
	Holder string
	// KeepChanges is how many changes the watch feed keeps.
	KeepChanges int
	Now         func() time.Time
	Log         hclog.Logger

	leading atomic.Bool
}

// Leading tells whether this replica holds the lease.
func (c *Controller) Leading() bool { return c.leading.Load() }

// Run takes the lease whenever it is free and runs the controllers while it is held, until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		lease, err := c.acquire(ctx)
		switch {
		case err == nil:
			c.lead(ctx, lease)
		case fault.CodeOf(err) != fault.Conflict && ctx.Err() == nil:
			c.Log.Warn("cannot ask for the controllers' lease", "error", err)
		}
		timer.Reset(askEvery)
	}
}

func (c *Controller) acquire(ctx context.Context) (store.Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, renewEvery)
	defer cancel()
	return c.Leaser.Acquire(ctx, leaseName, c.Holder, leaseTTL)
}

// lead runs the controllers until the lease is lost or ctx ends.
func (c *Controller) lead(ctx context.Context, lease store.Lease) {
	c.Log.Info("this server runs the controllers", "fencing", lease.Fencing)
	c.leading.Store(true)
	defer c.leading.Store(false)
	term, end := context.WithCancel(ctx)
	defer end()
	ended := make(chan error, 1)
	go func() {
		defer end()
		ended <- newLeader(c, lease).run(term)
	}()
	lost := c.hold(term, lease)
	end()
	if fenced := <-ended; lost == "" && fenced != nil {
		lost = fenced.Error()
	}
	if lost != "" {
		c.Log.Warn("this server no longer runs the controllers", "fencing", lease.Fencing, "reason", lost)
		return
	}
	// ctx is over: giving the lease back lets another replica go on at once.
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewEvery)
	defer cancel()
	if err := c.Leaser.Release(release, lease); err != nil {
		c.Log.Warn("cannot give the controllers' lease back", "error", err)
	}
}

// hold renews the lease and gives why it is lost; nothing when ctx ended.
func (c *Controller) hold(ctx context.Context, lease store.Lease) (lost string) {
	renewed := c.Now()
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ""
		case <-ticker.C:
		}
		asked := c.Now()
		again, err := c.acquire(ctx)
		switch {
		case ctx.Err() != nil:
			return ""
		case err == nil && again.Fencing == lease.Fencing:
			renewed = asked
		case err == nil:
			return fmt.Sprintf("the lease ended before it was renewed; this server has it again with number %d", again.Fencing)
		case fault.CodeOf(err) == fault.Conflict:
			return "another server has the lease"
		case c.Now().Sub(renewed) > leaseTTL:
			// Writes are fenced anyway; this keeps a replica that is cut off from working for nothing.
			return "the lease could not be renewed: " + err.Error()
		}
	}
}
