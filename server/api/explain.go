package api

import (
	"context"
	"strings"

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
	now := s.Now()
	_, datacenter, _ := strings.Cut(r.GetSource(), "@") // whatever leads on, it begins there
	return explain.Explain(v, explain.Evidence{Of: evidence.Explain(v, s.Observations, now), Connections: s.connectionsOf(v, datacenter)}, r.GetSource(), r.GetDestination(), now)
}
