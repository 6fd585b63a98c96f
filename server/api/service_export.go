package api

import (
	"context"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// ServiceExportService serves ServiceExports.
type ServiceExportService struct {
	isthmusv1.UnimplementedServiceExportServiceServer
	*Core
}

// ListServiceExports implements the RPC.
func (s *ServiceExportService) ListServiceExports(ctx context.Context, r *isthmusv1.ListRequest) (*isthmusv1.ListServiceExportsResponse, error) {
	return list(ctx, s.Core, resource.KindServiceExport, r, &isthmusv1.ListServiceExportsResponse{})
}

// GetServiceExport implements the RPC.
func (s *ServiceExportService) GetServiceExport(ctx context.Context, r *isthmusv1.GetRequest) (*isthmusv1.ServiceExport, error) {
	return get[*isthmusv1.ServiceExport](ctx, s.Core, resource.KindServiceExport, r)
}

// CreateServiceExport implements the RPC.
func (s *ServiceExportService) CreateServiceExport(ctx context.Context, r *isthmusv1.CreateServiceExportRequest) (*isthmusv1.ServiceExport, error) {
	return create(ctx, s.Core, r.GetServiceExport())
}

// UpdateServiceExport implements the RPC.
func (s *ServiceExportService) UpdateServiceExport(ctx context.Context, r *isthmusv1.UpdateServiceExportRequest) (*isthmusv1.ServiceExport, error) {
	return update(ctx, s.Core, r.GetServiceExport(), r)
}

// DeleteServiceExport implements the RPC.
func (s *ServiceExportService) DeleteServiceExport(ctx context.Context, r *isthmusv1.DeleteRequest) (*isthmusv1.DeleteResponse, error) {
	return remove(ctx, s.Core, resource.KindServiceExport, r)
}
