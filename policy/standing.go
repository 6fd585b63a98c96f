package policy

import (
	"cmp"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Reported gives the last report of a datacenter's leading agent, nil when there is none, and whether that agent is heard of.
type Reported func(datacenter string) (report *isthmusv1.PolicyReport, online bool)

// Standing is how one Intention or TrafficPolicy stands in each of its homes, and goes on from look to look at the cost of the homes that may
// stand otherwise: of the others it holds what orders and counts them, and what its status shows. Its status is always the one that it would be
// from nothing. The zero value knows nothing yet. Not for several goroutines at a time.
type Standing struct {
	uid    string
	stands []stand
	// last is the status that was found last, of a version of the policy that had index and generation; stored: that had it already.
	last       *isthmusv1.PolicyStatus
	stored     bool
	index      uint64
	generation int32
}

// stand is how a policy stands in one home.
type stand struct {
	home string
	// rank is its state's, hard and warnings how many problems stand against it, or are only worth a warning.
	rank           int8
	hard, warnings int32
	// drift is its placement's; nil: there is none.
	drift *isthmusv1.Drift
	// details are held as long as the status shows something of them.
	details *details
}

type details struct {
	placement *isthmusv1.PolicyPlacement
	problems  []*isthmusv1.PolicyProblem
}

// ranks are how many policyRank has, that of a state which is none among them.
const ranks = 8

// looking is one look at a policy.
type looking struct {
	*Standing
	r        resource.Reader
	policy   resource.Object
	before   *isthmusv1.PolicyStatus
	made     func(m realm) ([]*isthmusv1.ConfigEntry, []*isthmusv1.PolicyProblem)
	reported Reported
}

// StatusOf is the next status of an Intention or a TrafficPolicy, from nothing: where it is applied according to the agents' reports, and what of
// it is left out. It is the present one when nothing but the time has moved.
func StatusOf(r resource.Reader, o resource.Object, reported Reported, now time.Time) *isthmusv1.PolicyStatus {
	return (&Standing{}).Status(r, o, Look{All: true}, reported, now)
}

// Size is how many homes the policy has.
func (s *Standing) Size() int { return len(s.stands) }

// Status is StatusOf for a policy that has been looked at: at is where it may stand otherwise than then. What the look before knew counts only for
// the same resource.
func (s *Standing) Status(r resource.Reader, o resource.Object, at Look, reported Reported, now time.Time) *isthmusv1.PolicyStatus {
	before, _ := resource.Status(o).(*isthmusv1.PolicyStatus)
	l := looking{Standing: s, r: r, policy: o, before: before, made: maker(r, o), reported: reported}
	changed := s.last == nil || s.uid != o.GetUid() || s.generation != o.GetGeneration() || at.All
	if changed {
		l.anew()
	} else {
		for home := range at.Homes {
			changed = l.again(home) || changed
		}
		changed = l.drifted() || changed
	}
	known := s.stored && o.GetIndex() != 0 && o.GetIndex() == s.index
	s.uid, s.index, s.generation = o.GetUid(), o.GetIndex(), o.GetGeneration()
	if !changed && known {
		return before
	}
	if changed || !proto.Equal(before, s.last) {
		s.last = l.status(now)
	}
	s.stored = proto.Equal(before, s.last)
	if s.stored {
		return before
	}
	return s.last
}

// anew looks at all homes.
func (l *looking) anew() {
	l.stands = l.stands[:0]
	for _, m := range realmsOf(l.r, l.policy, realmOf) {
		l.stands = append(l.stands, l.standIn(m))
	}
}

// again looks at one home, and tells whether the status may be another because of it.
func (l *looking) again(home string) bool {
	i, known := l.find(home)
	m, _ := realmOf(l.r, home) // a home that is not declared may have members that are
	by, selector := choiceOf(l.policy)
	if m.home != home || !slices.ContainsFunc(m.members, resource.ChoosesIn(l.r, by, selector)) {
		if known {
			l.stands = slices.Delete(l.stands, i, i+1)
		}
		return known
	}
	now := l.standIn(m)
	if !known {
		l.stands = slices.Insert(l.stands, i, now)
		return true
	}
	was := l.stands[i]
	l.stands[i] = now
	if was.details == nil {
		l.stands[i].details = nil
		return !was.ordersAs(now)
	}
	return !proto.Equal(was.details.placement, now.details.placement) ||
		!slices.EqualFunc(was.details.problems, now.details.problems, func(a, b *isthmusv1.PolicyProblem) bool { return proto.Equal(a, b) })
}

// drifted looks again at the homes where what is remembered of the last drift is not what the status says (any more).
func (l *looking) drifted() (changed bool) {
	var homes []string
	for _, s := range l.stands {
		if s.drift != nil && !proto.Equal(s.drift, placementIn(l.before, s.home).GetDrift()) {
			homes = append(homes, s.home)
		}
	}
	for _, p := range l.before.GetPlacements() {
		if i, known := l.find(p.GetDatacenter()); known && p.GetDrift() != nil && l.stands[i].drift == nil {
			homes = append(homes, p.GetDatacenter())
		}
	}
	for _, home := range homes {
		changed = l.again(home) || changed
	}
	return changed
}

func (s *Standing) find(home string) (int, bool) {
	return slices.BinarySearchFunc(s.stands, home, func(one stand, home string) int { return cmp.Compare(one.home, home) })
}

// standIn looks at a home.
func (l *looking) standIn(m realm) stand {
	entries, problems := l.made(m)
	p := placing{r: l.r, policy: l.policy, realm: m, entries: entries, problems: problems, before: placementIn(l.before, m.home)}
	placement := p.place(l.reported(m.home))
	out := stand{home: m.home, rank: int8(policyRank(placement.GetState())), drift: placement.GetDrift(), details: &details{placement, problems}}
	for _, one := range problems {
		if warning(one.GetReason()) {
			out.warnings++
		} else {
			out.hard++
		}
	}
	return out
}

// ordersAs tells whether another stand comes to the same place among all.
func (s stand) ordersAs(other stand) bool {
	return s.rank == other.rank && s.hard == other.hard && s.warnings == other.warnings && proto.Equal(s.drift, other.drift)
}

// status is made of the stands; the details of those that it shows are held from then on, and no others.
func (l *looking) status(now time.Time) *isthmusv1.PolicyStatus {
	first, troubled := l.first(), l.troubled()
	for l.detail(first) || l.detail(troubled) {
		first, troubled = l.first(), l.troubled()
	}
	next := &isthmusv1.PolicyStatus{Datacenters: int32(len(l.stands))}
	for i := range l.stands {
		if l.stands[i].rank == int8(policyRank(resource.PolicyApplied)) {
			next.Applied++
		}
	}
	for _, i := range first {
		next.Placements = append(next.Placements, l.stands[i].details.placement)
	}
	slices.Sort(troubled)
	for _, i := range slices.Compact(troubled) {
		next.Problems = append(next.Problems, l.stands[i].details.problems...)
	}
	slices.SortStableFunc(next.Problems, func(a, b *isthmusv1.PolicyProblem) int { return cmp.Compare(weight(a), weight(b)) })
	next.Problems = next.GetProblems()[:min(len(next.GetProblems()), maxProblems)]
	next.Conditions = resource.SetCondition(l.policy, l.before.GetConditions(), policyReady(l.policy, next), now)
	l.hold(slices.Concat(first, troubled))
	return next
}

// first are the stands that a status shows, in its order: what needs a person first, of those what somebody changed last, which would go unsaid
// if it were cut off.
func (l *looking) first() []int {
	var byRank [ranks][]int
	for i := range l.stands {
		at := &byRank[l.stands[i].rank+1]
		*at = append(*at, i)
	}
	var out []int
	for _, some := range byRank {
		if len(out) == maxPlacements {
			break
		}
		if slices.ContainsFunc(some, func(i int) bool { return l.stands[i].drift != nil }) {
			slices.SortStableFunc(some, func(a, b int) int {
				return l.stands[b].drift.GetTime().AsTime().Compare(l.stands[a].drift.GetTime().AsTime())
			})
		}
		out = append(out, some[:min(len(some), maxPlacements-len(out))]...)
	}
	return out
}

// troubled are the stands whose problems a status shows: first those that stand against the policy, then what is only worth a warning.
func (l *looking) troubled() []int {
	var out []int
	room := maxProblems
	for _, count := range []func(s *stand) int32{func(s *stand) int32 { return s.hard }, func(s *stand) int32 { return s.warnings }} {
		for i := 0; i < len(l.stands) && room > 0; i++ {
			if n := int(count(&l.stands[i])); n > 0 {
				out = append(out, i)
				room -= n
			}
		}
	}
	return out
}

// detail finds the details of stands that are shown and were not before. It tells whether one of them belongs elsewhere, now that it is looked at.
func (l *looking) detail(shown []int) (moved bool) {
	for _, i := range shown {
		was := l.stands[i]
		if was.details != nil {
			continue
		}
		m, _ := realmOf(l.r, was.home)
		if m.home != was.home || len(m.members) == 0 {
			l.stands = slices.Delete(l.stands, i, i+1)
			return true
		}
		l.stands[i] = l.standIn(m)
		moved = moved || !was.ordersAs(l.stands[i])
	}
	return moved
}

// hold keeps the details of some stands, and drops all others.
func (l *looking) hold(stands []int) {
	held := make([]bool, len(l.stands))
	for _, i := range stands {
		held[i] = true
	}
	for i := range l.stands {
		if !held[i] {
			l.stands[i].details = nil
		}
	}
}
