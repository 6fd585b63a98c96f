package resource

import (
	"fmt"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Scopes of the claims that a Peering holds.
const (
	// ScopePeeringPair: one Peering for two clusters, whoever accepts.
	ScopePeeringPair = "peering-pair"
	// ScopePeerName: a peer's name is used once in each datacenter.
	ScopePeerName = "peer-name"
)

// MaxTokenGeneration is how often a peering's token can be asked for: nobody gets there by asking.
const MaxTokenGeneration = 1 << 30

// How an agent judges the newest thing that its end of a peering heard, by its own clock.
const (
	HeartbeatFresh = "fresh"
	HeartbeatStale = "stale"
	// HeartbeatNever: nothing was heard since the end is there.
	HeartbeatNever = "never"
)

// What is done about a stream that hangs.
const (
	HealOff     = "off"
	HealSuggest = "suggest"
	HealAuto    = "auto"
)

// What became of a peering token. Empty: claimed, not made yet. An agent reports used and refused.
const (
	OutcomeMade       = "made"
	OutcomeDelivered  = "delivered"
	OutcomeUsed       = "used"
	OutcomeRefused    = "refused"
	OutcomeExpired    = "expired"
	OutcomeSuperseded = "superseded"
)

// Whose a peering is that an agent sees in its Consul.
const (
	// OriginOwn: a Peering wants it.
	OriginOwn = "own"
	// OriginForeign: somebody else's, never touched.
	OriginForeign = "foreign"
	// OriginOrphan: it carries isthmus's mark, and no Peering wants it.
	OriginOrphan = "orphan"
)

func peeringKind() Kind {
	return Kind{
		Name: KindPeering, Plural: "peerings", Singular: "peering", Short: "peer",
		Manifest: true,
		New:      func() Object { return &isthmusv1.Peering{} },
		Weak:     weakly[*isthmusv1.Peering],
		Default: func(o Object) {
			if spec := o.(*isthmusv1.Peering).Spec; spec != nil {
				setDefaultName(&spec.AcceptorPeerName, spec.GetDialer()+spec.GetExternalDialer())
				setDefaultName(&spec.DialerPeerName, spec.GetAcceptor()+spec.GetExternalAcceptor())
			}
		},
		// Consul fixes who accepts and who dials for each name, and a name for each peering.
		Fixed: []string{
			"spec.acceptor", "spec.externalAcceptor", "spec.dialer", "spec.externalDialer",
			"spec.acceptorPeerName", "spec.dialerPeerName",
		},
		Update:   updatePeering,
		Validate: validatePeering,
		References: func(o Object) []Reference {
			spec := o.(*isthmusv1.Peering).GetSpec()
			var out []Reference
			if dc := spec.GetAcceptor(); dc != "" {
				out = append(out, Reference{Kind: KindDatacenter, Name: dc, Field: "spec.acceptor"})
			}
			if dc := spec.GetDialer(); dc != "" {
				out = append(out, Reference{Kind: KindDatacenter, Name: dc, Field: "spec.dialer"})
			}
			return out
		},
		Claims: peeringClaims,
		Datacenters: func(o Object) []string {
			spec := o.(*isthmusv1.Peering).GetSpec()
			return present(spec.GetAcceptor(), spec.GetDialer())
		},
		Columns: []Column{
			column("ACCEPTOR", func(p *isthmusv1.Peering) string {
				return end(p.GetSpec().GetAcceptor(), p.GetSpec().GetExternalAcceptor())
			}),
			column("DIALER", func(p *isthmusv1.Peering) string {
				return end(p.GetSpec().GetDialer(), p.GetSpec().GetExternalDialer())
			}),
			column("STATE", func(p *isthmusv1.Peering) string { return p.GetStatus().GetState() }),
			column("VERDICT", func(p *isthmusv1.Peering) string { return p.GetStatus().GetVerdict() }),
			column("REASON", func(p *isthmusv1.Peering) string { return p.GetStatus().GetReason() }),
			column("SINCE", func(p *isthmusv1.Peering) string { return showTime(p.GetStatus().GetVerdictSince()) }),
			column("GROUP", func(p *isthmusv1.Peering) string { return p.GetStatus().GetGroup() }).wide(),
			column("TOKEN", func(p *isthmusv1.Peering) string {
				token := p.GetStatus().GetToken()
				if token.GetGeneration() == 0 {
					return ""
				}
				return fmt.Sprintf("%d %s", token.GetGeneration(), token.GetReason())
			}).wide(),
			column("MESSAGE", func(p *isthmusv1.Peering) string { return p.GetStatus().GetMessage() }).wide(),
		},
	}
}

// end shows one end of a peering; one of another operator stands in brackets.
func end(datacenter, external string) string {
	if external != "" {
		return "(" + external + ")"
	}
	return datacenter
}

func validatePeering(o Object) []fault.Violation {
	spec := o.(*isthmusv1.Peering).GetSpec()
	var r rules
	exactlyOne := func(field, value, externalField, external string) {
		switch {
		case value != "" && external != "":
			r.add(fault.Violation{
				Field: "spec." + externalField, Reason: ReasonExclusive,
				Message: fmt.Sprintf("stands beside %s: exactly one of %s (a datacenter) and %s (a cluster without isthmus)", field, field, externalField),
			})
		case value == "" && external == "":
			r.add(required("spec."+field, fmt.Sprintf("exactly one of %s (a datacenter) and %s (a cluster without isthmus)", field, externalField)))
		}
		r.name("spec."+field, value)
		r.name("spec."+externalField, external)
	}
	exactlyOne("acceptor", spec.GetAcceptor(), "externalAcceptor", spec.GetExternalAcceptor())
	exactlyOne("dialer", spec.GetDialer(), "externalDialer", spec.GetExternalDialer())
	if spec.GetAcceptor() != "" && spec.GetAcceptor() == spec.GetDialer() {
		r.add(invalid("spec.dialer", "%s is the acceptor too: a datacenter cannot be peered with itself", quote(spec.GetDialer())))
	}
	if spec.GetExternalAcceptor() != "" && spec.GetExternalDialer() != "" {
		r.add(fault.Violation{
			Field: "spec.externalDialer", Reason: ReasonExclusive,
			Message: "stands beside externalAcceptor: at least one end must be a datacenter of this fleet",
		})
	}
	r.name("spec.acceptorPeerName", spec.GetAcceptorPeerName())
	r.name("spec.dialerPeerName", spec.GetDialerPeerName())
	for i, address := range spec.GetServerExternalAddresses() {
		field := fmt.Sprintf("spec.serverExternalAddresses[%d]", i)
		if address == "" {
			r.add(required(field, "host:port"))
		}
		r.hostPort(field, address)
	}
	if len(spec.GetServerExternalAddresses()) > 0 && spec.GetExternalAcceptor() != "" {
		r.add(fault.Violation{
			Field: "spec.serverExternalAddresses", Reason: ReasonExclusive,
			Message: "is for tokens that an acceptor of this fleet makes; an externalAcceptor's token carries its own addresses",
		})
	}
	if g := spec.GetTokenGeneration(); g > MaxTokenGeneration {
		r.add(invalid("spec.tokenGeneration", "%d is not allowed: must be at most %d", g, MaxTokenGeneration))
	}
	return r.violations
}

// updatePeering: a request for a token that is taken back would make the next ones look answered.
func updatePeering(before, after Object) []fault.Violation {
	was, is := before.(*isthmusv1.Peering).GetSpec().GetTokenGeneration(), after.(*isthmusv1.Peering).GetSpec().GetTokenGeneration()
	if is >= was {
		return nil
	}
	return []fault.Violation{invalid("spec.tokenGeneration",
		"cannot go down from %d to %d: leave it out to keep it, or raise it to ask for a new token", was, is)}
}

func peeringClaims(o Object) []Claim {
	spec := o.(*isthmusv1.Peering).GetSpec()
	// A name of a datacenter has no ':', so an external cluster cannot collide with one.
	key := func(datacenter, external string) string {
		if external != "" {
			return "external:" + external
		}
		return datacenter
	}
	a, b := key(spec.GetAcceptor(), spec.GetExternalAcceptor()), key(spec.GetDialer(), spec.GetExternalDialer())
	if b < a {
		a, b = b, a
	}
	claims := []Claim{{Scope: ScopePeeringPair, Key: a + "/" + b}}
	if dc := spec.GetAcceptor(); dc != "" {
		claims = append(claims, Claim{Scope: ScopePeerName, Key: dc + "/" + spec.GetAcceptorPeerName()})
	}
	if dc := spec.GetDialer(); dc != "" {
		claims = append(claims, Claim{Scope: ScopePeerName, Key: dc + "/" + spec.GetDialerPeerName()})
	}
	return claims
}
