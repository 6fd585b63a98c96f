package policy

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"sync"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// realm is what shares one set of Consul's config entries: a datacenter of its own, or a federation, whose members have what is written in
// the primary.
type realm struct {
	// home is where entries are written.
	home string
	// members are the datacenters for which they count, the home among them, in order of their names.
	members []*isthmusv1.Datacenter
	// federation is its name; empty: a datacenter of its own.
	federation string
	// leaving are members on their way out. As long as they are connected, what keeps anybody out counts, and nothing else.
	leaving []*isthmusv1.Datacenter
	// ties are found when somebody asks for them first: most realms have no policy that does.
	ties func() ties
}

// ties are the peerings of a realm's members.
type ties struct {
	// peers are by member, if it has any, then by the name that its Consul has for the peer; leaving, in the same way, those on their way out,
	// or of members that are.
	peers, leaving map[string]map[string]peer
}

// peer is who is at the other end of a peering.
type peer struct {
	// datacenter is empty for an external one.
	datacenter string
	// peering that connects them.
	peering *isthmusv1.Peering
}

// realmOf is the realm that a datacenter is in as it stands: a secondary belongs to its federation once its Consul does. False for a
// datacenter that is not declared. It is found once in each view, shared, and never changed.
func realmOf(r resource.Reader, datacenter string) (realm, bool) {
	known, ok := r.(resource.Rememberer)
	if !ok {
		out := findRealm(r, datacenter)
		return out, out.has(datacenter)
	}
	out := known.Remember("realm of "+datacenter, func() any { return findRealm(r, datacenter) }).(realm)
	return out, out.has(datacenter)
}

func findRealm(r resource.Reader, datacenter string) realm {
	memberships := resource.Memberships(r)
	own, federated := memberships[datacenter]
	if !federated {
		return realmWith(r, datacenter, "", []string{datacenter})
	}
	home, federation := datacenter, ""
	names := map[string]bool{datacenter: true}
	if own.Role == resource.RolePrimary || resource.Federated(own.Member) {
		home, federation = own.Federation.GetSpec().GetPrimary(), own.Federation.GetName()
		names[home] = true
		for name, m := range memberships {
			if m.Federation.GetName() == federation && m.Role == resource.RoleSecondary && resource.Federated(m.Member) {
				names[name] = true
			}
		}
	}
	return realmWith(r, home, federation, slices.Sorted(maps.Keys(names)))
}

// realmWith is the realm of these datacenters, those left out that are not declared, or on their way out.
func realmWith(r resource.Reader, home, federation string, names []string) realm {
	out := realm{home: home, federation: federation}
	for _, name := range names {
		dc, ok := staying(r, name)
		switch {
		case ok:
			out.members = append(out.members, dc)
		case dc != nil:
			out.leaving = append(out.leaving, dc)
		}
	}
	members, leaving := out.members, out.leaving
	out.ties = sync.OnceValue(func() ties { return tiesOf(r, members, leaving) })
	return out
}

// tiesOf are the peerings of a realm's members.
func tiesOf(r resource.Reader, members, leaving []*isthmusv1.Datacenter) (out ties) {
	for _, dc := range members {
		peers, gone := peersOf(r, dc.GetName())
		out.peers, out.leaving = with(out.peers, dc.GetName(), peers), with(out.leaving, dc.GetName(), gone)
	}
	for _, dc := range leaving {
		out.leaving = with(out.leaving, dc.GetName(), peersOfLeaving(r, dc.GetName()))
	}
	return out
}

// with is a map with another value; of something that is not empty.
func with[V any](all map[string]map[string]V, key string, one map[string]V) map[string]map[string]V {
	if len(one) == 0 {
		return all
	}
	if all == nil {
		all = map[string]map[string]V{}
	}
	all[key] = one
	return all
}

// staying is a datacenter that is declared and not on its way out.
func staying(r resource.Reader, name string) (*isthmusv1.Datacenter, bool) {
	dc, ok := resource.Lookup[*isthmusv1.Datacenter](r, resource.KindDatacenter, name)
	return dc, ok && !resource.Departing(dc)
}

// peersOf are a datacenter's peers by the names that its Consul has for them. A peering that is being deleted does not count. Those on their
// way out are apart, until nothing of the peering is left.
func peersOf(r resource.Reader, datacenter string) (peers, leaving map[string]peer) {
	for p := range resource.AllTouching[*isthmusv1.Peering](r, resource.KindPeering, datacenter) {
		spec := p.GetSpec()
		name, other := spec.GetDialerPeerName(), spec.GetAcceptor()
		if spec.GetAcceptor() == datacenter {
			name, other = spec.GetAcceptorPeerName(), spec.GetDialer()
		}
		dc, ok := staying(r, other)
		switch {
		case !ok && dc != nil:
			if leaving == nil {
				leaving = map[string]peer{}
			}
			leaving[name] = peer{datacenter: other, peering: p}
		case p.GetDeleteTime() == nil && (ok || other == ""):
			if peers == nil {
				peers = map[string]peer{}
			}
			peers[name] = peer{datacenter: other, peering: p}
		}
	}
	return peers, leaving
}

// peersOfLeaving are all peers of a datacenter on its way out: they can call until nothing of the peering is left.
func peersOfLeaving(r resource.Reader, datacenter string) map[string]peer {
	out := map[string]peer{}
	for p := range resource.AllTouching[*isthmusv1.Peering](r, resource.KindPeering, datacenter) {
		spec := p.GetSpec()
		if spec.GetAcceptor() == datacenter {
			out[spec.GetAcceptorPeerName()] = peer{datacenter: spec.GetDialer(), peering: p}
		} else {
			out[spec.GetDialerPeerName()] = peer{datacenter: spec.GetAcceptor(), peering: p}
		}
	}
	return out
}

// closing tells whether all who are left in the realm are being removed, and somebody can still call them: what denies in their own Consul
// goes last there, too.
func (m realm) closing() bool {
	return len(m.members) == 0 && slices.ContainsFunc(m.leaving, func(dc *isthmusv1.Datacenter) bool {
		return len(m.ties().leaving[dc.GetName()]) > 0 && !resource.Departed(dc, resource.StepAgents)
	})
}

// has tells whether a datacenter is a member.
func (m realm) has(datacenter string) bool {
	_, ok := slices.BinarySearchFunc(m.members, datacenter, func(dc *isthmusv1.Datacenter, name string) int { return cmp.Compare(dc.GetName(), name) })
	return ok
}

// consulDatacenter is what Consul calls a datacenter.
func consulDatacenter(dc *isthmusv1.Datacenter) string {
	return cmp.Or(dc.GetSpec().GetConsulDatacenter(), dc.GetName())
}

// Homes are the datacenters in whose Consul an Intention's or TrafficPolicy's entries are written, in order of their names: each chosen
// datacenter, or the primary of its federation; also of one on its way out, where what denies counts as long as somebody is connected.
func Homes(r resource.Reader, o resource.Object) []string {
	var out []string
	for dc := range chosenBy(r, o) {
		m, _ := realmOf(r, dc.GetName())
		out = append(out, m.home)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// realmsOf are the realms of the datacenters that a policy chooses for itself, in order of their homes, as one of realmOf and wantedRealm
// finds them.
func realmsOf(r resource.Reader, o resource.Object, find func(resource.Reader, string) (realm, bool)) []realm {
	var out []realm
	known := map[string]bool{}
	for dc := range chosenBy(r, o) {
		if known[dc.GetName()] {
			continue
		}
		m, ok := find(r, dc.GetName())
		if !ok {
			continue
		}
		for _, member := range m.members {
			known[member.GetName()] = true
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b realm) int { return cmp.Compare(a.home, b.home) })
	return out
}

// chosenBy are the datacenters that a policy chooses for itself: where an Intention's destination runs, where a TrafficPolicy's callers do.
func chosenBy(r resource.Reader, o resource.Object) iter.Seq[*isthmusv1.Datacenter] {
	switch o := o.(type) {
	case *isthmusv1.Intention:
		d := o.GetSpec().GetDestination()
		return resource.Select(r, d.GetDatacenters(), d.GetSelector())
	case *isthmusv1.TrafficPolicy:
		return resource.Select(r, o.GetSpec().GetDatacenters(), o.GetSpec().GetSelector())
	}
	return func(func(*isthmusv1.Datacenter) bool) {}
}
