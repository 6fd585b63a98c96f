package doctor_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/doctor"
	"isthmus/federation"
	"isthmus/inventory"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
)

func noon() time.Time { return time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC) }

func in(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(noon().Add(d)) }

const day = 24 * time.Hour

// world is a fleet with what its agents say: dc2 has joined dc1's federation, and dc3 is peered with dc1 through gateways.
type world struct {
	*resourcetest.Fleet
	seen     map[string]doctor.Seen
	evidence doctor.Evidence
}

// healthy is a world in which every check passes.
func healthy() *world {
	w := &world{Fleet: resourcetest.New(), seen: map[string]doctor.Seen{}}
	for i, dc := range []string{"dc1", "dc2", "dc3"} {
		w.add(dc, byte('1'+i))
	}
	w.federate()
	w.peer()
	w.Put(
		&isthmusv1.ServiceExport{Name: "web", Spec: &isthmusv1.ServiceExportSpec{Service: "web", Datacenters: []string{"dc1"}}, Status: &isthmusv1.ServiceExportStatus{
			Datacenters: 1, Applied: 1, Placements: []*isthmusv1.ExportPlacement{{Datacenter: "dc1", State: resource.ExportApplied}},
		}},
		&isthmusv1.Intention{Name: "api", Status: &isthmusv1.PolicyStatus{Datacenters: 1, Applied: 1, Placements: []*isthmusv1.PolicyPlacement{{Datacenter: "dc1", State: resource.PolicyApplied}}}},
		&isthmusv1.TrafficPolicy{Name: "api", Status: &isthmusv1.PolicyStatus{Datacenters: 1, Applied: 1}},
	)
	w.evidence = doctor.Evidence{
		Of: func(dc string) doctor.Seen { return w.seen[dc] }, Version: "v1.4.0",
		Connections: []*isthmusv1.Connection{
			{Kind: "peering", Name: "dc1-dc3", A: "dc1", B: "dc3", Verdict: "healthy"}, {Kind: "federation", Name: "global", A: "dc1", B: "dc2", Verdict: "healthy"},
		},
	}
	return w
}

// add has a datacenter with an agent and a gateway, all well.
func (w *world) add(dc string, digit byte) {
	wan := "198.51.100." + string(digit) + ":8443"
	w.Put(
		&isthmusv1.Datacenter{Name: dc, Spec: &isthmusv1.DatacenterSpec{Runtime: "vm"}, Status: &isthmusv1.DatacenterStatus{
			RpcAddresses: []string{"10.0.0." + string(digit) + ":8300"},
			Conditions: []*isthmusv1.Condition{
				{Type: inventory.ConditionAgentCurrent, Status: resource.ConditionTrue}, {Type: inventory.ConditionRemovalsHeld, Status: resource.ConditionFalse},
			},
		}},
		agentOf(dc+"-a", dc, resource.AgentKindAgent), agentOf(dc+"-g", dc, resource.AgentKindGateway),
		&isthmusv1.Gateway{
			Name: dc + "-gw", Spec: &isthmusv1.GatewaySpec{Datacenter: dc, WanAddress: wan, LanAddress: "10.0.0.20:8443", Source: resource.SourceDiscovered},
			Status: &isthmusv1.GatewayStatus{Health: "passing", WanFederation: true},
		},
	)
	w.seen[dc] = doctor.Seen{
		Seen: federation.Seen{
			Online: true,
			Inventory: &isthmusv1.InventoryReport{
				ConsulDatacenter: dc, ConsulVersion: "1.20.6", Servers: 3, Leader: "s1", ConsulDomain: "consul", DefaultPolicy: "deny", DefaultIntentionPolicy: "deny",
				AclEnabled: new(true), TlsEnabled: new(true), GossipEncrypted: new(true), ConnectEnabled: new(true), PeeringEnabled: new(true),
				CaExpireTime: in(3650 * day),
				Gateways:     []*isthmusv1.ObservedGateway{{ServiceId: "mesh-gateway", Node: "s1", WanAddress: wan, Health: "passing", WanFederation: true}},
			},
			Federation: &isthmusv1.FederationReport{},
		},
		Gateways: map[string]*isthmusv1.GatewayReport{dc + "-g": {Registered: true, WanAddress: wan}},
		Peerings: &isthmusv1.PeeringsReport{}, Rights: &isthmusv1.RightsReport{},
	}
}

func agentOf(name, dc, kind string) *isthmusv1.Agent {
	return &isthmusv1.Agent{
		Name: name, Spec: &isthmusv1.AgentSpec{Datacenter: dc, Kind: kind, Attestation: &isthmusv1.Attestation{Agent: name}},
		Status: &isthmusv1.AgentStatus{
			Trust: resource.TrustFleet, Liveness: resource.LivenessOnline, Version: "v1.4.0", Host: "host-" + dc, CertificateExpireTime: in(20 * time.Hour),
			Conditions: []*isthmusv1.Condition{{Type: resource.ConditionReady, Status: resource.ConditionTrue, Reason: "Online"}},
		},
	}
}

// federate has dc2 joined to dc1.
func (w *world) federate() {
	hosts := []*isthmusv1.FederationHost{{Agent: "dc2-a", Host: "host-dc2", State: resource.DeliveryApplied, Written: 2, Applied: 2}}
	w.Put(&isthmusv1.Federation{
		Name: "global", Uid: "f1", Spec: &isthmusv1.FederationSpec{Primary: "dc1", Secondaries: []string{"dc2"}, Mode: resource.ModeMeshGateway},
		Status: &isthmusv1.FederationStatus{
			Conditions: []*isthmusv1.Condition{{Type: resource.ConditionReady, Status: resource.ConditionTrue, Reason: "Joined", Message: "1 of 1 secondaries have joined"}},
			Members: []*isthmusv1.FederationMember{
				{Datacenter: "dc1", ConsulDatacenter: "dc1", Role: resource.RolePrimary, Phase: resource.PhaseJoined},
				{
					Datacenter: "dc2", ConsulDatacenter: "dc2", Role: resource.RoleSecondary, Phase: resource.PhaseJoined,
					Bundle: &isthmusv1.BundleEntry{Generation: 2, SecretDigest: "d"}, Hosts: hosts,
				},
			},
		},
	})
	for dc, other := range map[string]string{"dc1": "dc2", "dc2": "dc1"} {
		w.see(dc, func(s *doctor.Seen) {
			s.Federation.CertificateNames = []string{"server." + dc + ".consul", "*.server." + dc + ".consul"}
			s.Federation.CertificateExpireTime = in(300 * day)
			s.Federation.Probes = []*isthmusv1.ObservedProbe{{Datacenter: other, Address: wanOf(other), Ok: true}}
			s.Inventory.WanFederationEnabled = new(true)
			s.Inventory.PrimaryDatacenter = "dc1"
			if dc == "dc2" {
				s.Inventory.AclReplication = &isthmusv1.AclReplication{Enabled: true, Running: true, Healthy: true, SourceDatacenter: "dc1"}
				s.Deliveries = []federation.Delivery{{Agent: "dc2-a", Online: true, Report: &isthmusv1.DeliveryReport{Uid: "f1", Host: hosts[0], AllowJoin: true}}}
			}
		})
	}
}

func wanOf(dc string) string { return "198.51.100." + dc[2:] + ":8443" }

// peer has dc1 and dc3 peered.
func (w *world) peer() {
	w.Put(&isthmusv1.Peering{Name: "dc1-dc3", Uid: "p1", Spec: &isthmusv1.PeeringSpec{Acceptor: "dc1", Dialer: "dc3", ThroughGateways: new(true)}})
	w.see("dc3", func(s *doctor.Seen) {
		s.Federation.Probes = []*isthmusv1.ObservedProbe{{Datacenter: "dc1", Address: wanOf("dc1"), Ok: true}}
		s.Peerings.Peerings = []*isthmusv1.ObservedPeering{{
			Uid: "p1", PeerName: "dc1", Role: "dialer", Origin: resource.OriginOwn, State: "ACTIVE", Dials: []*isthmusv1.ObservedProbe{{Address: wanOf("dc1"), Ok: true}},
		}}
	})
}

func (w *world) see(dc string, change func(*doctor.Seen)) {
	s := w.seen[dc]
	change(&s)
	w.seen[dc] = s
}

// put changes a resource.
func put[T resource.Object](w *world, kind, name string, change func(T)) {
	o, ok := resource.Lookup[T](w, kind, name)
	if !ok {
		panic("there is no " + kind + " " + name)
	}
	o = resource.Clone(o)
	change(o)
	w.Put(o)
}

func (w *world) agent(name string, change func(*isthmusv1.AgentStatus)) {
	put(w, resource.KindAgent, name, func(a *isthmusv1.Agent) { change(a.GetStatus()) })
}

func (w *world) gateway(name string, change func(*isthmusv1.Gateway)) {
	put(w, resource.KindGateway, name, change)
}

func (w *world) checks(only ...string) []*isthmusv1.DoctorCheck {
	return doctor.Checks(w, w.evidence, noon(), only...)
}

// silent has a datacenter's agent silent.
func (w *world) silent(dc string) {
	w.agent(dc+"-a", func(s *isthmusv1.AgentStatus) {
		s.Liveness, s.LivenessSince = resource.LivenessOffline, in(-time.Hour)
	})
	w.see(dc, func(s *doctor.Seen) { s.Online = false })
}

// trouble has a datacenter's agent say what keeps it from its work.
func (w *world) trouble(dc, reason, message string) {
	w.agent(dc+"-a", func(s *isthmusv1.AgentStatus) {
		s.Conditions = []*isthmusv1.Condition{{Type: resource.ConditionReady, Status: resource.ConditionFalse, Reason: reason, Message: message}}
	})
}

func inventoryOf(w *world, dc string, change func(*isthmusv1.InventoryReport)) {
	w.see(dc, func(s *doctor.Seen) { change(s.Inventory) })
}

func show(t *testing.T, checks []*isthmusv1.DoctorCheck) {
	t.Helper()
	for _, c := range checks {
		t.Logf("%-8s %-7s %-24s %-5s %-20s %s\n      %s", c.GetVerdict(), c.GetSeverity(), c.GetId(), c.GetDatacenter(), c.GetSubject(), c.GetMessage(), c.GetFix())
	}
}
