package observation

import (
	"maps"
	"slices"
	"sync"
)

// Subscription tells of which datacenters something new is known. It never blocks who brings the news, and forgets
// nothing: a slow reader gets the datacenters of all that happened meanwhile.
type Subscription struct {
	// Wake has a value when Take has something.
	Wake chan struct{}

	mu      sync.Mutex
	pending map[string]bool
}

// Subscribe begins to listen. End it with Unsubscribe.
func (t *Table) Subscribe() *Subscription {
	s := &Subscription{Wake: make(chan struct{}, 1), pending: map[string]bool{}}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.subscribers[s] = true
	return s
}

// Unsubscribe ends a subscription.
func (t *Table) Unsubscribe(s *Subscription) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.subscribers, s)
}

// Reported counts what subscriptions are told of: while it is the same, nothing was reported but heartbeats.
func (t *Table) Reported() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.reported
}

// Take gives the datacenters that something new is known of since the last Take, sorted.
func (s *Subscription) Take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Sorted(maps.Keys(s.pending))
	clear(s.pending)
	return out
}

// notify is called with the table's lock held.
func (t *Table) notify(datacenter string) {
	t.reported++
	for s := range t.subscribers {
		s.mu.Lock()
		s.pending[datacenter] = true
		s.mu.Unlock()
		select {
		case s.Wake <- struct{}{}:
		default:
		}
	}
}
