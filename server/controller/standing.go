package controller

import (
	"time"

	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
)

// maxStands is how many policies in how many homes, and exports with how many exporters, are known from look to look: some 60 MiB. Those that are
// too many are looked at from nothing.
const maxStands = 1 << 20

// standings are how policies and exports stand, as they were looked at last. They live as long as the term.
type standings struct {
	of map[store.Key]standing
	// size is that of all.
	size int
	// exporters are what is exported where.
	exporters *policy.Exportings
}

// standing is how one of them does.
type standing interface{ Size() int }

func newStandings() *standings {
	return &standings{of: map[store.Key]standing{}, exporters: policy.NewExportings()}
}

// policy is the next status of a policy, of which only some homes may stand otherwise than when it was looked at last.
func (s *standings) policy(r resource.Reader, o resource.Object, at policy.Look, reported policy.Reported, now time.Time) (after *isthmusv1.PolicyStatus) {
	known, ok := s.of[keyOf(o)].(*policy.Standing)
	if !ok {
		known = &policy.Standing{}
	}
	s.look(keyOf(o), known, func() { after = known.Status(r, o, at, reported, now) })
	return after
}

// export is the next status of an export, which may stand otherwise with some exporters only.
func (s *standings) export(r resource.Reader, e *isthmusv1.ServiceExport, at policy.Look, reported policy.ReportedExports, now time.Time) (after *isthmusv1.ServiceExportStatus) {
	known, ok := s.of[keyOf(e)].(*policy.ExportStanding)
	if !ok {
		known = &policy.ExportStanding{}
	}
	s.look(keyOf(e), known, func() { after = known.Status(r, e, at, s.exporters, reported, now) })
	return after
}

// look keeps what a look finds out, and drops others when it is too much.
func (s *standings) look(of store.Key, known standing, look func()) {
	s.drop(of)
	look()
	s.of[of] = known
	s.size += known.Size()
	for other := range s.of {
		if s.size <= maxStands {
			break
		}
		if other != of {
			s.drop(other)
		}
	}
}

// sizeOf is that of one policy or export; 0 when it is not known how it stands.
func (s *standings) sizeOf(of store.Key) int {
	if known, ok := s.of[of]; ok {
		return known.Size()
	}
	return 0
}

// drop forgets a policy or an export.
func (s *standings) drop(of store.Key) {
	if known, ok := s.of[of]; ok {
		s.size -= known.Size()
		delete(s.of, of)
	}
}
