package policy

import (
	"slices"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// CheckFederation is Check for a Federation that is there already: before is the fleet with the Federation as it was. What stood against a policy
// then, because labels have changed since, is no reason to refuse what has nothing to do with it, or makes it better.
func CheckFederation(r resource.Reader, f *isthmusv1.Federation, before resource.Reader, was *isthmusv1.Federation) []fault.Violation {
	if f.GetDeleteTime() != nil {
		return nil
	}
	return checkFederation(r, f, problemsOfFederation(before, was))
}

// checkFederation finds the policies that a federation would make mean something else, or that Consul would refuse in it. What stands against a
// policy already, in the datacenters as they are now or as known says by the policies' names, is not the federation's fault.
func checkFederation(r resource.Reader, f *isthmusv1.Federation, known map[string][]*isthmusv1.PolicyProblem) []fault.Violation {
	problems := problemsOfFederation(r, f)
	var out []fault.Violation
	for _, kind := range []string{resource.KindIntention, resource.KindTrafficPolicy} {
		for o := range r.List(kind) {
			name := policyName(o)
			if len(problems[name]) == 0 {
				continue
			}
			before := append(problemsNow(r, o), known[name]...)
			out = append(out, refusedTo(f, name, slices.DeleteFunc(slices.Clone(problems[name]), func(one *isthmusv1.PolicyProblem) bool {
				return slices.ContainsFunc(before, alike(one))
			}))...)
		}
	}
	return out
}

// problemsOfFederation are what stands against policies in a federation as it is wanted, by their names.
func problemsOfFederation(r resource.Reader, f *isthmusv1.Federation) map[string][]*isthmusv1.PolicyProblem {
	m, ok := wantedRealm(r, f.GetSpec().GetPrimary())
	if !ok || m.federation != f.GetName() {
		return nil
	}
	c := trafficIn(r, m, allTraffic(r), "", "")
	c.intentions()
	return c.problems
}

// problemsNow are what stands against one policy in the datacenters as they are.
func problemsNow(r resource.Reader, o resource.Object) []*isthmusv1.PolicyProblem {
	var out []*isthmusv1.PolicyProblem
	for _, now := range realmsOf(r, o, realmOf) {
		var c *compilation
		if i, ok := o.(*isthmusv1.Intention); ok {
			c = newCompilation(r, now)
			c.quiet = true
			c.intentionsOf(sharersOf(r, i)(now))
		} else {
			c = trafficIn(r, now, trafficNear(r, o), "", "")
		}
		out = append(out, c.problems[policyName(o)]...)
	}
	return out
}
