package policy

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// checkTraffic finds what stands against a TrafficPolicy in the fleet as it is wanted.
func checkTraffic(r resource.Reader, p *isthmusv1.TrafficPolicy) []fault.Violation {
	var problems []*isthmusv1.PolicyProblem
	near := trafficNear(r, p)
	for _, m := range realmsOf(r, p, wantedRealm) {
		c := trafficIn(r, m, near, "", p.GetName())
		problems = append(problems, c.problems[policyName(p)]...)
	}
	return refused(problems)
}

// trafficIn compiles TrafficPolicies in a realm as if one ServiceExport were not there, and with one of them after all others.
func trafficIn(r resource.Reader, m realm, policies iter.Seq[*isthmusv1.TrafficPolicy], but, last string) *compilation {
	c := newCompilation(r, m)
	c.quiet = true
	c.trafficOf(policies, newGraph(r, m.home, but), last)
	return c
}

// allTraffic are all TrafficPolicies.
func allTraffic(r resource.Reader) iter.Seq[*isthmusv1.TrafficPolicy] {
	return resource.All[*isthmusv1.TrafficPolicy](r, resource.KindTrafficPolicy)
}

// trafficNear are the TrafficPolicies by which calls may come to or from the services that a resource is about, through however many others:
// no other has anything to do with it.
func trafficNear(r resource.Reader, o resource.Object) iter.Seq[*isthmusv1.TrafficPolicy] {
	near := map[string]bool{}
	for _, name := range entriesNamed(o) {
		if near[name] = true; name == resource.AnyService {
			return allTraffic(r)
		}
	}
	rest := slices.Collect(allTraffic(r))
	var out []*isthmusv1.TrafficPolicy
	for grown := true; grown; {
		grown = false
		rest = slices.DeleteFunc(rest, func(p *isthmusv1.TrafficPolicy) bool {
			named := entriesNamed(p)
			if !slices.ContainsFunc(named, func(name string) bool { return near[name] }) {
				return false
			}
			for _, name := range named {
				near[name] = true
			}
			out, grown = append(out, p), true
			return true
		})
	}
	return slices.Values(out)
}

// entriesNamed are the names of entries that a policy or an export is about, virtual services among them, without regard to case.
func entriesNamed(o resource.Object) []string {
	out := servicesOf(o)
	if p, ok := o.(*isthmusv1.TrafficPolicy); ok {
		virtual := func(t *isthmusv1.TrafficTarget) {
			service := cmp.Or(t.GetService(), p.GetSpec().GetService())
			if t.GetDatacenter() != "" {
				out = append(out, service+atSuffix+t.GetDatacenter())
			}
			if t.GetPeer() != "" {
				out = append(out, service+viaSuffix+t.GetPeer())
			}
		}
		for _, s := range p.GetSpec().GetSplit() {
			virtual(s.GetTarget())
		}
		for _, route := range p.GetSpec().GetRoutes() {
			virtual(route.GetTarget())
		}
	}
	for i, name := range out {
		out[i] = strings.ToLower(name)
	}
	return out
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
	near := trafficNear(r, e)
	for dc := range Exporters(r, e) {
		m, ok := wantedRealm(r, dc.GetName())
		if !ok || m.home != dc.GetName() {
			continue
		}
		with, without := trafficIn(r, m, near, "", ""), trafficIn(r, m, near, e.GetName(), "")
		for p := range near {
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
