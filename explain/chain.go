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
	// entries by kind, namespace and name; those that were read already, too.
	entries map[entryKey]*isthmusv1.ReportedEntry
	read    map[entryKey]any
	ways    []way
	// visits are the entries, and targets of failovers, that were looked at.
	visits int
	// more: it leads on, further than anybody follows it.
	more bool
}

type entryKey struct{ kind, namespace, name string }

func keyOf(kind, namespace, name string) entryKey {
	return entryKey{kind: kind, namespace: namespace, name: strings.ToLower(name)} // Consul finds services without regard to case
}

const (
	// maxHops bounds how many entries follow on each other; Consul refuses circles.
	maxHops = 16
	// maxWays and maxVisits bound what is followed: a few splitters that lead to each other's services make millions of ways.
	maxWays   = 1000
	maxVisits = 10000
)

// waysOf are the ways of a service's calls, evaluated in a datacenter (as Consul calls it). Not all: there are more than are followed.
func waysOf(entries []*isthmusv1.ReportedEntry, namespace, service, datacenter string) (ways []way, all bool) {
	c := &chain{entries: map[entryKey]*isthmusv1.ReportedEntry{}, read: map[entryKey]any{}}
	for _, e := range entries {
		if key := keyOf(e.GetKind(), cmp.Or(e.GetNamespace(), defaultNamespace), e.GetName()); c.entries[key] == nil {
			c.entries[key] = e
		}
	}
	c.route(way{target: target{namespace: namespace, service: service, datacenter: datacenter}, share: 100})
	return c.ways, !c.more
}

// full counts what is looked at next, and tells that nothing more is.
func (c *chain) full(next int) bool {
	c.visits += next
	c.more = c.more || len(c.ways) >= maxWays || c.visits > maxVisits
	return c.more
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

// entryOf reads the config entry of a kind for a service; nil: there is none.
func entryOf[T any](c *chain, kind string, t target) *T {
	key := keyOf(kind, t.namespace, t.service)
	if known, ok := c.read[key].(*T); ok {
		return known
	}
	var out *T
	if e := c.entries[key]; e != nil {
		out = new(T)
		if json.Unmarshal([]byte(e.GetJson()), out) != nil {
			out = nil
		}
	}
	c.read[key] = out
	return out
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
	if router := entryOf[routerJSON](c, policy.KindRouter, w.target); router != nil {
		for n, r := range router.Routes {
			if c.full(1) {
				return
			}
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
	splitter := entryOf[splitterJSON](c, policy.KindSplitter, w.target)
	if w.subset != "" || hops > maxHops || splitter == nil || len(splitter.Splits) == 0 {
		c.resolve(w, hops)
		return
	}
	for _, s := range splitter.Splits {
		if c.full(1) {
			return
		}
		next := w.to(&s.destinationJSON).by(policy.KindSplitter, w.target)
		next.share = w.share * max(0, min(s.Weight, 100)) / 100
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
		if c.full(1) {
			return
		}
		resolver := entryOf[resolverJSON](c, policy.KindResolver, w.target)
		if resolver == nil {
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
				if c.full(len(f.Datacenters) + len(f.Targets)) {
					return
				}
				w = w.fallback(f.destinationJSON, f.Datacenters, f.Targets).by(policy.KindResolver, w.target)
				break
			}
		}
		break
	}
	if !c.full(0) {
		c.ways = append(c.ways, w)
	}
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
		ways, all := waysOf(s.Entries.Body.GetEntries(), w.dst.Namespace, w.dst.Service, w.consulName(w.dst.Datacenter))
		if !all || len(ways) != 1 || ways[0].service == w.dst.Service || len(ways[0].entries) == 0 {
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
	around := w.around(seenFrom)
	out, ok := around.datacenters[t.datacenter]
	if t.peer != "" {
		out, ok = around.peers[t.peer]
	}
	out.Namespace, out.Service = t.namespace, t.service
	return out, ok
}

// vicinity are the places that one datacenter's Consul has names for.
type vicinity struct{ peers, datacenters map[string]place }

// around is put together once: there may be a thousand peers, and as many targets that ask for one.
func (w *walk) around(seenFrom string) vicinity {
	if known, ok := w.vicinities[seenFrom]; ok {
		return known
	}
	out := vicinity{peers: map[string]place{}, datacenters: map[string]place{}}
	add := func(to map[string]place, name, datacenter string, external bool) {
		if _, taken := to[name]; !taken {
			to[name] = place{Endpoint: Endpoint{Datacenter: datacenter}, external: external}
		}
	}
	for p := range resource.AllTouching[*isthmusv1.Peering](w, resource.KindPeering, seenFrom) {
		spec := p.GetSpec()
		other, external := spec.GetDialer(), spec.GetExternalDialer()
		name := spec.GetAcceptorPeerName()
		if spec.GetDialer() == seenFrom {
			other, external, name = spec.GetAcceptor(), spec.GetExternalAcceptor(), spec.GetDialerPeerName()
		}
		add(out.peers, name, other+external, external != "")
	}
	for _, name := range w.realm(seenFrom) {
		add(out.datacenters, w.consulName(name), name, false)
	}
	w.vicinities[seenFrom] = out
	return out
}

// realm are the datacenters that share their config entries with one, itself first.
func (w *walk) realm(datacenter string) []string {
	out := []string{datacenter}
	m, ok := resource.MembershipOf(w, datacenter)
	if !ok || !shares(m) {
		return out
	}
	all := resource.Memberships(w)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if all[name].Federation.GetName() == m.Federation.GetName() && name != datacenter && shares(all[name]) {
			out = append(out, name)
		}
	}
	return out
}

// shares tells whether a member has its config entries in common with others, or may: who only waits to join has not.
func shares(m resource.Membership) bool {
	return m.Role == resource.RolePrimary || resource.Federated(m.Member)
}
