package agent_test

import (
	"strings"
	"testing"

	"isthmus/test/consultest"
)

func TestInventoryTellsWhatAFederationNeeds(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	c := consultest.Start(t, "east")
	h.agentOf(c)
	h.want("east")
	eventually(t, "the inventory", func() bool { return h.reported("east").GetInventory() != nil })
	i := h.reported("east").GetInventory()
	if i.GetConsulDomain() != "consul" || i.GetPrimaryDatacenter() != "east" || i.WanFederationEnabled == nil || i.GetWanFederationEnabled() || i.GetDefaultPolicy() != "deny" {
		t.Errorf("got %v", i)
	}
	if i.GetWanMembers() != 1 || len(i.GetWanAddresses()) != 1 || !strings.HasPrefix(i.GetWanAddresses()[0], "127.0.0.1:") ||
		len(i.GetRpcAddresses()) != 1 || i.GetRpcAddresses()[0] != serverPort(c) {
		t.Errorf("got %d WAN members at %v and %v", i.GetWanMembers(), i.GetWanAddresses(), i.GetRpcAddresses())
	}
	if i.GetAclReplication() != nil {
		t.Errorf("a datacenter without a primary replicates nothing: %v", i.GetAclReplication())
	}
}
