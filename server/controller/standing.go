package controller

import (
	"time"

	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
)

// maxStands is how many policies in how many homes are known from look to look: some 60 MiB. Those that are too many are looked at from nothing.
const maxStands = 1 << 20

// standings are how policies stand, as they were looked at last. They live as long as the term.
type standings struct {
	of map[store.Key]*policy.Standing
	// size is that of all.
	size int
}

func newStandings() *standings { return &standings{of: map[store.Key]*policy.Standing{}} }

// status is the next one of a policy, of which only some homes may stand otherwise than when it was looked at last.
func (s *standings) status(r resource.Reader, o resource.Object, at policy.Look, reported policy.Reported, now time.Time) *isthmusv1.PolicyStatus {
	key := keyOf(o)
	known, ok := s.of[key]
	if !ok {
		known = &policy.Standing{}
		s.of[key] = known
	}
	s.size -= known.Size()
	after := known.Status(r, o, at, reported, now)
	s.size += known.Size()
	for other := range s.of {
		if s.size <= maxStands {
			break
		}
		if other != key {
			s.drop(other)
		}
	}
	return after
}

// drop forgets a policy.
func (s *standings) drop(of store.Key) {
	if known, ok := s.of[of]; ok {
		s.size -= known.Size()
		delete(s.of, of)
	}
}
