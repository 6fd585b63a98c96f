package policy

import (
	"cmp"
	"fmt"
	"slices"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Reasons why something of a policy is left out, or refused when it is written.
const (
	// ReasonScopeTooNarrow: it names some datacenters of a federation, and Consul would let it count for all of it.
	ReasonScopeTooNarrow = "ScopeTooNarrow"
	// ReasonContradicts: two want the same part of a config entry with different content.
	ReasonContradicts = "Contradicts"
	// ReasonPeerAmbiguous: the name of a peer means different datacenters in members of one federation.
	ReasonPeerAmbiguous = "PeerAmbiguous"
	// ReasonNeedsEnterprise: a namespace, in a Consul that has none.
	ReasonNeedsEnterprise = "NeedsEnterprise"
	// ReasonTooMany: Consul's Meta has no room to mark so many parts of one config entry.
	ReasonTooMany = "TooMany"
	// ReasonNotConnected: a source or a target is in a datacenter that is neither in the federation nor a peer. It will be when it is.
	ReasonNotConnected = "NotConnected"
	// ReasonNotExported: a target is a peer to whom nothing exports the service.
	ReasonNotExported = "NotExported"
	// ReasonTrustShared: a peer is in a federation, whose members share one trust domain: Consul cannot tell their services apart.
	ReasonTrustShared = "TrustShared"
)

// warning tells whether a problem stands against nothing: the policy is admitted, and counts as applied, with it.
func warning(reason string) bool {
	switch reason {
	case ReasonNotConnected, ReasonTrustShared, ReasonNotExported, ReasonPeerNotShared, ReasonNoTarget:
		return true
	}
	return false
}

// Check is what stands against writing an Intention, a TrafficPolicy, a ServiceExport or a Federation into a fleet, which has it already as
// it would be, and all its federations as they are wanted: what Consul would refuse, or take for something else than what was meant. Of a
// Federation it tells what its members would make of the policies that there are. What the config entries hold is no part of it: that is
// in the status.
func Check(r resource.Reader, o resource.Object) []fault.Violation {
	if o.GetDeleteTime() != nil {
		return nil
	}
	switch o := o.(type) {
	case *isthmusv1.Intention:
		return checkIntention(r, o)
	case *isthmusv1.TrafficPolicy:
		return checkTraffic(r, o)
	case *isthmusv1.ServiceExport:
		return checkTrafficExport(r, o)
	case *isthmusv1.Federation:
		return checkFederation(r, o, nil)
	}
	return nil
}

// refused are the problems that stand against a policy, as violations of it, each once.
func refused(problems []*isthmusv1.PolicyProblem) []fault.Violation {
	var out []fault.Violation
	for _, p := range problems {
		if warning(p.GetReason()) {
			continue
		}
		v := fault.Violation{Field: cmp.Or(p.GetField(), "spec"), Reason: p.GetReason(), Message: p.GetMessage()}
		if p.GetFix() != "" {
			v.Message += "; " + p.GetFix()
		}
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// refusedTo is what stands against a federation because of a policy, as violations of the Federation.
func refusedTo(f *isthmusv1.Federation, policy string, problems []*isthmusv1.PolicyProblem) []fault.Violation {
	field := "spec.secondaries"
	if f.GetSpec().GetSecondarySelector() != "" {
		field = "spec.secondarySelector"
	}
	out := refused(problems)
	for i, v := range out {
		out[i].Field = field
		out[i].Message = fmt.Sprintf("%s could not stay as it is: its %s: %s", policy, v.Field, v.Message)
	}
	return out
}

// policyName is how a policy is called in problems and in ConfigParts.
func policyName(o resource.Object) string { return resource.KindOf(o).Name + "/" + o.GetName() }
