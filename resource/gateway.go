package resource

import (
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// The sources of a Gateway.
const (
	SourceStatic     = "static"
	SourceDiscovered = "discovered"
)

func gatewayKind() Kind {
	return Kind{
		Name: KindGateway, Plural: "gateways", Singular: "gateway", Short: "gw",
		Manifest: true,
		New:      func() Object { return &isthmusv1.Gateway{} },
		Weak:     weakly[*isthmusv1.Gateway],
		Default: func(o Object) {
			if g := o.(*isthmusv1.Gateway); g.Spec != nil {
				setDefault(&g.Spec.Source, SourceStatic)
			}
		},
		Fixed: []string{"spec.datacenter", "spec.source"},
		Validate: func(o Object) []fault.Violation {
			spec := o.(*isthmusv1.Gateway).GetSpec()
			var r rules
			r.name("spec.datacenter", spec.GetDatacenter())
			r.hostPort("spec.wanAddress", spec.GetWanAddress())
			r.hostPort("spec.lanAddress", spec.GetLanAddress())
			return r.violations
		},
		References: func(o Object) []Reference {
			return []Reference{{Kind: KindDatacenter, Name: o.(*isthmusv1.Gateway).GetSpec().GetDatacenter(), Field: "spec.datacenter"}}
		},
		Datacenters: func(o Object) []string { return present(o.(*isthmusv1.Gateway).GetSpec().GetDatacenter()) },
		Columns: []Column{
			column("DATACENTER", func(g *isthmusv1.Gateway) string { return g.GetSpec().GetDatacenter() }),
			column("WAN", func(g *isthmusv1.Gateway) string { return g.GetSpec().GetWanAddress() }),
			column("LAN", func(g *isthmusv1.Gateway) string { return g.GetSpec().GetLanAddress() }),
			column("SOURCE", func(g *isthmusv1.Gateway) string { return g.GetSpec().GetSource() }),
			column("HEALTH", func(g *isthmusv1.Gateway) string { return g.GetStatus().GetHealth() }),
			column("WANFED", func(g *isthmusv1.Gateway) string { return showYes(g.GetStatus().GetWanFederation()) }).wide(),
			column("SERVICE-ID", func(g *isthmusv1.Gateway) string { return g.GetStatus().GetServiceId() }).wide(),
			labelsColumn(),
		},
	}
}
