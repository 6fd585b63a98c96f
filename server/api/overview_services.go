package api

import (
	"context"
	"fmt"

	"isthmus/overview"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/evidence"
	"isthmus/server/request"
)

// ListServices implements the RPC. Reports have no index, so it never blocks: ListChanges tells when to ask again.
func (s *OverviewService) ListServices(ctx context.Context, r *isthmusv1.ListServicesRequest) (*isthmusv1.ListServicesResponse, error) {
	scope := listScope{Kind: "FleetService", Selector: fmt.Sprintf("query=%s,datacenter=%s", r.GetQuery(), r.GetDatacenter())}
	after, err := scope.open(r.GetPageToken())
	if err != nil {
		return nil, err
	}
	size, err := pageSize(r)
	if err != nil {
		return nil, err
	}
	v, err := s.newest(ctx)
	if err != nil {
		return nil, err
	}
	if dc := r.GetDatacenter(); dc != "" {
		if _, ok := v.Get(resource.KindDatacenter, dc); !ok {
			return nil, notFound(resource.KindDatacenter, dc)
		}
	}
	page := overview.Services(v, evidence.Catalog(s.Observations, s.Now()), overview.ServicesQuery{
		Text: r.GetQuery(), Datacenter: r.GetDatacenter(), After: after, Size: size,
	})
	out := &isthmusv1.ListServicesResponse{Services: page.Services, Total: int32(page.Total)}
	if page.More {
		out.NextPageToken = scope.token(page.Services[len(page.Services)-1].GetName())
	}
	request.At(ctx, v.Revision().Index)
	return out, nil
}
