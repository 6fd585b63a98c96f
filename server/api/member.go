package api

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/evidence"
	"isthmus/store/snapshot"
)

// viewAbsent is what a datacenter makes of a server that another one of its pool sees, and it does not.
const viewAbsent = "absent"

// ListMembers implements the RPC. Reports have no index, so it never blocks.
func (s *FederationService) ListMembers(ctx context.Context, r *isthmusv1.ListMembersRequest) (*isthmusv1.ListMembersResponse, error) {
	v, err := s.newest(ctx)
	if err != nil {
		return nil, err
	}
	if err := federationExists(v, r.GetFederation()); err != nil {
		return nil, err
	}
	response := &isthmusv1.ListMembersResponse{}
	seen := evidence.Federation(v, s.Observations)
	for _, p := range pools(v, r.GetFederation()) {
		members, gaps := p.merge(seen)
		response.Members = append(response.Members, members...)
		response.Gaps = append(response.Gaps, gaps...)
	}
	slices.SortStableFunc(response.GetMembers(), func(a, b *isthmusv1.MergedMember) int {
		return cmp.Or(cmp.Compare(a.GetFederation(), b.GetFederation()), cmp.Compare(a.GetMember().GetDatacenter(), b.GetMember().GetDatacenter()),
			cmp.Compare(a.GetMember().GetNode(), b.GetMember().GetNode()))
	})
	return response, nil
}

// pool is one WAN gossip pool: the datacenters that should all see the same servers.
type pool struct {
	federation  string
	datacenters []string
	// notYet are in the federation, and by their phases (the values) not in its pool; each has one of its own. nil: this is such a one.
	notYet map[string]string
}

// pools are those of one federation, or of all, and of the datacenters that are in none.
func pools(v *snapshot.View, name string) []pool {
	var out []pool
	memberships := resource.Memberships(v)
	for f := range resource.All[*isthmusv1.Federation](v, resource.KindFederation) {
		if name != "" && f.GetName() != name {
			continue
		}
		p := pool{federation: f.GetName(), notYet: map[string]string{}}
		for _, datacenter := range slices.Sorted(maps.Keys(memberships)) {
			m := memberships[datacenter]
			if m.Federation.GetName() != f.GetName() {
				continue
			}
			phase := resource.MemberOf(f, datacenter).GetPhase()
			if m.Role == resource.RolePrimary || phase == resource.PhaseJoining || phase == resource.PhaseJoined {
				p.datacenters = append(p.datacenters, datacenter)
				continue
			}
			p.notYet[datacenter] = cmp.Or(phase, resource.PhaseWaiting)
		}
		out = append(out, p)
		for _, datacenter := range slices.Sorted(maps.Keys(p.notYet)) {
			out = append(out, pool{federation: f.GetName(), datacenters: []string{datacenter}})
		}
	}
	if name != "" {
		return out
	}
	for d := range v.List(resource.KindDatacenter) {
		if _, federated := memberships[d.GetName()]; !federated {
			out = append(out, pool{datacenters: []string{d.GetName()}})
		}
	}
	return out
}

// merge is each server of a pool once, with who sees it how.
func (p pool) merge(seen federation.Evidence) (members []*isthmusv1.MergedMember, gaps []*isthmusv1.MemberGap) {
	type server struct{ datacenter, node string }
	type sight struct {
		from   string
		member *isthmusv1.WanMember
	}
	own := map[server]*isthmusv1.WanMember{}
	sights := map[server][]sight{}
	var watching []string
	for _, datacenter := range p.datacenters {
		of := seen.Of(datacenter)
		if gap := gapOf(of); gap != "" {
			if p.notYet != nil {
				gaps = append(gaps, &isthmusv1.MemberGap{Datacenter: datacenter, Message: gap})
			}
			continue
		}
		watching = append(watching, datacenter)
		for _, m := range of.Federation.GetWanMembers() {
			at := server{m.GetDatacenter(), m.GetNode()}
			sights[at] = append(sights[at], sight{datacenter, m})
			if m.GetDatacenter() == of.Inventory.GetConsulDatacenter() {
				own[at] = m
			}
		}
	}
	for at, all := range sights {
		// Nobody knows a server better than its own datacenter.
		merged := &isthmusv1.MergedMember{Federation: p.federation, Member: cmp.Or(own[at], all[0].member)}
		byStatus := map[string][]string{}
		for _, s := range all {
			byStatus[s.member.GetStatus()] = append(byStatus[s.member.GetStatus()], s.from)
		}
		for _, datacenter := range watching {
			if !slices.ContainsFunc(all, func(s sight) bool { return s.from == datacenter }) {
				byStatus[viewAbsent] = append(byStatus[viewAbsent], datacenter)
			}
		}
		for _, status := range slices.Sorted(maps.Keys(byStatus)) {
			merged.Views = append(merged.Views, &isthmusv1.MemberView{Status: status, Datacenters: byStatus[status]})
		}
		members = append(members, merged)
	}
	for _, datacenter := range slices.Sorted(maps.Keys(p.notYet)) {
		gaps = append(gaps, &isthmusv1.MemberGap{
			Datacenter: datacenter, Message: fmt.Sprintf("it is %s: it has a pool of its own, as far as isthmus knows", p.notYet[datacenter]),
		})
	}
	return members, gaps
}

// gapOf is why nobody knows what a datacenter sees; empty when it is known.
func gapOf(of federation.Seen) string {
	switch {
	case !of.Online && of.Federation == nil:
		return "no agent of it is heard of"
	case !of.Online:
		return "its agent is silent: what it saw last may be old, and is not shown"
	case of.Federation == nil:
		return "its agent has not told yet what it sees"
	}
	return ""
}

// federationExists refuses the name of a Federation that there is not; an empty one stands for all.
func federationExists(v *snapshot.View, name string) error {
	if name == "" {
		return nil
	}
	if _, ok := v.Get(resource.KindFederation, name); !ok {
		return notFound(resource.KindFederation, name)
	}
	return nil
}
