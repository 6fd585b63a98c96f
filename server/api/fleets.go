package api

import (
	"sync"
	"time"

	"isthmus/connection"
	"isthmus/overview"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server/evidence"
	"isthmus/server/observation"
	"isthmus/store"
	"isthmus/store/snapshot"
)

// fleetAge is how old a fleet may be of which nothing has changed but the time.
const fleetAge = 250 * time.Millisecond

// Fleets computes all datacenters and how they are connected for everybody who asks: once per change of what is stored or was reported, however
// many pages are open. What ListChanges tells of comes from here as well, so that who asks after it is never given an older one.
type Fleets struct {
	Snapshot     *snapshot.Snapshot
	Observations *observation.Table
	Now          func() time.Time

	// mu is held while one is computed: who comes meanwhile is given the same, unless something has changed again.
	mu       sync.Mutex
	last     *isthmusv1.Fleet
	revision store.Revision
	reported uint64
	at       time.Time
	// since is when something was stored or reported last, as far as anybody has looked.
	since time.Time
}

// Get is the fleet as it is, and the index at which that is true. It is shared: do not change it.
func (f *Fleets) Get() (*isthmusv1.Fleet, uint64) {
	return f.within(func(time.Duration) time.Duration { return fleetAge })
}

// within is Get, but that what the time alone has changed since then may be missing for a while: who falls silent, until a controller writes it
// down. How long is up to how long nothing else has happened.
func (f *Fleets) within(most func(calm time.Duration) time.Duration) (*isthmusv1.Fleet, uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	// What comes while it is computed has another number.
	v, reported, now := f.Snapshot.View(), f.Observations.Reported(), f.Now()
	news := f.last == nil || v.Revision() != f.revision || reported != f.reported
	if news {
		f.since = now
	}
	if age := now.Sub(f.at); news || age < 0 || age >= most(now.Sub(f.since)) {
		f.last = overview.Fleet(v, evidence.Fleet(v, f.Observations), connection.Links(v, evidence.Connection(v, f.Observations), now), now)
		f.revision, f.reported, f.at = v.Revision(), reported, now
	}
	return f.last, f.revision.Index
}
