package agentapi

import (
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

// Send is send.
func Send(stream isthmusv1.SyncService_FollowServer, answer *isthmusv1.PullResponse, within time.Duration) error {
	return send(stream, answer, within)
}
