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

// Standing is how one Intention or TrafficPolicy stands in each of its homes, and goes on from look to look: see standing. The zero value knows
// nothing yet. Not for several goroutines at a time.
type Standing struct {
	standing[details, *isthmusv1.PolicyStatus]
}

// details are what a status shows of a home.
type details struct {
	placement *isthmusv1.PolicyPlacement
	problems  []*isthmusv1.PolicyProblem
}

// looking is one look at a policy.
type looking struct {
	*Standing
	r        resource.Reader
	policy   resource.Object
	before   *isthmusv1.PolicyStatus
	made     func(m realm) ([]*isthmusv1.ConfigEntry, []*isthmusv1.PolicyProblem)
	reported Reported
	now      time.Time
}

// StatusOf is the next status of an Intention or a TrafficPolicy, from nothing: where it is applied according to the agents' reports, and what of
// it is left out. It is the present one when nothing but the time has moved.
func StatusOf(r resource.Reader, o resource.Object, reported Reported, now time.Time) *isthmusv1.PolicyStatus {
	return (&Standing{}).Status(r, o, Look{All: true}, reported, now)
}

// Status is StatusOf for a policy that has been looked at: at is where it may stand otherwise than then. What the look before knew counts only for
// the same resource.
func (s *Standing) Status(r resource.Reader, o resource.Object, at Look, reported Reported, now time.Time) *isthmusv1.PolicyStatus {
	before, _ := resource.Status(o).(*isthmusv1.PolicyStatus)
	return s.next(&looking{Standing: s, r: r, policy: o, before: before, made: maker(r, o), reported: reported, now: now}, o, before, at)
}

// all looks at all homes.
func (l *looking) all() (out stands[details]) {
	for _, m := range realmsOf(l.r, l.policy, realmOf) {
		out = append(out, l.standIn(m))
	}
	return out
}

// at looks at one home.
func (l *looking) at(home string) (stand[details], bool) {
	m, _ := realmOf(l.r, home) // a home that is not declared may have members that are
	by, selector := choiceOf(l.policy)
	if m.home != home || !slices.ContainsFunc(m.members, resource.ChoosesIn(l.r, by, selector)) {
		return stand[details]{}, false
	}
	return l.standIn(m), true
}

func (l *looking) alike(a, b *details) bool {
	return proto.Equal(a.placement, b.placement) &&
		slices.EqualFunc(a.problems, b.problems, func(a, b *isthmusv1.PolicyProblem) bool { return proto.Equal(a, b) })
}

func (l *looking) drifts() map[string]*isthmusv1.Drift { return driftsOf(l.before.GetPlacements()) }

// standIn looks at a home.
func (l *looking) standIn(m realm) stand[details] {
	entries, problems := l.made(m)
	p := placing{r: l.r, policy: l.policy, realm: m, entries: entries, problems: problems, before: placementIn(l.before, m.home)}
	placement := p.place(l.reported(m.home))
	out := stand[details]{home: m.home, rank: int8(policyRank(placement.GetState())), drift: placement.GetDrift(), details: &details{placement, problems}}
	for _, one := range problems {
		if warning(one.GetReason()) {
			out.warnings++
		} else {
			out.hard++
		}
	}
	return out
}

// status is made of the stands.
func (l *looking) status() *isthmusv1.PolicyStatus {
	first, troubled := l.stands.first(), l.troubled()
	for l.detail(l, first) || l.detail(l, troubled) {
		first, troubled = l.stands.first(), l.troubled()
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
	next.Conditions = resource.SetCondition(l.policy, l.before.GetConditions(), policyReady(l.policy, next), l.now)
	l.stands.hold(slices.Concat(first, troubled))
	return next
}

// troubled are the stands whose problems a status shows: first those that stand against the policy, then what is only worth a warning.
func (l *looking) troubled() []int {
	var out []int
	room := maxProblems
	for _, count := range []func(s *stand[details]) int32{func(s *stand[details]) int32 { return s.hard }, func(s *stand[details]) int32 { return s.warnings }} {
		for i := 0; i < len(l.stands) && room > 0; i++ {
			if n := int(count(&l.stands[i])); n > 0 {
				out = append(out, i)
				room -= n
			}
		}
	}
	return out
}
