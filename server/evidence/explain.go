package evidence

import (
	"time"

	"isthmus/explain"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/observation"
)

// Explain is what the agents of each datacenter said last, as explain needs it. Nobody speaks for a datacenter but an agent that is believed.
func Explain(r resource.Reader, table *observation.Table, now time.Time) func(datacenter string) explain.Seen {
	return func(datacenter string) explain.Seen {
		inventory, _ := table.Get(datacenter, observation.PartInventory)
		services, _ := table.Get(datacenter, observation.PartServices)
		peerings, _ := table.Get(datacenter, observation.PartPeerings)
		exports, _ := table.Get(datacenter, observation.PartExports)
		entries, _ := table.Get(datacenter, observation.PartEntries)
		policy, _ := table.Get(datacenter, observation.PartPolicy)
		rights, _ := table.Get(datacenter, observation.PartRights)
		federated, _ := table.Get(datacenter, observation.PartFederation)
		out := explain.Seen{
			Inventory: explain.Report[*isthmusv1.InventoryReport]{Body: inventory.Inventory, Since: inventory.Received},
			Services:  explain.Report[*isthmusv1.ServicesReport]{Body: services.Services, Since: services.Received},
			Peerings:  explain.Report[*isthmusv1.PeeringsReport]{Body: peerings.Peerings, Since: peerings.Received},
			Exports:   explain.Report[*isthmusv1.ExportsReport]{Body: exports.Exports, Since: exports.Received},
			Entries:   explain.Report[*isthmusv1.EntriesReport]{Body: entries.Entries, Since: entries.Received},
			Policy:    explain.Report[*isthmusv1.PolicyReport]{Body: policy.Policy, Since: policy.Received},
			Rights:    explain.Report[*isthmusv1.RightsReport]{Body: rights.Rights, Since: rights.Received},

			Federation: explain.Report[*isthmusv1.FederationReport]{Body: federated.Federation, Since: federated.Received},
		}
		var anybody time.Time
		for a := range resource.AllTouching[*isthmusv1.Agent](r, resource.KindAgent, datacenter) {
			if a.GetDeleteTime() != nil || !resource.Trusted(a) {
				continue
			}
			heard := table.HeardOf(datacenter, a.GetName())
			if a.GetSpec().GetKind() == resource.AgentKindGateway {
				s, ok := table.Get(datacenter, observation.GatewayPart(a.GetName()))
				if ok && s.Gateway != nil && now.Sub(s.Heard) <= resource.Silence {
					out.Gateways = append(out.Gateways, s.Gateway)
				}
				continue
			}
			if heard.After(anybody) {
				anybody = heard
			}
			if a.GetName() == inventory.Agent {
				self, _ := table.Get(datacenter, observation.AgentPart(a.GetName()))
				out.Heard, out.Trouble = heard, self.AgentReport.GetError()
			}
		}
		if inventory.Inventory == nil {
			out.Heard = anybody // it has enrolled, and not told of anything yet
		}
		return out
	}
}
