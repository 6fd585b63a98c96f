package resource

import (
	"fmt"
	"slices"
	"strings"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

func trafficPolicyKind() Kind {
	return Kind{
		Name: KindTrafficPolicy, Plural: "traffic-policies", Singular: "traffic-policy",
		Manifest: true,
		New:      func() Object { return &isthmusv1.TrafficPolicy{} },
		Weak:     weakly[*isthmusv1.TrafficPolicy],
		Default: func(o Object) {
			if p := o.(*isthmusv1.TrafficPolicy); p.Spec != nil {
				setDefault(&p.Spec.Namespace, "default")
			}
		},
		Validate: validateTrafficPolicy,
		References: func(o Object) []Reference {
			spec := o.(*isthmusv1.TrafficPolicy).GetSpec()
			out := references("spec.datacenters", spec.GetDatacenters())
			for i, f := range spec.GetFailover() {
				out = append(out, references(fmt.Sprintf("spec.failover[%d].datacenters", i), f.GetDatacenters())...)
			}
			one := func(field string, t *isthmusv1.TrafficTarget) {
				if t.GetDatacenter() != "" {
					out = append(out, Reference{Kind: KindDatacenter, Name: t.GetDatacenter(), Field: field + ".datacenter"})
				}
			}
			one("spec.redirect", spec.GetRedirect())
			for i, s := range spec.GetSplit() {
				one(fmt.Sprintf("spec.split[%d].target", i), s.GetTarget())
			}
			for i, r := range spec.GetRoutes() {
				one(fmt.Sprintf("spec.routes[%d].target", i), r.GetTarget())
			}
			return out
		},
		Datacenters: func(o Object) []string {
			return slices.Clone(o.(*isthmusv1.TrafficPolicy).GetSpec().GetDatacenters())
		},
		Terms: func(o Object) []string {
			spec := o.(*isthmusv1.TrafficPolicy).GetSpec()
			out := termsOf(spec.GetNamespace(), spec.GetService(), spec.GetDatacenters(), spec.GetSelector())
			for _, f := range spec.GetFailover() {
				out = append(out, termsOfOther(f.GetDatacenters(), f.GetSelector())...)
				if f.GetSameLabel() != "" {
					out = append(out, termLabel+f.GetSameLabel())
				}
			}
			targets := []string{spec.GetRedirect().GetDatacenter()}
			for _, s := range spec.GetSplit() {
				targets = append(targets, s.GetTarget().GetDatacenter())
			}
			for _, r := range spec.GetRoutes() {
				targets = append(targets, r.GetTarget().GetDatacenter())
			}
			return append(out, termsOfOther(targets, "")...)
		},
		Columns: []Column{
			column("SERVICE", func(p *isthmusv1.TrafficPolicy) string { return p.GetSpec().GetService() }),
			column("IN", func(p *isthmusv1.TrafficPolicy) string {
				return choice(p.GetSpec().GetDatacenters(), p.GetSpec().GetSelector())
			}),
			column("DOES", func(p *isthmusv1.TrafficPolicy) string {
				var out []string
				for word, set := range map[string]bool{
					"failover": len(p.GetSpec().GetFailover()) > 0, "redirect": p.GetSpec().GetRedirect() != nil,
					"split": len(p.GetSpec().GetSplit()) > 0, "routes": len(p.GetSpec().GetRoutes()) > 0,
				} {
					if set {
						out = append(out, word)
					}
				}
				slices.Sort(out)
				return strings.Join(out, ",")
			}),
			column("APPLIED", func(p *isthmusv1.TrafficPolicy) string { return showApplied(p.GetStatus()) }),
			column("SCOPE", func(p *isthmusv1.TrafficPolicy) string { return p.GetSpec().GetScope() }).wide(),
			labelsColumn(),
		},
	}
}
