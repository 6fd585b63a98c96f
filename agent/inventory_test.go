package agent_test

import (
	"strings"
	"testing"

	"isthmus/test/consultest"
)

func TestInventoryTellsWhatAFederationNeeds(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.agentOf(consultest.Start(t, "east"))
	h.want("east")
	eventually(t, "the inventory", func() bool { return h.reported("east").GetInventory() != nil })
	i := h.reported("east").GetInventory()
	if i.GetConsulDomain() != "consul" || i.GetPrimaryDatacenter() != "east" || i.WanFederationEnabled == nil || i.GetWanFederationEnabled() || i.GetDefaultPolicy() != "deny" {
		t.Errorf("got %v", i)
	}
	if i.GetWanMembers() != 1 || len(i.GetWanAddresses()) != 1 || !strings.HasPrefix(i.GetWanAddresses()[0], "127.0.0.1:") {
		t.Errorf("got %d WAN members at %v", i.GetWanMembers(), i.GetWanAddresses())
	}
	if i.GetAclReplication() != nil {
		t.Errorf("a datacenter without a primary replicates nothing: %v", i.GetAclReplication())
	}
}
