package api

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/observation"
	"isthmus/store/snapshot"
)

// DatacenterService serves Datacenters.
type DatacenterService struct {
	isthmusv1.UnimplementedDatacenterServiceServer
	*Core
}

// ListDatacenters implements the RPC.
func (s *DatacenterService) ListDatacenters(ctx context.Context, r *isthmusv1.ListRequest) (*isthmusv1.ListDatacentersResponse, error) {
	return list(ctx, s.Core, resource.KindDatacenter, r, &isthmusv1.ListDatacentersResponse{})
}

// GetDatacenter implements the RPC.
func (s *DatacenterService) GetDatacenter(ctx context.Context, r *isthmusv1.GetRequest) (*isthmusv1.Datacenter, error) {
	return get[*isthmusv1.Datacenter](ctx, s.Core, resource.KindDatacenter, r)
}

// CreateDatacenter implements the RPC.
func (s *DatacenterService) CreateDatacenter(ctx context.Context, r *isthmusv1.CreateDatacenterRequest) (*isthmusv1.Datacenter, error) {
	return create(ctx, s.Core, r.GetDatacenter())
}

// UpdateDatacenter implements the RPC.
func (s *DatacenterService) UpdateDatacenter(ctx context.Context, r *isthmusv1.UpdateDatacenterRequest) (*isthmusv1.Datacenter, error) {
	return update(ctx, s.Core, r.GetDatacenter(), r)
}

// DeleteDatacenter implements the RPC.
func (s *DatacenterService) DeleteDatacenter(ctx context.Context, r *isthmusv1.DeleteRequest) (*isthmusv1.DeleteResponse, error) {
	return remove(ctx, s.Core, resource.KindDatacenter, r)
}

// ListDatacenterServices implements the RPC. Reports have no index, so it never blocks; the answer says
// when the agent saw what it tells.
func (s *DatacenterService) ListDatacenterServices(ctx context.Context, r *isthmusv1.GetRequest) (*isthmusv1.ListDatacenterServicesResponse, error) {
	if _, err := get[*isthmusv1.Datacenter](ctx, s.Core, resource.KindDatacenter, &isthmusv1.GetRequest{Name: r.GetName(), MinIndex: r.GetMinIndex()}); err != nil {
		return nil, err
	}
	seen, ok := s.Observations.Get(r.GetName(), observation.PartServices)
	if !ok {
		return &isthmusv1.ListDatacenterServicesResponse{}, nil
	}
	return &isthmusv1.ListDatacenterServicesResponse{
		Services: seen.Services.GetServices(), ObserveTime: timestamppb.New(seen.Received),
	}, nil
}

// ConfirmDatacenter implements the RPC.
func (s *DatacenterService) ConfirmDatacenter(ctx context.Context, r *isthmusv1.ConfirmDatacenterRequest) (*isthmusv1.Datacenter, error) {
	return one[*isthmusv1.Datacenter](s.submit(ctx, false, func(v *snapshot.View) (*batch, error) {
		before, err := existing(v, resource.KindDatacenter, r.GetName(), 0)
		if err != nil {
			return nil, err
		}
		after := resource.Clone(before).(*isthmusv1.Datacenter) //nolint:forcetypeassert // the kind's type is fixed by the registry.
		if after.Status == nil {
			after.Status = &isthmusv1.DatacenterStatus{}
		}
		after.Status.ConfirmedEpoch = v.Revision().Epoch
		return &batch{edits: []*edit{{
			kind: resource.KindOf(before), before: before, after: after, action: "confirm", status: true,
			message: "removals may go on in epoch " + v.Revision().Epoch,
		}}}, nil
	}))
}
