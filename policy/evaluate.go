package policy

import (
	"cmp"
	"encoding/json"
	"fmt"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// defaultNamespace is what Consul calls the only namespace of its Community Edition.
const defaultNamespace = "default"

// Query asks whether a service may call another one. Namespaces may be empty: default.
type Query struct {
	SourceNamespace, Source string
	// SourcePeer is the peer of the destination's Consul from which the source calls; empty: it is in the destination's own datacenter or
	// federation. Consul does not look at the datacenter of a source.
	SourcePeer                        string
	DestinationNamespace, Destination string
}

// Decision is what Consul makes of a call.
type Decision struct {
	// Allowed is Consul's answer for a connection. Where Depends is set it is false, as Consul answers.
	Allowed bool
	// Depends: permissions decide by what the request is like.
	Depends bool
	// Entry is what decides, as kind/name; empty: no intention is about it, and the default decides.
	Entry string
	// Source is the source in that entry, as its part is called: source/default/web.
	Source string
	// Reason says it in words.
	Reason string
}

// Evaluate answers what Consul's /v1/connect/intentions/check would, out of its service-intentions, for callers from peers too, which
// Consul's own check has no word for. Other kinds of entries are passed over. defaultAllow is what happens to a call that no intention is
// about. Of all intentions that match, the one with the exact destination is first, then the one with the exact source: an exact name is
// before *, a namespace before *. An intention without a peer is about no caller from a peer, and the other way around, * or not.
func Evaluate(entries []*isthmusv1.ReportedEntry, q Query, defaultAllow bool) Decision {
	q.SourceNamespace = cmp.Or(q.SourceNamespace, defaultNamespace)
	q.DestinationNamespace = cmp.Or(q.DestinationNamespace, defaultNamespace)
	best := match{rank: -1}
	for _, e := range entries {
		if e.GetKind() != KindIntentions {
			continue
		}
		if m := q.match(e); m.rank > best.rank {
			best = m
		}
	}
	if best.rank < 0 {
		word := "denied"
		if defaultAllow {
			word = "allowed"
		}
		return Decision{Allowed: defaultAllow, Reason: fmt.Sprintf("no intention is about %s; such calls are %s by default", q, word)}
	}
	return best.decide(q)
}

// String is who calls whom.
func (q Query) String() string {
	source := q.Source
	if q.SourcePeer != "" {
		source += " of peer " + q.SourcePeer
	}
	return source + " calling " + q.Destination
}

// intentionsEntry and sourceIntention are Consul's service-intentions, as far as they decide.
type intentionsEntry struct{ Sources []sourceIntention }

type sourceIntention struct {
	Name, Namespace, Peer, SamenessGroup, Action string
	Permissions                                  []json.RawMessage
}

// match is a source of an entry that is about a query.
type match struct {
	entry  *isthmusv1.ReportedEntry
	source sourceIntention
	// rank orders matches: Consul's Precedence, but that */* of Consul Enterprise comes after NAMESPACE/*.
	rank int
}

// match finds the source in an entry that is about a query with the highest rank; its rank is -1 when there is none. A sameness group
// (Consul Enterprise) is passed over: its members are not told here.
func (q Query) match(e *isthmusv1.ReportedEntry) match {
	none := match{rank: -1}
	destination := exactness(cmp.Or(e.GetNamespace(), defaultNamespace), e.GetName(), q.DestinationNamespace, q.Destination)
	if destination < 0 {
		return none
	}
	var entry intentionsEntry
	if err := json.Unmarshal([]byte(e.GetJson()), &entry); err != nil {
		return none // it is what an agent made of Consul's own answer
	}
	best := none
	for _, s := range entry.Sources {
		source := exactness(cmp.Or(s.Namespace, defaultNamespace), s.Name, q.SourceNamespace, q.Source)
		if rank := 3*destination + source; s.Peer == q.SourcePeer && s.SamenessGroup == "" && source >= 0 && rank > best.rank {
			best = match{entry: e, source: s, rank: rank}
		}
	}
	return best
}

// exactness is how closely a pattern matches a name: 2 by namespace and name, 1 by namespace, 0 by wildcards only, -1 not at all.
func exactness(namespacePattern, pattern, namespace, name string) int {
	switch {
	case namespacePattern == resource.AnyService && pattern == resource.AnyService:
		return 0
	case namespacePattern != namespace:
		return -1
	case pattern == resource.AnyService:
		return 1
	case pattern == name:
		return 2
	}
	return -1
}

func (m match) decide(q Query) Decision {
	d := Decision{Entry: KindIntentions + "/" + m.entry.GetName(), Source: sourceKey(m.source.Namespace, m.source.Name, m.source.Peer)}
	who := m.source.Name
	if m.source.Peer != "" {
		who += " of peer " + m.source.Peer
	}
	switch {
	case len(m.source.Permissions) > 0:
		d.Depends = true
		d.Reason = fmt.Sprintf("%s decides by what the request is like (permissions of %s)", d.Entry, who)
	case m.source.Action == resource.ActionAllow:
		d.Allowed = true
		d.Reason = fmt.Sprintf("%s allows %s", d.Entry, who)
	default:
		d.Reason = fmt.Sprintf("%s denies %s", d.Entry, who)
	}
	if m.source.Name == resource.AnyService || m.entry.GetName() == resource.AnyService {
		d.Reason += fmt.Sprintf("; nothing more exact is about %s", q)
	}
	return d
}

// sourceKey names the part of service-intentions that is about one source.
func sourceKey(namespace, name, peer string) string {
	key := "source/" + cmp.Or(namespace, defaultNamespace) + "/" + name
	if peer != "" {
		key += "@" + peer
	}
	return key
}
