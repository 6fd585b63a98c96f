// Package evidence puts together what is known of the datacenters of federations.
//
// Owns: which reports count for what. Does not own: how reports arrive (observation), what follows from them (federation).
// Start reading at Federation.
package evidence

import (
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/observation"
)

// Federation is what the agents of each datacenter said last; who of them is believed, and heard of, is what r says.
func Federation(r resource.Reader, table *observation.Table) federation.Evidence {
	return federation.Evidence{Of: func(datacenter string) federation.Seen { return seen(r, table, datacenter) }}
}

func seen(r resource.Reader, table *observation.Table, datacenter string) federation.Seen {
	inventory, _ := table.Get(datacenter, observation.PartInventory)
	federated, _ := table.Get(datacenter, observation.PartFederation)
	out := federation.Seen{Inventory: inventory.Inventory, Federation: federated.Federation}
	// speaks is the agent that tells of the whole datacenter. When it was deleted, any of the others may do so next.
	speaks := federated.Agent
	if speaks == "" {
		speaks = inventory.Agent
	}
	speaker, anybody := false, false
	for a := range resource.AllTouching[*isthmusv1.Agent](r, resource.KindAgent, datacenter) {
		if a.GetDeleteTime() != nil || !resource.Trusted(a) {
			continue
		}
		online := a.GetStatus().GetLiveness() == resource.LivenessOnline
		if a.GetSpec().GetKind() == resource.AgentKindGateway {
			if s, ok := table.Get(datacenter, observation.GatewayPart(a.GetName())); ok && s.Gateway != nil {
				out.Gateways = append(out.Gateways, s.Gateway)
			}
			continue
		}
		anybody = anybody || online
		if a.GetName() == speaks {
			speaker, out.Online = true, online
		}
		if s, ok := table.Get(datacenter, observation.DeliveryPart(a.GetName())); ok && s.Delivery != nil {
			out.Deliveries = append(out.Deliveries, federation.Delivery{Agent: a.GetName(), Online: online, Report: s.Delivery})
		}
	}
	if !speaker {
		out.Online = anybody
	}
	return out
}
