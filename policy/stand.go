package policy

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/proto"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// standing is how a resource stands in each of its homes, and goes on from look to look at the cost of the homes that may stand otherwise: of the
// others it holds what orders and counts them, and what its status shows. Its status, an S, is always the one that it would be from nothing; a D is
// what it may show of a home.
type standing[D any, S proto.Message] struct {
	uid    string
	stands stands[D]
	// last is the status that was found last, if looked, of a version of the resource that had index and generation; stored: that had it already.
	last       S
	looked     bool
	stored     bool
	index      uint64
	generation int32
}

// stand is how something stands in one home.
type stand[D any] struct {
	home string
	// rank is its state's, hard and warnings how many problems stand against it, or are only worth a warning.
	rank           int8
	hard, warnings int32
	// excluded: the home is none that counts.
	excluded bool
	// drift is its placement's; nil: there is none.
	drift *isthmusv1.Drift
	// details are held as long as the status shows something of them.
	details *D
}

// stands are in order of their homes.
type stands[D any] []stand[D]

// ranks are how many policyRank and rank have, that of a state which is none among them.
const ranks = 8

// looker looks at one resource in its homes.
type looker[D any, S proto.Message] interface {
	// all looks at all of its homes, in order of their names.
	all() stands[D]
	// at looks at one; false: it is no home (any more).
	at(home string) (stand[D], bool)
	// alike tells whether a status shows the same of both.
	alike(a, b *D) bool
	// drifts are what the present status remembers of the last one in each home.
	drifts() map[string]*isthmusv1.Drift
	// status is made of the stands; the details of those that it shows are held from then on, and no others.
	status() S
}

// Size is how many homes the resource has.
func (s *standing[D, S]) Size() int { return len(s.stands) }

// next is the next status of a resource, whose present one is before, when it may stand otherwise than it was seen last at some homes.
func (s *standing[D, S]) next(l looker[D, S], of resource.Object, before S, at Look) S {
	changed := !s.looked || s.uid != of.GetUid() || s.generation != of.GetGeneration() || at.All
	if changed {
		s.stands = l.all()
	} else {
		for home := range at.Homes {
			changed = s.again(l, home) || changed
		}
		changed = s.drifted(l) || changed
	}
	known := s.stored && of.GetIndex() != 0 && of.GetIndex() == s.index
	s.uid, s.index, s.generation = of.GetUid(), of.GetIndex(), of.GetGeneration()
	if !changed && known {
		return before
	}
	if changed || !proto.Equal(before, s.last) {
		s.last, s.looked = l.status(), true
	}
	s.stored = proto.Equal(before, s.last)
	if s.stored {
		return before
	}
	return s.last
}

// again looks at one home, and tells whether the status may be another because of it.
func (s *standing[D, S]) again(l looker[D, S], home string) bool {
	i, known := s.stands.find(home)
	now, there := l.at(home)
	switch {
	case !there && known:
		s.stands = slices.Delete(s.stands, i, i+1)
		return true
	case !there:
		return false
	case !known:
		s.stands = slices.Insert(s.stands, i, now)
		return true
	}
	was := s.stands[i]
	s.stands[i] = now
	if was.details == nil {
		s.stands[i].details = nil
		return !was.ordersAs(now)
	}
	return !was.ordersAs(now) || !l.alike(was.details, now.details)
}

// drifted looks again at the homes where what is remembered of the last drift is not what the status says (any more).
func (s *standing[D, S]) drifted(l looker[D, S]) (changed bool) {
	told := l.drifts()
	var homes []string
	for _, one := range s.stands {
		if (one.drift != nil || told[one.home] != nil) && !proto.Equal(one.drift, told[one.home]) {
			homes = append(homes, one.home)
		}
	}
	for _, home := range homes {
		changed = s.again(l, home) || changed
	}
	return changed
}

// detail finds the details of stands that are shown and were not before. It tells whether one of them belongs elsewhere, now that it is looked at.
func (s *standing[D, S]) detail(l looker[D, S], shown []int) (moved bool) {
	for _, i := range shown {
		was := s.stands[i]
		if was.details != nil {
			continue
		}
		now, there := l.at(was.home)
		if !there {
			s.stands = slices.Delete(s.stands, i, i+1)
			return true
		}
		s.stands[i] = now
		moved = moved || !was.ordersAs(now)
	}
	return moved
}

func (s stands[D]) find(home string) (int, bool) {
	return slices.BinarySearchFunc(s, home, func(one stand[D], home string) int { return cmp.Compare(one.home, home) })
}

// ordersAs tells whether another stand comes to the same place among all.
func (s stand[D]) ordersAs(other stand[D]) bool {
	return s.rank == other.rank && s.hard == other.hard && s.warnings == other.warnings && s.excluded == other.excluded && proto.Equal(s.drift, other.drift)
}

// first are the stands that a status shows, in its order: what needs a person first, of those what somebody changed last, which would go unsaid
// if it were cut off.
func (s stands[D]) first() []int {
	var byRank [ranks][]int
	for i := range s {
		at := &byRank[s[i].rank+1]
		*at = append(*at, i)
	}
	var out []int
	for _, some := range byRank {
		if len(out) == maxPlacements {
			break
		}
		if slices.ContainsFunc(some, func(i int) bool { return s[i].drift != nil }) {
			slices.SortStableFunc(some, func(a, b int) int {
				return s[b].drift.GetTime().AsTime().Compare(s[a].drift.GetTime().AsTime())
			})
		}
		out = append(out, some[:min(len(some), maxPlacements-len(out))]...)
	}
	return out
}

// hold keeps the details of some stands, and drops all others.
func (s stands[D]) hold(shown []int) {
	held := make([]bool, len(s))
	for _, i := range shown {
		held[i] = true
	}
	for i := range s {
		if !held[i] {
			s[i].details = nil
		}
	}
}

// driftsOf are what the placements of a status remember of the last drift in each datacenter.
func driftsOf[P interface {
	GetDatacenter() string
	GetDrift() *isthmusv1.Drift
}](placements []P,
) map[string]*isthmusv1.Drift {
	var out map[string]*isthmusv1.Drift
	for _, p := range placements {
		if p.GetDrift() == nil {
			continue
		}
		if out == nil {
			out = map[string]*isthmusv1.Drift{}
		}
		out[p.GetDatacenter()] = p.GetDrift()
	}
	return out
}
