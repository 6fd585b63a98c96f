package session

import (
	"slices"
	"sync"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// maxOwed bounds the logouts that wait to be written; beyond it the oldest are forgotten, and their sessions end by time elsewhere.
const maxOwed = 10_000

// owed are entries of logouts that could not be written: other replicas, and this one after a restart, do not know of them until they are.
type owed struct {
	mu     sync.Mutex
	events []*isthmusv1.Event
}

func (o *owed) add(events ...*isthmusv1.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, events...)
	o.events = slices.Delete(o.events, 0, max(0, len(o.events)-maxOwed))
}

// take gives all of them, which nobody owes any more.
func (o *owed) take() []*isthmusv1.Event {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := o.events
	o.events = nil
	return out
}
