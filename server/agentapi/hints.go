package agentapi

import (
	"sync"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/auth"
	"isthmus/store/snapshot"
)

// maxHints is of two for each of 65,536 peerings, in some megabytes.
const maxHints = 1 << 17

// hints are the names of peerings by what agents call them, a uid or a token's digest, so that a hub's agent has not all of its peerings looked
// through with each call. Whoever takes one looks whether it is right. The zero value is ready.
type hints struct {
	mu    sync.Mutex
	names map[string]string
}

func (h *hints) put(key, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.names == nil || len(h.names) >= maxHints {
		h.names = map[string]string{}
	}
	h.names[key] = name
}

func (h *hints) get(key string) (name string, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	name, ok = h.names[key]
	return name, ok
}

// find is the peering of the caller's datacenter that is right, which the hint may name. The keys of all that are looked at become hints.
func (h *hints) find(v *snapshot.View, caller auth.Caller, hint string, right func(*isthmusv1.Peering) bool, key func(*isthmusv1.Peering) string) (*isthmusv1.Peering, bool) {
	if name, ok := h.get(hint); ok {
		p, ok := resource.Lookup[*isthmusv1.Peering](v, resource.KindPeering, name)
		own := p.GetSpec().GetAcceptor() == caller.Datacenter || p.GetSpec().GetDialer() == caller.Datacenter
		if ok && own && right(p) {
			return p, true
		}
	}
	var found *isthmusv1.Peering
	for p := range resource.AllTouching[*isthmusv1.Peering](v, resource.KindPeering, caller.Datacenter) {
		if k := key(p); k != "" {
			h.put(k, p.GetName())
		}
		if right(p) {
			found = p
		}
	}
	return found, found != nil
}
