package api

import (
	"context"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store/snapshot"
)

// PeeringService serves Peerings.
type PeeringService struct {
	isthmusv1.UnimplementedPeeringServiceServer
	*Core
}

// ListPeerings implements the RPC.
func (s *PeeringService) ListPeerings(ctx context.Context, r *isthmusv1.ListRequest) (*isthmusv1.ListPeeringsResponse, error) {
	items, next, err := list[*isthmusv1.Peering](ctx, s.Core, resource.KindPeering, r)
	if err != nil {
		return nil, err
	}
	return &isthmusv1.ListPeeringsResponse{Peerings: items, NextPageToken: next}, nil
}

// GetPeering implements the RPC.
func (s *PeeringService) GetPeering(ctx context.Context, r *isthmusv1.GetRequest) (*isthmusv1.Peering, error) {
	return get[*isthmusv1.Peering](ctx, s.Core, resource.KindPeering, r)
}

// CreatePeering implements the RPC.
func (s *PeeringService) CreatePeering(ctx context.Context, r *isthmusv1.CreatePeeringRequest) (*isthmusv1.Peering, error) {
	return create(ctx, s.Core, r.GetPeering())
}

// UpdatePeering implements the RPC.
func (s *PeeringService) UpdatePeering(ctx context.Context, r *isthmusv1.UpdatePeeringRequest) (*isthmusv1.Peering, error) {
	return update(ctx, s.Core, r.GetPeering(), r)
}

// DeletePeering implements the RPC.
func (s *PeeringService) DeletePeering(ctx context.Context, r *isthmusv1.DeleteRequest) (*isthmusv1.DeleteResponse, error) {
	return remove(ctx, s.Core, resource.KindPeering, r)
}

// RotatePeering implements the RPC: it raises spec.tokenGeneration, which group-owned peerings may have raised too.
func (s *PeeringService) RotatePeering(ctx context.Context, r *isthmusv1.RotatePeeringRequest) (*isthmusv1.Peering, error) {
	return one[*isthmusv1.Peering](s.submit(ctx, false, func(v *snapshot.View) (*batch, error) {
		before, err := existing(v, resource.KindPeering, r.GetName(), r.GetIndex())
		if err != nil {
			return nil, err
		}
		after := resource.Clone(before).(*isthmusv1.Peering) //nolint:forcetypeassert // the kind's type is fixed by the registry.
		if after.GetSpec().GetExternalAcceptor() != "" {
			return nil, fault.New(fault.Refused, "the token of Peering %q is made by %s, who is not of this fleet: import a new one",
				r.GetName(), after.GetSpec().GetExternalAcceptor())
		}
		after.Spec.TokenGeneration++
		return &batch{edits: []*edit{{kind: resource.KindOf(before), before: before, after: after, index: r.GetIndex(), action: "rotate",
			message: "a new token was asked for"}}}, nil
	}))
}
