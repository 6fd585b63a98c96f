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
	// waiting has one channel for each datacenter that somebody waits for; it is closed when the plan may be another.
	waiting map[string]chan struct{}
}

// NewPlanner makes a Planner, which follows the snapshot from now on; it wakes nobody until Run.
func NewPlanner(s *snapshot.Snapshot) *Planner {
	return &Planner{follower: s.Follow(), waiting: map[string]chan struct{}{}}
}

// Changed gives a channel that is closed when the datacenter's plan may have changed after a view that is taken now.
func (p *Planner) Changed(datacenter string) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.waiting[datacenter]
	if !ok {
		c = make(chan struct{})
		p.waiting[datacenter] = c
	}
	return c
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
		if c, ok := p.waiting[datacenter]; ok {
			close(c)
			delete(p.waiting, datacenter)
		}
	}
}

func (p *Planner) wakeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.waiting {
		close(c)
	}
	clear(p.waiting)
}
