package api

import (
	"context"
	"fmt"
	"slices"

	"isthmus/fault"
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/evidence"
	"isthmus/server/observation"
	"isthmus/store"
	"isthmus/store/snapshot"
)

// FederationService serves Federations.
type FederationService struct {
	isthmusv1.UnimplementedFederationServiceServer
	*Core
	Vault store.Vault
}

// ListFederations implements the RPC.
func (s *FederationService) ListFederations(ctx context.Context, r *isthmusv1.ListRequest) (*isthmusv1.ListFederationsResponse, error) {
	return list(ctx, s.Core, resource.KindFederation, r, &isthmusv1.ListFederationsResponse{})
}

// GetFederation implements the RPC.
func (s *FederationService) GetFederation(ctx context.Context, r *isthmusv1.GetRequest) (*isthmusv1.Federation, error) {
	return get[*isthmusv1.Federation](ctx, s.Core, resource.KindFederation, r)
}

// CreateFederation implements the RPC.
func (s *FederationService) CreateFederation(ctx context.Context, r *isthmusv1.CreateFederationRequest) (*isthmusv1.Federation, error) {
	return create(ctx, s.Core, r.GetFederation())
}

// UpdateFederation implements the RPC.
func (s *FederationService) UpdateFederation(ctx context.Context, r *isthmusv1.UpdateFederationRequest) (*isthmusv1.Federation, error) {
	return update(ctx, s.Core, r.GetFederation(), r)
}

// DeleteFederation implements the RPC.
func (s *FederationService) DeleteFederation(ctx context.Context, r *isthmusv1.DeleteRequest) (*isthmusv1.DeleteResponse, error) {
	return removeIf(ctx, s.Core, resource.KindFederation, r, func(_ *snapshot.View, before resource.Object, b *batch) error {
		if b.edits[0].after == nil {
			f := before.(*isthmusv1.Federation) //nolint:forcetypeassert // the kind's type is fixed by the registry.
			b.spent = federation.SpentBundles(f.GetStatus(), nil)
		}
		return nil
	})
}

// federationGoesGradually tells whether something of it is in a datacenter, which has to go first: a secondary that joined, tokens that
// were made for one, configuration that was written.
func federationGoesGradually(f *isthmusv1.Federation, force bool) bool {
	if force {
		return false
	}
	for _, q := range f.GetStatus().GetBundleRequests() {
		if q.GetSecretDigest() != "" {
			return true
		}
	}
	return slices.ContainsFunc(f.GetStatus().GetMembers(), func(m *isthmusv1.FederationMember) bool {
		return resource.Engaged(m) || m.GetWasJoined() || m.GetBundle().GetGeneration() > 0
	})
}

// GetFederationPlan implements the RPC. Reports have no index, so it never blocks.
func (s *FederationService) GetFederationPlan(ctx context.Context, r *isthmusv1.GetFederationPlanRequest) (*isthmusv1.FederationPlan, error) {
	v, err := s.newest(ctx)
	if err != nil {
		return nil, err
	}
	f, ok := resource.Lookup[*isthmusv1.Federation](v, resource.KindFederation, r.GetName())
	if !ok {
		return nil, notFound(resource.KindFederation, r.GetName())
	}
	return federation.Plan(v, f, evidence.Federation(v, s.Observations), r.GetDelete() || f.GetDeleteTime() != nil), nil
}

// plannedFederations is what the Federations among some edits mean, as the fleet would be after all of them.
func plannedFederations(v *snapshot.View, table *observation.Table, edits []*edit) []*isthmusv1.FederationPlan {
	next := newProspect(v, edits)
	var out []*isthmusv1.FederationPlan
	for _, e := range edits {
		if f, ok := e.after.(*isthmusv1.Federation); ok {
			out = append(out, federation.Plan(next, f, evidence.Federation(next, table), f.GetDeleteTime() != nil))
		}
	}
	return out
}

// checkFederations holds an edit against the rules of federations, on the fleet as it would be.
func checkFederations(next *prospect, e *edit) []problem {
	if e.before != nil && resource.SpecDigest(e.before) == resource.SpecDigest(e.after) {
		// What is only labelled, or has another status, is no worse than before.
		return nil
	}
	var violations []fault.Violation
	switch o := e.after.(type) {
	case *isthmusv1.Federation:
		violations = federation.Check(next, o)
	case *isthmusv1.Peering:
		violations = federation.CheckPeering(next, o)
	case *isthmusv1.ServiceExport:
		violations = federation.CheckExport(next, o)
	}
	out := make([]problem, 0, len(violations))
	for _, v := range violations {
		out = append(out, problem{fault.Refused, e.at(v)})
	}
	return out
}

// checkMember keeps a datacenter that is in a federation without being named there: by a selector, or still on its way out. Force lets
// one that is on its way out go, for a datacenter that is lost.
func checkMember(v *snapshot.View, e *edit, force bool) []problem {
	d, ok := e.before.(*isthmusv1.Datacenter)
	if !ok {
		return nil
	}
	m, ok := resource.MembershipOf(v, d.GetName())
	if !ok || m.Leaving && force {
		return nil
	}
	for _, r := range resource.KindOf(m.Federation).References(m.Federation) {
		if r.Kind == resource.KindDatacenter && r.Name == d.GetName() {
			return nil // checkReferrers says so
		}
	}
	why := fmt.Sprintf("its secondarySelector chooses %s; change the labels first", d.GetName())
	if m.Leaving {
		why = d.GetName() + " is leaving it; wait until it has, or use force when it is lost"
	}
	return []problem{{fault.Referenced, e.at(fault.Violation{
		Field: "name", Reason: "Referenced", Message: fmt.Sprintf("%s is in Federation %q: %s", d.GetName(), m.Federation.GetName(), why),
	})}}
}
