package federation

import (
	"cmp"
	"slices"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// gatewayPeer is a datacenter that is peered.
type gatewayPeer struct {
	datacenter string
	// serverName is what its servers are asked for; empty: they are not reached through gateways.
	serverName string
}

// throughGateways are the peers of a datacenter whose peerings go through gateways and whose trust domain is known, by name.
func throughGateways(r resource.Reader, datacenter string) []gatewayPeer {
	var out []gatewayPeer
	for p := range resource.AllTouching[*isthmusv1.Peering](r, resource.KindPeering, datacenter) {
		if peer, ok := peerBy(r, p, datacenter); ok && peer.serverName != "" {
			out = append(out, peer)
		}
	}
	slices.SortFunc(out, func(a, b gatewayPeer) int { return cmp.Compare(a.datacenter, b.datacenter) })
	return out
}

// peerBy is a datacenter's peer by one peering; false when there is none that is declared. Calls of services go through gateways to all of them;
// those whose control traffic does, too, have a serverName, once their trust domain is known.
func peerBy(r resource.Reader, p *isthmusv1.Peering, datacenter string) (gatewayPeer, bool) {
	name := p.GetSpec().GetDialer()
	switch {
	case p.GetDeleteTime() != nil:
		return gatewayPeer{}, false
	case name == datacenter:
		name = p.GetSpec().GetAcceptor()
	case p.GetSpec().GetAcceptor() != datacenter:
		return gatewayPeer{}, false
	}
	other, ok := resource.Lookup[*isthmusv1.Datacenter](r, resource.KindDatacenter, name)
	peer := gatewayPeer{datacenter: name}
	if p.GetSpec().GetThroughGateways() && other.GetStatus().GetTrustDomain() != "" {
		peer.serverName = "server." + consulName(r, name) + ".peering." + other.GetStatus().GetTrustDomain()
	}
	return peer, ok
}

// Peers are the gateways at the other ends of a datacenter's peerings, and go on from view to view: of an added peering, or a changed other end, at
// the cost of that one. They are always as if they were found from nothing. Not for several goroutines at a time.
type Peers struct {
	datacenter string
	// rows are of peers that have gateways, in order of the peers' names and then the peerings'.
	rows []peerRow
}

// peerRow is a peer by one peering.
type peerRow struct {
	gatewayPeer
	peering string
	// addresses are of its gateways, those that pass their checks first.
	addresses []string
}

func (p peerRow) compare(other peerRow) int {
	return cmp.Or(cmp.Compare(p.datacenter, other.datacenter), cmp.Compare(p.peering, other.peering))
}

func (p peerRow) equal(other peerRow) bool {
	return p.gatewayPeer == other.gatewayPeer && p.peering == other.peering && slices.Equal(p.addresses, other.addresses)
}

// NewPeers are those of a datacenter.
func NewPeers(r resource.Reader, datacenter string) *Peers {
	out := &Peers{datacenter: datacenter}
	for p := range resource.AllTouching[*isthmusv1.Peering](r, resource.KindPeering, datacenter) {
		if row := out.rowOf(r, p); len(row.addresses) > 0 {
			out.rows = append(out.rows, row)
		}
	}
	slices.SortFunc(out.rows, peerRow.compare)
	return out
}

// rowOf is the peer by one peering; without addresses, there is none.
func (p *Peers) rowOf(r resource.Reader, by *isthmusv1.Peering) peerRow {
	peer, ok := peerBy(r, by, p.datacenter)
	if !ok {
		return peerRow{}
	}
	return peerRow{gatewayPeer: peer, peering: by.GetName(), addresses: addressesOf(r, peer.datacenter)}
}

// LookAt looks at the other end of one peering, and tells whether anything of it is another.
func (p *Peers) LookAt(r resource.Reader, peering string) (changed bool) {
	by, _ := resource.Lookup[*isthmusv1.Peering](r, resource.KindPeering, peering)
	now := p.rowOf(r, by)
	was := slices.IndexFunc(p.rows, func(row peerRow) bool { return row.peering == peering })
	switch {
	case was < 0 && len(now.addresses) == 0, was >= 0 && p.rows[was].equal(now):
		return false
	case was >= 0:
		p.rows = slices.Delete(p.rows, was, was+1)
	}
	if len(now.addresses) > 0 {
		at, _ := slices.BinarySearchFunc(p.rows, now, peerRow.compare)
		p.rows = slices.Insert(p.rows, at, now)
	}
	return true
}

// Probes is the item of what the datacenter's leading agent tries again and again; nil: nothing.
func (p *Peers) Probes(r resource.Reader) *isthmusv1.DesiredItem {
	m, _ := resource.MembershipOf(r, p.datacenter)
	probes := p.probes(r, m)
	if probes == nil {
		return nil
	}
	return &isthmusv1.DesiredItem{Id: resource.ItemProbes, Type: resource.ItemProbes, Probes: probes}
}
