package api

import (
	"context"
	"math/rand/v2"
	"time"

	"isthmus/fault"
	"isthmus/server/auth"
	"isthmus/server/limit"
	"isthmus/server/request"
	"isthmus/store/snapshot"
)

// Blocking queries are Consul's: the same defaults, limits and jitter, because users know them.
const (
	defaultWait = 5 * time.Minute
	maxWait     = 10 * time.Minute
	// jitterPart: up to wait/16 is added, so that clients that began together do not end together.
	jitterPart = 16
	// minIndexWait is how long a replica that is behind lets a read wait before it says so.
	minIndexWait = 5 * time.Second
)

// query is the part that all reads have in common.
type query struct {
	index    uint64
	minIndex uint64
	wait     time.Duration
}

// blockingQuery is what GetRequest, ListRequest and ListEventsRequest have in common.
type blockingQuery interface {
	GetIndex() uint64
	GetMinIndex() uint64
	GetWait() string
}

func queryOf(r blockingQuery) (query, error) {
	q := query{index: r.GetIndex(), minIndex: r.GetMinIndex(), wait: defaultWait}
	if text := r.GetWait(); text != "" {
		wait, err := time.ParseDuration(text)
		if err != nil || wait < 0 {
			return q, fault.Violated(fault.Violation{
				Field: "wait", Reason: "Invalid",
				Message: "is not a time to wait; expected for example 60s or 5m, at most 10m",
			})
		}
		q.wait = min(wait, maxWait)
	}
	return q, nil
}

// answer is what a blocking query looks at each time something may have changed.
type answer[T any] interface {
	// read computes the answer at a view; changed is closed at the next change that may alter it.
	read(ctx context.Context, v *snapshot.View) (result T, changed <-chan struct{}, err error)
	// newer tells whether something that the query covers changed after the index, as far as the view can tell.
	newer(v *snapshot.View, result T, index uint64) bool
	// same tells whether two answers are equal.
	same(a, b T) bool
}

// ask answers a read: at once, or when what it covers is newer than q.index, or at the end of the wait. The header says
// at which index the answer is true.
func ask[T any](ctx context.Context, c *Core, q query, a answer[T]) (T, error) {
	var none T
	v, err := c.viewAt(ctx, max(q.minIndex, q.index), q.minIndex)
	if err != nil {
		return none, err
	}
	result, changed, err := a.read(ctx, v)
	if q.index == 0 || q.index > v.Revision().Index || a.newer(v, result, q.index) {
		request.At(ctx, v.Revision().Index)
		return result, err
	}
	done, busy := limit.Wait(ctx)
	if busy != nil {
		return none, busy
	}
	defer done()
	revoked := auth.Revocation(ctx, v)
	start := c.Now()
	defer func() { request.Waited(ctx, c.Now().Sub(start)) }()
	timeout := time.NewTimer(q.wait + rand.N(q.wait/jitterPart+1)) //nolint:gosec // spreads load; nobody gains by guessing it.
	defer timeout.Stop()
	for {
		select {
		case <-ctx.Done():
			return none, ctx.Err()
		case <-timeout.C:
			request.At(ctx, v.Revision().Index)
			return result, err
		case <-c.Stopping:
			request.At(ctx, v.Revision().Index)
			return result, err
		case <-changed:
		case <-revoked:
		}
		v = c.Snapshot.View()
		revoked = auth.Revocation(ctx, v)
		next, nextChanged, nextErr := a.read(ctx, v)
		if err := auth.Still(ctx); err != nil {
			return none, err
		}
		if (err == nil) != (nextErr == nil) || err == nil && !a.same(result, next) {
			request.At(ctx, v.Revision().Index)
			return next, nextErr
		}
		changed = nextChanged
	}
}

// viewAt is a view at or after an index. The caller insists on must; one that only hopes (index of a blocking query,
// which may come from before a restore) gets what there is.
func (c *Core) viewAt(ctx context.Context, index, must uint64) (*snapshot.View, error) {
	v := c.Snapshot.View()
	if v.Revision().Index >= index {
		return v, nil
	}
	if err := c.Snapshot.Catchup(ctx); err != nil {
		return nil, err
	}
	v = c.Snapshot.View()
	if v.Revision().Index >= must {
		return v, nil
	}
	done, err := limit.Wait(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, minIndexWait)
	defer cancel()
	return c.Snapshot.WaitIndex(ctx, must)
}
