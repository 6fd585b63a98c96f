package doctor

import (
	"cmp"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Health of a gateway in Consul that keeps others from using it.
const healthCritical = "critical"

// needsGateway is what a datacenter needs a mesh gateway for; empty: nothing.
func (x *exam) needsGateway(datacenter string) string {
	if m, ok := x.memberships[datacenter]; ok && m.Federation.GetSpec().GetMode() == resource.ModeMeshGateway && (m.Role == resource.RolePrimary || resource.Federated(m.Member)) {
		return "Federation " + m.Federation.GetName()
	}
	return x.throughGateways(datacenter)
}

// throughGateways is a peering of a datacenter whose control traffic goes through gateways; empty: none.
func (x *exam) throughGateways(datacenter string) string {
	for p := range resource.AllTouching[*isthmusv1.Peering](x, resource.KindPeering, datacenter) {
		if p.GetSpec().GetThroughGateways() && p.GetDeleteTime() == nil {
			return "Peering " + p.GetName()
		}
	}
	return ""
}

// gatewaysOf are the Gateways of a datacenter.
func (x *exam) gatewaysOf(datacenter string) []*isthmusv1.Gateway {
	var out []*isthmusv1.Gateway
	for g := range resource.AllTouching[*isthmusv1.Gateway](x, resource.KindGateway, datacenter) {
		if g.GetDeleteTime() == nil {
			out = append(out, g)
		}
	}
	return out
}

// gatewayPresent is a rule of federations, and asked where a peering goes through gateways.
func (x *exam) gatewayPresent() []answer {
	out := x.rule(federation.CheckGateway)
	for d := range x.datacenters() {
		wants := x.throughGateways(d.GetName())
		if _, federated := x.memberships[d.GetName()]; federated || wants == "" {
			continue
		}
		sick, well := 0, 0
		for _, g := range x.gatewaysOf(d.GetName()) {
			if g.GetStatus().GetHealth() == healthCritical {
				sick++
			} else {
				well++
			}
		}
		switch {
		case well > 0:
			out = append(out, passes(d.GetName(), "%s has %s that others can dial", d.GetName(), counted(well, "mesh gateway", "mesh gateways")))
		case sick > 0:
			out = append(out, fails(d.GetName(), "none of the %d mesh gateways of %s is healthy, and %s goes through them", sick, d.GetName(), wants).fixed("see their checks in Consul"))
		default:
			out = append(out, fails(d.GetName(), "%s has no mesh gateway, and %s goes through them", d.GetName(), wants).
				fixed("run isthmus gateway there, or declare a Gateway with its wanAddress"))
		}
	}
	return out
}

// gatewayRegistered is asked of each enrolled gateway that is heard of: whether it got into its Consul.
func (x *exam) gatewayRegistered() []answer {
	return x.eachAgent(func(a *isthmusv1.Agent) (answer, bool) {
		dc := a.GetSpec().GetDatacenter()
		if a.GetSpec().GetKind() != resource.AgentKindGateway || a.GetStatus().GetLiveness() != resource.LivenessOnline {
			return answer{}, false
		}
		report, ok := x.of(dc).Gateways[a.GetName()]
		switch {
		case !ok:
			return unknown(dc, "%s has not told of itself yet", title(a)), true
		case !report.GetRegistered():
			return fails(dc, "%s is not registered in Consul: %s", title(a), cmp.Or(report.GetError(), "it has not come to that yet")).
				fixed("%s", fixOfRegistration(report.GetErrorReason())), true
		case report.GetErrorReason() != "":
			// What it did last may be undone by now.
			return fails(dc, "%s cannot make sure that it stands in Consul: %s", title(a), report.GetError()).fixed("%s", fixOfRegistration(report.GetErrorReason())), true
		}
		return passes(dc, "%s stands in Consul as a mesh gateway", title(a)), true
	})
}

func fixOfRegistration(reason string) string {
	switch reason {
	case reasonRuleMissing, reasonTokenUnknown:
		return "give it a token (CONSUL_HTTP_TOKEN_FILE) with the rules of isthmus agent policy --for gateway"
	case "ConsulUnreachable":
		return "start Consul there, or correct CONSUL_HTTP_ADDR of the gateway"
	}
	return "see its log on its host"
}

// gatewayMeta: Consul's servers ignore gateways without consul-wan-federation=1 for federation.
func (x *exam) gatewayMeta() []answer {
	return x.facts(func(d *isthmusv1.Datacenter, i *isthmusv1.InventoryReport) []answer {
		m, ok := x.memberships[d.GetName()]
		if !ok || m.Federation.GetSpec().GetMode() != resource.ModeMeshGateway || m.Role != resource.RolePrimary && !resource.Federated(m.Member) {
			return nil
		}
		var out []answer
		for _, g := range i.GetGateways() {
			subject := g.GetNode() + "/" + g.GetServiceId()
			if !g.GetWanFederation() {
				out = append(out, fails(d.GetName(), "mesh gateway %s on %s has not the meta consul-wan-federation=1: Consul's servers do not use it for Federation %s",
					g.GetServiceId(), g.GetNode(), m.Federation.GetName()).of(resource.KindGateway, subject).
					fixed("register it again with that meta: consul connect envoy -gateway=mesh -register -expose-servers (isthmus gateway does it by itself)"))
				continue
			}
			out = append(out, passes(d.GetName(), "mesh gateway %s on %s is for federation", g.GetServiceId(), g.GetNode()).of(resource.KindGateway, subject))
		}
		return out
	})
}

func (x *exam) gatewayReachable() []answer {
	out := x.rule(federation.CheckGatewayReachable)
	for d := range x.datacenters() {
		if _, federated := x.memberships[d.GetName()]; !federated && x.throughGateways(d.GetName()) != "" {
			out = append(out, x.reachesPeers(d.GetName())...)
		}
	}
	return out
}

// reachesPeers is whether a datacenter reaches the gateways of those that it is peered with through them: at one address of each at least.
func (x *exam) reachesPeers(datacenter string) []answer {
	if why := x.silence(datacenter); why != "" {
		return []answer{unknown(datacenter, "%s", why)}
	}
	good, bad := map[string]bool{}, map[string][]string{}
	for _, p := range x.of(datacenter).Federation.GetProbes() {
		if p.GetOk() {
			good[p.GetDatacenter()] = true
		} else {
			bad[p.GetDatacenter()] = append(bad[p.GetDatacenter()], p.GetAddress()+" "+p.GetErrorReason())
		}
	}
	var out []answer
	for _, to := range slices.Sorted(maps.Keys(bad)) {
		if !good[to] {
			out = append(out, fails(datacenter, "%s reaches no gateway of %s: %s", datacenter, to, strings.Join(bad[to], ", ")).of(resource.KindDatacenter, to).
				fixed("let hosts of %s connect to it: routing, firewall, load balancer; or correct its WAN address: see GatewayAddress", datacenter))
		}
	}
	if len(good) > 0 {
		out = append(out, passes(datacenter, "%s reaches the gateways of %s", datacenter, strings.Join(slices.Sorted(maps.Keys(good)), ", ")))
	}
	return out
}

// reachedFrom is what one datacenter found at an address of another.
type reachedFrom struct {
	from   string
	ok     bool
	reason string
}

// reached is who, of those that are heard of, has tried an address of a datacenter, and what came of it.
func (x *exam) reached(datacenter, address string) []reachedFrom {
	if x.reach == nil {
		x.reach = map[string]map[string][]reachedFrom{}
		for d := range x.datacenters() {
			s := x.of(d.GetName())
			if !s.Online {
				continue
			}
			for _, p := range s.Federation.GetProbes() {
				of := x.reach[p.GetDatacenter()]
				if of == nil {
					of = map[string][]reachedFrom{}
					x.reach[p.GetDatacenter()] = of
				}
				of[p.GetAddress()] = append(of[p.GetAddress()], reachedFrom{d.GetName(), p.GetOk(), p.GetErrorReason()})
			}
		}
	}
	return x.reach[datacenter][address]
}

// gatewayAddress is asked of the gateways of datacenters that need them: whether others can dial what Consul tells them to.
func (x *exam) gatewayAddress() []answer {
	var out []answer
	for d := range x.datacenters() {
		if x.needsGateway(d.GetName()) == "" {
			continue
		}
		for _, g := range x.of(d.GetName()).Inventory.GetGateways() {
			if g.GetWanAddress() == "" {
				out = append(out, fails(d.GetName(), "mesh gateway %s on %s is registered without a WAN address: nobody else can dial it", g.GetServiceId(), g.GetNode()).
					of(resource.KindGateway, g.GetNode()+"/"+g.GetServiceId()).fixed("register it with one: consul connect envoy -gateway=mesh -register -wan-address HOST:PORT"))
			}
		}
		for _, g := range x.gatewaysOf(d.GetName()) {
			out = append(out, x.addressOf(g).of(resource.KindGateway, g.GetName()))
		}
	}
	return out
}

const fixOfAddress = "give it an address that the others reach: --wan-address of isthmus gateway, -wan-address of consul connect envoy, spec.wanAddress of a Gateway that is declared"

// addressOf judges one gateway's WAN address: what somebody has reached is right, whatever it looks like.
func (x *exam) addressOf(g *isthmusv1.Gateway) answer {
	dc, address := g.GetSpec().GetDatacenter(), g.GetSpec().GetWanAddress()
	tried := x.reached(dc, address)
	var good, bad []string
	for _, t := range tried {
		if t.ok {
			good = append(good, t.from)
		} else {
			bad = append(bad, t.from+" ("+t.reason+")")
		}
	}
	if len(good) > 0 {
		return passes(dc, "others dial %s; %s reached it", address, resource.Some(good, mostNamed))
	}
	why := x.suspicious(g)
	switch {
	case why != "" && len(bad) > 0:
		return fails(dc, "others dial %s, which is %s: not reached from %s", address, why, resource.Some(bad, mostNamed)).fixed(fixOfAddress)
	case why != "":
		return fails(dc, "others dial %s, which is %s", address, why).fixed(fixOfAddress)
	case len(bad) > 0:
		return fails(dc, "others dial %s, and nobody reaches it: %s", address, resource.Some(bad, mostNamed)).
			fixed("see whether the gateway listens there (GatewayRegistered, AgentOnline), and whether firewalls and load balancers let it through; else %s", fixOfAddress)
	}
	return passes(dc, "others dial %s; nobody has tried yet", address)
}

// suspicious is what is wrong with how an address looks; empty: nothing.
func (x *exam) suspicious(g *isthmusv1.Gateway) string {
	host, port, err := net.SplitHostPort(g.GetSpec().GetWanAddress())
	if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || host == "" {
		return "not host:port"
	}
	if kind := unroutable(host); kind != "" {
		return kind
	}
	if !private(host) {
		return ""
	}
	dc := g.GetSpec().GetDatacenter()
	for _, other := range x.serversAt(host) {
		if other != dc {
			return "an address that a server of " + other + " has, too: their networks overlap"
		}
	}
	inside := g.GetSpec().GetWanAddress() == g.GetSpec().GetLanAddress()
	for _, own := range x.hosts[dc] {
		for _, other := range x.serversAt(own) {
			if inside && other != dc {
				return "its address inside, and the network of " + other + " overlaps with that of " + dc
			}
		}
	}
	for _, other := range slices.Sorted(maps.Keys(x.hosts)) {
		if other != dc && x.needsGateway(other) != "" && !slices.ContainsFunc(x.hosts[other], private) {
			return "a private address, and the servers of " + other + " are in no private network"
		}
	}
	return ""
}

// private tells whether a host is an address that means something else in every network.
func private(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsPrivate()
}

// serversAt are the datacenters that have a server with an address.
func (x *exam) serversAt(host string) []string {
	if x.hosts == nil {
		x.hosts, x.servers = map[string][]string{}, map[string][]string{}
		for d := range x.datacenters() {
			for _, address := range d.GetStatus().GetRpcAddresses() {
				if h, _, err := net.SplitHostPort(address); err == nil {
					x.hosts[d.GetName()] = append(x.hosts[d.GetName()], h)
					x.servers[h] = append(x.servers[h], d.GetName())
				}
			}
		}
	}
	return x.servers[host]
}

// unroutable is what kind of address a host is that no other machine can dial; empty: it is none.
func unroutable(host string) string {
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "localhost" || err == nil && ip.IsLoopback():
		return "a loopback address"
	case err != nil:
		return ""
	case ip.IsUnspecified():
		return "no address of a machine"
	case ip.IsLinkLocalUnicast():
		return "a link-local address"
	}
	return ""
}

// mostNamed is how many names a sentence lists at most.
const mostNamed = 5
