package snapshot

import (
	"context"
	"errors"
	"sync"
	"time"

	"isthmus/fault"
)

// readTimeout bounds one reading of a page of the feed, for callers that have no deadline of their own. Loading all of the store takes the time
// that it takes: another try would take it as well.
const readTimeout = time.Minute

// catchups are the readings of the feed. One is on its way at a time; who asks meanwhile waits for the next one, which
// serves all of them: what is on its way may have missed what they want to see.
type catchups struct {
	// read is called by one goroutine at a time.
	read func(ctx context.Context) error

	mu            sync.Mutex
	current, next *flight
}

// flight is one reading.
type flight struct {
	// waiting counts callers. When the last one leaves, it is canceled.
	waiting int
	// ctx belongs to no caller: it lives as long as any of them waits.
	ctx    context.Context
	cancel context.CancelFunc
	// err is set before done is closed.
	err  error
	done chan struct{}
}

// Catchup reads the feed to its end, as it is after the call began. When ctx ends before, the caller leaves, and the
// view may still be what it was.
func (s *Snapshot) Catchup(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return contextFault(err)
	}
	f := s.catchups.join()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		s.catchups.leave(f)
		return contextFault(ctx.Err())
	}
}

func contextFault(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fault.Wrap(fault.Timeout, err, "the deadline passed before this server had read what is new in the store")
	}
	return fault.Wrap(fault.Canceled, err, "the request was canceled")
}

// join waits for a reading that has not begun.
func (c *catchups) join() *flight {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next == nil {
		c.next = &flight{done: make(chan struct{})}
		c.next.ctx, c.next.cancel = context.WithCancel(context.Background())
	}
	f := c.next
	f.waiting++
	if c.current == nil {
		c.current, c.next = f, nil
		go c.fly(f)
	}
	return f
}

// leave gives up waiting for a reading.
func (c *catchups) leave(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.waiting--
	if f.waiting > 0 {
		return
	}
	f.cancel()
	if c.next == f {
		c.next = nil
	}
}

// fly reads for f, and then for those who came meanwhile.
func (c *catchups) fly(f *flight) {
	for f != nil {
		f.err = c.read(f.ctx)
		f.cancel()
		close(f.done)
		c.mu.Lock()
		f, c.current, c.next = c.next, c.next, nil
		c.mu.Unlock()
	}
}
