package agent

import (
	"cmp"
	"context"
	"slices"

	"isthmus/agent/consul"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// kindProxy is Consul's kind of a sidecar: a part of its service, not a service of its own.
const kindProxy = "connect-proxy"

// healthPassing is Consul's word for an instance all of whose checks pass.
const healthPassing = "passing"

// servicesReport lists the services of the catalog and those imported from peers. Only of services with a check that does
// not pass the instances are looked at.
func (r *reconciler) servicesReport(ctx context.Context, services []consul.Service) (*isthmusv1.ServicesReport, error) {
	report := &isthmusv1.ServicesReport{}
	for _, s := range services {
		if s.Kind == kindProxy {
			continue
		}
		healthy := s.Instances
		if s.Troubled {
			instances, err := r.consul.Instances(ctx, s.Name, s.Peer)
			if err != nil {
				return nil, err
			}
			healthy = 0
			for _, i := range instances {
				if i.Health == healthPassing {
					healthy++
				}
			}
		}
		report.Services = append(report.Services, &isthmusv1.CatalogService{
			Name: s.Name, Peer: s.Peer, Instances: int32(s.Instances), Healthy: int32(healthy), Mesh: s.Mesh,
		})
	}
	slices.SortFunc(report.Services, func(a, b *isthmusv1.CatalogService) int {
		return cmp.Or(cmp.Compare(a.GetName(), b.GetName()), cmp.Compare(a.GetPeer(), b.GetPeer()))
	})
	return report, nil
}

// countOwn is the number of services of the datacenter itself.
func countOwn(services []consul.Service) int32 {
	n := int32(0)
	for _, s := range services {
		if s.Peer == "" && s.Kind != kindProxy {
			n++
		}
	}
	return n
}
