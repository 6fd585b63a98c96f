package api

import (
	"isthmus/fault"
	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/store/snapshot"
)

// checkPolicies holds an edit against what Consul would make of the policies of the fleet as it would be.
func checkPolicies(v *snapshot.View, next *prospect, e *edit) []problem {
	if e.before != nil && !e.compared().respecified {
		return nil // no worse than before
	}
	var violations []fault.Violation
	was, ok := e.before.(*isthmusv1.Federation)
	if is, also := e.after.(*isthmusv1.Federation); ok && also {
		violations = policy.CheckFederation(next, is, v, was)
	} else {
		violations = policy.Check(next, e.after)
	}
	out := make([]problem, 0, len(violations))
	for _, one := range violations {
		out = append(out, problem{fault.Refused, e.at(one)})
	}
	return out
}
