package control

import (
	"cmp"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"isthmus/agent/consul"
	"isthmus/gateway"
)

// facts are what Consul says of a datacenter and those that it is connected to, as far as routes come of it.
type facts struct {
	// datacenter and domain are Consul's.
	datacenter, domain string
	trustDomain        string
	// leader is the address of the server that leads.
	leader    string
	servers   []consul.MeshServer
	gateways  map[string][]consul.Instance
	peerings  []consul.Peering
	endpoints []consul.Endpoint
	exports   []consul.MeshExport
}

// routes are what Consul's facts lead to, those that cannot be names or addresses left out.
//
//	<node>.server.<dc>.<domain>                                that server
//	server.<dc>.<domain>                                       any server
//	server.<dc>.peering.<trust domain>                         any server's port for peers, the leader's first
//	<service>.<namespace>.<dc>.internal.<trust domain>         its sidecars
//	<service>.<namespace>.default.<peer>.external.<trust domain>   its sidecars, for a peer to which it is exported
//	[*.]server.<other dc>.<domain>                             gateways of that datacenter
//	*.<other dc>.internal.<trust domain>                       gateways of that datacenter
//	server.<dc>.peering.<peer's trust domain>                  servers of the peer, or its gateways
//	<service>.….external.<peer's trust domain>                 gateways of the peer
func (f facts) routes() (routes []gateway.Entry, refused []gateway.Entry) {
	var all []gateway.Entry
	if f.datacenter != "" {
		all = slices.Concat(f.toServers(), f.toDatacenters(), f.toPeers(), f.toServices(), f.toImports())
	}
	for _, e := range all {
		e.Pattern = strings.ToLower(e.Pattern)
		if e.Wrong() == "" {
			routes = append(routes, e)
		} else if len(e.Addresses) > 0 {
			refused = append(refused, e)
		}
	}
	return routes, refused
}

func (f facts) toServers() []gateway.Entry {
	servers := slices.Clone(f.servers)
	rank := func(s consul.MeshServer) int {
		switch {
		case !s.Healthy:
			return 2
		case s.Address == f.leader:
			return 0
		}
		return 1
	}
	slices.SortStableFunc(servers, func(x, y consul.MeshServer) int { return cmp.Compare(rank(x), rank(y)) })
	anyone := "server." + f.datacenter + "." + f.domain
	var rpc, peers []string
	var out []gateway.Entry
	for _, s := range servers {
		address := hostPort(s.Address, s.RPC)
		rpc = append(rpc, address)
		out = append(out, gateway.Entry{Pattern: s.Node + "." + anyone, Kind: gateway.KindServer, Addresses: []string{address}})
		if s.GRPCTLS != 0 {
			peers = append(peers, hostPort(s.Address, s.GRPCTLS))
		}
	}
	out = append(out, gateway.Entry{Pattern: anyone, Kind: gateway.KindServer, Addresses: rpc})
	if f.trustDomain != "" {
		out = append(out, gateway.Entry{Pattern: "server." + f.datacenter + ".peering." + f.trustDomain, Kind: gateway.KindPeering, Addresses: peers})
	}
	return out
}

func (f facts) toDatacenters() []gateway.Entry {
	var out []gateway.Entry
	for _, other := range slices.Sorted(maps.Keys(f.gateways)) {
		if other == f.datacenter {
			continue
		}
		addresses := dialled(f.gateways[other])
		name := "server." + other + "." + f.domain
		for _, pattern := range []string{name, "*." + name, "*." + other + ".internal." + f.trustDomain} {
			if !strings.HasSuffix(pattern, ".") {
				out = append(out, gateway.Entry{Pattern: pattern, Kind: gateway.KindFederation, Addresses: addresses})
			}
		}
	}
	return out
}

// dialled are what other datacenters dial of gateways, those in good health first.
func dialled(gateways []consul.Instance) []string {
	gateways = slices.Clone(gateways)
	rank := func(g consul.Instance) int {
		return max(0, slices.Index([]string{"passing", "warning", "critical", "maintenance"}, g.Health))
	}
	slices.SortStableFunc(gateways, func(x, y consul.Instance) int { return cmp.Compare(rank(x), rank(y)) })
	var out []string
	for _, g := range gateways {
		if g.WAN != "" {
			out = append(out, hostPort(g.WAN, g.WANPort))
		} else {
			out = append(out, hostPort(g.Address, g.Port))
		}
	}
	return out
}

func (f facts) toPeers() []gateway.Entry {
	var out []gateway.Entry
	for _, p := range f.peerings {
		if p.ServerName != "" && !p.Deleting {
			out = append(out, gateway.Entry{Pattern: p.ServerName, Kind: gateway.KindPeering, Addresses: p.ServerAddresses})
		}
	}
	return out
}

// name is a service in its namespace.
type name struct{ service, namespace string }

func (f facts) toServices() []gateway.Entry {
	if f.trustDomain == "" {
		return nil
	}
	// Sick ones are the last resort: the caller hears of it from TLS rather than from us.
	sidecars := map[name][]string{}
	for _, healthy := range []bool{true, false} {
		for _, e := range f.endpoints {
			if n := (name{e.Service, e.Namespace}); e.Peer == "" && e.Healthy == healthy {
				sidecars[n] = append(sidecars[n], e.Address)
			}
		}
	}
	var out []gateway.Entry
	for n, addresses := range sidecars {
		out = append(out, gateway.Entry{
			Pattern: n.service + "." + n.namespace + "." + f.datacenter + ".internal." + f.trustDomain, Kind: gateway.KindService, Addresses: addresses,
		})
	}
	for _, x := range f.exports {
		names := []name{{x.Service, x.Namespace}}
		if x.Service == "*" {
			names = slices.Collect(maps.Keys(sidecars))
		}
		for _, n := range names {
			if n.namespace == x.Namespace {
				out = append(out, gateway.Entry{
					Pattern: n.service + "." + n.namespace + ".default." + x.Peer + ".external." + f.trustDomain, Kind: gateway.KindExport, Addresses: sidecars[n],
				})
			}
		}
	}
	return out
}

func (f facts) toImports() []gateway.Entry {
	var out []gateway.Entry
	for _, e := range f.endpoints {
		if e.Peer == "" {
			continue
		}
		for _, sni := range e.SNI {
			out = append(out, gateway.Entry{Pattern: sni, Kind: gateway.KindImport, Addresses: []string{e.Address}})
		}
	}
	return out
}

func hostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
