package policy

import (
	"fmt"
	"slices"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// What bounds a status, beside maxPlacements.
const (
	maxProblems  = 20
	maxEntries   = 20
	maxConflicts = 20
)

// weight puts what stands against a policy before what is only worth a warning.
func weight(p *isthmusv1.PolicyProblem) int {
	if warning(p.GetReason()) {
		return 1
	}
	return 0
}

// maker tells what a policy comes to in a realm: the config entries that have a part of it, with the parts of others, and what of it is left
// out or else worth knowing.
func maker(r resource.Reader, o resource.Object) func(m realm) ([]*isthmusv1.ConfigEntry, []*isthmusv1.PolicyProblem) {
	switch o := o.(type) {
	case *isthmusv1.Intention:
		// All that has parts of its entry, and nothing else: there may be many realms, and many Intentions in each.
		same := sharersOf(r, o)
		return func(m realm) ([]*isthmusv1.ConfigEntry, []*isthmusv1.PolicyProblem) {
			c := newCompilation(r, m)
			c.intentionsOf(same(m))
			return entriesOf(c.entries(), o), c.problems[policyName(o)]
		}
	case *isthmusv1.TrafficPolicy:
		return func(m realm) ([]*isthmusv1.ConfigEntry, []*isthmusv1.PolicyProblem) {
			return entriesOf(compiled(r, m).config, o), trafficProblems(r, m, o)
		}
	}
	return func(realm) ([]*isthmusv1.ConfigEntry, []*isthmusv1.PolicyProblem) { return nil, nil }
}

// entriesOf are the config entries that have a part of a policy.
func entriesOf(config *isthmusv1.ConfigEntries, o resource.Object) []*isthmusv1.ConfigEntry {
	var out []*isthmusv1.ConfigEntry
	for _, e := range config.GetEntries() {
		if slices.ContainsFunc(e.GetParts(), func(p *isthmusv1.ConfigPart) bool { return wantedBy(p, o) }) {
			out = append(out, e)
		}
	}
	return out
}

func wantedBy(p *isthmusv1.ConfigPart, o resource.Object) bool {
	return slices.Contains(p.GetPolicies(), policyName(o))
}

func placementIn(s *isthmusv1.PolicyStatus, datacenter string) *isthmusv1.PolicyPlacement {
	for _, p := range s.GetPlacements() {
		if p.GetDatacenter() == datacenter {
			return p
		}
	}
	return nil
}

// policyRank puts what needs a person first.
func policyRank(state string) int {
	return slices.Index([]string{
		resource.PolicyFailed, resource.PolicyConflict, resource.PolicyManaged, resource.PolicyDrifted, resource.PolicyUnknown,
		resource.PolicyPending, resource.PolicyApplied,
	}, state)
}

// policyReason is the word for a state when nothing more exact is known.
func policyReason(state string) string {
	return map[string]string{
		resource.PolicyFailed: "Failed", resource.PolicyConflict: "Conflict", resource.PolicyManaged: "ManagedByKubernetes",
		resource.PolicyDrifted: "Drifted", resource.PolicyUnknown: "AgentSilent", resource.PolicyPending: resource.ReasonPending, resource.PolicyApplied: "Applied",
	}[state]
}

func policyReady(o resource.Object, s *isthmusv1.PolicyStatus) *isthmusv1.Condition {
	c := &isthmusv1.Condition{Type: resource.ConditionReady, Status: resource.ConditionFalse}
	if s.GetDatacenters() == 0 {
		field := "spec"
		if _, ok := o.(*isthmusv1.Intention); ok {
			field = "spec.destination"
		}
		c.Reason, c.Message = "NoDatacenter", fmt.Sprintf("no datacenter is chosen: see %s.datacenters or %s.selector", field, field)
		return c
	}
	count := fmt.Sprintf("applied in %d of %d datacenters", s.GetApplied(), s.GetDatacenters())
	if s.GetApplied() < s.GetDatacenters() {
		first := s.GetPlacements()[0]
		c.Reason = policyReason(first.GetState())
		switch first.GetState() {
		case resource.PolicyUnknown:
			c.Status = resource.ConditionUnknown
		case resource.PolicyFailed:
			c.Reason = first.GetReason()
		}
		c.Message = fmt.Sprintf("%s; %s: %s", count, first.GetDatacenter(), first.GetMessage())
		return c
	}
	c.Status, c.Reason, c.Message = resource.ConditionTrue, "Applied", count
	if len(s.GetProblems()) > 0 {
		c.Message += fmt.Sprintf("; %s: %s", s.GetProblems()[0].GetReason(), s.GetProblems()[0].GetMessage())
	}
	return c
}
