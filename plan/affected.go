package plan

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"isthmus/peering"
	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Affected are the datacenters whose plan one change may alter, sorted; r is the view after it. Before is nil for a
// creation, after for a deletion. It may name too many (their digests then stay the same), never too few.
//
//	Peering        both ends, unless only what was seen of it is another
//	Agent          its datacenter and its datacenter's peers, when it comes, goes or gains trust: they seal to it, and accept its
//	               signature; its fleet decides whom its own datacenter seals to
//	Datacenter     itself; with other labels, and when it comes, goes or is on its way out, its peers: policies choose among them
//	               with another address, trust domain or the like, those who route to it
//	Gateway        its datacenter's peers, which route to it
//	ServiceExport  its exporters, before and after
//	Intention, TrafficPolicy  the datacenters whose Consul holds their entries, before and after
//	Federation     all its members, before and after, and their peers: what a secondary exports, and whose mesh settings count
//
// What is about a member of a federation is about all of its members.
func Affected(r resource.Reader, before, after resource.Object) []string {
	set := map[string]bool{}
	add := func(names ...string) {
		for _, name := range names {
			if name != "" {
				set[name] = true
			}
		}
	}
	// federated are those of whose federations all members are affected.
	federated := map[string]bool{}
	for _, o := range []resource.Object{before, after} {
		switch o := o.(type) {
		case *isthmusv1.Peering:
			if !retold(before, after) {
				continue
			}
			add(o.GetSpec().GetAcceptor(), o.GetSpec().GetDialer())
			add(primaryOf(r, o.GetSpec().GetAcceptor()), primaryOf(r, o.GetSpec().GetDialer()))
		case *isthmusv1.Agent:
			if retrusted(before, after) {
				add(o.GetSpec().GetDatacenter())
				add(peers(r, o.GetSpec().GetDatacenter())...)
				federated[o.GetSpec().GetDatacenter()] = true
			}
		case *isthmusv1.Datacenter:
			add(o.GetName())
			if relabelled(before, after) || rerouted(before, after) {
				add(peers(r, o.GetName())...)
				for _, peer := range peers(r, o.GetName()) {
					add(primaryOf(r, peer)) // it holds the entries that name this one as a peer
				}
				federated[o.GetName()] = true
			}
		case *isthmusv1.Gateway:
			add(o.GetSpec().GetDatacenter())
			add(peers(r, o.GetSpec().GetDatacenter())...)
			federated[o.GetSpec().GetDatacenter()] = true
		case *isthmusv1.Federation:
			for _, name := range resource.MembersOf(r, o) {
				federated[name] = true
			}
		case *isthmusv1.Intention, *isthmusv1.TrafficPolicy:
			add(slices.Collect(policy.Homes(r, o))...)
		case *isthmusv1.ServiceExport:
			for dc := range policy.Exporters(r, o) {
				add(dc.GetName())
			}
		}
	}
	// Whether a datacenter is in one federation may depend on another that wants it, too.
	for _, members := range resource.FederationsOf(r, federated) {
		add(members...)
	}
	add(slices.Collect(maps.Keys(federated))...)
	return slices.Sorted(maps.Keys(set))
}

func relabelled(before, after resource.Object) bool {
	return before == nil || after == nil || !maps.Equal(before.GetLabels(), after.GetLabels()) ||
		(before.GetDeleteTime() == nil) != (after.GetDeleteTime() == nil)
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

// rerouted tells whether others' items, which name it, have to change with a datacenter.
func rerouted(before, after resource.Object) bool {
	old, _ := before.(*isthmusv1.Datacenter)
	now, _ := after.(*isthmusv1.Datacenter)
	if old == nil || now == nil {
		return true
	}
	a, b := old.GetStatus(), now.GetStatus()
	return !proto.Equal(old.GetSpec(), now.GetSpec()) || a.GetConsulDomain() != b.GetConsulDomain() || a.GetTrustDomain() != b.GetTrustDomain() ||
		!slices.Equal(a.GetWanAddresses(), b.GetWanAddresses()) || !slices.Equal(a.GetRpcAddresses(), b.GetRpcAddresses()) || off(a) != off(b)
}

// off: ACLs are known to be off.
func off(s *isthmusv1.DatacenterStatus) bool {
	return s != nil && s.AclEnabled != nil && !s.GetAclEnabled()
}

// retold tells whether a peering's ends have to be told something else. Most changes of one are what was seen of it, which no plan has: an
// item is made of its spec, the current token, the acceptor's peer id and the transfer of leadership that healing wants.
func retold(before, after resource.Object) bool {
	old, _ := before.(*isthmusv1.Peering)
	now, _ := after.(*isthmusv1.Peering)
	if old == nil || now == nil || old.GetUid() != now.GetUid() {
		return true
	}
	a, b := old.GetStatus().GetToken(), now.GetStatus().GetToken()
	// That nobody can open it tells a token that waits from one that was used.
	nobody := []string{""}
	return (old.GetDeleteTime() == nil) != (now.GetDeleteTime() == nil) || !proto.Equal(old.GetSpec(), now.GetSpec()) ||
		a.GetGeneration() != b.GetGeneration() || peering.Waiting(a) != peering.Waiting(b) ||
		peering.Stored(a, nil) != peering.Stored(b, nil) || peering.Stored(a, nobody) != peering.Stored(b, nobody) ||
		!slices.Equal(peering.Current(a).GetRecipients(), peering.Current(b).GetRecipients()) ||
		old.GetStatus().GetAcceptor().GetPeerId() != now.GetStatus().GetAcceptor().GetPeerId() ||
		peering.LeaderTransfer(old) != peering.LeaderTransfer(now)
}

// primaryOf is the primary of the federation that a datacenter is in: it writes its mesh settings.
func primaryOf(r resource.Reader, datacenter string) string {
	if m, ok := resource.MembershipOf(r, datacenter); ok {
		return m.Federation.GetSpec().GetPrimary()
	}
	return ""
}
