package controller

import (
	"time"

	"isthmus/store"
)

const (
	// share of the time that a look at one resource which is looked at again and again may take: a twentieth.
	share = 20
	// longestRest is how long a resource rests at most: a look takes long on a busy machine as well.
	longestRest = 5 * time.Second
)

// paces bound what looks at large things cost that many reports ask for, such as exports and groups of all the fleet: one that took long is due
// again later, one that took next to nothing at once. Its zero value is not ready.
type paces map[store.Key]pace

type pace struct {
	last time.Time
	took time.Duration
}

// due tells whether a resource may be looked at again.
func (p paces) due(of store.Key) bool {
	known, ok := p[of]
	return !ok || time.Since(known.last) >= min(share*known.took, longestRest)
}

// took notes what a look at it cost, which began then.
func (p paces) took(of store.Key, began time.Time) {
	p[of] = pace{last: time.Now(), took: time.Since(began)}
}

// looking runs a look at a resource, and notes what it cost.
func (l *leader) looking(of store.Key, look func() []edit) []edit {
	began := time.Now()
	defer l.paces.took(of, began)
	return look()
}

// later takes those out of a set that are not due yet, and marks them for a later round.
func (l *leader) later(kind string, set, marked map[string]bool) {
	for name := range set {
		if !l.paces.due(store.Key{Kind: kind, Name: name}) {
			delete(set, name)
			marked[name] = true
		}
	}
}

// pace has those looked at that are due, and marks the others for a later round.
func (l *leader) pace(asked, now, later looks) {
	for key, at := range asked {
		if l.paces.due(key) {
			now.addAll(key, at)
		} else {
			later.addAll(key, at)
		}
	}
}
