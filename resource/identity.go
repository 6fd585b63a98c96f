package resource

import (
	"fmt"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// What enrols with a join token, and what an Agent is.
const (
	AgentKindAgent   = "agent"
	AgentKindGateway = "gateway"
)

// Why an agent's keys are trusted.
const (
	// TrustFleet: attested up to the fleet key.
	TrustFleet = "fleet"
	// TrustApproved: approved with the fleet key after it enrolled.
	TrustApproved = "approved"
	// TrustNone: nobody seals to it.
	TrustNone = "none"
)

// Trusted tells whether an agent's keys are proven up to a fleet key: the server believes no other one's word of a
// datacenter, and proposes no other one to seal to.
func Trusted(a *isthmusv1.Agent) bool {
	trust := a.GetStatus().GetTrust()
	return trust == TrustFleet || trust == TrustApproved
}

// The states of a JoinToken; those of an APIToken are the same, which cannot be used up.
const (
	TokenActive  = "active"
	TokenUsed    = "used"
	TokenExpired = "expired"
)

// The roles of an APIToken.
const (
	RoleAdmin    = "admin"
	RoleOperator = "operator"
	RoleViewer   = "viewer"
)

func joinTokenKind() Kind {
	return Kind{
		Name: KindJoinToken, Plural: "join-tokens", Singular: "join-token", Short: "jt",
		Origin:      "isthmus join-token create makes it",
		New:         func() Object { return &isthmusv1.JoinToken{} },
		Weak:        weakly[*isthmusv1.JoinToken],
		Validate:    validateJoinToken,
		Datacenters: func(Object) []string { return nil },
		Columns: []Column{
			column("DATACENTER", func(t *isthmusv1.JoinToken) string { return t.GetSpec().GetGrant().GetDatacenter() }),
			column("KIND", func(t *isthmusv1.JoinToken) string { return t.GetSpec().GetGrant().GetKind() }),
			column("STATE", func(t *isthmusv1.JoinToken) string { return t.GetStatus().GetState() }),
			column("USES", func(t *isthmusv1.JoinToken) string {
				return fmt.Sprintf("%d/%d", t.GetStatus().GetUses(), t.GetSpec().GetGrant().GetMaxUses())
			}),
			column("EXPIRES", func(t *isthmusv1.JoinToken) string { return showTime(t.GetSpec().GetGrant().GetExpireTime()) }),
			column("TRUST", func(t *isthmusv1.JoinToken) string {
				if len(t.GetSpec().GetGrant().GetSignature()) > 0 {
					return TrustFleet
				}
				return TrustNone
			}),
		},
	}
}

func validateJoinToken(o Object) []fault.Violation {
	t := o.(*isthmusv1.JoinToken)
	grant := t.GetSpec().GetGrant()
	if grant == nil {
		return nil
	}
	var r rules
	if grant.GetName() != t.GetName() {
		r.add(invalid("spec.grant.name", "%s is not the resource's name %s", quote(grant.GetName()), quote(t.GetName())))
	}
	checkAgentKind(&r, "spec.grant.kind", grant.GetKind())
	checkDatacenterName(&r, "spec.grant.datacenter", grant.GetDatacenter())
	if len(grant.GetOneTimeKey()) != 32 {
		r.add(invalid("spec.grant.oneTimeKey", "must be an Ed25519 public key of 32 bytes"))
	}
	if grant.GetExpireTime() == nil {
		r.add(required("spec.grant.expireTime", "a time"))
	}
	if grant.GetMaxUses() < 1 {
		r.add(invalid("spec.grant.maxUses", "%d is not allowed: must be at least 1", grant.GetMaxUses()))
	}
	signed := len(grant.GetFleetKey()) > 0 || len(grant.GetSignature()) > 0
	if signed && (len(grant.GetFleetKey()) != 32 || len(grant.GetSignature()) != 64) {
		r.add(invalid("spec.grant.signature", "must come with the fleet key: 64 bytes and 32 bytes, or neither"))
	}
	return r.violations
}

func checkAgentKind(r *rules, field, kind string) {
	if kind != AgentKindAgent && kind != AgentKindGateway {
		r.add(invalid(field, "%s is not one of %s, %s", quote(kind), AgentKindAgent, AgentKindGateway))
	}
}

func checkDatacenterName(r *rules, field, name string) {
	if name == "" {
		r.add(required(field, "the name of a datacenter"))
	}
	r.name(field, name)
}

func agentKind() Kind {
	return Kind{
		Name: KindAgent, Plural: "agents", Singular: "agent",
		Origin: "enrolment makes it (isthmus agent with a join token)",
		New:    func() Object { return &isthmusv1.Agent{} },
		Weak:   weakly[*isthmusv1.Agent],
		Validate: func(o Object) []fault.Violation {
			spec := o.(*isthmusv1.Agent).GetSpec()
			var r rules
			checkDatacenterName(&r, "spec.datacenter", spec.GetDatacenter())
			checkAgentKind(&r, "spec.kind", spec.GetKind())
			if spec.GetAttestation() == nil {
				r.add(required("spec.attestation", "what proves whose the agent's keys are"))
			}
			return r.violations
		},
		Datacenters: func(o Object) []string { return present(o.(*isthmusv1.Agent).GetSpec().GetDatacenter()) },
		Columns: []Column{
			column("DATACENTER", func(a *isthmusv1.Agent) string { return a.GetSpec().GetDatacenter() }),
			column("KIND", func(a *isthmusv1.Agent) string { return a.GetSpec().GetKind() }),
			column("TRUST", func(a *isthmusv1.Agent) string { return a.GetStatus().GetTrust() }),
			column("LIVENESS", func(a *isthmusv1.Agent) string { return a.GetStatus().GetLiveness() }),
			column("LEADER", func(a *isthmusv1.Agent) string { return showYes(a.GetStatus().GetLeader()) }),
			column("VERSION", func(a *isthmusv1.Agent) string { return a.GetStatus().GetVersion() }),
			column("HOST", func(a *isthmusv1.Agent) string { return a.GetStatus().GetHost() }),
			column("SINCE", func(a *isthmusv1.Agent) string { return showTime(a.GetStatus().GetLivenessSince()) }).wide(),
			column("CERT-EXPIRES", func(a *isthmusv1.Agent) string { return showTime(a.GetStatus().GetCertificateExpireTime()) }).wide(),
			column("FINGERPRINT", func(a *isthmusv1.Agent) string { return a.GetStatus().GetFingerprint() }).wide(),
		},
	}
}

func apiTokenKind() Kind {
	return Kind{
		Name: KindAPIToken, Plural: "api-tokens", Singular: "api-token",
		Origin:      "isthmus api-token create makes it",
		New:         func() Object { return &isthmusv1.APIToken{} },
		Weak:        weakly[*isthmusv1.APIToken],
		Datacenters: func(Object) []string { return nil },
		Columns: []Column{
			column("ROLE", func(t *isthmusv1.APIToken) string { return t.GetSpec().GetRole() }),
			column("STATE", func(t *isthmusv1.APIToken) string { return t.GetStatus().GetState() }),
			column("EXPIRES", func(t *isthmusv1.APIToken) string {
				if t.GetSpec().GetExpireTime() == nil {
					return "never"
				}
				return showTime(t.GetSpec().GetExpireTime())
			}),
			column("DESCRIPTION", func(t *isthmusv1.APIToken) string { return t.GetSpec().GetDescription() }),
		},
	}
}
