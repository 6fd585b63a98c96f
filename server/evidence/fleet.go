package evidence

import (
	"time"

	"isthmus/overview"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/observation"
)

// Fleet is what the agents of each datacenter said last of themselves and of their Consul, as an overview needs it.
func Fleet(r resource.Reader, table *observation.Table) func(datacenter string) overview.Seen {
	return func(datacenter string) overview.Seen {
		var out overview.Seen
		var acting []*isthmusv1.Agent
		for a := range resource.AllTouching[*isthmusv1.Agent](r, resource.KindAgent, datacenter) {
			if a.GetSpec().GetKind() == resource.AgentKindAgent {
				acting = append(acting, a)
				out.Agents = append(out.Agents, overview.Agent{Agent: a, HeardTime: table.HeardOf(datacenter, a.GetName())})
			}
		}
		leading := Leading(table, datacenter, acting)
		out.Leading, out.LeadingTime = leading.AgentReport, leading.Received
		inventory, _ := table.Get(datacenter, observation.PartInventory)
		out.Inventory, out.InventoryTime = inventory.Inventory, inventory.Received
		federation, _ := table.Get(datacenter, observation.PartFederation)
		out.Federation = federation.Federation
		return out
	}
}

// Catalog is what the agents of each datacenter said last of its services.
func Catalog(table *observation.Table, now time.Time) func(datacenter string) overview.Catalog {
	return func(datacenter string) overview.Catalog {
		services, _ := table.Get(datacenter, observation.PartServices)
		exports, _ := table.Get(datacenter, observation.PartExports)
		reason, _, _ := blind(table, services)
		return overview.Catalog{
			Services: services.Services, Time: services.Received, Exports: exports.Exports,
			Current: reason == "" && now.Sub(table.HeardOf(datacenter, services.Agent)) <= resource.Silence,
		}
	}
}

// Leading is what the leading agent of a datacenter says of itself; of the others', the one's heard of last when none leads. Whose keys nobody has
// approved does not speak for its datacenter. The zero value: nobody has said anything.
func Leading(table *observation.Table, datacenter string, acting []*isthmusv1.Agent) observation.Seen {
	var last observation.Seen
	for _, a := range acting {
		seen, ok := table.Get(datacenter, observation.AgentPart(a.GetName()))
		if !ok || seen.AgentReport == nil || !resource.Trusted(a) {
			continue
		}
		if a.GetStatus().GetLeader() {
			return seen
		}
		if last.AgentReport == nil || seen.Heard.After(last.Heard) {
			last = seen
		}
	}
	return last
}
