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
		return doing("%s", list(left))
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
	for _, part := range []struct {
		what  string
		told  bool
		error string
	}{{"config entries", s.Entries != nil, s.Entries.GetError()}, {"peerings", s.Peerings != nil, s.Peerings.GetError()}} {
		switch {
		case !part.told:
			add("its agent has not told of its %s yet", part.what)
		case part.error != "":
			add("its %s cannot be looked at: %s", part.what, part.error)
		}
	}
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
	looksFor := func(at place) bool {
		return at.field == fieldPeer && slices.Contains(named, at.value) || member && at.field != fieldPeer && at.value == j.consul
	}
	for _, e := range s.Entries.GetEntries() {
		marked, found := placesIn(e, looksFor)
		for _, at := range found {
			text := "as somebody else wrote it: take it out there"
			if marked {
				// Its agent has taken out what is isthmus's, and may not have told of the entry since.
				text = "in an entry of which isthmus wrote parts: when this stays after the next report of it, somebody else wrote that: take it out there"
			}
			add("%s/%s names %s %s, %s", e.GetKind(), e.GetName(), at.word(), at.value, text)
		}
	}
	if member {
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

// Fields of config entries that name a peer, or Consul datacenters.
const (
	fieldPeer        = "Peer"
	fieldDatacenter  = "Datacenter"
	fieldDatacenters = "Datacenters"
)

// place is what a config entry names.
type place struct{ field, value string }

func (p place) word() string {
	if p.field == fieldPeer {
		return "peer"
	}
	return "datacenter"
}

// markPrefix begins the keys of Meta with which agents remember what isthmus wrote in an entry.
const markPrefix = "isthmus-"

// placesIn are the places of some kind that a config entry names at any depth, each once, and whether it is marked: isthmus wrote parts of
// it. The marks themselves name nothing.
func placesIn(e *isthmusv1.ReportedEntry, which func(place) bool) (marked bool, out []place) {
	var body map[string]any
	if json.Unmarshal([]byte(e.GetJson()), &body) != nil {
		return false, nil
	}
	meta, _ := body["Meta"].(map[string]any)
	for key := range meta {
		marked = marked || strings.HasPrefix(key, markPrefix)
	}
	delete(body, "Meta")
	add := func(field string, value any) {
		text, ok := value.(string)
		if field == fieldDatacenters {
			field = fieldDatacenter
		}
		if at := (place{field, text}); ok && which(at) && !slices.Contains(out, at) {
			out = append(out, at)
		}
	}
	var look func(v any)
	look = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, one := range v {
				look(one)
			}
		case map[string]any:
			for field, one := range v {
				list, isList := one.([]any)
				switch {
				case field == fieldPeer, field == fieldDatacenter:
					add(field, one)
				case field == fieldDatacenters && isList:
					for _, name := range list {
						add(field, name)
					}
				default:
					look(one)
				}
			}
		}
	}
	look(body)
	return marked, out
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

// list puts sentences together, but no more than one reads.
func list(sentences []string) string {
	const most = 8
	text := strings.Join(sentences[:min(len(sentences), most)], "; ")
	if more := len(sentences) - most; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}
