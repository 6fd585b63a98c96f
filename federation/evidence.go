package federation

import (
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Evidence is what is known of a federation beside its resources: what the agents and gateways of its members say.
type Evidence struct {
	// Of is what is seen of a datacenter; the zero value when nothing is.
	Of func(datacenter string) Seen
}

// Seen is what is seen of one datacenter. Reports of who is silent are the last that they sent.
type Seen struct {
	// Online: an agent of it is heard of.
	Online bool
	// Inventory and Federation are the leading agent's last reports; nil: none yet.
	Inventory  *isthmusv1.InventoryReport
	Federation *isthmusv1.FederationReport
	// Deliveries are those of its trusted agents, one each.
	Deliveries []Delivery
	// Gateways are the reports of its enrolled gateways.
	Gateways []*isthmusv1.GatewayReport
}

// Delivery is what one agent says of its host.
type Delivery struct {
	Agent  string
	Online bool
	Report *isthmusv1.DeliveryReport
}

// of never fails.
func (e Evidence) of(datacenter string) Seen {
	if e.Of == nil {
		return Seen{}
	}
	return e.Of(datacenter)
}
