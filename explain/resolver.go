package explain

import (
	"fmt"
	"net/url"
	"strings"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// resolver: where calls of the service go that ask for it in the destination's datacenter. Within a federation the entries of all decide
// that where the call begins; over a peering Consul looks at none there, and at the exporter's where it arrives.
func (w *walk) resolver() finding {
	if w.link.kind == linkNone {
		return skips(w.src.Datacenter, "no way leads there")
	}
	decides := w.src.Datacenter
	if w.link.kind == linkPeering {
		decides = w.dst.Datacenter
	}
	f := skips(decides, "where calls go that arrive is %s's operator's to say", w.dst.Datacenter)
	if !w.dst.external {
		entries, since, problem := w.entriesOf(decides)
		if problem != nil {
			return *problem
		}
		ways, all := waysOf(entries, w.dst.Namespace, w.dst.Service, w.consulName(w.dst.Datacenter))
		if !all {
			return endless(decides, w.dst)
		}
		f = w.judgeWays(decides, ways).with(w.seenAt(decides, since, "%s", w.waysText(decides, ways)))
	}
	if w.link.kind == linkSame || w.src.external {
		return f
	}
	return w.byName(f)
}

// endless is that a service's routers, splitters and resolvers lead on in more ways than are followed.
func endless(at string, service place) finding {
	return unknown(at, "the config entries of %s lead calls of %s on in more than %d ways, or through more than %d entries: they are not followed to the end", at, service.Service, maxWays, maxVisits).
		fixed("ask Consul itself: in %s, GET %s", at, resource.ShellWord("/v1/discovery-chain/"+url.PathEscape(service.Service)))
}

// judgeWays says whether calls that ask for the destination get there.
func (w *walk) judgeWays(decides string, ways []way) finding {
	hit, elsewhere := 0.0, way{}
	conditional := false
	shares := map[string]float64{} // of the calls that match the same
	for _, one := range ways {
		if w.leads(w.dst.Datacenter, one.target) {
			shares[one.when] += one.share
			hit = max(hit, min(shares[one.when], 100))
			conditional = conditional || one.when != ""
		} else {
			elsewhere = one
		}
	}
	switch {
	case hit == 0 && len(elsewhere.entries) > 0:
		entry := elsewhere.entries[len(elsewhere.entries)-1]
		owner := w.ownerOf(decides, entry)
		return fails(decides, "calls that ask for %s go to %s instead: %s (%s)", w.dst, elsewhere.target, entry, owner).fixed("%s", fixOfEntry(decides, entry, owner))
	case elsewhere.service != "" && conditional:
		return passes(decides, "some requests that ask for %s go there, others elsewhere", w.dst)
	case elsewhere.service != "":
		return passes(decides, "%.4g%% of the calls that ask for %s go there, the others elsewhere", hit, w.dst)
	}
	return passes(decides, "calls that ask for %s go there", w.dst)
}

// leads tells whether a target, as a Consul sees it, is the destination.
func (w *walk) leads(seenFrom string, t target) bool {
	at, ok := w.placeOf(seenFrom, t)
	return ok && at.Datacenter == w.dst.Datacenter && at.Namespace == w.dst.Namespace && strings.EqualFold(at.Service, w.dst.Service)
}

// byName adds where calls go that ask for the service by its name alone, as most do.
func (w *walk) byName(f finding) finding {
	here := w.src.Datacenter
	entries, since, problem := w.entriesOf(here)
	if problem != nil {
		return problem.with(f.evidence...)
	}
	ways, all := waysOf(entries, w.dst.Namespace, w.dst.Service, w.consulName(here))
	if !all {
		return endless(here, w.dst).with(f.evidence...)
	}
	for _, one := range ways {
		if w.leadsFrom(here, one.target) {
			return f.with(w.seenAt(here, since, "by its name alone, %s", w.waysText(here, ways)))
		}
	}
	for _, one := range ways {
		for _, t := range one.failover {
			if w.leadsFrom(here, t) {
				return f.with(w.seenAt(here, since, "by its name alone, %s", w.waysText(here, ways)))
			}
		}
	}
	field := "datacenter: " + w.consulName(w.dst.Datacenter)
	if w.link.kind == linkPeering {
		field = "destination_peer: " + w.link.peerOfDestination
	}
	return f.with(w.seenAt(here, since, "by its name alone, %s: the upstream of %s names the destination (%s), or a TrafficPolicy leads there", w.waysText(here, ways), w.src.Service, field))
}

// leadsFrom is leads for a target as the source's Consul sees it, also where the peering is one that isthmus did not make.
func (w *walk) leadsFrom(here string, t target) bool {
	if t.peer != "" {
		return t.peer == w.link.peerOfDestination && strings.EqualFold(t.service, w.dst.Service)
	}
	return w.leads(here, t)
}

// maxShown is how many ways, and how many targets of a failover, are put into words.
const maxShown = 20

// waysText tells where calls go, by which entries, and whose they are.
func (w *walk) waysText(at string, ways []way) string {
	var parts []string
	for _, one := range ways[:min(len(ways), maxShown)] {
		text := "calls go to " + one.target.String()
		if one.when != "" {
			text = strings.Replace(text, "calls", one.when, 1)
		}
		if one.share < 100 {
			text = fmt.Sprintf("%.4g%% of %s", one.share, text)
		}
		for n, t := range one.failover[:min(len(one.failover), maxShown)] {
			word := ", then to "
			if n == 0 {
				word = ", when nothing is healthy there to "
			}
			text += word + t.String()
		}
		if len(one.entries) > 0 {
			var by []string
			for _, entry := range one.entries {
				by = append(by, entry+", "+w.ownerOf(at, entry))
			}
			text += " (" + strings.Join(by, "; ") + ")"
		}
		parts = append(parts, text)
	}
	if more := len(ways) - maxShown; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more ways", more))
	}
	return strings.Join(parts, "; ")
}

// fixOfEntry is what to do about a config entry that stands in the way.
func fixOfEntry(datacenter, entry, owner string) string {
	kind, name, ours := strings.Cut(owner, "/")
	if !ours {
		if owner == byKubernetes {
			return "change its custom resource in the cluster of " + datacenter
		}
		return handOf(datacenter, entry)
	}
	name, _, _ = strings.Cut(name, ",")
	return fmt.Sprintf("change or delete %s/%s: isthmus export %s, then isthmus apply; or isthmus delete %s %s", kind, name, commandKind(kind), commandKind(kind), name)
}

// commandKind is a kind as commands take it.
func commandKind(kind string) string {
	if kind == "TrafficPolicy" {
		return "traffic-policy"
	}
	return strings.ToLower(kind)
}

// protocolOf is the protocol of a service where it runs: tcp unless its service-defaults or proxy-defaults say otherwise. An entry
// service-defaults without one counts as tcp, whatever proxy-defaults says.
func protocolOf(entries []*isthmusv1.ReportedEntry, at place) string {
	protocol := ""
	if e := findEntry(entries, kindServiceDefaults, at.Namespace, at.Service); e != nil && hasField(e, "Protocol") {
		protocol = stringField(e, "Protocol")
	} else if e := findEntry(entries, kindProxyDefaults, defaultNamespace, proxyDefaults); e != nil {
		protocol = stringField(e, "Config", "protocol")
	}
	if protocol == "" {
		return "tcp"
	}
	return protocol
}
