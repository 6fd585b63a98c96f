package evidence

import (
	"isthmus/doctor"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/observation"
)

// Doctor is what the agents of each datacenter said last, as doctor needs it: see Federation.
func Doctor(r resource.Reader, table *observation.Table) func(datacenter string) doctor.Seen {
	return func(datacenter string) doctor.Seen {
		peerings, _ := table.Get(datacenter, observation.PartPeerings)
		rights, _ := table.Get(datacenter, observation.PartRights)
		out := doctor.Seen{
			Seen: seen(r, table, datacenter), Gateways: map[string]*isthmusv1.GatewayReport{},
			Peerings: peerings.Peerings, Rights: rights.Rights,
		}
		for a := range resource.AllTouching[*isthmusv1.Agent](r, resource.KindAgent, datacenter) {
			if s, ok := table.Get(datacenter, observation.GatewayPart(a.GetName())); ok && s.Gateway != nil {
				out.Gateways[a.GetName()] = s.Gateway
			}
		}
		return out
	}
}
