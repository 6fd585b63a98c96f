package api

import (
	"context"

	"isthmus/explain"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server/evidence"
)

// Explain implements the RPC. Reports have no index, so it never blocks.
func (s *DiagnosisService) Explain(ctx context.Context, r *isthmusv1.ExplainRequest) (*isthmusv1.Explanation, error) {
	v, err := s.newest(ctx)
	if err != nil {
		return nil, err
	}
	from, err := explain.Parse("source", r.GetSource()) // before anything is gathered: whatever leads on, it begins there
	if err != nil {
		return nil, err
	}
	if _, err := explain.Parse("destination", r.GetDestination()); err != nil {
		return nil, err
	}
	now := s.Now()
	return explain.Explain(v, explain.Evidence{Of: evidence.Explain(v, s.Observations, now), Connections: s.connectionsOf(v, from.Datacenter)}, r.GetSource(), r.GetDestination(), now)
}
