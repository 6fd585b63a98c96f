package explain

import (
	"slices"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// TargetsOf are the ways of a service's calls in Consul's words for its own discovery chain: TARGET > FAILOVER > FAILOVER, sorted.
func TargetsOf(entries []*isthmusv1.ReportedEntry, service, datacenter string) []string {
	var out []string
	ways, _ := waysOf(entries, defaultNamespace, service, datacenter)
	for _, w := range ways {
		text := w.id()
		for _, t := range w.failover {
			text += " > " + t.id()
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// id is what Consul calls a target: [SUBSET.]SERVICE.NAMESPACE.PARTITION.DATACENTER, or …external.PEER.
func (t target) id() string {
	text := t.service + "." + t.namespace + "." + defaultPartition + "."
	if t.subset != "" {
		text = t.subset + "." + text
	}
	if t.peer != "" {
		return text + "external." + t.peer
	}
	return text + t.datacenter
}
