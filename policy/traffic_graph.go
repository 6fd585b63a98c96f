package policy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"isthmus/resource"
)

// graph is where the ways of a realm send calls. It takes one way after another and refuses what Consul would refuse beside those before,
// and what would make them mean something else.
type graph struct {
	// parts are those that were taken, by the service whose entry they are in.
	parts map[serviceKey][]placed
	// exported are the services that are exported to peers, and everything that their calls may come to.
	exported map[serviceKey]exposure
	// everything is the export of all services of a namespace.
	everything map[string]string
}

// exposure is how calls of peers come to a service.
type exposure struct {
	// by is the ServiceExport.
	by string
	// depth says which of its entries they come by.
	depth depth
}

// depth is how far up a service's entries calls begin: what is redirected or failed over to has no share of its split, and what is routed
// or split to is not routed again.
type depth int

const (
	atResolver depth = iota + 1
	atSplitter
	atRouter
)

// depthOf is the depth at which a kind of entry counts (of), and the one at which its targets are called (next).
func depthOf(kind string) (of, next depth) {
	switch kind {
	case KindRouter:
		return atRouter, atSplitter
	case KindSplitter:
		return atSplitter, atSplitter
	}
	return atResolver, atResolver
}

// placed is a part that was taken, with the field of its policy that it comes from.
type placed struct {
	part
	field string
}

// refusal is why a way does not count.
type refusal struct {
	reason, message, fix string
	// other is the policy that it contradicts, as Kind/name, and the field there.
	other, otherField string
	// subject is what they contradict each other about.
	subject string
}

// newGraph is empty; but for says which ServiceExport to take as if it were not there.
func newGraph(r resource.Reader, home, but string) *graph {
	g := &graph{parts: map[serviceKey][]placed{}, exported: map[serviceKey]exposure{}, everything: map[string]string{}}
	for _, s := range Exports(r, home).GetServices() {
		by := slices.DeleteFunc(slices.Clone(s.GetExports()), func(name string) bool { return name == but })
		if len(by) == 0 {
			continue
		}
		if s.GetName() == resource.AnyService {
			g.everything[s.GetNamespace()] = by[0]
			continue
		}
		g.exported[nodeOf(s.GetNamespace(), s.GetName())] = exposure{by[0], atRouter}
	}
	return g
}

// nodeOf is a service as Consul tells names of config entries apart: not by capitals.
func nodeOf(namespace, name string) serviceKey {
	return serviceKey{namespace: cmp.Or(namespace, defaultNamespace), name: strings.ToLower(name)}
}

func (p part) node() serviceKey { return nodeOf(p.namespace, p.name) }

// add takes a way, or says why not.
func (g *graph) add(w way) *refusal {
	if r := g.contradiction(w); r != nil {
		return r
	}
	if r := g.circle(w); r != nil {
		return r
	}
	seen, r := g.exposes(w)
	if r != nil {
		return r
	}
	maps.Copy(g.exported, seen)
	for _, p := range w.parts {
		g.parts[p.node()] = append(g.parts[p.node()], placed{p, w.field})
	}
	return nil
}

// contradiction finds who wants the same part of an entry with different content, or something that a redirect leaves nothing of.
func (g *graph) contradiction(w way) *refusal {
	for _, p := range w.parts {
		for _, known := range g.parts[p.node()] {
			same := known.kind == p.kind && known.key == p.key
			if same && known.name == p.name && encoded(known.value) == encoded(p.value) {
				continue
			}
			redirects := (known.key == keyRedirect) != (p.key == keyRedirect) && known.kind != KindDefaults && p.kind != KindDefaults
			if !same && !redirects {
				continue
			}
			subject := p.kind + "/" + p.name
			out := &refusal{
				reason: ReasonContradicts, other: known.policy, otherField: known.field, subject: subject,
				message: fmt.Sprintf("%s wants something else for %s in its %s", known.policy, subject, known.field),
				fix:     "let one policy say it, for datacenters that no other one chooses, or let both say the same",
			}
			if known.policy == policyName(w.policy) {
				out.other = "" // two fields of one policy, which come to the same virtual service
			}
			return out
		}
	}
	return nil
}

func encoded(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return "" // strings, numbers and lists: there is no such error
	}
	return string(text)
}

// at are the parts in a service's entries, with those of a way that is not taken yet.
func (g *graph) at(node serviceKey, w way) []part {
	var out []part
	for _, p := range g.parts[node] {
		out = append(out, p.part)
	}
	for _, p := range w.parts {
		if p.node() == node {
			out = append(out, p)
		}
	}
	return out
}

// next are the services that a part sends calls to, without those of peers, whose config entries are their own.
func (p part) next() []serviceKey {
	var out []serviceKey
	add := func(namespace, service string) {
		out = append(out, nodeOf(cmp.Or(namespace, p.namespace), cmp.Or(service, p.name)))
	}
	switch v := p.value.(type) {
	case targetValue:
		add(v.Namespace, v.Service)
	case failoverValue:
		for _, t := range v.Targets {
			if t.Peer == "" {
				add(t.Namespace, t.Service)
			}
		}
	case []splitValue:
		for _, s := range v {
			add(s.Namespace, s.Service)
		}
	case []routeValue:
		for _, r := range v {
			if r.Destination != nil {
				add(r.Destination.Namespace, r.Destination.Service)
			}
		}
	}
	return out
}

// circle finds calls that are sent round: by redirects, which Consul follows by the service's name whatever datacenter or peer they name,
// or by splits of splits.
func (g *graph) circle(w way) *refusal {
	for _, key := range []string{keyRedirect, keySplits} {
		for _, p := range w.parts {
			if p.key != key {
				continue
			}
			if round := g.round(w, key, []serviceKey{p.node()}, map[serviceKey]bool{}); round != nil {
				return &refusal{
					reason: ReasonCircular, fix: "let it end at a service of which nothing like it is said",
					message: "sends calls round in a circle: " + strings.Join(round, " → "),
				}
			}
		}
	}
	return nil
}

// round is the way on from the end of path to its beginning; nil: there is none. Seen are the nodes from which there is none.
func (g *graph) round(w way, key string, path []serviceKey, seen map[serviceKey]bool) []string {
	node := path[len(path)-1]
	seen[node] = true
	for _, p := range g.at(node, w) {
		if p.key != key {
			continue
		}
		for _, next := range p.next() {
			switch {
			case next == node: // to itself: elsewhere, or its own share
			case next == path[0]:
				var out []string
				for _, n := range path {
					out = append(out, n.name)
				}
				return append(out, next.name)
			case !seen[next]:
				if round := g.round(w, key, append(path, next), seen); round != nil {
					return round
				}
			}
		}
	}
	return nil
}

// exposes finds what Consul refuses of services that are exported to peers: anything that sends their calls to another datacenter of the
// federation, or redirects them to a peer, however many services they go through. Failover to peers is fine. Seen are the services which the
// way brings into what is exported.
func (g *graph) exposes(w way) (seen map[serviceKey]exposure, r *refusal) {
	type step struct {
		node serviceKey
		exposure
	}
	var todo []step
	for _, p := range w.parts {
		if e, ok := g.exposureOf(p.node()); ok {
			todo = append(todo, step{p.node(), e})
		}
	}
	seen = map[serviceKey]exposure{}
	for len(todo) > 0 {
		at := todo[0]
		todo = todo[1:]
		if seen[at.node].depth >= at.depth {
			continue
		}
		seen[at.node] = at.exposure
		for _, p := range g.at(at.node, w) {
			of, next := depthOf(p.kind)
			if of > at.depth {
				continue
			}
			if where := p.abroad(); where != "" {
				return nil, &refusal{
					reason: ReasonExported,
					message: fmt.Sprintf("ServiceExport %s exports it to peers, and Consul exports no service whose calls may go on from there: here %s %s",
						at.by, p.name, where),
					fix: "fail over to peers, or export a service of another name that stays where it is",
				}
			}
			for _, node := range p.next() {
				todo = append(todo, step{node, exposure{at.by, next}})
			}
		}
	}
	return seen, nil
}

// exposureOf is how calls of peers may come to a service.
func (g *graph) exposureOf(node serviceKey) (exposure, bool) {
	if by, ok := g.everything[node.namespace]; ok {
		return exposure{by, atRouter}, true
	}
	e, ok := g.exported[node]
	return e, ok
}

// abroad is where a part sends calls that Consul does not let services of peers go; "" for nowhere.
func (p part) abroad() string {
	switch v := p.value.(type) {
	case targetValue:
		if v.Peer != "" {
			return "is redirected to peer " + v.Peer
		}
		if v.Datacenter != "" {
			return "is redirected to datacenter " + v.Datacenter
		}
	case failoverValue:
		for _, t := range v.Targets {
			if t.Datacenter != "" {
				return "fails over to datacenter " + t.Datacenter
			}
		}
	}
	return ""
}
