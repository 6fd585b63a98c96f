package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// place is where a target is, as the realm's Consul names it; with neither datacenter nor peer it is the caller's own datacenter.
type place struct {
	datacenter, peer string
	// suffix of the virtual services that stand for services there: -at-dc2, whether it is the caller's own, one of the federation or a peer;
	// -via-acme for an external peer. Empty where none is named.
	suffix string
}

// What is between a service and a datacenter or an external peer in the name of a virtual service.
const (
	atSuffix  = "-at-"
	viaSuffix = "-via-"
)

func (p place) own() bool { return p.datacenter == "" && p.peer == "" }

// wayfinder finds where targets are, and remembers what is the same for all policies of the realm.
type wayfinder struct {
	c *compilation
	// reachable are the datacenters of the realm and those that a member is peered with, in order of their names.
	reachable []*isthmusv1.Datacenter
	// peerNames are what each member's Consul calls the datacenters that it is peered with.
	peerNames map[string]map[string]string
	// exports are the ServiceExports, and secondaries those datacenters which cannot export; both only where warnings are looked for.
	exports     []*isthmusv1.ServiceExport
	secondaries map[string]string
}

func newWayfinder(c *compilation) *wayfinder {
	f := &wayfinder{c: c, peerNames: map[string]map[string]string{}}
	known := map[string]*isthmusv1.Datacenter{}
	for _, dc := range c.realm.members {
		known[dc.GetName()] = dc
		peers := map[string]string{}
		for name, p := range c.realm.ties().peers[dc.GetName()] {
			if other, ok := resource.Lookup[*isthmusv1.Datacenter](c.r, resource.KindDatacenter, p.datacenter); ok {
				known[p.datacenter] = other
				if first, twice := peers[p.datacenter]; !twice || name < first {
					peers[p.datacenter] = name
				}
			}
		}
		f.peerNames[dc.GetName()] = peers
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		f.reachable = append(f.reachable, known[name])
	}
	if !c.quiet {
		f.secondaries = secondaries(c.r)
		for e := range resource.All[*isthmusv1.ServiceExport](c.r, resource.KindServiceExport) {
			f.exports = append(f.exports, e)
		}
	}
	return f
}

// place is where a target is; false when the realm cannot reach it, which is noted.
func (w waysOf) place(field, service, namespace string, t *isthmusv1.TrafficTarget) (place, bool) {
	switch {
	case t.GetDatacenter() != "":
		dc, ok := resource.Lookup[*isthmusv1.Datacenter](w.c.r, resource.KindDatacenter, t.GetDatacenter())
		if !ok {
			return place{}, false // a reference that does not stand: refused when it was written
		}
		at, ok := w.datacenter(field, dc)
		if ok {
			w.exported(field, service, namespace, dc, at)
		}
		return at, ok
	case t.GetPeer() != "":
		return w.external(field, t.GetPeer())
	}
	return place{}, true
}

// datacenter is where a declared datacenter is: the caller's own, one of the federation, or a peer, which has to be one of every member and
// under the same name, since the entry counts for all of them.
func (w waysOf) datacenter(field string, dc *isthmusv1.Datacenter) (place, bool) {
	m := w.c.realm
	name := dc.GetName()
	if m.has(name) {
		at := place{suffix: atSuffix + name}
		if len(m.members) > 1 {
			at.datacenter = consulDatacenter(dc)
		}
		return at, true
	}
	peers, lacking := map[string]bool{}, []string(nil)
	for _, member := range m.members {
		peer, ok := w.peerNames[member.GetName()][name]
		if !ok {
			lacking = append(lacking, member.GetName())
			continue
		}
		peers[peer] = true
	}
	if len(peers) == 1 && len(lacking) == 0 {
		return place{peer: slices.Sorted(maps.Keys(peers))[0], suffix: atSuffix + name}, true
	}
	if len(peers) == 0 {
		if !w.c.quiet {
			w.problem(field, ReasonNotConnected, "connect them by a Peering or a Federation",
				"%s: no Peering connects it with %s, nor does a Federation, so that no calls go there yet", name, resource.Some(names(m.members), mostNamed))
		}
		return place{}, false
	}
	w.notShared(field, name, slices.Sorted(maps.Keys(peers)), lacking)
	return place{}, false
}

func (w waysOf) notShared(field, name string, peers, lacking []string) {
	why := fmt.Sprintf("its members call it %s", resource.Some(peers, mostNamed))
	if len(lacking) > 0 {
		why = resource.Some(lacking, mostNamed) + " has no such peer"
	}
	w.problem(field, ReasonPeerNotShared, "peer it with all members, under the same name (acceptorPeerName, dialerPeerName)",
		"%s: Consul has one set of entries for all of Federation %s, and %s, so that no calls go there", name, w.c.realm.federation, why)
}

// external is where an external peer is. One that isthmus knows nothing of is taken as it is named: somebody may have peered with it by
// hand.
func (w waysOf) external(field, name string) (place, bool) {
	who, lacking := map[string]bool{}, []string(nil)
	for _, member := range w.c.realm.members {
		if p, ok := w.c.realm.ties().peers[member.GetName()][name]; ok {
			who[cmp.Or(p.datacenter, p.peering.GetSpec().GetExternalAcceptor(), p.peering.GetSpec().GetExternalDialer())] = true
		} else {
			lacking = append(lacking, member.GetName())
		}
	}
	switch {
	case len(who) > 1:
		w.problem(field, ReasonPeerNotShared, "give the peerings names (acceptorPeerName, dialerPeerName) that mean the same peer in all members",
			"peer %s is %s in members of Federation %s, and Consul has one set of entries for all of it", name, resource.Some(slices.Sorted(maps.Keys(who)), mostNamed), w.c.realm.federation)
		return place{}, false
	case len(who) == 1 && len(lacking) > 0:
		w.notShared(field, "peer "+name, nil, lacking)
		return place{}, false
	}
	return place{peer: name, suffix: viaSuffix + name}, true
}

// exported notes that nothing exports a service to those who shall call it at a peer.
func (w waysOf) exported(field, service, namespace string, dc *isthmusv1.Datacenter, at place) {
	if w.c.quiet || at.peer == "" {
		return
	}
	if federation, secondary := w.secondaries[dc.GetName()]; secondary {
		w.problem(field, ReasonNotExported, "let the calls go to the primary",
			"%s is a secondary of Federation %s, and Consul lets only the primary export", dc.GetName(), federation)
		return
	}
	var out []string
	for _, member := range w.c.realm.members {
		theirs := ""
		peers, _ := peersOf(w.c.r, dc.GetName())
		for name, p := range peers {
			if p.datacenter == member.GetName() {
				theirs = name
			}
		}
		exports := func(e *isthmusv1.ServiceExport) bool {
			spec := e.GetSpec()
			of := (spec.GetService() == service || spec.GetService() == resource.AnyService) && cmp.Or(spec.GetNamespace(), defaultNamespace) == namespace
			return of && slices.Contains(consumers(w.c.r, e, dc, []neighbour{{datacenter: member, peerName: theirs}}), theirs)
		}
		if !slices.ContainsFunc(w.exports, exports) {
			out = append(out, member.GetName())
		}
	}
	if len(out) > 0 {
		w.problem(field, ReasonNotExported, fmt.Sprintf("apply a ServiceExport of %s with datacenters: [%s] and these consumers", service, dc.GetName()),
			"no ServiceExport exports %s from %s to %s, so that calls which go there find no instance", service, dc.GetName(), resource.Some(out, mostNamed))
	}
}
