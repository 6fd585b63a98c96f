package api

import (
	"context"

	"isthmus/datacenterstate"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/evidence"
)

// GetDatacenterState implements the RPC. Reports have no index, so it never blocks.
func (s *OverviewService) GetDatacenterState(ctx context.Context, r *isthmusv1.GetRequest) (*isthmusv1.DatacenterState, error) {
	v, err := s.newest(ctx)
	if err != nil {
		return nil, err
	}
	if _, ok := v.Get(resource.KindDatacenter, r.GetName()); !ok {
		return nil, notFound(resource.KindDatacenter, r.GetName())
	}
	return datacenterstate.Of(v, r.GetName(), evidence.DatacenterState(v, s.Observations, r.GetName()), s.Now()), nil
}
