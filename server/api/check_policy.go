package api

import (
	"slices"

	"isthmus/fault"
	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store/snapshot"
)

// checkPolicies holds an edit against what Consul would make of the policies of the fleet as it would be.
func checkPolicies(v *snapshot.View, next *prospect, e *edit) []problem {
	if e.before != nil && resource.SpecDigest(e.before) == resource.SpecDigest(e.after) {
		return nil // no worse than before
	}
	violations := policy.Check(next, e.after)
	if f, ok := e.before.(*isthmusv1.Federation); ok && len(violations) > 0 {
		// What stood against it before, because labels have changed since, is no reason to refuse what has nothing to do with it.
		known := policy.Check(v, f)
		violations = slices.DeleteFunc(violations, func(one fault.Violation) bool { return slices.Contains(known, one) })
	}
	out := make([]problem, 0, len(violations))
	for _, one := range violations {
		out = append(out, problem{fault.Refused, e.at(one)})
	}
	return out
}
