package resource

import (
	"slices"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// TrustedAgents are the agents of a datacenter that others may seal to, in order of their names. The server only proposes
// them: every agent verifies each up to the fleet key that it has pinned.
func TrustedAgents(r Reader, datacenter string) []*isthmusv1.TrustedAgent {
	if datacenter == "" {
		return nil
	}
	var out []*isthmusv1.TrustedAgent
	for a := range AllTouching[*isthmusv1.Agent](r, KindAgent, datacenter) {
		if a.GetDeleteTime() != nil || a.GetSpec().GetKind() != AgentKindAgent || !Trusted(a) {
			continue
		}
		out = append(out, &isthmusv1.TrustedAgent{
			Attestation: a.GetSpec().GetAttestation(), Approval: a.GetSpec().GetApproval(),
		})
	}
	return out
}

// Recipients are the agents of one datacenter that another one's agents seal to: those of a fleet that these are of, since they seal to
// nobody else. An agent of another fleet, which anybody can mint a join token for, keeps nobody waiting.
func Recipients(r Reader, sealer, datacenter string) []*isthmusv1.TrustedAgent {
	return RecipientsAmong(TrustedAgents(r, sealer), TrustedAgents(r, datacenter))
}

// RecipientsAmong are those of some agents that sealers seal to: see Recipients.
func RecipientsAmong(sealers, agents []*isthmusv1.TrustedAgent) []*isthmusv1.TrustedAgent {
	var out []*isthmusv1.TrustedAgent
	for _, a := range agents {
		if slices.ContainsFunc(sealers, func(s *isthmusv1.TrustedAgent) bool { return fleetOf(s) == fleetOf(a) }) {
			out = append(out, a)
		}
	}
	return out
}

// fleetOf is the fleet key that an agent's keys are proven by.
func fleetOf(a *isthmusv1.TrustedAgent) string {
	if a.GetApproval() != nil {
		return string(a.GetApproval().GetFleetKey())
	}
	return string(a.GetAttestation().GetGrant().GetFleetKey())
}
