package plan

import (
	"iter"
	"slices"

	"google.golang.org/protobuf/proto"

	"isthmus/peering"
	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Touched is what one change may alter of which datacenters' plans. r is the view after it; what the change did away with is found in the view
// before. Before is nil for a creation, after for a deletion. It may name too much (digests then stay the same), some of it twice, and never too
// little.
//
//	Peering        both ends, unless only what was seen of it is another; more than its items only when it came, went or was wanted otherwise
//	Agent          its datacenter's Peerings, at both ends, when it comes, goes or gains trust: they seal to it, and accept its signature
//	Datacenter     itself; with labels by which somebody chooses otherwise, and when it comes, goes or is on its way out, its peers
//	               with another address, trust domain or the like, those who route to it
//	Gateway        its datacenter's peers, which route to it
//	ServiceExport  its exporters, before and after
//	Intention, TrafficPolicy  the datacenters whose Consul holds their entries, before and after
//	Federation     all its members, before and after: what a secondary exports, and whose mesh settings count
//
// What is about a member of a federation is about all of its members. Of exports and policies no plan has the status.
func Touched(r resource.Reader, before, after resource.Object) iter.Seq2[string, Part] {
	return func(yield func(datacenter string, part Part) bool) {
		t := touching{r: r, yield: yield, federated: map[string]bool{}}
		for _, o := range []resource.Object{before, after} {
			if o != nil && o.ProtoReflect().IsValid() {
				t.object(o, before, after)
			}
		}
		// Whether a datacenter is in one federation may depend on another that wants it, too.
		for _, members := range resource.FederationsOf(r, t.federated) {
			t.rest(t.of, members...)
		}
		for name := range t.federated {
			t.rest(t.of, name)
		}
	}
}

// touching finds what is Touched.
type touching struct {
	r     resource.Reader
	yield func(datacenter string, part Part) bool
	done  bool
	// federated are the datacenters of whose federations all members are concerned, in some of their parts.
	federated map[string]bool
	of        Parts
}

func (t *touching) tell(datacenter string, part Part) {
	if datacenter != "" && !t.done {
		t.done = !t.yield(datacenter, part)
	}
}

func (t *touching) rest(of Parts, datacenters ...string) {
	for _, name := range datacenters {
		t.tell(name, Part{of: of})
	}
}

// federation has all members concerned of the federations that a datacenter is in.
func (t *touching) federation(of Parts, datacenter string) {
	t.federated[datacenter] = true
	t.of |= of
}

// ends tells those at the other ends of a datacenter's Peerings, and gives their names.
func (t *touching) ends(datacenter string) []string {
	var out []string
	for p := range resource.AllTouching[*isthmusv1.Peering](t.r, resource.KindPeering, datacenter) {
		for _, other := range []string{p.GetSpec().GetAcceptor(), p.GetSpec().GetDialer()} {
			if other != "" && other != datacenter {
				t.tell(other, Part{Peering: p.GetName(), of: end})
				out = append(out, other)
			}
		}
	}
	return out
}

func (t *touching) object(o, before, after resource.Object) {
	switch o := o.(type) {
	case *isthmusv1.Peering:
		t.peering(o, before, after)
	case *isthmusv1.Agent:
		if retrusted(before, after) {
			t.federation(membership, o.GetSpec().GetDatacenter())
			for p := range resource.AllTouching[*isthmusv1.Peering](t.r, resource.KindPeering, o.GetSpec().GetDatacenter()) {
				t.tell(p.GetSpec().GetAcceptor(), Part{Peering: p.GetName(), of: item})
				t.tell(p.GetSpec().GetDialer(), Part{Peering: p.GetName(), of: item})
			}
		}
	case *isthmusv1.Datacenter:
		t.datacenter(o, before, after)
	case *isthmusv1.Gateway:
		t.ends(o.GetSpec().GetDatacenter())
		t.federation(membership|gateways, o.GetSpec().GetDatacenter())
	case *isthmusv1.Federation:
		for _, name := range resource.MembersOf(t.r, o) {
			t.federation(all, name)
		}
	case *isthmusv1.Intention, *isthmusv1.TrafficPolicy:
		// One that chooses as it did has the homes that it had.
		if reworded(before, after) && (o == after || !policy.ChooseAlike(before, after)) {
			t.rest(entries, policy.Homes(t.r, o)...)
		}
	case *isthmusv1.ServiceExport:
		if reworded(before, after) {
			for dc := range policy.Exporters(t.r, o) {
				t.rest(exports|entries, dc.GetName())
			}
		}
	}
}

func (t *touching) datacenter(o *isthmusv1.Datacenter, before, after resource.Object) {
	if !relabelled(t.r, before, after) && !rerouted(before, after) {
		of := header | membership
		if was, is := statusOf(before), statusOf(after); was.GetConsulVersion() != is.GetConsulVersion() || was.GetRemoval() != nil || is.GetRemoval() != nil {
			of |= entries // they are what its Consul takes, and go with it
		}
		t.rest(of, o.GetName())
		return
	}
	t.rest(all, o.GetName())
	for _, other := range t.ends(o.GetName()) {
		// It, or the primary that holds its entries, may name this one as a peer.
		t.rest(entries, other, primaryOf(t.r, other))
	}
	t.federation(all, o.GetName())
}

func (t *touching) peering(p *isthmusv1.Peering, before, after resource.Object) {
	if !retold(before, after) {
		return
	}
	acceptor, dialer := p.GetSpec().GetAcceptor(), p.GetSpec().GetDialer()
	part := Part{Peering: p.GetName(), of: item}
	if reworded(before, after) {
		part.of |= end
		t.rest(entries|mesh, acceptor, dialer, primaryOf(t.r, acceptor), primaryOf(t.r, dialer))
	}
	t.tell(acceptor, part)
	t.tell(dialer, part)
}

// reworded tells whether a resource came, went, is on its way out or is wanted otherwise: what is seen of it is not looked at.
func reworded(before, after resource.Object) bool {
	if before == nil || after == nil || before.GetUid() != after.GetUid() || (before.GetDeleteTime() == nil) != (after.GetDeleteTime() == nil) {
		return true
	}
	return !proto.Equal(resource.Spec(before), resource.Spec(after))
}

// relabelled tells whether a datacenter came, went, is on its way out or has labels by which somebody chooses otherwise.
func relabelled(r resource.Reader, before, after resource.Object) bool {
	old, _ := before.(*isthmusv1.Datacenter)
	now, _ := after.(*isthmusv1.Datacenter)
	return old == nil || now == nil || resource.Departing(old) != resource.Departing(now) || policy.Distinguished(r, old, now)
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

func statusOf(o resource.Object) *isthmusv1.DatacenterStatus {
	dc, _ := o.(*isthmusv1.Datacenter)
	return dc.GetStatus()
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
