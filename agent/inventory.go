package agent

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/agent/consul"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// maxWANAddresses bounds how many servers' addresses are told; Consul's own advice is at most seven servers.
const maxWANAddresses = 16

// maxServers bounds how many servers that Raft knows are told one by one.
const maxServers = 16

// maxRoots bounds how many roots of a mesh CA are told: Consul keeps old ones while certificates of theirs are valid.
const maxRoots = 8

// inventory is what there is in this datacenter, as far as it concerns others: discrete facts, no ages. self is what Consul
// just said of itself, services what its catalog has.
func (r *reconciler) inventory(ctx context.Context, self consul.Self, services []consul.Service) (*isthmusv1.InventoryReport, error) {
	report := &isthmusv1.InventoryReport{
		ConsulDatacenter: self.Datacenter, ConsulVersion: self.Version,
		AclEnabled: self.ACL, TlsEnabled: self.TLS, GossipEncrypted: self.Gossip,
		ConnectEnabled: self.Connect, PeeringEnabled: self.Peering,
		Services:     countOwn(services),
		ConsulDomain: self.Domain, PrimaryDatacenter: self.PrimaryDatacenter,
		WanFederationEnabled: self.WANFederation, DefaultPolicy: self.DefaultPolicy,
		DefaultIntentionPolicy: self.DefaultIntentionPolicy,
	}
	if err := r.wan(ctx, self.Datacenter, report); err != nil {
		return nil, err
	}
	servers, err := r.consul.Raft(ctx)
	if err != nil {
		return nil, err
	}
	tellServers(report, servers)
	if self.Connect != nil && *self.Connect {
		ca, err := r.consul.MeshCA(ctx)
		if err != nil {
			return nil, err
		}
		report.TrustDomain, report.CaRoots = ca.TrustDomain, ca.Roots[:min(len(ca.Roots), maxRoots)]
		// A certificate may end in a year that no message can say.
		if at := timestamppb.New(ca.Expires); !ca.Expires.IsZero() && at.IsValid() {
			report.CaExpireTime = at
		}
	}
	if report.AclReplication, err = r.replication(ctx); err != nil {
		return nil, err
	}
	report.Gateways, err = r.gateways(ctx, services)
	r.dials.gateways = report.GetGateways()
	return report, err
}

// tellServers tells of the servers that Raft knows, and of their leader.
func tellServers(report *isthmusv1.InventoryReport, servers []consul.RaftServer) {
	report.Servers = int32(len(servers))
	for _, s := range servers {
		if s.Leader {
			// Of one whose node nobody knows, its address: without a leader the datacenter would be failing.
			report.Leader = cmp.Or(s.Node, s.Address)
		}
		if len(report.GetRaftServers()) < maxServers {
			report.RaftServers = append(report.RaftServers, &isthmusv1.ObservedServer{Node: s.Node, Address: s.Address, Leader: s.Leader, Voter: s.Voter})
		}
	}
}

// wan tells of the WAN gossip: how many servers are alive there, and at which addresses this datacenter's own are.
func (r *reconciler) wan(ctx context.Context, consulDatacenter string, report *isthmusv1.InventoryReport) error {
	members, err := r.consul.WANMembers(ctx)
	if err != nil {
		return err
	}
	for _, m := range members {
		if m.Status != consul.MemberAlive {
			continue
		}
		report.WanMembers++
		if m.Datacenter == consulDatacenter && len(report.GetWanAddresses()) < maxWANAddresses {
			report.WanAddresses = append(report.WanAddresses, m.Address)
			if m.RPCAddress != "" {
				report.RpcAddresses = append(report.RpcAddresses, m.RPCAddress)
			}
		}
	}
	return nil
}

// replicationStalls is after how long without the end of a round ACL replication is called hung. Each round waits in the primary for something
// new, for 5 minutes unless Consul is told otherwise, for 10 at most (max_query_time), and a sixteenth; so that how old the last success is says
// nothing before.
const replicationStalls = 15 * time.Minute

// replication is how ACLs come from the primary; nil when they do not.
func (r *reconciler) replication(ctx context.Context) (*isthmusv1.AclReplication, error) {
	found, err := r.consul.Replication(ctx)
	if err != nil {
		return nil, err
	}
	return replicationAt(found, r.now()), nil
}

// replicationAt is what a report has of it: no times while it is healthy, which would make news of nothing.
func replicationAt(found consul.Replication, now time.Time) *isthmusv1.AclReplication {
	if !found.Enabled {
		return nil
	}
	out := &isthmusv1.AclReplication{Enabled: true, Running: found.Running, SourceDatacenter: found.Source, Healthy: found.Healthy}
	if out.GetHealthy() && now.Sub(found.LastSuccess) > replicationStalls {
		out.Healthy = false
		found.LastError = fmt.Sprintf("no round of it has ended for more than %s, and Consul shows no error: it hangs until another server leads there (consul operator raft transfer-leader)", replicationStalls)
	}
	if out.GetHealthy() {
		return out
	}
	out.Error = found.LastError
	if !found.LastSuccess.IsZero() {
		out.LastSuccessTime = timestamppb.New(found.LastSuccess)
	}
	return out
}
