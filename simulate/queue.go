package simulate

import (
	"context"
	"sync"
)

// queue hands agents that have something to do to the workers: each stands in it once at most, and is with one worker at a time.
type queue struct {
	ready chan *agent

	mu sync.Mutex
	// phases are of the agents that are not idle.
	phases map[*agent]phase
	// later are those that wait for the next tick.
	later map[*agent]bool
}

type phase int

const (
	phaseQueued phase = iota + 1
	phaseWorking
	// phaseAgain: something happened while it was worked on.
	phaseAgain
)

// newQueue has room for all agents, so that nobody ever waits to put one in.
func newQueue(agents int) *queue {
	return &queue{ready: make(chan *agent, agents), phases: map[*agent]phase{}, later: map[*agent]bool{}}
}

// put has an agent looked at.
func (q *queue) put(a *agent) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch q.phases[a] {
	case phaseQueued, phaseAgain:
	case phaseWorking:
		q.phases[a] = phaseAgain
	default:
		q.phases[a] = phaseQueued
		q.ready <- a
	}
}

// putLater has an agent looked at with the next tick.
func (q *queue) putLater(a *agent) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.later[a] = true
}

// tick puts in what waits for it.
func (q *queue) tick() {
	q.mu.Lock()
	due := q.later
	q.later = map[*agent]bool{}
	q.mu.Unlock()
	for a := range due {
		q.put(a)
	}
}

// work does what there is to do until ctx ends.
func (q *queue) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-q.ready:
			q.begin(a)
			a.work(ctx)
			q.end(a)
		}
	}
}

func (q *queue) begin(a *agent) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.phases[a] = phaseWorking
}

func (q *queue) end(a *agent) {
	q.mu.Lock()
	defer q.mu.Unlock()
	again := q.phases[a] == phaseAgain
	delete(q.phases, a)
	if again {
		q.phases[a] = phaseQueued
		q.ready <- a
	}
}
