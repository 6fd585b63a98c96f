package agentapi

import (
	"context"
	"sync"

	"isthmus/plan"
	"isthmus/store/snapshot"
)

// Planner wakes the long polls of the datacenters that a change affects, and no others.
type Planner struct {
	follower *snapshot.Follower

	mu sync.Mutex
	// waiting has one watch for each datacenter that somebody waits for.
	waiting map[string]*watch
}

// maxAudiences is how many kinds of agents of one datacenter are told different things at a time: versions, during an upgrade.
const maxAudiences = 8

// watch is of one datacenter's plans, from views that were taken since it is there, until they may be others.
type watch struct {
	// changed is closed then.
	changed chan struct{}

	mu sync.Mutex
	// digests of those that were made: agents of other versions, and gateways, are told something else.
	digests map[string]string
}

// NewPlanner makes a Planner, which follows the snapshot from now on; it wakes nobody until Run.
func NewPlanner(s *snapshot.Snapshot) *Planner {
	return &Planner{follower: s.Follow(), waiting: map[string]*watch{}}
}

// watch begins to watch a datacenter's plans, before a view is taken.
func (p *Planner) watch(datacenter string) *watch {
	p.mu.Lock()
	defer p.mu.Unlock()
	w, ok := p.waiting[datacenter]
	if !ok {
		w = &watch{changed: make(chan struct{}), digests: map[string]string{}}
		p.waiting[datacenter] = w
	}
	return w
}

// made notes the digest of a plan for whoever is told the same.
func (w *watch) made(audience, digest string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.digests) >= maxAudiences {
		clear(w.digests)
	}
	w.digests[audience] = digest
}

// is tells whether a digest is that of the plan, as far as it was made.
func (w *watch) is(audience, digest string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	made, ok := w.digests[audience]
	return ok && made == digest
}

// Run follows the snapshot until ctx ends.
func (p *Planner) Run(ctx context.Context) error {
	for {
		batch, err := p.follower.Next(ctx)
		if err != nil {
			return nil //nolint:nilerr // Next fails when ctx ends, which is how Run is stopped.
		}
		if batch.Restarted() {
			p.wakeAll()
			continue
		}
		for _, c := range batch.Changes {
			// What a change did away with is found in the view before it, what it brought in the one after.
			p.wake(plan.Affected(batch.View, c.Before, c.After))
			p.wake(plan.Affected(batch.Before, c.Before, c.After))
		}
	}
}

func (p *Planner) wake(datacenters []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, datacenter := range datacenters {
		if w, ok := p.waiting[datacenter]; ok {
			close(w.changed)
			delete(p.waiting, datacenter)
		}
	}
}

func (p *Planner) wakeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.waiting {
		close(w.changed)
	}
	clear(p.waiting)
}
