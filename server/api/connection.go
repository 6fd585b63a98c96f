package api

import (
	"context"

	"isthmus/connection"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/evidence"
	"isthmus/store/snapshot"
)

// ListConnections implements the RPC. Reports have no index, so it never blocks.
func (s *DiagnosisService) ListConnections(ctx context.Context, r *isthmusv1.ListConnectionsRequest) (*isthmusv1.ListConnectionsResponse, error) {
	v, err := s.newest(ctx)
	if err != nil {
		return nil, err
	}
	found, err := s.connections(v, connection.Filter{Datacenter: r.GetDatacenter(), Kind: r.GetKind(), Name: r.GetName(), Verdict: r.GetVerdict()})
	if err != nil {
		return nil, err
	}
	if dc := r.GetDatacenter(); dc != "" && len(found) == 0 { // another operator's cluster is no Datacenter, but has connections
		if _, ok := v.Get(resource.KindDatacenter, dc); !ok {
			return nil, notFound(resource.KindDatacenter, dc)
		}
	}
	return &isthmusv1.ListConnectionsResponse{Connections: found}, nil
}

// connectionsOf are those of a datacenter (empty: of all); of a fleet with more than can be given at once, the peerings.
func (s *DiagnosisService) connectionsOf(v *snapshot.View, datacenter string) []*isthmusv1.Connection {
	for _, kind := range []string{"", connection.KindPeering} {
		if found, err := s.connections(v, connection.Filter{Datacenter: datacenter, Kind: kind}); err == nil {
			return found
		}
	}
	return nil
}

// connections are those that a filter chooses, with their evidence.
func (s *DiagnosisService) connections(v *snapshot.View, filter connection.Filter) ([]*isthmusv1.Connection, error) {
	return connection.List(v, evidence.Connection(v, s.Observations), filter, s.Now())
}
