package policy

import (
	"slices"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// checkTraffic finds what stands against a TrafficPolicy in the fleet as it is wanted.
func checkTraffic(r resource.Reader, p *isthmusv1.TrafficPolicy) []fault.Violation {
	var problems []*isthmusv1.PolicyProblem
	for _, m := range realmsOf(r, p, wantedRealm) {
		c := trafficIn(r, m, "", p.GetName())
		problems = append(problems, c.problems[policyName(p)]...)
	}
	return refused(problems)
}

// trafficIn compiles the TrafficPolicies of a realm as if one ServiceExport were not there, and with one of them after all others.
func trafficIn(r resource.Reader, m realm, but, last string) *compilation {
	c := newCompilation(r, m)
	c.quiet = true
	c.trafficOf(resource.All[*isthmusv1.TrafficPolicy](r, resource.KindTrafficPolicy), newGraph(r, m.home, but), last)
	return c
}

// trafficProblems is what of a TrafficPolicy is left out in a realm as it is, and what else is worth knowing.
func trafficProblems(r resource.Reader, m realm, p *isthmusv1.TrafficPolicy) []*isthmusv1.PolicyProblem {
	c := newCompilation(r, m)
	newWayfinder(c).waysOf(p)
	out := c.problems[policyName(p)]
	for _, among := range compiled(r, m).problems[policyName(p)] {
		switch among.GetReason() {
		case ReasonContradicts, ReasonCircular, ReasonExported: // what it is beside others
			out = append(out, among)
		}
	}
	return out
}

// checkTrafficExport finds the TrafficPolicies beside which Consul would refuse an export, and with it everything that is exported from
// there.
func checkTrafficExport(r resource.Reader, e *isthmusv1.ServiceExport) []fault.Violation {
	var out []fault.Violation
	for dc := range Exporters(r, e) {
		m, ok := wantedRealm(r, dc.GetName())
		if !ok || m.home != dc.GetName() {
			continue
		}
		with, without := trafficIn(r, m, "", ""), trafficIn(r, m, e.GetName(), "")
		for p := range resource.All[*isthmusv1.TrafficPolicy](r, resource.KindTrafficPolicy) {
			name := policyName(p)
			for _, problem := range with.problems[name] {
				if problem.GetReason() != ReasonExported || slices.ContainsFunc(without.problems[name], alike(problem)) {
					continue
				}
				v := fault.Violation{
					Field: "spec.service", Reason: ReasonExported,
					Message: name + " stands against it in its " + problem.GetField() + ": " + problem.GetMessage() + ": " + problem.GetFix(),
				}
				if !slices.Contains(out, v) {
					out = append(out, v)
				}
			}
		}
	}
	return out
}

// alike finds a problem of the same kind with the same field.
func alike(p *isthmusv1.PolicyProblem) func(*isthmusv1.PolicyProblem) bool {
	return func(other *isthmusv1.PolicyProblem) bool {
		return other.GetReason() == p.GetReason() && other.GetField() == p.GetField()
	}
}

// checkTrafficFederation finds the TrafficPolicies that a federation would make mean something else, or that Consul would refuse in it. What
// stands against a policy already, in the datacenters as they are now, is not the federation's fault.
func checkTrafficFederation(r resource.Reader, f *isthmusv1.Federation) []fault.Violation {
	m, ok := wantedRealm(r, f.GetSpec().GetPrimary())
	if !ok || m.federation != f.GetName() {
		return nil
	}
	c := trafficIn(r, m, "", "")
	var out []fault.Violation
	for p := range resource.All[*isthmusv1.TrafficPolicy](r, resource.KindTrafficPolicy) {
		problems := c.problems[policyName(p)]
		if len(problems) == 0 {
			continue
		}
		var before []*isthmusv1.PolicyProblem
		for _, now := range realmsOf(r, p, realmOf) {
			before = append(before, trafficIn(r, now, "", "").problems[policyName(p)]...)
		}
		out = append(out, refusedTo(f, policyName(p), slices.DeleteFunc(slices.Clone(problems), func(one *isthmusv1.PolicyProblem) bool {
			return slices.ContainsFunc(before, alike(one))
		}))...)
	}
	return out
}
