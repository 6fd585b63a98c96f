package evidence

import (
	"isthmus/connection"
	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/observation"
)

// Connection is what the agents of each datacenter said last, as far as it tells whether two of them are connected. It is for one look: what it was
// asked of a peering's datacenter once it answers the same way again.
func Connection(r resource.Reader, table *observation.Table) connection.Evidence {
	ends := &sides{r: r, table: table, known: map[string]*side{}}
	return connection.Evidence{
		Of: func(datacenter string) connection.Seen {
			federated := seen(r, table, datacenter)
			services, _ := table.Get(datacenter, observation.PartServices)
			federation, _ := table.Get(datacenter, observation.PartFederation)
			if federation.Agent == "" {
				federation, _ = table.Get(datacenter, observation.PartInventory)
			}
			reason, message, since := blind(table, federation)
			return connection.Seen{
				Blind: reason, BlindMessage: message, BlindTime: since,
				Online: federated.Online, HeardTime: heardOfAny(r, table, datacenter), Inventory: federated.Inventory, Federation: federated.Federation,
				Services: services.Services, ServicesTime: services.Received,
			}
		},
		Peering: func(p *isthmusv1.Peering) peering.Evidence {
			e, _ := ends.peering(p)
			return e
		},
	}
}
