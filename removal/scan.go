package removal

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// scan looks for what is left of the datacenter in what all report who were connected with it, whoever wrote it.
func (j *judge) scan() verdict {
	var left []string
	witnesses := j.witnesses(j.r)
	members := j.members(j.r)
	for _, dc := range witnesses {
		if !j.speaks(dc) {
			continue
		}
		if why := j.unapplied(dc); why != "" {
			left = append(left, why)
			continue
		}
		left = append(left, j.leftIn(dc, slices.Contains(members, dc))...)
	}
	if len(left) > 0 {
		return doing("%s", enumerateBy(left, "; "))
	}
	if len(witnesses) == 0 {
		return done("nobody was connected with it")
	}
	return done("nothing of it is left in %s", enumerate(witnesses))
}

// leftIn is what is left in one other datacenter, as sentences.
func (j *judge) leftIn(dc string, member bool) []string {
	s := j.of(dc)
	var out []string
	add := func(format string, args ...any) { out = append(out, dc+": "+fmt.Sprintf(format, args...)) }
	for what, problem := range map[string]string{"peerings": s.Peerings.GetError(), "config entries": s.Entries.GetError()} {
		if problem != "" {
			add("its %s cannot be looked at: %s", what, problem)
		}
	}
	slices.Sort(out)
	own, named := j.namesFor(dc)
	for _, p := range s.Peerings.GetPeerings() {
		if slices.Contains(own, p.GetPeerName()) && !p.GetDeleted() {
			add("peering %s (%s, %s) is there: delete it in its Consul", p.GetPeerName(), p.GetOrigin(), p.GetState())
		}
	}
	for _, service := range s.Services.GetServices() {
		if slices.Contains(own, service.GetPeer()) {
			add("service %s of peer %s is in its catalog", service.GetName(), service.GetPeer())
		}
	}
	for _, e := range s.Entries.GetEntries() {
		for _, name := range named {
			if mentions(e, "Peer", name) {
				add("%s/%s names peer %s, as somebody else wrote it: take it out there", e.GetKind(), e.GetName(), name)
			}
		}
	}
	if member {
		for _, e := range s.Entries.GetEntries() {
			if mentions(e, "Datacenter", j.consul) || mentions(e, "Datacenters", j.consul) {
				add("%s/%s names datacenter %s, as somebody else wrote it: take it out there", e.GetKind(), e.GetName(), j.consul)
			}
		}
		out = append(out, wanLeft(dc, j.consul, s)...)
	}
	return out
}

// namesFor are the names under which a datacenter's Consul knew it, and those under which its config entries may name it: a primary holds
// the entries of its secondaries, which call it as they do. Names that somebody else has there by now are left out.
func (j *judge) namesFor(dc string) (own, named []string) {
	taken := slices.Collect(maps.Values(namesIn(j.r, dc)))
	add := func(list []string, name string) []string {
		if name == "" || slices.Contains(taken, name) || slices.Contains(list, name) {
			return list
		}
		return append(list, name)
	}
	own = add(nil, j.peers[dc])
	named = slices.Clone(own)
	for _, other := range slices.Sorted(maps.Keys(j.peers)) {
		if m, ok := resource.MembershipOf(j.r, other); ok && m.Federation.GetSpec().GetPrimary() == dc {
			named = add(named, j.peers[other])
		}
	}
	return own, named
}

// mentions tells whether a config entry has a field with a value, or with a list that has it, at any depth. The marks of who wrote what do
// not count.
func mentions(e *isthmusv1.ReportedEntry, field, value string) bool {
	var body map[string]any
	if json.Unmarshal([]byte(e.GetJson()), &body) != nil {
		return false
	}
	delete(body, "Meta")
	return within(body, field, value)
}

func within(v any, field, value string) bool {
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, func(one any) bool { return within(one, field, value) })
	case map[string]any:
		switch at := v[field].(type) {
		case string:
			if at == value {
				return true
			}
		case []any:
			if slices.Contains(at, any(value)) {
				return true
			}
		}
		for _, one := range v {
			if within(one, field, value) {
				return true
			}
		}
	}
	return false
}

// wanLeft are the servers of a Consul datacenter that another one sees in the WAN.
func wanLeft(dc, consul string, s Seen) []string {
	var nodes []string
	for _, m := range s.Federation.GetWanMembers() {
		if m.GetDatacenter() == consul {
			nodes = append(nodes, m.GetNode()+" ("+m.GetStatus()+")")
		}
	}
	if len(nodes) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s: still sees %s in the WAN", dc, enumerate(nodes))}
}

// enumerateBy is enumerate with another word between.
func enumerateBy(sentences []string, between string) string {
	const most = 8
	text := strings.Join(sentences[:min(len(sentences), most)], between)
	if more := len(sentences) - most; more > 0 {
		text += fmt.Sprintf("%sand %d more", between, more)
	}
	return text
}
