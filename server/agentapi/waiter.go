package agentapi

import (
	"context"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// standstill is after what time with an answer that nobody reads another goroutine takes the place of the one that sends it.
const standstill = 10 * time.Millisecond

// waiter is a caller at a desk. It is looked at by goroutines of the Planner, by one at a time: when all of a fleet has to be told something, none of
// its own wakes, others' calls go between, and the stacks of those who wait stay small.
//
//	resting ─▶ queued ─▶ looked at ─▶ resting, queued when there was news meanwhile, or held ─▶ queued
type waiter struct {
	desk *desk
	// look tells the caller what there is to tell, and gives how long it waits at least before there is more.
	look func(h *hand) (hold time.Duration)

	// All below is under the Planner's mu.
	state state
	// again: there was news while it was looked at.
	again bool
	// settled is closed when the last look at one who has left is over.
	settled chan struct{}
}

type state int

const (
	resting state = iota
	queued
	lookedAt
	held
	left
)

// arrive begins to wait at a datacenter's desk, with a look. A leave has to follow.
func (p *Planner) arrive(datacenter string, w *waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d, ok := p.desks[datacenter]
	if !ok {
		d = &desk{tracks: map[audience]*track{}}
		p.desks[datacenter] = d
	}
	w.desk = d
	d.waiters = append(d.waiters, w)
	p.stir(w)
}

// leave ends the waiting, and waits for a look that is under way unless that is stuck.
func (p *Planner) leave(w *waiter, stuck bool) {
	p.mu.Lock()
	d := w.desk
	d.waiters = slices.DeleteFunc(d.waiters, func(o *waiter) bool { return o == w })
	d.left = time.Now()
	settled := make(chan struct{})
	if w.state == lookedAt {
		w.settled = settled
	} else {
		close(settled)
	}
	w.state = left
	p.mu.Unlock()
	if !stuck {
		<-settled
	}
}

// stir has a waiter looked at. It is called with the lock held.
func (p *Planner) stir(w *waiter) {
	switch w.state {
	case resting:
		w.state = queued
		p.queue = append(p.queue, w)
		select {
		case p.wake <- struct{}{}:
		default: // as many are awake, or will be, as there are
		}
	case lookedAt:
		w.again = true
	case queued, held, left: // it will be, it will be later, nobody is there
	}
}

// hurry has a waiter looked at, also one that is held back.
func (p *Planner) hurry(w *waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.state == held {
		w.state = resting
	}
	p.stir(w)
}

// next takes the one who has been in the queue for longest; nil: nobody is.
func (p *Planner) next() *waiter {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) > 0 {
		w := p.queue[0]
		p.queue[0] = nil
		if p.queue = p.queue[1:]; len(p.queue) == 0 {
			p.queue = nil
		}
		if w.state == queued {
			w.state, w.again = lookedAt, false
			return w
		}
	}
	return nil
}

// looked ends a look.
func (p *Planner) looked(w *waiter, hold time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case w.state == left:
		if w.settled != nil {
			close(w.settled)
		}
	case hold > 0:
		w.state = held
		time.AfterFunc(hold, func() { p.hurry(w) })
	default:
		w.state = resting
		if w.again {
			p.stir(w)
		}
	}
}

// hand is a goroutine that looks.
type hand struct {
	p   *Planner
	ctx context.Context //nolint:containedctx // of the Planner's Run, for the one that takes its place
	// replaced: another one does.
	replaced bool
}

// run looks at who is in the queue until ctx ends.
func (h *hand) run() {
	for !h.replaced {
		w := h.p.next()
		if w == nil {
			select {
			case <-h.ctx.Done():
				return
			case <-h.p.wake:
				continue
			}
		}
		h.p.looked(w, w.look(h))
		runtime.Gosched()
	}
}

// send sends an answer. While nobody reads it others are looked at; late is called when that lasts for within, and has to end the call, with
// which gRPC stops sending.
func (h *hand) send(stream isthmusv1.SyncService_FollowServer, answer *isthmusv1.PullResponse, within time.Duration, late func(error)) error {
	var sent atomic.Bool
	watch := time.AfterFunc(standstill, func() {
		next := &hand{p: h.p, ctx: h.ctx}
		time.AfterFunc(within-standstill, func() {
			if !sent.Load() {
				late(fault.New(fault.Timeout, "an answer was not read within %s", within))
			}
		})
		next.run()
	})
	defer func() { // also when it panics
		sent.Store(true)
		h.replaced = !watch.Stop()
	}()
	return stream.Send(answer) //nolint:wrapcheck // gRPC's own, to gRPC
}
