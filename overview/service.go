package overview

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

const (
	// maxFederated is how many other members of its federation one place names.
	maxFederated = 100
	// maxWeight is how many places, and names of datacenters in them, one page has: a service may be in a thousand datacenters, and a hundred such
	// services are more than anybody reads, or wants to be sent.
	maxWeight = 20_000
)

// Catalog is what is known of the services of one datacenter.
type Catalog struct {
	// Services is its last report, as it is since Time; nil: none yet.
	Services *isthmusv1.ServicesReport
	Time     time.Time
	// Current: its agent is heard of, and sees its Consul.
	Current bool
	// Exports is what its Consul exports of what isthmus wants; nil: nothing.
	Exports *isthmusv1.ExportsReport
}

// ServicesQuery chooses services.
type ServicesQuery struct {
	// Text is a part of the name, without regard to case; empty: all.
	Text string
	// Datacenter has it, imports it, or sees it as a member of a federation; empty: any.
	Datacenter string
	// After is the last name of the page before; empty: from the first on. Size is how many services a page has; it ends earlier when they are in very
	// many places.
	After string
	Size  int
}

// ServicesPage is one page of services by name.
type ServicesPage struct {
	Services []*isthmusv1.FleetService
	// More: there are others after the last one.
	More bool
	// Total are all that were chosen, on all pages.
	Total int
}

// Services are services by name over all datacenters.
func Services(r resource.Reader, of func(datacenter string) Catalog, q ServicesQuery) ServicesPage {
	x := &survey{Reader: r, found: map[string][]sighting{}, peers: map[string]map[string]string{}, federated: map[string][]string{}, memberships: resource.Memberships(r)}
	x.gather(of, q)
	names := slices.Sorted(maps.Keys(x.found))
	out := ServicesPage{Total: len(names)}
	first, _ := slices.BinarySearchFunc(names, q.After, func(name, after string) int {
		if q.After != "" && name <= after {
			return -1
		}
		return 1
	})
	weight := 0
	for _, name := range names[first:] {
		if len(out.Services) == q.Size || weight > maxWeight {
			out.More = true
			break
		}
		s := x.service(name)
		for _, p := range s.GetPlaces() {
			weight += 1 + len(p.GetExportedTo()) + len(p.GetFederatedTo())
		}
		out.Services = append(out.Services, s)
	}
	return out
}

// sighting is a service as one datacenter's agent saw it.
type sighting struct {
	*isthmusv1.CatalogService
	place *catalogue
}

// catalogue is what is known of the services of a datacenter of that name.
type catalogue struct {
	Catalog
	name string
	time *timestamppb.Timestamp
	// exports are the peers that a service is exported to, by its name; * is every service.
	exports map[string][]string
}

// survey is one look at the services of a fleet.
type survey struct {
	resource.Reader
	memberships map[string]resource.Membership
	// found are sightings by the service's name, in order of the datacenters.
	found map[string][]sighting
	// peers are the datacenters, or other operators' clusters, at the other ends of a datacenter's peerings, by datacenter and the peer's name.
	peers map[string]map[string]string
	// federated are the others that see a datacenter's services as members of the same federation.
	federated map[string][]string
}

// gather finds the services that are chosen.
func (x *survey) gather(of func(datacenter string) Catalog, q ServicesQuery) {
	text := strings.ToLower(q.Text)
	chosen := map[string]bool{}
	for dc := range resource.All[*isthmusv1.Datacenter](x, resource.KindDatacenter) {
		c := &catalogue{Catalog: of(dc.GetName()), name: dc.GetName()}
		if c.Services == nil {
			continue
		}
		c.time = timestamppb.New(c.Time)
		shown := c.name == q.Datacenter || x.together(c.name, q.Datacenter)
		for _, s := range c.Services.GetServices() {
			if text != "" && !strings.Contains(strings.ToLower(s.GetName()), text) {
				continue
			}
			x.found[s.GetName()] = append(x.found[s.GetName()], sighting{s, c})
			if shown && (c.name == q.Datacenter || s.GetPeer() == "") {
				chosen[s.GetName()] = true
			}
		}
	}
	if q.Datacenter != "" {
		maps.DeleteFunc(x.found, func(name string, _ []sighting) bool { return !chosen[name] })
	}
}

// joined tells whether a datacenter is in a federation, proven by reads, and in which.
func (x *survey) joined(datacenter string) (string, bool) {
	m := x.memberships[datacenter]
	return m.Federation.GetName(), m.Member.GetPhase() == resource.PhaseJoined
}

// together tells whether two datacenters see each other's services as members of one federation.
func (x *survey) together(one, other string) bool {
	a, joined := x.joined(one)
	b, too := x.joined(other)
	return joined && too && a == b && one != other
}

// service is everything of one.
func (x *survey) service(name string) *isthmusv1.FleetService {
	out := &isthmusv1.FleetService{Name: name}
	importers := map[string][]string{}
	for _, s := range x.found[name] {
		p := &isthmusv1.ServicePlace{
			Datacenter: s.place.name, Peer: s.GetPeer(), Instances: s.GetInstances(), Healthy: s.GetHealthy(), Mesh: s.GetMesh(),
			ObserveTime: s.place.time, Current: s.place.Current,
		}
		if p.GetPeer() != "" {
			if from := x.peersOf(p.GetDatacenter())[p.GetPeer()]; x.ours(from) {
				p.From = from
				importers[from] = append(importers[from], p.GetDatacenter())
			}
		} else {
			out.Instances += p.GetInstances()
			out.Healthy += p.GetHealthy()
			p.ExportedTo = x.exported(s.place, name)
			p.FederatedTo = x.federatedTo(p.GetDatacenter())
		}
		out.Places = append(out.Places, p)
	}
	for _, p := range out.GetPlaces() {
		if p.GetPeer() == "" {
			p.ExportedTo = unique(append(p.GetExportedTo(), importers[p.GetDatacenter()]...))
		}
	}
	slices.SortFunc(out.Places, func(a, b *isthmusv1.ServicePlace) int {
		own := func(p *isthmusv1.ServicePlace) int { return min(len(p.GetPeer()), 1) }
		return cmp.Or(cmp.Compare(own(a), own(b)), cmp.Compare(a.GetDatacenter(), b.GetDatacenter()), cmp.Compare(a.GetPeer(), b.GetPeer()))
	})
	return out
}

func unique(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// ours tells whether a peer is a datacenter of the fleet, and not another operator's.
func (x *survey) ours(name string) bool {
	_, ok := x.Get(resource.KindDatacenter, name)
	return ok
}

// exported are the datacenters that a service's own Consul exports it to: another operator's, and a peer that isthmus knows nothing of, by their
// names.
func (x *survey) exported(c *catalogue, name string) []string {
	if c.exports == nil {
		c.exports = map[string][]string{}
		for _, e := range c.Exports.GetExports() {
			if ns := e.GetNamespace(); ns == "" || ns == defaultNamespace || ns == every {
				c.exports[e.GetName()] = append(c.exports[e.GetName()], e.GetPeers()...)
			}
		}
	}
	var out []string
	for _, peer := range slices.Concat(c.exports[name], c.exports[every]) {
		out = append(out, cmp.Or(x.peersOf(c.name)[peer], peer))
	}
	return out
}

const (
	// defaultNamespace is where agents look for services.
	defaultNamespace = "default"
	// every stands for all services, or namespaces, in an export.
	every = "*"
)

// peersOf are the datacenters and other operators' clusters that a datacenter is peered with, by the name that its Consul has for them.
func (x *survey) peersOf(datacenter string) map[string]string {
	if known, ok := x.peers[datacenter]; ok {
		return known
	}
	out := map[string]string{}
	for p := range resource.AllTouching[*isthmusv1.Peering](x, resource.KindPeering, datacenter) {
		spec := p.GetSpec()
		if spec.GetAcceptor() == datacenter {
			out[spec.GetAcceptorPeerName()] = cmp.Or(spec.GetDialer(), spec.GetExternalDialer())
		} else {
			out[spec.GetDialerPeerName()] = cmp.Or(spec.GetAcceptor(), spec.GetExternalAcceptor())
		}
	}
	x.peers[datacenter] = out
	return out
}

// federatedTo are the other members of a datacenter's federation that see what it has, at most maxFederated.
func (x *survey) federatedTo(datacenter string) []string {
	name, joined := x.joined(datacenter)
	if !joined {
		return nil
	}
	members, known := x.federated[name]
	if !known {
		for _, m := range x.memberships[datacenter].Federation.GetStatus().GetMembers() {
			if x.together(m.GetDatacenter(), datacenter) || m.GetDatacenter() == datacenter {
				members = append(members, m.GetDatacenter())
			}
		}
		slices.Sort(members)
		x.federated[name] = members
	}
	out := make([]string, 0, min(len(members), maxFederated))
	for _, m := range members {
		if m != datacenter && len(out) < maxFederated {
			out = append(out, m)
		}
	}
	return out
}
