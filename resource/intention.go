package resource

import (
	"fmt"
	"slices"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// ScopeFederation as the scope of a policy says that it may count for all of a federation although it names only some of it.
const ScopeFederation = "federation"

// Actions of intentions.
const (
	ActionAllow = "allow"
	ActionDeny  = "deny"
)

// States of a policy in one Consul. An agent reports all but pending and unknown.
const (
	PolicyPending  = "pending"
	PolicyApplied  = "applied"
	PolicyConflict = "conflict"
	PolicyDrifted  = "drifted"
	PolicyFailed   = "failed"
	// PolicyManaged: Kubernetes manages the entry (external-source), which isthmus does not fight over.
	PolicyManaged = "managed"
	PolicyUnknown = "unknown"
)

func intentionKind() Kind {
	return Kind{
		Name: KindIntention, Plural: "intentions", Singular: "intention",
		Manifest: true,
		New:      func() Object { return &isthmusv1.Intention{} },
		Weak:     weakly[*isthmusv1.Intention],
		Default: func(o Object) {
			i := o.(*isthmusv1.Intention)
			if i.Spec == nil {
				return
			}
			if i.Spec.Destination != nil {
				setDefault(&i.Spec.Destination.Namespace, "default")
			}
			for _, s := range i.Spec.Sources {
				setDefault(&s.Namespace, "default")
			}
		},
		Validate: validateIntention,
		References: func(o Object) []Reference {
			spec := o.(*isthmusv1.Intention).GetSpec()
			out := references("spec.destination.datacenters", spec.GetDestination().GetDatacenters())
			for i, s := range spec.GetSources() {
				out = append(out, references(fmt.Sprintf("spec.sources[%d].datacenters", i), s.GetDatacenters())...)
			}
			return out
		},
		Datacenters: func(o Object) []string {
			return slices.Clone(o.(*isthmusv1.Intention).GetSpec().GetDestination().GetDatacenters())
		},
		Terms: func(o Object) []string {
			spec := o.(*isthmusv1.Intention).GetSpec()
			d := spec.GetDestination()
			out := termsOf(d.GetNamespace(), d.GetService(), d.GetDatacenters(), d.GetSelector())
			for _, s := range spec.GetSources() {
				out = append(out, termsOfOther(s.GetDatacenters(), s.GetSelector())...)
			}
			return out
		},
		Columns: []Column{
			column("DESTINATION", func(i *isthmusv1.Intention) string { return i.GetSpec().GetDestination().GetService() }),
			column("IN", func(i *isthmusv1.Intention) string {
				return choice(i.GetSpec().GetDestination().GetDatacenters(), i.GetSpec().GetDestination().GetSelector())
			}),
			column("SOURCES", func(i *isthmusv1.Intention) string { return showSources(i.GetSpec().GetSources()) }),
			column("APPLIED", func(i *isthmusv1.Intention) string { return showApplied(i.GetStatus()) }),
			column("SCOPE", func(i *isthmusv1.Intention) string { return i.GetSpec().GetScope() }).wide(),
			labelsColumn(),
		},
	}
}

func showApplied(s *isthmusv1.PolicyStatus) string {
	return fmt.Sprintf("%d/%d", s.GetApplied(), s.GetDatacenters())
}
