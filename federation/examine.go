package federation

import (
	"fmt"
	"time"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Examine are all rules and network requirements of a Federation with what is known of each now. Those of a status are the same, cut at
// what it has room for. Of who reaches whom there is one for each pair that fails or that nobody has tried, and one for each member for all
// others that it reaches: pairs grow with the square of members.
func Examine(r resource.Reader, f *isthmusv1.Federation, e Evidence, now time.Time) []*isthmusv1.FederationCheck {
	j := judgeOf(r, f, e, now)
	var out []*isthmusv1.FederationCheck
	for _, m := range j.next.GetMembers() {
		if m.GetPhase() == resource.PhaseLeaving {
			continue
		}
		for _, rules := range [][]rule{places(), facts()} {
			for _, one := range rules {
				a, p := one.judge(j, m)
				out = append(out, check(one.id, m.GetDatacenter(), "", a, p))
			}
		}
		if m.GetRole() == resource.RoleSecondary {
			out = append(out, j.secondaryChecks(m)...)
		}
		out = append(out, j.reachesOthers(m)...)
	}
	return out
}

// reachesOthers is GatewayReachable of one member.
func (j *judge) reachesOthers(m *isthmusv1.FederationMember) []*isthmusv1.FederationCheck {
	var out []*isthmusv1.FederationCheck
	reached, last := 0, ""
	for _, other := range j.next.GetMembers() {
		if other == m || other.GetPhase() == resource.PhaseLeaving || !j.dials(m, other) {
			continue
		}
		if j.reached(m, other) == yes {
			reached, last = reached+1, other.GetDatacenter()
			continue
		}
		out = append(out, j.reaches(CheckGatewayReachable, m, other))
	}
	if reached == 0 {
		return out
	}
	text := fmt.Sprintf("%s reaches %s", m.GetDatacenter(), last)
	if reached > 1 {
		text = fmt.Sprintf("%s reaches the gateways of %d others", m.GetDatacenter(), reached)
	}
	return append(out, check(CheckGatewayReachable, m.GetDatacenter(), "", yes, problem{message: text}))
}
