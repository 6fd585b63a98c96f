package api

import (
	"context"

	"isthmus/connection"
	"isthmus/overview"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server/evidence"
	"isthmus/store/snapshot"
)

// GetFleet implements the RPC. Reports have no index, so it never blocks: ListChanges tells when to ask again.
func (s *OverviewService) GetFleet(ctx context.Context, _ *isthmusv1.GetFleetRequest) (*isthmusv1.Fleet, error) {
	v, err := s.newest(ctx)
	if err != nil {
		return nil, err
	}
	setIndex(ctx, v.Revision().Index)
	return s.fleet(v), nil
}

// fleet is all datacenters and how they are connected, at a view and now.
func (s *OverviewService) fleet(v *snapshot.View) *isthmusv1.Fleet {
	now := s.Now()
	return overview.Fleet(v, evidence.Fleet(v, s.Observations), connection.Links(v, evidence.Connection(v, s.Observations), now), now)
}
