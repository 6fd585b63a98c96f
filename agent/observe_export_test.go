package agent

import (
	"time"

	"isthmus/agent/consul"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Heartbeat is how an end is judged that is ACTIVE since a time (zero: it is not), and heard a heartbeat, and anything, at others.
func Heartbeat(active, heartbeat, received, now time.Time) string {
	v := &vigil{active: active}
	return v.heartbeat(consul.Peering{Heartbeat: heartbeat, Received: received}, now)
}

// NamesDigest is what a report has of the names of services.
func NamesDigest(names ...string) string { return namesDigest(names) }

// ReplicationAt is what a report has of ACL replication.
func ReplicationAt(found consul.Replication, now time.Time) *isthmusv1.AclReplication {
	return replicationAt(found, now)
}

// ServersTold is what an inventory has of the servers that Raft knows.
func ServersTold(servers ...consul.RaftServer) *isthmusv1.InventoryReport {
	report := &isthmusv1.InventoryReport{}
	tellServers(report, servers)
	return report
}
