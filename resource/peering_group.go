package resource

import (
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// The shapes of a PeeringGroup.
const (
	ShapeFullMesh    = "full-mesh"
	ShapeHubAndSpoke = "hub-and-spoke"
)

func peeringGroupKind() Kind {
	return Kind{
		Name: KindPeeringGroup, Plural: "peering-groups", Singular: "peering-group", Short: "pg",
		Manifest: true,
		New:      func() Object { return &isthmusv1.PeeringGroup{} },
		Weak:     weakly[*isthmusv1.PeeringGroup],
		Validate: func(o Object) []fault.Violation {
			spec := o.(*isthmusv1.PeeringGroup).GetSpec()
			var r rules
			r.members("spec", spec.GetDatacenters(), spec.GetSelector(), false)
			switch {
			case spec.GetShape() == ShapeHubAndSpoke && spec.GetHub() == "":
				r.add(required("spec.hub", "a selector that tells which members are hubs, for example role=hub"))
			case spec.GetShape() == ShapeFullMesh && spec.GetHub() != "":
				r.add(fault.Violation{Field: "spec.hub", Reason: ReasonExclusive, Message: "is only for shape: hub-and-spoke"})
			}
			r.selector("spec.hub", spec.GetHub())
			return r.violations
		},
		References: func(o Object) []Reference {
			return references("spec.datacenters", o.(*isthmusv1.PeeringGroup).GetSpec().GetDatacenters())
		},
		// A group alters no plan by itself: the peerings that it expands to do.
		Datacenters: func(Object) []string { return nil },
		Columns: []Column{
			column("SHAPE", func(g *isthmusv1.PeeringGroup) string { return g.GetSpec().GetShape() }),
			column("MEMBERS", func(g *isthmusv1.PeeringGroup) string {
				return choice(g.GetSpec().GetDatacenters(), g.GetSpec().GetSelector())
			}),
			column("DATACENTERS", func(g *isthmusv1.PeeringGroup) string { return showInt(g.GetStatus().GetDatacenters()) }),
			column("PEERINGS", func(g *isthmusv1.PeeringGroup) string { return showInt(g.GetStatus().GetPeerings()) }),
			column("HEALTHY", func(g *isthmusv1.PeeringGroup) string { return showInt(g.GetStatus().GetHealthy()) }),
			column("HUB", func(g *isthmusv1.PeeringGroup) string { return g.GetSpec().GetHub() }).wide(),
			labelsColumn(),
		},
	}
}
