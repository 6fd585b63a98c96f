package agentapi

import (
	"context"
	"time"

	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server/auth"
	"isthmus/store/snapshot"
)

// Track is how often a plan becomes another, for tests.
type Track struct{ t track }

// Step notes that it did.
func (t *Track) Step(now time.Time) { t.t.step(now) }

// Pace is the pause until it is told again.
func (t *Track) Pace() time.Duration { return t.t.pace }

// Past notes a former state with so many changes, and gives how many former states and changes are known then.
func (t *Track) Past(digest string, changes int) (states, known int) {
	t.t.past = append(t.t.past, past{digest: digest, changes: make([]plan.Change, changes)})
	t.t.forget()
	for _, p := range t.t.past {
		known += len(p.changes)
	}
	return len(t.t.past), known
}

// Hints are what finds peerings by what agents call them.
type Hints struct{ h hints }

// Find looks for the peering of a uid.
func (h *Hints) Find(v *snapshot.View, datacenter, uid string) (*isthmusv1.Peering, bool) {
	right := func(p *isthmusv1.Peering) bool { return p.GetUid() == uid }
	return h.h.find(v, auth.Caller{Datacenter: datacenter}, uid, right, (*isthmusv1.Peering).GetUid)
}

// Put is what one call learns.
func (h *Hints) Put(key, name string) { h.h.put(key, name) }

// Get is what another finds.
func (h *Hints) Get(key string) (string, bool) { return h.h.get(key) }

// Send is how an answer is sent, until that is done or has taken for so long.
func Send(ctx context.Context, stream isthmusv1.SyncService_FollowServer, answer *isthmusv1.PullResponse, within time.Duration) error {
	h := &hand{p: &Planner{wake: make(chan struct{}, 1)}, ctx: ctx}
	ended := make(chan error, 2)
	go func() { ended <- h.send(stream, answer, within, func(err error) { ended <- err }) }()
	return <-ended
}

// Waiters are those who wait at desks, and the goroutines that look at them.
type Waiters struct{ p *Planner }

// Waiter is one.
type Waiter struct{ w *waiter }

// NewWaiters begins with so many goroutines, until ctx ends.
func NewWaiters(ctx context.Context, hands int) *Waiters {
	p := &Planner{desks: map[string]*desk{}, pending: map[*track]bool{}, wake: make(chan struct{}, hands)}
	for range hands {
		go (&hand{p: p, ctx: ctx}).run()
	}
	return &Waiters{p}
}

// Arrive has one wait at a datacenter's desk.
func (w *Waiters) Arrive(datacenter string, look func() (hold time.Duration)) *Waiter {
	one := &waiter{look: func(*hand) time.Duration { return look() }}
	w.p.arrive(datacenter, one)
	return &Waiter{one}
}

// ArriveReading has one wait to whom each look sends an answer; ended has what came of it when that is an error.
func (w *Waiters) ArriveReading(datacenter string, stream isthmusv1.SyncService_FollowServer, within time.Duration, ended chan<- error) *Waiter {
	one := &waiter{look: func(h *hand) time.Duration {
		if err := h.send(stream, &isthmusv1.PullResponse{}, within, func(err error) { ended <- err }); err != nil {
			ended <- err
		}
		return 0
	}}
	w.p.arrive(datacenter, one)
	return &Waiter{one}
}

// Mark tells all at a desk that there is news.
func (w *Waiters) Mark(datacenter string) {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	if d, ok := w.p.desks[datacenter]; ok {
		w.p.mark(d, func(*track) {})
	}
}

// Hurry has one looked at also when it is held back.
func (w *Waiters) Hurry(one *Waiter) { w.p.hurry(one.w) }

// Leave ends its waiting.
func (w *Waiters) Leave(one *Waiter, stuck bool) { w.p.leave(one.w, stuck) }
