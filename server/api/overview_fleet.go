package api

import (
	"context"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server/request"
)

// GetFleet implements the RPC. Reports have no index, so it never blocks: ListChanges tells when to ask again.
func (s *OverviewService) GetFleet(ctx context.Context, _ *isthmusv1.GetFleetRequest) (*isthmusv1.Fleet, error) {
	if _, err := s.newest(ctx); err != nil {
		return nil, err
	}
	fleet, index := s.Fleets.Get()
	request.At(ctx, index)
	return fleet, nil
}
