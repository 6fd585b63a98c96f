package gateway

import (
	"slices"
	"sync"
	"time"
)

// failureMemory is how long an address that could not be connected to comes after the others: long enough that not every
// connection waits for it, short enough that one that came back is used again soon.
const failureMemory = 10 * time.Second

// health remembers which addresses failed lately.
type health struct {
	now func() time.Time

	mu     sync.Mutex
	failed map[string]time.Time
}

func newHealth(now func() time.Time) *health {
	return &health{now: now, failed: map[string]time.Time{}}
}

// order is the addresses in the order to try them: those without a recent failure as they stand, then the others, the one
// whose failure is longest ago first.
func (h *health) order(addresses []string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.failed) == 0 || len(addresses) < 2 {
		return addresses
	}
	now := h.now()
	since := func(address string) time.Time {
		at := h.failed[address]
		if now.Sub(at) >= failureMemory {
			return time.Time{}
		}
		return at
	}
	sorted := slices.Clone(addresses)
	slices.SortStableFunc(sorted, func(x, y string) int { return since(x).Compare(since(y)) })
	return sorted
}

// report remembers how an attempt ended.
func (h *health) report(address string, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !ok {
		h.failed[address] = h.now()
	} else if len(h.failed) > 0 {
		delete(h.failed, address)
	}
}

// keep forgets addresses that no route has any more.
func (h *health) keep(t *Table) {
	used := map[string]bool{}
	for _, e := range t.Entries() {
		for _, address := range e.Addresses {
			used[address] = true
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for address := range h.failed {
		if !used[address] {
			delete(h.failed, address)
		}
	}
}
