package api

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/evidence"
	"isthmus/store/snapshot"
)

// What is said of an address.
const (
	reachedYes     = "yes"
	reachedNo      = "no"
	reachedUnknown = "unknown"
)

// GetReachability implements the RPC. Reports have no index, so it never blocks.
func (s *FederationService) GetReachability(ctx context.Context, r *isthmusv1.GetReachabilityRequest) (*isthmusv1.Reachability, error) {
	v, err := s.newest(ctx)
	if err != nil {
		return nil, err
	}
	if err := federationExists(v, r.GetFederation()); err != nil {
		return nil, err
	}
	seen := evidence.Federation(v, s.Observations)
	memberships := resource.Memberships(v)
	among := func(datacenter string) bool {
		return r.GetFederation() == "" || memberships[datacenter].Federation.GetName() == r.GetFederation()
	}
	response := &isthmusv1.Reachability{}
	for d := range v.List(resource.KindDatacenter) {
		if !among(d.GetName()) {
			continue
		}
		for _, cell := range reached(v, d.GetName(), seen.Of(d.GetName()), memberships) {
			if among(cell.GetTo()) {
				response.Cells = append(response.Cells, cell)
			}
		}
	}
	return response, nil
}

// reached is what a datacenter's agent is asked to try, and what came of it; and of the other members that have nothing to try.
func reached(v *snapshot.View, from string, of federation.Seen, memberships map[string]resource.Membership) []*isthmusv1.ReachedGateway {
	tried := map[probe]*isthmusv1.ObservedProbe{}
	for _, o := range of.Federation.GetProbes() {
		tried[probe{o.GetDatacenter(), o.GetAddress()}] = o
	}
	var out []*isthmusv1.ReachedGateway
	asked := map[string]bool{from: true}
	for _, item := range federation.Items(v, from) {
		for _, p := range item.GetProbes().GetGateways() {
			asked[p.GetDatacenter()] = true
			cell := &isthmusv1.ReachedGateway{From: from, To: p.GetDatacenter(), Address: p.GetAddress()}
			judge(cell, of, tried[probe{p.GetDatacenter(), p.GetAddress()}])
			out = append(out, cell)
		}
	}
	own, federated := memberships[from]
	if !federated {
		return out
	}
	for _, to := range slices.Sorted(maps.Keys(memberships)) {
		if asked[to] || memberships[to].Federation.GetName() != own.Federation.GetName() {
			continue
		}
		out = append(out, untried(own.Federation, from, to))
	}
	return out
}

// untried is why a member has nothing to try of another.
func untried(f *isthmusv1.Federation, from, to string) *isthmusv1.ReachedGateway {
	cell := &isthmusv1.ReachedGateway{
		From: from, To: to, Reached: reachedUnknown, Reason: "NoAddress",
		Message: "no address is known at which others reach " + to + ": start a mesh gateway there, or declare one (kind: Gateway)",
	}
	for _, datacenter := range []string{from, to} {
		if m := resource.MemberOf(f, datacenter); datacenter != f.GetSpec().GetPrimary() && (!resource.Federated(m) || m.GetPhase() == resource.PhaseLeaving) {
			cell.Reason, cell.Message = "NotJoined", datacenter+" is "+cmp.Or(m.GetPhase(), resource.PhaseWaiting)+": what is tried are the ways between those that have joined"
		}
	}
	return cell
}

type probe struct{ datacenter, address string }

// judge says of one address whether it is reached. What a silent agent saw last is no proof.
func judge(cell *isthmusv1.ReachedGateway, of federation.Seen, o *isthmusv1.ObservedProbe) {
	cell.Reached = reachedUnknown
	switch {
	case !of.Online:
		cell.Reason, cell.Message = "AgentSilent", "no agent of "+cell.GetFrom()+" is heard of"
	case o == nil:
		cell.Reason, cell.Message = "NotTried", "the agent of "+cell.GetFrom()+" has not told of it yet"
	default:
		cell.Reached = reachedNo
		if o.GetOk() {
			cell.Reached, cell.LatencyMs = reachedYes, o.GetLatencyMs()
		}
		cell.Reason, cell.Message = o.GetErrorReason(), o.GetError()
	}
	if o.GetSince() != nil {
		cell.Since = timestamppb.New(o.GetSince().AsTime())
	}
}
