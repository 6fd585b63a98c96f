package api

import (
	"context"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// TrafficPolicyService serves TrafficPolicies.
type TrafficPolicyService struct {
	isthmusv1.UnimplementedTrafficPolicyServiceServer
	*Core
}

// ListTrafficPolicies implements the RPC.
func (s *TrafficPolicyService) ListTrafficPolicies(ctx context.Context, r *isthmusv1.ListRequest) (*isthmusv1.ListTrafficPoliciesResponse, error) {
	return list(ctx, s.Core, resource.KindTrafficPolicy, r, &isthmusv1.ListTrafficPoliciesResponse{})
}

// GetTrafficPolicy implements the RPC.
func (s *TrafficPolicyService) GetTrafficPolicy(ctx context.Context, r *isthmusv1.GetRequest) (*isthmusv1.TrafficPolicy, error) {
	return get[*isthmusv1.TrafficPolicy](ctx, s.Core, resource.KindTrafficPolicy, r)
}

// CreateTrafficPolicy implements the RPC.
func (s *TrafficPolicyService) CreateTrafficPolicy(ctx context.Context, r *isthmusv1.CreateTrafficPolicyRequest) (*isthmusv1.TrafficPolicy, error) {
	return create(ctx, s.Core, r.GetTrafficPolicy())
}

// UpdateTrafficPolicy implements the RPC.
func (s *TrafficPolicyService) UpdateTrafficPolicy(ctx context.Context, r *isthmusv1.UpdateTrafficPolicyRequest) (*isthmusv1.TrafficPolicy, error) {
	return update(ctx, s.Core, r.GetTrafficPolicy(), r)
}

// DeleteTrafficPolicy implements the RPC.
func (s *TrafficPolicyService) DeleteTrafficPolicy(ctx context.Context, r *isthmusv1.DeleteRequest) (*isthmusv1.DeleteResponse, error) {
	return remove(ctx, s.Core, resource.KindTrafficPolicy, r)
}
