package api

import (
	"context"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// IntentionService serves Intentions.
type IntentionService struct {
	isthmusv1.UnimplementedIntentionServiceServer
	*Core
}

// ListIntentions implements the RPC.
func (s *IntentionService) ListIntentions(ctx context.Context, r *isthmusv1.ListRequest) (*isthmusv1.ListIntentionsResponse, error) {
	return list(ctx, s.Core, resource.KindIntention, r, &isthmusv1.ListIntentionsResponse{})
}

// GetIntention implements the RPC.
func (s *IntentionService) GetIntention(ctx context.Context, r *isthmusv1.GetRequest) (*isthmusv1.Intention, error) {
	return get[*isthmusv1.Intention](ctx, s.Core, resource.KindIntention, r)
}

// CreateIntention implements the RPC.
func (s *IntentionService) CreateIntention(ctx context.Context, r *isthmusv1.CreateIntentionRequest) (*isthmusv1.Intention, error) {
	return create(ctx, s.Core, r.GetIntention())
}

// UpdateIntention implements the RPC.
func (s *IntentionService) UpdateIntention(ctx context.Context, r *isthmusv1.UpdateIntentionRequest) (*isthmusv1.Intention, error) {
	return update(ctx, s.Core, r.GetIntention(), r)
}

// DeleteIntention implements the RPC.
func (s *IntentionService) DeleteIntention(ctx context.Context, r *isthmusv1.DeleteRequest) (*isthmusv1.DeleteResponse, error) {
	return remove(ctx, s.Core, resource.KindIntention, r)
}
