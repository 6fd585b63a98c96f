package sqlstore

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"isthmus/fault"
)

// Limits of one group: the lock is not held for longer than they take.
const (
	maxGroup = 512
	// maxCost is in rows.
	maxCost = 8192
)

// group commits together what waits at the same time: while one transaction is on its way, the next one gathers.
type group[T any] struct {
	run  func([]*ticket[T])
	cost func(T) int

	mu      sync.Mutex
	waiting []*ticket[T]
	closed  bool
	wake    chan struct{}
	done    chan struct{}
}

// ticket is one item on its way. Whoever moves state away from ticketWaiting decides whether it is tried.
type ticket[T any] struct {
	item  T
	state atomic.Int32
	err   error
	done  chan struct{}
}

const (
	ticketWaiting = iota
	ticketTaken
	ticketAbandoned
)

func newGroup[T any](run func([]*ticket[T]), cost func(T) int) *group[T] {
	g := &group[T]{run: run, cost: cost, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go g.loop()
	return g
}

// do waits for item's outcome.
func (g *group[T]) do(ctx context.Context, item T) error {
	if err := ctx.Err(); err != nil {
		return contextFault(err)
	}
	t := &ticket[T]{item: item, done: make(chan struct{})}
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return errClosed()
	}
	g.waiting = append(g.waiting, t)
	g.mu.Unlock()
	select {
	case g.wake <- struct{}{}:
	default:
	}
	select {
	case <-t.done:
		return t.err
	case <-ctx.Done():
	}
	if t.state.CompareAndSwap(ticketWaiting, ticketAbandoned) {
		return contextFault(ctx.Err())
	}
	select {
	case <-t.done:
		return t.err
	default:
		return fault.Wrap(fault.Unavailable, ctx.Err(), "the write was given up while it was committed: it may be stored, or not")
	}
}

func (g *group[T]) loop() {
	defer close(g.done)
	for range g.wake {
		for {
			batch, closed := g.take()
			if len(batch) > 0 {
				g.run(batch)
				for _, t := range batch {
					close(t.done)
				}
				continue
			}
			if closed {
				return
			}
			break
		}
	}
}

// take gathers what waits, up to the limits.
func (g *group[T]) take() (batch []*ticket[T], closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	cost, n := 0, 0
	for _, t := range g.waiting {
		c := g.cost(t.item)
		if len(batch) == maxGroup || (len(batch) > 0 && cost+c > maxCost) {
			break
		}
		n++
		if t.state.CompareAndSwap(ticketWaiting, ticketTaken) {
			batch = append(batch, t)
			cost += c
		}
	}
	clear(g.waiting[:n])
	g.waiting = g.waiting[n:]
	if len(g.waiting) == 0 {
		g.waiting = nil
	}
	return batch, g.closed
}

// close lets what waits be committed, then ends.
func (g *group[T]) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	select {
	case g.wake <- struct{}{}:
	default:
	}
	<-g.done
}

func errClosed() error { return fault.New(fault.Unavailable, "the store is closed") }

// contextFault is the fault for a context that ended.
func contextFault(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fault.Wrap(fault.Timeout, err, "the deadline passed before the store answered")
	}
	return fault.Wrap(fault.Canceled, err, "the request was canceled")
}
