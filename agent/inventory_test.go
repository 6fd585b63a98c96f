package agent_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"isthmus/agent"
	"isthmus/agent/consul"
	"isthmus/demo/consulrun"
	"isthmus/test/consultest"
)

func TestInventoryTellsWhatAFederationNeeds(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	c := consultest.Start(t, "east")
	c.Register("plain", "meshed")
	c.Do(http.MethodPut, "/v1/catalog/register", map[string]any{
		// Not the server's own node: its agent removes there what it does not know, sooner or later.
		"Node": "meshed-node", "Address": "127.0.0.1", "SkipNodeUpdate": true, "Service": map[string]any{
			"ID": "meshed-proxy", "Service": "meshed-proxy", "Kind": "connect-proxy", "Port": 21000,
			"Proxy": map[string]any{"DestinationServiceName": "meshed"},
		},
	}, nil)
	h.agentOf(c)
	h.want("east")
	eventually(t, "the inventory", func() bool { return h.reported("east").GetInventory() != nil })
	i := h.reported("east").GetInventory()
	if i.GetDefaultIntentionPolicy() != "deny" {
		t.Errorf("without a word of its own, intentions' default is ACLs', which deny; got %q", i.GetDefaultIntentionPolicy())
	}
	for _, s := range h.reported("east").GetServices().GetServices() {
		if s.GetMesh() != (s.GetName() == "meshed") {
			t.Errorf("%s is in the mesh: %t", s.GetName(), s.GetMesh())
		}
	}
	var roots struct {
		Roots []struct{ RootCert string }
	}
	c.Do(http.MethodGet, "/v1/connect/ca/roots", nil, &roots)
	block, _ := pem.Decode([]byte(roots.Roots[0].RootCert))
	if sum := sha256.Sum256(block.Bytes); len(i.GetCaRoots()) != 1 || i.GetCaRoots()[0] != hex.EncodeToString(sum[:]) {
		t.Errorf("the mesh CA's roots are %v", i.GetCaRoots())
	}
	if i.GetConsulDomain() != "consul" || i.GetPrimaryDatacenter() != "east" || i.WanFederationEnabled == nil || i.GetWanFederationEnabled() || i.GetDefaultPolicy() != "deny" {
		t.Errorf("got %v", i)
	}
	if i.GetWanMembers() != 1 || len(i.GetWanAddresses()) != 1 || !strings.HasPrefix(i.GetWanAddresses()[0], "127.0.0.1:") ||
		len(i.GetRpcAddresses()) != 1 || i.GetRpcAddresses()[0] != serverPort(c) {
		t.Errorf("got %d WAN members at %v and %v", i.GetWanMembers(), i.GetWanAddresses(), i.GetRpcAddresses())
	}
	if servers := i.GetRaftServers(); i.GetServers() != 1 || i.GetLeader() != c.Node || len(servers) != 1 || servers[0].GetNode() != c.Node ||
		servers[0].GetAddress() != serverPort(c) || !servers[0].GetLeader() || !servers[0].GetVoter() {
		t.Errorf("got %d servers, leader %s, Raft's %v", i.GetServers(), i.GetLeader(), servers)
	}
	if i.GetAclReplication() != nil {
		t.Errorf("a datacenter without a primary replicates nothing: %v", i.GetAclReplication())
	}
}

// What Consul says of intentions counts before what it says of ACLs.
func TestInventoryTellsThePostureOfIntentions(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.agentOf(consultest.StartWith(t, consulrun.Options{Datacenter: "east", Config: map[string]any{"default_intention_policy": "allow"}}))
	h.want("east")
	eventually(t, "the inventory", func() bool { return h.reported("east").GetInventory() != nil })
	if i := h.reported("east").GetInventory(); i.GetDefaultIntentionPolicy() != "allow" || i.GetDefaultPolicy() != "deny" {
		t.Errorf("got %q, and %q of ACLs", i.GetDefaultIntentionPolicy(), i.GetDefaultPolicy())
	}
}

// Consul calls a replication that hangs well for ever. How old the last success is counts from when no round takes that long, and is no news before.
func TestReplicationThatHangs(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, tt := range []struct {
		name    string
		found   consul.Replication
		healthy bool
		since   bool
		says    string
	}{
		{"a round just ended", consul.Replication{Enabled: true, Healthy: true, LastSuccess: now.Add(-time.Second)}, true, false, ""},
		{"a round waits for news", consul.Replication{Enabled: true, Healthy: true, LastError: "old", LastSuccess: now.Add(-11 * time.Minute)}, true, false, ""},
		{"it hangs", consul.Replication{Enabled: true, Healthy: true, LastError: "old", LastSuccess: now.Add(-16 * time.Minute)}, false, true, "hangs"},
		{"it fails", consul.Replication{Enabled: true, LastError: "rpc error", LastSuccess: now.Add(-time.Minute)}, false, true, "rpc error"},
		{"it has not begun", consul.Replication{Enabled: true}, false, false, ""},
	} {
		got := agent.ReplicationAt(tt.found, now)
		if got.GetHealthy() != tt.healthy || (got.GetLastSuccessTime() != nil) != tt.since || !strings.Contains(got.GetError(), tt.says) || tt.says == "" && got.GetError() != "" {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	if got := agent.ReplicationAt(consul.Replication{}, now); got != nil {
		t.Errorf("ACLs are off: %v", got)
	}
}

// A leader whose node nobody knows is a leader.
func TestLeaderWithoutANode(t *testing.T) {
	t.Parallel()
	known := consul.RaftServer{Node: "server-1", Address: "192.0.2.1:8300", Voter: true}
	nameless := consul.RaftServer{Address: "192.0.2.2:8300", Leader: true, Voter: true}
	if got := agent.ServersTold(known, nameless); got.GetServers() != 2 || got.GetLeader() != "192.0.2.2:8300" {
		t.Errorf("it tells %v", got)
	}
	known.Leader, nameless.Leader = true, false
	if got := agent.ServersTold(known, nameless); got.GetLeader() != "server-1" {
		t.Errorf("it tells %v", got)
	}
}
