package agent

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/agent/consul"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// inventory is what there is in this datacenter, as far as it concerns others: discrete facts, no ages. self is what Consul
// just said of itself, services what its catalog has.
func (r *reconciler) inventory(ctx context.Context, self consul.Self, services []consul.Service) (*isthmusv1.InventoryReport, error) {
	report := &isthmusv1.InventoryReport{
		ConsulDatacenter: self.Datacenter, ConsulVersion: self.Version,
		AclEnabled: self.ACL, TlsEnabled: self.TLS, GossipEncrypted: self.Gossip,
		ConnectEnabled: self.Connect, PeeringEnabled: self.Peering,
		WanMembers: int32(self.WANMembers), Services: countOwn(services),
	}
	leader, servers, err := r.consul.Raft(ctx)
	if err != nil {
		return nil, err
	}
	report.Leader, report.Servers = leader, int32(servers)
	if self.Connect != nil && *self.Connect {
		ca, err := r.consul.MeshCA(ctx)
		if err != nil {
			return nil, err
		}
		report.TrustDomain = ca.TrustDomain
		// A certificate may end in a year that no message can say.
		if at := timestamppb.New(ca.Expires); !ca.Expires.IsZero() && at.IsValid() {
			report.CaExpireTime = at
		}
	}
	replication, err := r.consul.Replication(ctx)
	if err != nil {
		return nil, err
	}
	if replication.Enabled {
		report.AclReplication = &isthmusv1.AclReplication{
			Enabled: true, Running: replication.Running, SourceDatacenter: replication.Source, Healthy: replication.Healthy,
		}
	}
	report.Gateways, err = r.gateways(ctx, services)
	return report, err
}
