package control

import (
	"isthmus/agent/consul"
	"isthmus/gateway"
)

// Facts are what Consul says, for tests of what follows.
type Facts struct {
	Datacenter, Domain, TrustDomain, Leader string
	Servers                                 []consul.MeshServer
	Gateways                                map[string][]consul.Instance
	Peerings                                []consul.Peering
	Endpoints                               []consul.Endpoint
	Exports                                 []consul.MeshExport
}

func (f Facts) facts() facts {
	return facts{
		datacenter: f.Datacenter, domain: f.Domain, trustDomain: f.TrustDomain, leader: f.Leader,
		servers: f.Servers, gateways: f.Gateways, peerings: f.Peerings, endpoints: f.Endpoints, exports: f.Exports,
	}
}

// Routes are the routes that follow, and those that cannot be.
func (f Facts) Routes() (routes, refused []gateway.Entry) { return f.facts().routes() }

// DependOn tells whether others have only this gateway.
func (f Facts) DependOn(id string) bool { return f.facts().dependOn(id) }

// Refuse takes names that a source gives and that cannot be routes, and tells how many the control then holds.
func (c *Control) Refuse(source string, entries ...gateway.Entry) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse(source, entries)
	n := 0
	for _, of := range c.refused {
		n += len(of)
	}
	return n
}
