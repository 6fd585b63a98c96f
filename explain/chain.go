package explain

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// target is where calls go.
type target struct {
	subset, namespace, service string
	// datacenter as Consul calls it, or a peer's name in the Consul whose entries these are; one of both.
	datacenter, peer string
}

// String is the target in words.
func (t target) String() string {
	text := t.service
	if t.subset != "" {
		text += " (subset " + t.subset + ")"
	}
	if t.peer != "" {
		return text + " of peer " + t.peer
	}
	return text + " in " + t.datacenter
}

// way is one way that calls of a service go.
type way struct {
	target
	// share of the calls in percent, among those that match.
	share float64
	// when says which requests a route takes; empty: all.
	when string
	// failover is where they go when no instance of target is healthy, in order.
	failover []target
	// entries led there, as kind/name.
	entries []string
}

// chain is Consul's discovery chain, as far as it says where calls go: what a datacenter's service-router, service-splitter and
// service-resolver make of a service (see TestChain, which holds it against /v1/discovery-chain).
type chain struct {
	entries    []*isthmusv1.ReportedEntry
	datacenter string
	ways       []way
}

// maxHops bounds how many entries follow on each other; Consul refuses circles.
const maxHops = 16

// waysOf are the ways of a service's calls, evaluated in a datacenter (as Consul calls it).
func waysOf(entries []*isthmusv1.ReportedEntry, namespace, service, datacenter string) []way {
	c := &chain{entries: entries, datacenter: datacenter}
	c.route(way{target: target{namespace: namespace, service: service, datacenter: datacenter}, share: 100})
	return c.ways
}

// Consul's config entries, as far as they say where calls go.
type (
	destinationJSON struct{ Service, ServiceSubset, Namespace, Datacenter, Peer string }
	routerJSON      struct {
		Routes []struct {
			Match       map[string]any
			Destination *destinationJSON
		}
	}
	splitterJSON struct {
		Splits []struct {
			destinationJSON
			Weight float64
		}
	}
	resolverJSON struct {
		DefaultSubset string
		Redirect      *destinationJSON
		Failover      map[string]struct {
			destinationJSON
			Datacenters []string
			Targets     []destinationJSON
		}
	}
)

// entry reads the config entry of a kind for a service; false: there is none.
func (c *chain) entry(kind string, t target, into any) bool {
	e := findEntry(c.entries, kind, t.namespace, t.service)
	return e != nil && json.Unmarshal([]byte(e.GetJson()), into) == nil
}

func findEntry(entries []*isthmusv1.ReportedEntry, kind, namespace, name string) *isthmusv1.ReportedEntry {
	for _, e := range entries {
		if e.GetKind() == kind && strings.EqualFold(e.GetName(), name) && cmp.Or(e.GetNamespace(), defaultNamespace) == namespace {
			return e
		}
	}
	return nil
}

// route follows a service-router, which stands only at the beginning. What none of its routes takes goes the ordinary way.
func (c *chain) route(w way) {
	var router routerJSON
	if c.entry(policy.KindRouter, w.target, &router) {
		for n, r := range router.Routes {
			routed := w.to(r.Destination).by(policy.KindRouter, w.target)
			catchesAll := len(r.Match) == 0
			if !catchesAll {
				routed.when = fmt.Sprintf("requests that route %d matches", n+1)
			}
			c.split(routed, 0)
			if catchesAll {
				return
			}
		}
		if len(router.Routes) > 0 {
			w.when = "requests that no route matches"
		}
	}
	c.split(w, 0)
}

// split follows service-splitters, also from one to the next.
func (c *chain) split(w way, hops int) {
	var splitter splitterJSON
	if w.subset != "" || hops > maxHops || !c.entry(policy.KindSplitter, w.target, &splitter) || len(splitter.Splits) == 0 {
		c.resolve(w, hops)
		return
	}
	for _, s := range splitter.Splits {
		next := w.to(&s.destinationJSON).by(policy.KindSplitter, w.target)
		next.share = w.share * s.Weight / 100
		if same := next.target == w.target; same || next.subset != "" {
			c.resolve(next, hops+1)
			continue
		}
		c.split(next, hops+1)
	}
}

// resolve follows service-resolvers: redirects to their end, then the subset and the failover there.
func (c *chain) resolve(w way, hops int) {
	for ; hops <= maxHops && w.peer == ""; hops++ {
		var resolver resolverJSON
		if !c.entry(policy.KindResolver, w.target, &resolver) {
			break
		}
		if resolver.Redirect != nil {
			next := w.to(resolver.Redirect)
			if next.target != w.target {
				w = next.by(policy.KindResolver, w.target)
				continue
			}
		}
		w.subset = cmp.Or(w.subset, resolver.DefaultSubset)
		for _, subset := range []string{w.subset, "*"} {
			if f, ok := resolver.Failover[subset]; ok && (subset != "") {
				w = w.fallback(f.destinationJSON, f.Datacenters, f.Targets).by(policy.KindResolver, w.target)
				break
			}
		}
		break
	}
	c.ways = append(c.ways, w)
}

// to is the way on to what an entry says; what it does not say stays.
func (w way) to(d *destinationJSON) way {
	if d != nil {
		w.target = w.next(*d)
	}
	w.entries = slices.Clone(w.entries)
	return w
}

func (t target) next(d destinationJSON) target {
	out := target{
		subset: d.ServiceSubset, namespace: cmp.Or(d.Namespace, t.namespace), service: cmp.Or(d.Service, t.service),
		datacenter: cmp.Or(d.Datacenter, t.datacenter),
	}
	if d.Peer != "" {
		out.datacenter, out.peer = "", d.Peer
	}
	return out
}

// by notes the entry of a service that led on.
func (w way) by(kind string, of target) way {
	w.entries = append(slices.Clone(w.entries), kind+"/"+of.service)
	return w
}

// fallback notes where calls go when nothing is healthy; the target itself is left out, as Consul does.
func (w way) fallback(d destinationJSON, datacenters []string, targets []destinationJSON) way {
	all := targets
	switch {
	case len(targets) > 0:
	case len(datacenters) == 0:
		all = []destinationJSON{d}
	default:
		for _, dc := range datacenters {
			one := d
			one.Datacenter = dc
			all = append(all, one)
		}
	}
	for _, d := range all {
		if t := w.next(d); t != w.target {
			w.failover = append(w.failover, t)
		}
	}
	return w
}

// alias is a virtual service that leads to another one.
type alias struct {
	from, to     place
	entry, owner string
}

// follow goes on from virtual services, which have no instances, to what they stand for.
func (w *walk) follow() {
	for range maxHops {
		s := w.of(w.dst.Datacenter)
		if w.dst.external || s.Services.Body == nil || w.service(w.dst.Datacenter, w.dst.Service, "") != nil {
			return
		}
		ways := waysOf(s.Entries.Body.GetEntries(), w.dst.Namespace, w.dst.Service, w.consulName(w.dst.Datacenter))
		if len(ways) != 1 || ways[0].service == w.dst.Service || len(ways[0].entries) == 0 {
			return
		}
		to, ok := w.placeOf(w.dst.Datacenter, ways[0].target)
		if !ok {
			return
		}
		entry := ways[0].entries[len(ways[0].entries)-1]
		w.aliases = append(w.aliases, alias{from: w.dst, to: to, entry: entry, owner: w.ownerOf(w.dst.Datacenter, entry)})
		w.dst = to
	}
}

// consulName is what Consul calls a datacenter.
func (w *walk) consulName(datacenter string) string {
	dc, _ := resource.Lookup[*isthmusv1.Datacenter](w, resource.KindDatacenter, datacenter)
	return cmp.Or(dc.GetSpec().GetConsulDatacenter(), datacenter)
}

// placeOf is a target as a place of the fleet, seen from a datacenter; false: nobody knows it.
func (w *walk) placeOf(seenFrom string, t target) (place, bool) {
	out := place{Endpoint: Endpoint{Namespace: t.namespace, Service: t.service}}
	if t.peer != "" {
		for p := range resource.AllTouching[*isthmusv1.Peering](w, resource.KindPeering, seenFrom) {
			spec := p.GetSpec()
			other, external := spec.GetDialer(), spec.GetExternalDialer()
			name := spec.GetAcceptorPeerName()
			if spec.GetDialer() == seenFrom {
				other, external, name = spec.GetAcceptor(), spec.GetExternalAcceptor(), spec.GetDialerPeerName()
			}
			if name == t.peer {
				out.Datacenter, out.external = other+external, external != ""
				return out, true
			}
		}
		return out, false
	}
	for _, name := range w.realm(seenFrom) {
		if w.consulName(name) == t.datacenter {
			out.Datacenter = name
			return out, true
		}
	}
	return out, false
}

// realm are the datacenters that share their config entries with one, itself first.
func (w *walk) realm(datacenter string) []string {
	out := []string{datacenter}
	m, ok := resource.MembershipOf(w, datacenter)
	if !ok {
		return out
	}
	all := resource.Memberships(w)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if all[name].Federation.GetName() == m.Federation.GetName() && name != datacenter {
			out = append(out, name)
		}
	}
	return out
}
