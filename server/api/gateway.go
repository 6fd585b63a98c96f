package api

import (
	"context"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// GatewayService serves Gateways.
type GatewayService struct {
	isthmusv1.UnimplementedGatewayServiceServer
	*Core
}

// ListGateways implements the RPC.
func (s *GatewayService) ListGateways(ctx context.Context, r *isthmusv1.ListRequest) (*isthmusv1.ListGatewaysResponse, error) {
	return list(ctx, s.Core, resource.KindGateway, r, &isthmusv1.ListGatewaysResponse{})
}

// GetGateway implements the RPC.
func (s *GatewayService) GetGateway(ctx context.Context, r *isthmusv1.GetRequest) (*isthmusv1.Gateway, error) {
	return get[*isthmusv1.Gateway](ctx, s.Core, resource.KindGateway, r)
}

// CreateGateway implements the RPC.
func (s *GatewayService) CreateGateway(ctx context.Context, r *isthmusv1.CreateGatewayRequest) (*isthmusv1.Gateway, error) {
	return create(ctx, s.Core, r.GetGateway())
}

// UpdateGateway implements the RPC.
func (s *GatewayService) UpdateGateway(ctx context.Context, r *isthmusv1.UpdateGatewayRequest) (*isthmusv1.Gateway, error) {
	return update(ctx, s.Core, r.GetGateway(), r)
}

// DeleteGateway implements the RPC.
func (s *GatewayService) DeleteGateway(ctx context.Context, r *isthmusv1.DeleteRequest) (*isthmusv1.DeleteResponse, error) {
	return remove(ctx, s.Core, resource.KindGateway, r)
}
