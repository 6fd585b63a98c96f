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
	return NewPeers(r, datacenter).Routes(r)
}

// Routes are those of the datacenter: see Routes.
func (p *Peers) Routes(r resource.Reader) *isthmusv1.GatewayRoutes {
	out := &isthmusv1.GatewayRoutes{Domain: domainOf(r, p.datacenter)}
	if m, ok := resource.MembershipOf(r, p.datacenter); ok {
		out.Routes = wanOf(r, m.Federation).routes(p.datacenter)
	}
	known := map[string]bool{}
	for _, row := range p.rows {
		if row.serverName != "" && !known[row.serverName] {
			known[row.serverName] = true
			out.Routes = append(out.Routes, &isthmusv1.GatewayRoute{Pattern: row.serverName, Kind: RoutePeering, Addresses: row.addresses})
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
