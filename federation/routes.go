package federation

import (
	"cmp"
	"slices"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Kinds of a gateway's routes.
const (
	RouteFederation = "federation"
	RoutePeering    = "peering"
)

// Routes are what the gateways of a datacenter are told of the others': the names that servers and proxies ask for, and the addresses
// at which gateways answer that know the way there.
//
//	server.<dc>.<domain>, *.server.<dc>.<domain>, *.<dc>.internal.<trust domain>   another member of the federation
//	server.<dc>.peering.<trust domain>                                           a peer whose control traffic goes through gateways
func Routes(r resource.Reader, datacenter string) *isthmusv1.GatewayRoutes {
	out := &isthmusv1.GatewayRoutes{Domain: domainOf(r, datacenter)}
	if m, ok := resource.MembershipOf(r, datacenter); ok {
		out.Routes = wanOf(r, m.Federation).routes(datacenter)
	}
	known := map[string]bool{}
	for _, p := range throughGateways(r, datacenter) {
		if addresses := addressesOf(r, p.datacenter); len(addresses) > 0 && !known[p.serverName] {
			known[p.serverName] = true
			out.Routes = append(out.Routes, &isthmusv1.GatewayRoute{Pattern: p.serverName, Kind: RoutePeering, Addresses: addresses})
		}
	}
	slices.SortFunc(out.Routes, func(a, b *isthmusv1.GatewayRoute) int { return cmp.Compare(a.GetPattern(), b.GetPattern()) })
	return out
}

func (w wan) routes(datacenter string) []*isthmusv1.GatewayRoute {
	primary, _ := resource.Lookup[*isthmusv1.Datacenter](w.r, resource.KindDatacenter, w.primary())
	trustDomain := primary.GetStatus().GetTrustDomain()
	var out []*isthmusv1.GatewayRoute
	for _, other := range w.GetStatus().GetMembers() {
		if other.GetDatacenter() == datacenter || !w.has(other.GetDatacenter()) {
			continue
		}
		var addresses []string
		for _, g := range other.GetGateways() {
			addresses = append(addresses, g.GetWanAddress())
		}
		if len(addresses) == 0 {
			continue
		}
		server := ServerName(other.GetConsulDatacenter(), domainOf(w.r, other.GetDatacenter()))
		patterns := []string{server, "*." + server}
		if trustDomain != "" {
			patterns = append(patterns, "*."+other.GetConsulDatacenter()+".internal."+trustDomain)
		}
		for _, pattern := range patterns {
			out = append(out, &isthmusv1.GatewayRoute{Pattern: pattern, Kind: RouteFederation, Addresses: addresses})
		}
	}
	return out
}

// gatewayPeer is a datacenter that is peered through mesh gateways.
type gatewayPeer struct {
	datacenter string
	// serverName is what its servers are asked for; empty: they are not reached through gateways.
	serverName string
}

// throughGateways are the peers of a datacenter whose peerings go through gateways and whose trust domain is known, by name.
func throughGateways(r resource.Reader, datacenter string) []gatewayPeer {
	return slices.DeleteFunc(peersOf(r, datacenter), func(p gatewayPeer) bool { return p.serverName == "" })
}

// peersOf are the peers of a datacenter, by name. Calls of services go through gateways to all of them; those whose control traffic does, too,
// have a serverName, once their trust domain is known.
func peersOf(r resource.Reader, datacenter string) []gatewayPeer {
	var out []gatewayPeer
	for p := range resource.AllTouching[*isthmusv1.Peering](r, resource.KindPeering, datacenter) {
		if p.GetDeleteTime() != nil {
			continue
		}
		name := p.GetSpec().GetDialer()
		if name == datacenter {
			name = p.GetSpec().GetAcceptor()
		}
		other, ok := resource.Lookup[*isthmusv1.Datacenter](r, resource.KindDatacenter, name)
		if !ok {
			continue
		}
		peer := gatewayPeer{datacenter: name}
		if p.GetSpec().GetThroughGateways() && other.GetStatus().GetTrustDomain() != "" {
			peer.serverName = "server." + consulName(r, name) + ".peering." + other.GetStatus().GetTrustDomain()
		}
		out = append(out, peer)
	}
	slices.SortFunc(out, func(a, b gatewayPeer) int { return cmp.Compare(a.datacenter, b.datacenter) })
	return out
}

// addressesOf are the addresses of a datacenter's gateways, those that pass their checks first.
func addressesOf(r resource.Reader, datacenter string) []string {
	var out []string
	for _, g := range gatewaysOf(r, datacenter) {
		out = append(out, g.GetWanAddress())
	}
	return out
}

// gatewaysOf are a datacenter's gateways, each address once, those that pass their checks first.
func gatewaysOf(r resource.Reader, datacenter string) []*isthmusv1.MemberGateway {
	byAddress := map[string]*isthmusv1.MemberGateway{}
	var out []*isthmusv1.MemberGateway
	for g := range resource.AllTouching[*isthmusv1.Gateway](r, resource.KindGateway, datacenter) {
		if g.GetDeleteTime() != nil || g.GetSpec().GetWanAddress() == "" {
			continue
		}
		health := cmp.Or(g.GetStatus().GetHealth(), healthUnknown)
		if known := byAddress[g.GetSpec().GetWanAddress()]; known != nil {
			// Two rows of one gateway, as when an operator names one that Consul knows, too: who knows more counts.
			if rankHealth(health) < rankHealth(known.GetHealth()) {
				known.Health = health
			}
			known.LanAddress = cmp.Or(known.GetLanAddress(), g.GetSpec().GetLanAddress())
			continue
		}
		row := &isthmusv1.MemberGateway{WanAddress: g.GetSpec().GetWanAddress(), LanAddress: g.GetSpec().GetLanAddress(), Health: health}
		byAddress[row.GetWanAddress()] = row
		out = append(out, row)
	}
	sortGateways(out)
	return out
}

// Words of Consul for the health of a gateway; resource.GatewayRetired is one more.
const (
	healthPassing  = "passing"
	healthWarning  = "warning"
	healthUnknown  = "unknown"
	healthCritical = "critical"
)

func rankHealth(health string) int {
	if i := slices.Index([]string{healthPassing, healthWarning, healthUnknown, healthCritical, resource.GatewayRetired}, health); i >= 0 {
		return i
	}
	return 2
}

func sortGateways(gateways []*isthmusv1.MemberGateway) {
	slices.SortFunc(gateways, func(a, b *isthmusv1.MemberGateway) int {
		return cmp.Or(cmp.Compare(rankHealth(a.GetHealth()), rankHealth(b.GetHealth())), cmp.Compare(a.GetWanAddress(), b.GetWanAddress()))
	})
}
