package overview_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"isthmus/inventory"
	"isthmus/overview"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(now.Add(-d)) }

// patient is a datacenter that is well; a test makes it ill.
type patient struct {
	dc   *isthmusv1.Datacenter
	seen overview.Seen
	role string
}

func newPatient() *patient {
	return &patient{
		dc: &isthmusv1.Datacenter{
			Name: "dc3", CreateTime: ago(time.Hour), Spec: &isthmusv1.DatacenterSpec{Runtime: "vm"},
			Status: &isthmusv1.DatacenterStatus{Agent: resource.LivenessOnline, Conditions: []*isthmusv1.Condition{
				{Type: resource.ConditionReady, Status: resource.ConditionTrue, Reason: "Ready", LastTransitionTime: ago(40 * time.Minute)},
				{Type: inventory.ConditionAgentCurrent, Status: resource.ConditionTrue, LastTransitionTime: ago(40 * time.Minute)},
			}},
		},
		seen: overview.Seen{
			Agents: []overview.Agent{{HeardTime: now, Agent: &isthmusv1.Agent{
				Name: "dc3-a1", CreateTime: ago(50 * time.Minute), Spec: &isthmusv1.AgentSpec{Datacenter: "dc3", Kind: resource.AgentKindAgent},
				Status: &isthmusv1.AgentStatus{Trust: resource.TrustFleet, Host: "vm-7", Fingerprint: "SHA256:abc"},
			}}},
			Leading: &isthmusv1.AgentReport{Leader: true}, LeadingTime: now.Add(-3 * time.Minute),
			Inventory: &isthmusv1.InventoryReport{Leader: "server-1", Servers: 3}, InventoryTime: now.Add(-5 * time.Minute),
		},
	}
}

func (p *patient) health() overview.Health { return overview.HealthOf(p.dc, p.role, p.seen, now) }

func TestHealth(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                       string
		change                     func(*patient)
		word, reason, message, fix string
		since                      time.Duration
	}{
		{"all is well", func(*patient) {}, overview.Healthy, "Healthy", "", "", 40 * time.Minute},
		{"heard of 30 s ago", func(p *patient) { p.seen.Agents[0].HeardTime = now.Add(-30 * time.Second) }, overview.Healthy, "Healthy", "", "", 40 * time.Minute},
		{
			"no agent", func(p *patient) { p.seen = overview.Seen{} },
			overview.Pending, "NoAgent", "no agent is enrolled", "isthmus join-token create --datacenter dc3", time.Hour,
		},
		{
			"enrolled a moment ago", func(p *patient) {
				p.seen.Agents[0].HeardTime, p.seen.Agents[0].CreateTime = time.Time{}, ago(time.Minute)
				p.seen.Inventory, p.seen.Leading, p.dc.Status = nil, nil, nil
			}, overview.Pending, "AgentUnknown", "its agent dc3-a1 on vm-7 is enrolled, and has not been heard of yet", "start isthmus agent there", time.Minute,
		},
		{
			"enrolled long ago, and never heard of", func(p *patient) {
				p.seen.Agents[0].HeardTime, p.seen.Inventory, p.dc.Status.Agent = time.Time{}, nil, resource.LivenessUnknown
			}, overview.Unknown, "AgentUnknown", "has not been heard of yet", "see in its log why it does not reach the server", 50 * time.Minute,
		},
		{
			"its agent's keys are nobody's", func(p *patient) {
				p.seen.Agents[0].Status.Trust, p.seen.Leading, p.seen.Inventory = resource.TrustNone, nil, nil
				p.dc.Status.Conditions = nil
			}, overview.Pending, inventory.ReasonAgentNotTrusted, "nobody has proven the keys", "isthmus agent approve dc3-a1 --fingerprint SHA256:…", 50 * time.Minute,
		},
		{
			"nothing of its Consul yet", func(p *patient) { p.seen.Inventory, p.dc.Status.Conditions = nil, nil },
			overview.Pending, "NoInventory", "has not reported its Consul yet", "", 50 * time.Minute,
		},
		{
			"silent, before a controller has noticed", func(p *patient) { p.seen.Agents[0].HeardTime = now.Add(-31 * time.Second) },
			overview.Unknown, "AgentOffline", "its agent dc3-a1 on vm-7 is silent: what is shown is the last that it saw", "see in its log why it does not reach the server", 31 * time.Second,
		},
		{
			"all of several are silent", func(p *patient) {
				other := p.seen.Agents[0]
				other.HeardTime = now.Add(-time.Minute)
				p.seen.Agents[0].HeardTime = now.Add(-2 * time.Minute)
				p.seen.Agents = append(p.seen.Agents, other)
			}, overview.Unknown, "AgentOffline", "its 2 agents are silent: what is shown is the last that they saw", "", time.Minute,
		},
		{
			"one of several is heard of", func(p *patient) {
				other := p.seen.Agents[0]
				p.seen.Agents[0].HeardTime = now.Add(-2 * time.Minute)
				p.seen.Agents = append(p.seen.Agents, other)
			}, overview.Healthy, "Healthy", "", "", 40 * time.Minute,
		},
		{
			"back, before a controller has noticed", func(p *patient) {
				p.dc.Status.Agent = resource.LivenessOffline
				p.dc.Status.Conditions[0] = &isthmusv1.Condition{Type: resource.ConditionReady, Status: resource.ConditionUnknown, Reason: "AgentOffline", LastTransitionTime: ago(time.Hour)}
			}, overview.Healthy, "Healthy", "", "", 5 * time.Minute,
		},
		{
			"its Consul does not answer", func(p *patient) {
				p.seen.Leading = &isthmusv1.AgentReport{ErrorReason: "ConsulUnreachable", Error: "Consul does not answer at 127.0.0.1:8500"}
			}, overview.Failing, "ConsulUnreachable", "Consul does not answer at 127.0.0.1:8500", "start Consul there, or correct CONSUL_HTTP_ADDR", 3 * time.Minute,
		},
		{
			"its Consul does not answer, and it is written down", func(p *patient) {
				p.seen.Leading = &isthmusv1.AgentReport{ErrorReason: "ConsulUnreachable", Error: "no"}
				p.dc.Status.Conditions[0] = &isthmusv1.Condition{Type: resource.ConditionReady, Status: resource.ConditionFalse, Reason: "ConsulUnreachable", LastTransitionTime: ago(7 * time.Minute)}
			}, overview.Failing, "ConsulUnreachable", "no", "start Consul there", 7 * time.Minute,
		},
		{
			"the token of a secondary's agent lacks rules", func(p *patient) {
				p.seen.Leading, p.role = &isthmusv1.AgentReport{ErrorReason: "AclRuleMissing", Error: "peering = \"write\" is missing"}, resource.RoleSecondary
			}, overview.Failing, "AclRuleMissing", `peering = "write" is missing`, "isthmus agent policy --for secondary", 3 * time.Minute,
		},
		{
			"something that nobody has thought of", func(p *patient) {
				p.seen.Leading = &isthmusv1.AgentReport{ErrorReason: "Odd", Error: "odd"}
			}, overview.Failing, "Odd", "odd", "see the agent's log on its host", 3 * time.Minute,
		},
		{
			"no leader", func(p *patient) { p.seen.Inventory.Leader = "" },
			overview.Failing, "NoLeader", "its Consul servers have no leader", "consul operator raft list-peers", 5 * time.Minute,
		},
		{
			"peering is off", func(p *patient) { p.seen.Inventory.PeeringEnabled = new(bool) },
			overview.Failing, "PeeringDisabled", "peering.enabled off", "set peering.enabled = true", 3 * time.Minute,
		},
		{
			"an old agent", func(p *patient) { p.seen.Leading.UnknownItems = []string{"x"} },
			overview.Failing, "AgentTooOld", "too old for 1 items", "upgrade the agents of dc3", 3 * time.Minute,
		},
		{
			"removals are held", func(p *patient) { p.seen.Leading.HeldRemovals = 2 },
			overview.Failing, "StoreRestored", "2 removals", "isthmus datacenter confirm dc3", 3 * time.Minute,
		},
		{
			"it is being removed, whatever else", func(p *patient) {
				p.dc.Status.Removal = &isthmusv1.DatacenterRemoval{RequestTime: ago(time.Minute), Steps: []*isthmusv1.RemovalStep{{Id: "Peerings", Title: "its peerings go", State: "doing"}}}
				p.seen.Agents[0].HeardTime = time.Time{}
			}, overview.Removing, "Removing", "step 1 of 1, Peerings: its peerings go", "", time.Minute,
		},
		{
			"it was deleted", func(p *patient) { p.dc.DeleteTime = ago(2 * time.Minute) },
			overview.Removing, "Removing", "it was deleted", "", 2 * time.Minute,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPatient()
			c.change(p)
			got := p.health()
			if got.Word != c.word || got.Reason != c.reason || !strings.Contains(got.Message, c.message) || !strings.Contains(got.Fix, c.fix) || c.fix == "" && got.Fix != "" && c.word == overview.Healthy {
				t.Errorf("got %+v", got)
			}
			if c.message == "" && got.Message != "" {
				t.Errorf("a healthy one has a message: %q", got.Message)
			}
			if since := now.Sub(got.Since); since != c.since {
				t.Errorf("since %v, want %v", since, c.since)
			}
		})
	}
}

// What an overview says of a datacenter and what its conditions say is the same, whatever is known of it.
func TestHealthAgreesWithConditions(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := newPatient()
		var agents []*isthmusv1.Agent
		p.seen.Agents = nil
		for range rapid.IntRange(0, 3).Draw(t, "agents") {
			silent := rapid.SampledFrom([]time.Duration{0, 29 * time.Second, 31 * time.Second, time.Hour}).Draw(t, "silent")
			a := &isthmusv1.Agent{Name: "a", CreateTime: ago(2 * time.Hour), Status: &isthmusv1.AgentStatus{Trust: resource.TrustFleet}}
			a.Status = inventory.Agent(a, nil, inventory.Heard{At: now.Add(-silent), Listening: now.Add(-time.Hour)}, now)
			agents = append(agents, a)
			p.seen.Agents = append(p.seen.Agents, overview.Agent{Agent: a, HeardTime: now.Add(-silent)})
		}
		p.seen.Leading.ErrorReason = rapid.SampledFrom([]string{"", "", "ConsulUnreachable"}).Draw(t, "error")
		p.seen.Leading.HeldRemovals = int32(rapid.SampledFrom([]int{0, 0, 1}).Draw(t, "held"))
		p.seen.Leading.UnknownItems = rapid.SampledFrom([][]string{nil, nil, {"x"}}).Draw(t, "unknown")
		p.seen.Inventory.Leader = rapid.SampledFrom([]string{"s1", "s1", ""}).Draw(t, "leader")
		if rapid.Bool().Draw(t, "none") {
			p.seen.Inventory = nil
		}
		p.dc.Status = inventory.Datacenter(p.dc, inventory.Evidence{Agents: agents, Leading: p.seen.Leading, Inventory: p.seen.Inventory}, now)
		health := p.health()
		of := func(kind string) *isthmusv1.Condition {
			return resource.FindCondition(p.dc.GetStatus().GetConditions(), kind)
		}
		ready := of(resource.ConditionReady)
		wanted := ready.GetStatus() == resource.ConditionTrue && of(inventory.ConditionAgentCurrent).GetStatus() == resource.ConditionTrue &&
			of(inventory.ConditionRemovalsHeld).GetStatus() == resource.ConditionFalse
		if wanted != (health.Word == overview.Healthy) {
			t.Fatalf("%+v beside %v", health, p.dc.GetStatus().GetConditions())
		}
		if ready.GetStatus() != resource.ConditionTrue && health.Reason != ready.GetReason() {
			t.Fatalf("%+v beside %v", health, ready)
		}
		if health.Word == overview.Unknown && ready.GetStatus() != resource.ConditionUnknown || health.Word == overview.Failing && ready.GetStatus() == resource.ConditionUnknown {
			t.Fatalf("%+v beside %v", health, ready)
		}
	})
}

// A reader finds out which datacenter it is that was cut off, before its silence is proven.
func TestCutOff(t *testing.T) {
	t.Parallel()
	links := []*isthmusv1.Connection{
		{Kind: "peering", Name: "p1", A: "dc1", B: "dc3", Verdict: "stale", Broken: "b-to-a", Message: "dc1 is connected, and has heard nothing"},
		{Kind: "peering", Name: "p2", A: "dc3", B: "dc2", Verdict: "stale", Broken: "a-to-b"},
		{Kind: "peering", Name: "p3", A: "dc1", B: "dc2", Verdict: "healthy", Message: "dc1 ACTIVE"},
	}
	fleet := func(silent time.Duration, links []*isthmusv1.Connection) (*isthmusv1.Fleet, *isthmusv1.FleetDatacenter) {
		p := newPatient()
		p.seen.Agents[0].HeardTime = now.Add(-silent)
		f := overview.Fleet(resourcetest.New(p.dc), func(string) overview.Seen { return p.seen }, links, now)
		return f, f.GetDatacenters()[0]
	}
	f, dc := fleet(16*time.Second, links)
	if dc.GetHealth() != overview.Unknown || dc.GetReason() != overview.ReasonCutOff || !strings.Contains(dc.GetMessage(), "dc1, dc2 hear nothing from it either") || dc.GetFix() == "" ||
		!dc.GetSince().AsTime().Equal(now.Add(-16*time.Second)) {
		t.Errorf("%v", dc)
	}
	if f.GetLinks()[0].GetBroken() != "b-to-a" || f.GetLinks()[0].GetMessage() == "" || f.GetLinks()[2].GetMessage() != "" {
		t.Errorf("%v", f.GetLinks())
	}
	if _, dc := fleet(16*time.Second, links[2:]); dc.GetHealth() != overview.Healthy {
		t.Errorf("a short silence that nobody else notices: %v", dc)
	}
	if _, dc := fleet(10*time.Second, links); dc.GetHealth() != overview.Healthy || dc.GetAgentsOnline() != 1 {
		t.Errorf("its agent is heard of: %v", dc)
	}
	if _, dc := fleet(time.Minute, links); dc.GetHealth() != overview.Failing || dc.GetReason() != overview.ReasonCutOff || dc.GetAgentsOnline() != 0 ||
		!strings.Contains(dc.GetMessage(), "silent") || !strings.Contains(dc.GetMessage(), "dc1, dc2 hear nothing from it either") {
		t.Errorf("a proven silence that others notice: %v", dc)
	}
	if _, dc := fleet(time.Minute, links[2:]); dc.GetHealth() != overview.Unknown || dc.GetReason() != inventory.ReasonAgentOffline {
		t.Errorf("a proven silence that nobody else notices: %v", dc)
	}
}
