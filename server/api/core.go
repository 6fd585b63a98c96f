package api

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"

	"isthmus/fault"
	"isthmus/server/observation"
	"isthmus/server/request"
	"isthmus/store"
	"isthmus/store/snapshot"
)

// Core is what all services share: the way to read and the way to write.
type Core struct {
	Store    store.Store
	Snapshot *snapshot.Snapshot
	// Stopping is closed when the server shuts down: blocking queries answer then.
	Stopping <-chan struct{}
	Log      hclog.Logger
	Now      func() time.Time
	// Observations are what agents saw last.
	Observations *observation.Table
}

// commit writes, sees to it that this replica's snapshot has it, so that whoever wrote reads it, and says the index.
func (c *Core) commit(ctx context.Context, w store.Write) (*snapshot.View, error) {
	revision, err := c.Store.Write(ctx, w)
	if err != nil {
		return nil, err
	}
	v, err := c.Snapshot.Reach(ctx, revision)
	if err != nil {
		return nil, err
	}
	request.At(ctx, revision.Index)
	return v, nil
}

// newest is a view of all that was written before the call, through whichever replica: for answers that have no index to ask for.
func (c *Core) newest(ctx context.Context) (*snapshot.View, error) {
	if err := c.Snapshot.Catchup(ctx); err != nil {
		return nil, err
	}
	return c.Snapshot.View(), nil
}

func notFound(kind, name string) error {
	return fault.New(fault.NotFound, "there is no %s named %q", kind, name)
}
