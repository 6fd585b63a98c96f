package api

import (
	"context"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// PeeringGroupService serves PeeringGroups.
type PeeringGroupService struct {
	isthmusv1.UnimplementedPeeringGroupServiceServer
	*Core
}

// ListPeeringGroups implements the RPC.
func (s *PeeringGroupService) ListPeeringGroups(ctx context.Context, r *isthmusv1.ListRequest) (*isthmusv1.ListPeeringGroupsResponse, error) {
	return list(ctx, s.Core, resource.KindPeeringGroup, r, &isthmusv1.ListPeeringGroupsResponse{})
}

// GetPeeringGroup implements the RPC.
func (s *PeeringGroupService) GetPeeringGroup(ctx context.Context, r *isthmusv1.GetRequest) (*isthmusv1.PeeringGroup, error) {
	return get[*isthmusv1.PeeringGroup](ctx, s.Core, resource.KindPeeringGroup, r)
}

// CreatePeeringGroup implements the RPC.
func (s *PeeringGroupService) CreatePeeringGroup(ctx context.Context, r *isthmusv1.CreatePeeringGroupRequest) (*isthmusv1.PeeringGroup, error) {
	return create(ctx, s.Core, r.GetPeeringGroup())
}

// UpdatePeeringGroup implements the RPC.
func (s *PeeringGroupService) UpdatePeeringGroup(ctx context.Context, r *isthmusv1.UpdatePeeringGroupRequest) (*isthmusv1.PeeringGroup, error) {
	return update(ctx, s.Core, r.GetPeeringGroup(), r)
}

// DeletePeeringGroup implements the RPC.
func (s *PeeringGroupService) DeletePeeringGroup(ctx context.Context, r *isthmusv1.DeleteRequest) (*isthmusv1.DeleteResponse, error) {
	return remove(ctx, s.Core, resource.KindPeeringGroup, r)
}
