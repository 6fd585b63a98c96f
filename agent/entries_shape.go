package agent

import (
	"maps"
	"slices"
	"strings"

	"isthmus/agent/consul"
)

// Where the parts of an entry stand, by its kind. A part belongs to somebody as a whole:
//
//	service-intentions  source/NAMESPACE/NAME[@PEER]   one of Sources
//	service-resolver    failover/SUBSET, redirect      one of Failover, Redirect
//	service-splitter    splits                         Splits
//	service-router      routes                         Routes
//	service-defaults    protocol                       Protocol
//
// Values are Consul's JSON, decoded. What is not touched stays exactly as it was, and where it was.

// Keys of parts, and what they begin with.
const (
	partSource   = "source/"
	partFailover = "failover/"
	partRedirect = "redirect"
	partSplits   = "splits"
	partRoutes   = "routes"
	partProtocol = "protocol"
)

// Fields of entries.
const (
	fieldSources  = "Sources"
	fieldFailover = "Failover"
	fieldRedirect = "Redirect"
	fieldPeer     = "Peer"
	fieldDescribe = "Description"
)

// policyKinds are the kinds that policies are merged into, in the order in which Consul takes what refers to each other: protocols before what
// needs them, targets before what names them.
func policyKinds() []string {
	return []string{consul.KindServiceDefaults, consul.KindResolver, consul.KindSplitter, consul.KindRouter, consul.KindIntentions}
}

// wholeFields are the parts that are one field each.
func wholeFields(kind string) map[string]string {
	switch kind {
	case consul.KindResolver:
		return map[string]string{partRedirect: fieldRedirect}
	case consul.KindSplitter:
		return map[string]string{partSplits: "Splits"}
	case consul.KindRouter:
		return map[string]string{partRoutes: "Routes"}
	case consul.KindServiceDefaults:
		return map[string]string{partProtocol: "Protocol"}
	}
	return nil
}

// partsIn are the parts that an entry has, whoever wrote them.
func partsIn(kind string, body map[string]any) map[string]any {
	out := map[string]any{}
	for key, field := range wholeFields(kind) {
		if value := body[field]; !empty(value) {
			out[key] = value
		}
	}
	switch kind {
	case consul.KindResolver:
		subsets, _ := body[fieldFailover].(map[string]any)
		for subset, value := range subsets {
			out[partFailover+subset] = value
		}
	case consul.KindIntentions:
		sources, _ := body[fieldSources].([]any)
		for _, s := range sources {
			if key, ok := sourceKey(s); ok {
				out[key] = s
			}
		}
	}
	return out
}

// knownPart tells whether a part of the desired state is one that this agent can put where its key says.
func knownPart(kind, key string, value any) bool {
	if _, ok := wholeFields(kind)[key]; ok {
		return !empty(value)
	}
	switch _, isMap := value.(map[string]any); kind {
	case consul.KindResolver:
		return isMap && strings.HasPrefix(key, partFailover) && key != partFailover
	case consul.KindIntentions:
		own, ok := sourceKey(value)
		return ok && own == key
	}
	return false
}

// sourceKey is the key of a source; false for one that is no service of this partition or of a peer.
func sourceKey(source any) (string, bool) {
	fields, ok := source.(map[string]any)
	if !ok || text(fields["SamenessGroup"]) != "" || namespaceOf(text(fields["Partition"])) != defaultNamespace {
		return "", false
	}
	key := partSource + namespaceOf(text(fields["Namespace"])) + "/" + text(fields["Name"])
	if peer := text(fields[fieldPeer]); peer != "" {
		key += "@" + peer
	}
	return key, true
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// putPart sets one part, in place of what is there, or at the end.
func putPart(kind string, body map[string]any, key string, value any) {
	if field, ok := wholeFields(kind)[key]; ok {
		body[field] = value
		return
	}
	switch subset, failover := strings.CutPrefix(key, partFailover); {
	case kind == consul.KindResolver && failover:
		subsets, ok := body[fieldFailover].(map[string]any)
		if !ok {
			subsets = map[string]any{}
			body[fieldFailover] = subsets
		}
		subsets[subset] = value
	case kind == consul.KindIntentions:
		sources, _ := body[fieldSources].([]any)
		at := slices.IndexFunc(sources, func(s any) bool { k, ok := sourceKey(s); return ok && k == key })
		if at < 0 {
			body[fieldSources] = append(sources, value)
			return
		}
		sources[at] = keepDescription(value, sources[at])
	}
}

// keepDescription is a source with the description that a human gave it, unless it has one of its own.
func keepDescription(source, found any) any {
	next, ok := source.(map[string]any)
	was, both := found.(map[string]any)
	if !ok || !both || text(next[fieldDescribe]) != "" || text(was[fieldDescribe]) == "" {
		return source
	}
	next = maps.Clone(next)
	next[fieldDescribe] = was[fieldDescribe]
	return next
}

// dropPart takes one part out; before is what its field said where it said nothing (see emptyForm).
func dropPart(kind string, body map[string]any, key string, before string) {
	if field, ok := wholeFields(kind)[key]; ok {
		switch {
		case before == emptyList:
			body[field] = []any{}
		case kind == consul.KindServiceDefaults:
			body[field] = ""
		case kind == consul.KindResolver:
			delete(body, field)
		default:
			body[field] = nil
		}
		return
	}
	switch subset, failover := strings.CutPrefix(key, partFailover); {
	case kind == consul.KindResolver && failover:
		subsets, _ := body[fieldFailover].(map[string]any)
		delete(subsets, subset)
		if len(subsets) == 0 {
			delete(body, fieldFailover)
		}
	case kind == consul.KindIntentions:
		sources, _ := body[fieldSources].([]any)
		body[fieldSources] = slices.DeleteFunc(sources, func(s any) bool { k, ok := sourceKey(s); return ok && k == key })
	}
}

// emptyList is how Consul shows a list that somebody wrote without anything in it, which it tells from one that is not there.
const emptyList = "[]"

// emptyForm is how a field says nothing before a part is put there.
func emptyForm(kind string, body map[string]any, key string) string {
	if list, ok := body[wholeFields(kind)[key]].([]any); ok && len(list) == 0 {
		return emptyList
	}
	return ""
}

// inTheWay is what Consul does not take beside a part: a redirect beside any failover.
func inTheWay(kind string, body map[string]any, key string) any {
	switch {
	case kind != consul.KindResolver:
	case key == partRedirect:
		if subsets, _ := body[fieldFailover].(map[string]any); len(subsets) > 0 {
			return map[string]any{fieldFailover: subsets}
		}
	case !empty(body[fieldRedirect]):
		return map[string]any{fieldRedirect: body[fieldRedirect]}
	}
	return nil
}

// saysNothing tells that an entry has nothing in it but what Consul puts into every one of its kind; Meta aside.
func saysNothing(body map[string]any) bool {
	for field, value := range body {
		switch field {
		case "Kind", "Name", "Partition", "Namespace", "Meta":
			continue
		}
		if !empty(value) {
			return false
		}
	}
	return true
}

// cannotBe tells that Consul takes no such entry: it is nothing without what was taken out of it.
func cannotBe(kind string, body map[string]any) bool {
	field := map[string]string{consul.KindIntentions: fieldSources, consul.KindSplitter: "Splits"}[kind]
	list, _ := body[field].([]any)
	return field != "" && len(list) == 0
}

// legacy tells that an entry has sources with ids of Consul before 1.9, which a write would take from them.
func legacy(kind string, body map[string]any) bool {
	sources, _ := body[fieldSources].([]any)
	return kind == consul.KindIntentions && slices.ContainsFunc(sources, func(s any) bool {
		fields, _ := s.(map[string]any)
		return text(fields["LegacyID"]) != ""
	})
}
