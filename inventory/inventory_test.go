package inventory_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/inventory"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return noon.Add(-d) }

func TestLiveness(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		heard inventory.Heard
		want  string
	}{
		{"just now", inventory.Heard{At: ago(time.Second), Listening: ago(time.Hour)}, resource.LivenessOnline},
		{"at the limit", inventory.Heard{At: ago(30 * time.Second), Listening: ago(time.Hour)}, resource.LivenessOnline},
		{"silent", inventory.Heard{At: ago(31 * time.Second), Listening: ago(time.Hour)}, resource.LivenessOffline},
		{"never", inventory.Heard{Listening: ago(time.Hour)}, resource.LivenessUnknown},
		{"nobody listened", inventory.Heard{At: ago(time.Hour), Listening: ago(5 * time.Second)}, resource.LivenessUnknown},
	} {
		if got := tt.heard.Liveness(noon); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestAgent(t *testing.T) {
	t.Parallel()
	report := &isthmusv1.AgentReport{Leader: true, Version: "1.0", Host: "s1"}
	hour := inventory.Heard{At: ago(time.Second), Listening: ago(time.Hour)}
	a := &isthmusv1.Agent{Status: &isthmusv1.AgentStatus{Trust: "fleet"}}
	a.Status = inventory.Agent(a, report, hour, noon)
	want := &isthmusv1.AgentStatus{
		Trust: "fleet", Liveness: resource.LivenessOnline, LivenessSince: timestamppb.New(noon), Version: "1.0", Host: "s1", Leader: true,
	}
	if diff := cmp.Diff(want, a.Status, protocmp.Transform()); diff != "" {
		t.Fatalf("first report (-want +got):\n%s", diff)
	}
	if later := inventory.Agent(a, report, inventory.Heard{At: noon, Listening: ago(time.Hour)}, noon.Add(time.Second)); !proto.Equal(later, a.Status) {
		t.Errorf("a second word changed %v to %v", a.Status, later)
	}
	silent := inventory.Agent(a, report, inventory.Heard{At: ago(time.Minute), Listening: ago(time.Hour)}, noon)
	if silent.GetLiveness() != resource.LivenessOffline || silent.GetLeader() || !silent.GetLivenessSince().AsTime().Equal(ago(time.Minute)) {
		t.Errorf("silent: %v, want offline since its last word and not leading", silent)
	}
}

func agent(liveness string) *isthmusv1.Agent {
	return &isthmusv1.Agent{Status: &isthmusv1.AgentStatus{Liveness: liveness, LivenessSince: timestamppb.New(ago(time.Minute))}}
}

func healthy() inventory.Evidence {
	return inventory.Evidence{
		Agents:  []*isthmusv1.Agent{agent(resource.LivenessOnline), agent(resource.LivenessOffline)},
		Leading: &isthmusv1.AgentReport{},
		Inventory: &isthmusv1.InventoryReport{
			ConsulVersion: "1.20.6", Servers: 3, Leader: "s1", PeeringEnabled: new(true), ConnectEnabled: new(true),
		},
		Peerings: &isthmusv1.PeeringsReport{Peerings: []*isthmusv1.ObservedPeering{
			{PeerName: "west", Origin: "own"}, {PeerName: "theirs", Origin: "foreign", State: "ACTIVE"},
		}},
	}
}

func TestDatacenter(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*inventory.Evidence)
		kind   string
		status string
		reason string
	}{
		{"all is well", func(*inventory.Evidence) {}, resource.ConditionReady, resource.ConditionTrue, "Ready"},
		{"no agent", func(e *inventory.Evidence) { *e = inventory.Evidence{} }, resource.ConditionReady, resource.ConditionFalse, "NoAgent"},
		{
			"agents silent", func(e *inventory.Evidence) { e.Agents = []*isthmusv1.Agent{agent(resource.LivenessOffline)} },
			resource.ConditionReady, resource.ConditionUnknown, "AgentOffline",
		},
		{
			"agents not heard of yet", func(e *inventory.Evidence) { e.Agents = []*isthmusv1.Agent{agent("")} },
			resource.ConditionReady, resource.ConditionUnknown, "AgentUnknown",
		},
		{
			"the agent cannot work", func(e *inventory.Evidence) { e.Leading.ErrorReason = "WrongConsulDatacenter" },
			resource.ConditionReady, resource.ConditionFalse, "WrongConsulDatacenter",
		},
		{"nothing reported", func(e *inventory.Evidence) { e.Inventory = nil }, resource.ConditionReady, resource.ConditionUnknown, "NoInventory"},
		{"no leader", func(e *inventory.Evidence) { e.Inventory.Leader = "" }, resource.ConditionReady, resource.ConditionFalse, "NoLeader"},
		{
			"peering off", func(e *inventory.Evidence) { e.Inventory.PeeringEnabled = new(false) },
			resource.ConditionReady, resource.ConditionFalse, "PeeringDisabled",
		},
		{
			"agent too old", func(e *inventory.Evidence) { e.Omitted = []string{"mesh"} },
			inventory.ConditionAgentCurrent, resource.ConditionFalse, "AgentTooOld",
		},
		{
			"store restored", func(e *inventory.Evidence) { e.Leading.HeldRemovals = 3 },
			inventory.ConditionRemovalsHeld, resource.ConditionTrue, "StoreRestored",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			evidence := healthy()
			tt.change(&evidence)
			dc := &isthmusv1.Datacenter{Name: "dc1"}
			dc.Status = inventory.Datacenter(dc, evidence, noon)
			c := resource.FindCondition(dc.Status.GetConditions(), tt.kind)
			if c.GetStatus() != tt.status || c.GetReason() != tt.reason || c.GetMessage() == "" && tt.reason != "WrongConsulDatacenter" {
				t.Errorf("%s is %s, %s (%q); want %s, %s", tt.kind, c.GetStatus(), c.GetReason(), c.GetMessage(), tt.status, tt.reason)
			}
			again := inventory.Datacenter(dc, evidence, noon.Add(time.Hour))
			if diff := cmp.Diff(dc.Status, again, protocmp.Transform()); diff != "" {
				t.Errorf("an hour later it differs (-then +now):\n%s", diff)
			}
			dc.Generation = 2
			for _, c := range inventory.Datacenter(dc, evidence, noon).GetConditions() {
				if c.GetObservedGeneration() != 2 {
					t.Errorf("%s is of generation %d; want 2", c.GetType(), c.GetObservedGeneration())
				}
			}
		})
	}
}

func TestDatacenterShowsForeignPeerings(t *testing.T) {
	t.Parallel()
	status := inventory.Datacenter(&isthmusv1.Datacenter{Name: "dc1"}, healthy(), noon)
	if len(status.GetForeignPeerings()) != 1 || status.GetForeignPeerings()[0].GetPeerName() != "theirs" {
		t.Errorf("foreign peerings %v, want theirs alone", status.GetForeignPeerings())
	}
}

func TestGateways(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 80)
	got := inventory.Gateways("dc1", &isthmusv1.InventoryReport{Gateways: []*isthmusv1.ObservedGateway{
		{ServiceId: "mesh-gateway", Node: "s1", WanAddress: "192.0.2.1:8443", LanAddress: "10.0.0.1:8443", Health: "passing", WanFederation: true},
		{ServiceId: "mesh-gateway", Node: long, WanAddress: "192.0.2.2:8443"},
		{ServiceId: "mesh-gateway", Node: long + "y", WanAddress: "192.0.2.3:8443"},
		{ServiceId: "lan-only", Node: "s1"},
	}}, nobody)
	if len(got) != 3 || got[0].GetName() != "dc1-s1-mesh-gateway" {
		t.Fatalf("gateways %v, want the three that others can dial", got)
	}
	names := map[string]bool{}
	for _, g := range got {
		resource.Default(g)
		if err := resource.Validate(g); err != nil {
			t.Errorf("%s: %v", g.GetName(), err)
		}
		names[g.GetName()] = true
	}
	if len(names) != 3 {
		t.Errorf("names %v are not distinct", names)
	}
}

func nobody(string) bool { return false }

// A name that several gateways can want is none's.
func TestGatewaysWhoseNamesCollide(t *testing.T) {
	t.Parallel()
	names := func(datacenter string, taken func(string) bool, places ...[2]string) []string {
		r := &isthmusv1.InventoryReport{}
		for _, p := range places {
			r.Gateways = append(r.Gateways, &isthmusv1.ObservedGateway{Node: p[0], ServiceId: p[1], WanAddress: "192.0.2.1:8443"})
		}
		var out []string
		for _, g := range inventory.Gateways(datacenter, r, taken) {
			out = append(out, g.GetName())
		}
		return out
	}
	alone := names("eu-west", nobody, [2]string{"1", "mesh"})
	if len(alone) != 1 || alone[0] != "eu-west-1-mesh" {
		t.Fatalf("alone: %v", alone)
	}
	second := names("eu", func(name string) bool { return name == "eu-west-1-mesh" }, [2]string{"west-1", "mesh"})
	if len(second) != 1 || second[0] == alone[0] || !strings.HasPrefix(second[0], "eu-") {
		t.Errorf("the name is another datacenter's: %v", second)
	}
	within := names("eu", nobody, [2]string{"a-b", "c"}, [2]string{"a", "b-c"}, [2]string{"a", "b-c"})
	if len(within) != 2 || within[0] == within[1] || slices.Contains(within, "eu-a-b-c") {
		t.Errorf("two of one report that read alike: %v", within)
	}
	if turned := names("eu", nobody, [2]string{"a", "b-c"}, [2]string{"a-b", "c"}); turned[0] != within[1] || turned[1] != within[0] {
		t.Errorf("the order of the report changes names: %v, %v", within, turned)
	}
}
