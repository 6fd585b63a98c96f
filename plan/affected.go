package plan

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Affected are the datacenters whose plan one change may alter, sorted; r is the view after it. Before is nil for a
// creation, after for a deletion. It may name too many (their digests then stay the same), never too few.
//
//	Peering        both ends
//	Agent          its datacenter and its datacenter's peers, when it comes, goes or gains trust: they seal to it, and accept its
//	               signature; its fleet decides whom its own datacenter seals to
//	Datacenter     itself; with other labels, and when it comes or goes, its peers: selectors of exports choose among them
//	ServiceExport  its exporters, before and after
func Affected(r resource.Reader, before, after resource.Object) []string {
	set := map[string]bool{}
	add := func(names ...string) {
		for _, name := range names {
			if name != "" {
				set[name] = true
			}
		}
	}
	for _, o := range []resource.Object{before, after} {
		switch o := o.(type) {
		case *isthmusv1.Peering:
			add(o.GetSpec().GetAcceptor(), o.GetSpec().GetDialer())
		case *isthmusv1.Agent:
			if retrusted(before, after) {
				add(o.GetSpec().GetDatacenter())
				add(peers(r, o.GetSpec().GetDatacenter())...)
			}
		case *isthmusv1.Datacenter:
			add(o.GetName())
			if relabelled(before, after) {
				add(peers(r, o.GetName())...)
			}
		case *isthmusv1.ServiceExport:
			for dc := range policy.Exporters(r, o) {
				add(dc.GetName())
			}
		}
	}
	return slices.Sorted(maps.Keys(set))
}

func relabelled(before, after resource.Object) bool {
	return before == nil || after == nil || !maps.Equal(before.GetLabels(), after.GetLabels())
}

// retrusted tells whether others must look at an agent again. Most changes of an agent are its liveness.
func retrusted(before, after resource.Object) bool {
	old, ok := before.(*isthmusv1.Agent)
	if !ok {
		return true
	}
	now, ok := after.(*isthmusv1.Agent)
	return !ok || old.GetStatus().GetTrust() != now.GetStatus().GetTrust() || !proto.Equal(old.GetSpec(), now.GetSpec())
}
