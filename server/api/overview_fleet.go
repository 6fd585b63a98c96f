package api

import (
	"context"
	"time"

	"isthmus/connection"
	"isthmus/overview"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server/evidence"
	"isthmus/server/observation"
	"isthmus/store/snapshot"
)

// GetFleet implements the RPC. Reports have no index, so it never blocks: ListChanges tells when to ask again.
func (s *OverviewService) GetFleet(ctx context.Context, _ *isthmusv1.GetFleetRequest) (*isthmusv1.Fleet, error) {
	v, err := s.newest(ctx)
	if err != nil {
		return nil, err
	}
	setIndex(ctx, v.Revision().Index)
	return FleetAt(v, s.Observations, s.Now()), nil
}

// FleetAt is all datacenters and how they are connected, out of what was stored at a view and what agents said last.
func FleetAt(v *snapshot.View, table *observation.Table, now time.Time) *isthmusv1.Fleet {
	return overview.Fleet(v, evidence.Fleet(v, table), connection.Links(v, evidence.Connection(v, table), now), now)
}
