package federation_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// at checks where a member is.
func (w *world) at(t *testing.T, dc, phase, reason string) *isthmusv1.FederationMember {
	t.Helper()
	m := w.member(dc)
	if m.GetPhase() != phase || m.GetReason() != reason {
		t.Fatalf("%s is %s (%s: %s), want %s (%s)", dc, m.GetPhase(), m.GetReason(), m.GetMessage(), phase, reason)
	}
	return m
}

func (w *world) ready() *isthmusv1.Condition {
	return resource.FindCondition(w.f.GetStatus().GetConditions(), resource.ConditionReady)
}

func TestJoin(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2", "dc3")
	w.settle(t)
	w.at(t, "dc1", resource.PhaseDelivering, federation.ReasonDelivering)
	w.at(t, "dc2", resource.PhaseBundling, federation.ReasonBundle)
	w.bundle(t, "dc2")
	w.settle(t)
	w.at(t, "dc2", resource.PhaseBundling, federation.ReasonPrimaryNotReady)
	if digests := federation.Digests(w.f, "dc2"); len(digests) != 0 {
		t.Errorf("the agents of dc2 may fetch %v before everything is ready", digests)
	}
	w.primaryRuns()
	w.settle(t)
	w.at(t, "dc1", resource.PhaseJoined, federation.ReasonJoined)
	w.at(t, "dc2", resource.PhaseDelivering, federation.ReasonDelivering)
	if digests := federation.Digests(w.f, "dc2"); len(digests) != 1 {
		t.Errorf("the agents of dc2 may fetch %v", digests)
	}
	w.apply("dc2")
	w.settle(t)
	w.at(t, "dc2", resource.PhaseJoining, federation.ReasonConnecting)
	w.reads("dc2", "dc1", true, "")
	w.settle(t)
	w.at(t, "dc2", resource.PhaseJoining, federation.ReasonConnecting)
	w.reads("dc1", "dc2", true, "")
	w.settle(t)
	w.at(t, "dc2", resource.PhaseJoined, federation.ReasonJoined)
	if s := w.f.GetStatus(); s.GetJoined() != 1 || s.GetSecondaries() != 2 || w.ready().GetStatus() != resource.ConditionFalse {
		t.Errorf("joined %d of %d, %v", s.GetJoined(), s.GetSecondaries(), w.ready())
	}
	w.join(t, "dc3")
	if w.ready().GetStatus() != resource.ConditionTrue || !strings.Contains(w.ready().GetMessage(), "2 of 2") {
		t.Errorf("%v", w.ready())
	}
}

// Two that could join at the same moment do so one after the other. Nobody waits for long for one that is stuck, and many do not wait.
func TestJoinInTurn(t *testing.T) {
	t.Parallel()
	bundled := func(secondaries ...string) *world {
		w := newWorld(secondaries...)
		w.settle(t)
		for _, dc := range secondaries {
			w.bundle(t, dc)
		}
		w.primaryRuns()
		w.settle(t)
		return w
	}
	w := bundled("dc2", "dc3")
	w.at(t, "dc2", resource.PhaseDelivering, federation.ReasonDelivering)
	w.at(t, "dc3", resource.PhaseBundling, federation.ReasonAnotherJoins)
	w.join(t, "dc2")
	w.settle(t)
	w.at(t, "dc3", resource.PhaseDelivering, federation.ReasonDelivering)

	w = bundled("dc2", "dc3")
	w.now = w.now.Add(21 * time.Second)
	w.settle(t)
	w.at(t, "dc3", resource.PhaseDelivering, federation.ReasonDelivering)

	w = bundled("dc2", "dc3", "dc4", "dc5", "dc6")
	for _, dc := range []string{"dc2", "dc3", "dc4", "dc5", "dc6"} {
		w.at(t, dc, resource.PhaseDelivering, federation.ReasonDelivering)
	}
}

// Each of these stands against dc2, or against the primary.
func TestBlocked(t *testing.T) {
	t.Parallel()
	dc2 := func(edit func(*isthmusv1.InventoryReport)) func(*world) {
		return func(w *world) { w.see("dc2", func(s *federation.Seen) { edit(s.Inventory) }) }
	}
	dc1 := func(edit func(*isthmusv1.InventoryReport)) func(*world) {
		return func(w *world) { w.see("dc1", func(s *federation.Seen) { edit(s.Inventory) }) }
	}
	report := func(dc string, edit func(*isthmusv1.DeliveryReport)) func(*world) {
		return func(w *world) { edit(w.seen[dc].Deliveries[0].Report) }
	}
	put := func(objects ...resource.Object) func(*world) { return func(w *world) { w.Put(objects...) } }
	for _, tt := range []struct {
		name        string
		change      func(*world)
		member      string
		phase       string
		reason      string
		says, fixes string
	}{
		{"no TLS", dc2(func(i *isthmusv1.InventoryReport) { i.TlsEnabled = new(false) }), "dc2", "blocked", federation.ReasonTLSDisabled, "without TLS", "tls.defaults"},
		{"no TLS in the primary", dc1(func(i *isthmusv1.InventoryReport) { i.TlsEnabled = new(false) }), "dc1", "blocked", federation.ReasonTLSDisabled, "dc1", "tls.defaults"},
		{"the primary is blocked", dc1(func(i *isthmusv1.InventoryReport) { i.TlsEnabled = new(false) }), "dc2", "blocked", federation.ReasonPrimaryNotReady, "TLSDisabled", ""},
		{"ACLs in one", dc2(func(i *isthmusv1.InventoryReport) { i.AclEnabled = new(false) }), "dc2", "blocked", federation.ReasonACLMismatch, "on in the primary dc1 and off in dc2", "acl.enabled"},
		{"gossip in one", dc2(func(i *isthmusv1.InventoryReport) { i.GossipEncrypted = new(false) }), "dc2", "blocked", federation.ReasonGossipMismatch, "gossip", "encrypt"},
		{"old Consul", dc2(func(i *isthmusv1.InventoryReport) { i.ConsulVersion = "1.7.14" }), "dc2", "blocked", federation.ReasonConsulTooOld, "needs 1.8", "upgrade"},
		{"another domain", dc2(func(i *isthmusv1.InventoryReport) { i.ConsulDomain = "example" }), "dc2", "blocked", federation.ReasonDomainMismatch, "example", "domain"},
		{"in another federation by hand", dc2(func(i *isthmusv1.InventoryReport) { i.PrimaryDatacenter = "dc9" }), "dc2", "blocked", federation.ReasonOtherPrimary, "dc9", "leave"},
		{"the primary is a secondary", dc1(func(i *isthmusv1.InventoryReport) { i.PrimaryDatacenter = "dc9" }), "dc1", "blocked", federation.ReasonNotPrimary, "dc9", "leave"},
		{"no gateway", func(w *world) { w.Delete(resource.KindGateway, "dc2-gw") }, "dc2", "blocked", federation.ReasonNoGateway, "no mesh gateway", "isthmus gateway"},
		{"no gateway in the primary", func(w *world) { w.Delete(resource.KindGateway, "dc1-gw") }, "dc1", "blocked", federation.ReasonNoGateway, "no mesh gateway", "isthmus gateway"},
		{
			"sick gateway", func(w *world) {
				g, _ := resource.Lookup[*isthmusv1.Gateway](w, resource.KindGateway, "dc2-gw")
				g.Status.Health = "critical"
			}, "dc2", "blocked", federation.ReasonNoGateway, "healthy", "checks",
		},
		{"node names", func(w *world) {
			w.see("dc1", func(s *federation.Seen) {
				s.Federation.CertificateNames = []string{"server.dc1.consul", "localhost"}
				s.Federation.WanMembers = []*isthmusv1.WanMember{{Node: "s1.dc1", Datacenter: "dc1", Status: "alive"}}
			})
		}, "dc1", "blocked", federation.ReasonNodeNameMissing, "s1.server.dc1.consul", "-additional-dnsname"},
		{"a partition", put(&isthmusv1.Datacenter{Name: "dc2", Spec: &isthmusv1.DatacenterSpec{Runtime: "vm", ConsulPartition: "team"}}), "dc2", "blocked", federation.ReasonPartition, "team", "default"},
		{"the primary's name", put(&isthmusv1.Datacenter{Name: "dc2", Spec: &isthmusv1.DatacenterSpec{Runtime: "vm", ConsulDatacenter: "dc1"}}), "dc2", "blocked", federation.ReasonDuplicateName, "both called dc1", "another name"},
		{"a peering by hand", put(&isthmusv1.Peering{Name: "p", Spec: &isthmusv1.PeeringSpec{Acceptor: "dc2", Dialer: "dc1"}}), "dc2", "blocked", federation.ReasonPeeringInside, "Peering p", "delete p"},
		{"old Consul with peering through gateways", func(w *world) {
			w.add("dc9")
			w.Put(&isthmusv1.Peering{Name: "p", Spec: &isthmusv1.PeeringSpec{Acceptor: "dc2", Dialer: "dc9", ThroughGateways: new(true)}})
			w.see("dc2", func(s *federation.Seen) { s.Inventory.ConsulVersion = "1.13.2" })
		}, "dc2", "blocked", federation.ReasonConsulTooOld, "needs 1.14", "upgrade"},
		{"another federation's", put(&isthmusv1.Federation{
			Name: "a", Spec: &isthmusv1.FederationSpec{Primary: "dc9", Secondaries: []string{"dc2"}},
		}), "dc2", "blocked", federation.ReasonAnotherFederation, "Federation a", "selector"},
		{"not allowed", report("dc2", func(r *isthmusv1.DeliveryReport) { r.AllowJoin = false }), "dc2", "blocked", federation.ReasonJoinNotAllowed, "host-dc2-a", "--allow-join=dc1"},
		{"nowhere to write", report("dc2", func(r *isthmusv1.DeliveryReport) { r.CanWrite = false }), "dc2", "blocked", federation.ReasonNotWritable, "host-dc2-a", "--consul-config-dir"},
		{"nowhere to write in the primary", report("dc1", func(r *isthmusv1.DeliveryReport) { r.CanWrite = false }), "dc1", "blocked", federation.ReasonNotWritable, "dc1", "--consul-config-dir"},
		{"no agent", func(w *world) { w.Delete(resource.KindAgent, "dc2-a") }, "dc2", "waiting", federation.ReasonNoTrustedAgent, "no agent", "join-token create --datacenter dc2"},
		{"no agent in the primary", func(w *world) { w.Delete(resource.KindAgent, "dc1-a") }, "dc1", "waiting", federation.ReasonNoTrustedAgent, "no agent", "join-token"},
		{"silent", func(w *world) { w.see("dc2", func(s *federation.Seen) { s.Online = false }) }, "dc2", "waiting", federation.ReasonAgentSilent, "silent", "isthmus agent"},
		{"nothing said", func(w *world) { w.see("dc2", func(s *federation.Seen) { s.Deliveries = nil }) }, "dc2", "waiting", federation.ReasonNotReported, "host", "upgrade"},
		{"loss unknown", func(w *world) { w.see("dc2", func(s *federation.Seen) { s.Federation.Loss = nil }) }, "dc2", "waiting", federation.ReasonLossUnknown, "destroy", ""},
		{"loss", func(w *world) {
			w.see("dc2", func(s *federation.Seen) { s.Federation.Loss = &isthmusv1.JoinLoss{Count: 7, Digest: "d"} })
		}, "dc2", "blocked", federation.ReasonLossNotAccepted, "destroys 7 things", "planDigest: " + federation.PlanDigest("u1", "dc2", "join", "d")},
		{"unreachable", func(w *world) {
			w.see("dc2", func(s *federation.Seen) {
				s.Federation.Probes = []*isthmusv1.ObservedProbe{{Datacenter: "dc1", Address: "dc1.example:8443", ErrorReason: "Timeout"}}
			})
		}, "dc2", "blocked", federation.ReasonUnreachable, "dc1.example:8443: Timeout", "open the way"},
		{"its CA is not known", report("dc2", func(r *isthmusv1.DeliveryReport) { r.OwnCa = "" }), "dc2", "waiting", federation.ReasonCAUnknown, "dc2", "--consul-ca-cert"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld("dc2")
			tt.change(w)
			w.settle(t)
			m := w.at(t, tt.member, tt.phase, tt.reason)
			if !strings.Contains(m.GetMessage(), tt.says) || !strings.Contains(m.GetMessage(), tt.fixes) {
				t.Errorf("says %q, want %q and %q", m.GetMessage(), tt.says, tt.fixes)
			}
			if w.ready().GetStatus() == resource.ConditionTrue {
				t.Errorf("ready: %v", w.ready())
			}
			for _, item := range federation.Items(w, "dc2") {
				if s := item.GetFederationSecondary(); s.GetJoin() || s.GetSecretDigest() != "" {
					t.Errorf("it is to join: %v", s)
				}
			}
		})
	}
}

func TestFreshSecondary(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	w.primaryRuns()
	w.see("dc2", func(s *federation.Seen) { s.Inventory, s.Federation = nil, nil })
	w.settle(t)
	m := w.at(t, "dc2", resource.PhaseBundling, federation.ReasonBundle)
	if m.GetPlanDigest() != "" || len(m.GetOwnCa()) != 0 {
		t.Errorf("%v", m)
	}
	w.bundle(t, "dc2")
	w.settle(t)
	w.at(t, "dc2", resource.PhaseDelivering, federation.ReasonDelivering)
	w.join(t, "dc2")
}

func TestFreshSecondaryOnKubernetesNeedsNoGatewayYet(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	w.Put(&isthmusv1.Datacenter{Name: "dc2", Spec: &isthmusv1.DatacenterSpec{Runtime: resource.RuntimeKubernetes, Kubernetes: &isthmusv1.KubernetesSpec{ApiUrl: "https://k8s:6443"}}})
	w.Delete(resource.KindGateway, "dc2-gw")
	w.see("dc2", func(s *federation.Seen) { s.Inventory, s.Federation = nil, nil })
	w.settle(t)
	w.at(t, "dc2", resource.PhaseBundling, federation.ReasonBundle)
}

func TestAcceptance(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	w.primaryRuns()
	w.see("dc2", func(s *federation.Seen) { s.Federation.Loss = &isthmusv1.JoinLoss{Count: 7, Digest: "d"} })
	w.settle(t)
	digest := w.at(t, "dc2", resource.PhaseBlocked, federation.ReasonLossNotAccepted).GetPlanDigest()
	accept := func(digest string) {
		w.edit(func(f *isthmusv1.Federation) {
			f.Spec.AcceptDataLoss = []*isthmusv1.AcceptedLoss{{Datacenter: "dc2", PlanDigest: digest}}
		})
	}
	accept("another")
	w.settle(t)
	w.at(t, "dc2", resource.PhaseBlocked, federation.ReasonLossNotAccepted)
	accept(digest)
	w.settle(t)
	w.at(t, "dc2", resource.PhaseBundling, federation.ReasonBundle)
	w.bundle(t, "dc2")
	w.settle(t)
	w.at(t, "dc2", resource.PhaseDelivering, federation.ReasonDelivering)
	// A token more: what was accepted is void while nothing has been done.
	w.see("dc2", func(s *federation.Seen) { s.Federation.Loss = &isthmusv1.JoinLoss{Count: 8, Digest: "e"} })
	w.settle(t)
	w.at(t, "dc2", resource.PhaseBlocked, federation.ReasonLossNotAccepted)
	accept(w.member("dc2").GetPlanDigest())
	w.settle(t)
	w.at(t, "dc2", resource.PhaseDelivering, federation.ReasonDelivering)
	lose := func(digest string) {
		w.see("dc2", func(s *federation.Seen) { s.Federation.Loss = &isthmusv1.JoinLoss{Count: 1, Digest: digest} })
	}
	// What is written does not count before a server runs with it.
	w.host("dc2", 0, func(h *isthmusv1.FederationHost) { h.Written, h.State = 1, resource.DeliveryRestartRequired })
	lose("f")
	w.settle(t)
	w.at(t, "dc2", resource.PhaseBlocked, federation.ReasonLossNotAccepted)
	accept(w.member("dc2").GetPlanDigest())
	w.settle(t)
	// Two lists are accepted, and the other one comes true: the agents are told that one.
	next := federation.PlanDigest("u1", "dc2", federation.ActionJoin, "g")
	w.edit(func(f *isthmusv1.Federation) {
		f.Spec.AcceptDataLoss = append(f.Spec.AcceptDataLoss, &isthmusv1.AcceptedLoss{Datacenter: "dc2", PlanDigest: next})
	})
	lose("g")
	w.settle(t)
	if item := w.secondaryItem(t, "dc2"); item.GetAcceptedDigest() != next || item.GetUnderWay() {
		t.Errorf("%v", item)
	}
	// Once a server restarts it is too late to turn back.
	w.host("dc2", 0, func(h *isthmusv1.FederationHost) { h.State = resource.DeliveryRestarting })
	lose("h")
	w.settle(t)
	w.at(t, "dc2", resource.PhaseDelivering, federation.ReasonDelivering)
	w.host("dc2", 0, func(h *isthmusv1.FederationHost) { h.State, h.Applied = resource.DeliveryApplied, 1 })
	w.settle(t)
	if item := w.secondaryItem(t, "dc2"); !item.GetUnderWay() {
		t.Errorf("%v", item)
	}
}

func (w *world) secondaryItem(t *testing.T, dc string) *isthmusv1.FederationSecondary {
	t.Helper()
	for _, i := range federation.Items(w, dc) {
		if s := i.GetFederationSecondary(); s != nil {
			return s
		}
	}
	t.Fatal("the secondary has no item")
	return nil
}

// Only where nobody has ever seen a Consul, or where it is a secondary already, a host on which none answers may have nothing to lose.
func TestFreshIsWhoWasNeverSeen(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	w.settle(t)
	status := func(s *isthmusv1.DatacenterStatus) bool {
		w.Put(&isthmusv1.Datacenter{Name: "dc2", Spec: &isthmusv1.DatacenterSpec{Runtime: "vm"}, Status: s})
		return w.secondaryItem(t, "dc2").GetFresh()
	}
	if !status(nil) || status(&isthmusv1.DatacenterStatus{ConsulVersion: "1.20.6", PrimaryDatacenter: "dc2"}) ||
		!status(&isthmusv1.DatacenterStatus{ConsulVersion: "1.20.6", PrimaryDatacenter: "dc1"}) {
		t.Error("who is fresh is not told from who is not")
	}
}

// A host whose flags allow no leaving keeps its member where it is, and says so.
func TestLeavingHasToBeAllowedOnTheHost(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	w.join(t, "dc2")
	w.edit(func(f *isthmusv1.Federation) { f.Spec.Secondaries = nil })
	w.settle(t)
	w.host("dc2", 0, func(h *isthmusv1.FederationHost) {
		h.State, h.Reason, h.Message = resource.DeliveryRefused, "JoinNotAllowed", "start its agent with --allow-join"
	})
	w.settle(t)
	if m := w.at(t, "dc2", resource.PhaseLeaving, federation.ReasonJoinNotAllowed); !strings.Contains(m.GetMessage(), "--allow-join") {
		t.Errorf("says %q", m.GetMessage())
	}
}

func TestAnotherCA(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2", "dc3")
	w.join(t, "dc3")
	w.seen["dc2"].Deliveries[0].Report.OwnCa = caOf("other")
	w.settle(t)
	m := w.at(t, "dc2", resource.PhaseTrusting, federation.ReasonTrust)
	says := func(m *isthmusv1.FederationMember, agent, ca string) bool {
		own := m.GetOwnCa()
		return len(own) == 1 && own[0].GetAgent() == agent && own[0].GetCertificates() == ca && string(own[0].GetSignature()) == "by "+agent
	}
	if !says(m, "dc2-a", caOf("other")) || !says(w.member("dc1"), "dc1-a", caOf("shared")) {
		t.Fatal("the CAs are not in the status")
	}
	trusts := func(dc string, item func(*isthmusv1.DesiredItem) []*isthmusv1.TrustedCA, want ...string) {
		t.Helper()
		var got []string
		for _, i := range federation.Items(w, dc) {
			for _, v := range item(i) {
				if a := v.GetAgent().GetAttestation(); a.GetAgent() != v.GetDatacenter()+"-a" || string(v.GetSignature()) != "by "+a.GetAgent() {
					t.Errorf("%s is given a CA of %s by %s", dc, v.GetDatacenter(), a.GetAgent())
				}
				got = append(got, v.GetCertificates())
			}
		}
		if len(got) != len(want) || len(got) > 0 && !strings.Contains(strings.Join(got, ""), want[0]) {
			t.Errorf("%s trusts %d CAs, want %d", dc, len(got), len(want))
		}
	}
	primary := func(i *isthmusv1.DesiredItem) []*isthmusv1.TrustedCA { return i.GetFederationPrimary().GetTrustedCas() }
	secondary := func(i *isthmusv1.DesiredItem) []*isthmusv1.TrustedCA {
		return i.GetFederationSecondary().GetTrustedCas()
	}
	trusts("dc1", primary, caOf("other"))
	trusts("dc2", secondary, caOf("shared"))
	trusts("dc3", secondary, caOf("other"), caOf("shared"))
	for i, dc := range []string{"dc2", "dc1", "dc3"} {
		w.at(t, "dc2", resource.PhaseTrusting, federation.ReasonTrust)
		if i == 0 {
			w.host(dc, 0, func(h *isthmusv1.FederationHost) { h.TrustedCas = []string{subjectOf("other")} })
			w.settle(t)
			w.at(t, "dc2", resource.PhaseTrusting, federation.ReasonTrust)
		}
		w.host(dc, 0, func(h *isthmusv1.FederationHost) { h.TrustedCas = []string{subjectOf("other"), subjectOf("shared")} })
		w.settle(t)
	}
	w.at(t, "dc2", resource.PhaseBundling, federation.ReasonBundle)
	w.join(t, "dc2")
	trusts("dc1", primary)
	trusts("dc3", secondary)
}

func TestGroupPeeringsGoBeforeTheJoin(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	w.Put(&isthmusv1.Peering{Name: "g", Spec: &isthmusv1.PeeringSpec{Acceptor: "dc1", Dialer: "dc2"}, Status: &isthmusv1.PeeringStatus{Group: "mesh"}})
	w.settle(t)
	w.at(t, "dc2", resource.PhaseTrusting, federation.ReasonPeeringInside)
	w.Delete(resource.KindPeering, "g")
	w.settle(t)
	w.at(t, "dc2", resource.PhaseBundling, federation.ReasonBundle)
}

func TestAdoption(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	w.primaryRuns()
	w.see("dc2", func(s *federation.Seen) {
		s.Inventory.PrimaryDatacenter, s.Inventory.WanFederationEnabled = "dc1", new(true)
		s.Federation.Loss = &isthmusv1.JoinLoss{Count: 3, Digest: "ignored"}
		s.Deliveries[0].Report.AllowJoin, s.Deliveries[0].Report.CanWrite = false, false
	})
	w.settle(t)
	w.at(t, "dc2", resource.PhaseJoining, federation.ReasonConnecting)
	w.reads("dc1", "dc2", true, "")
	w.reads("dc2", "dc1", true, "")
	w.settle(t)
	if m := w.member("dc2"); m.GetPhase() != resource.PhaseJoined {
		t.Errorf("%v", m)
	}
}

// A datacenter that has no agent is given a bundle by hand, and shown by what the primary reads.
func TestByHand(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	w.primaryRuns()
	w.Delete(resource.KindAgent, "dc2-a")
	delete(w.seen, "dc2")
	w.settle(t)
	status, err := federation.Requested(w.f, &isthmusv1.BundleRequest{Datacenter: "dc2", Recipient: "age1x", CreateTime: timestamppb.New(noon())})
	if err != nil {
		t.Fatal(err)
	}
	w.edit(func(f *isthmusv1.Federation) { f.Status = status })
	if got := w.primaryItem(t); len(got.GetRequests()) != 1 || got.GetMembers()[0].GetReady() {
		t.Errorf("%v", got)
	}
	for _, reason := range []string{"NoConsul", "ServerUnreachable", "NoWayToPrimary", "Conflict"} {
		w.refusesByHand(reason)
		if got := w.primaryItem(t); len(got.GetRequests()) != 1 {
			t.Errorf("%s: the request is dropped", reason)
		}
	}
	status, err = federation.Stored(w.f, federation.StoredBundle{Datacenter: "dc2", Recipient: "age1x", Generation: 1, SecretDigest: "by-hand"}, w.now)
	if err != nil {
		t.Fatal(err)
	}
	w.edit(func(f *isthmusv1.Federation) { f.Status = status })
	w.settle(t)
	w.at(t, "dc2", resource.PhaseJoining, federation.ReasonConnecting)
	if got := w.primaryItem(t); len(got.GetRequests()) != 0 || got.GetMembers()[0].GetReady() {
		t.Errorf("%v", got)
	}
	w.reads("dc1", "dc2", true, "")
	w.settle(t)
	w.at(t, "dc2", resource.PhaseJoined, federation.ReasonOneWay)
}

// A request that the primary's agent will never grant is closed with its word.
func TestByHandRefused(t *testing.T) {
	t.Parallel()
	for _, reason := range []string{"RecipientNotAllowed", "NoMember", "ServerRefused", "WrongConsulName"} {
		w := newWorld("dc2")
		w.primaryRuns()
		w.settle(t)
		status, err := federation.Requested(w.f, &isthmusv1.BundleRequest{Datacenter: "dc2", Recipient: "age1x", CreateTime: timestamppb.New(noon())})
		if err != nil {
			t.Fatal(err)
		}
		w.edit(func(f *isthmusv1.Federation) { f.Status = status })
		w.refusesByHand(reason)
		if got := w.f.GetStatus().GetBundleRequests()[0].GetError(); got != "because of "+reason || len(w.primaryItem(t).GetRequests()) != 0 {
			t.Errorf("%s: %q", reason, got)
		}
		again, err := federation.Requested(w.f, &isthmusv1.BundleRequest{Datacenter: "dc2", Recipient: "age1x", CreateTime: timestamppb.New(noon().Add(time.Second))})
		if err != nil {
			t.Fatal(err)
		}
		w.edit(func(f *isthmusv1.Federation) { f.Status = again })
		w.step()
		if got := w.f.GetStatus().GetBundleRequests()[0].GetError(); got != "" || len(w.primaryItem(t).GetRequests()) != 1 {
			t.Errorf("%s: the answer to the request before is taken for one to the next: %q", reason, got)
		}
	}
}

func (w *world) refusesByHand(reason string) {
	w.see("dc1", func(s *federation.Seen) {
		s.Federation.Bundles = []*isthmusv1.ObservedBundle{{
			Datacenter: "dc2", Recipient: "age1x", RequestTime: timestamppb.New(noon()), ErrorReason: reason, Error: "because of " + reason,
		}}
	})
	w.step()
}

func (w *world) primaryItem(t *testing.T) *isthmusv1.FederationPrimary {
	t.Helper()
	for _, i := range federation.Items(w, "dc1") {
		if p := i.GetFederationPrimary(); p != nil {
			return p
		}
	}
	t.Fatal("the primary has no item")
	return nil
}

func TestHostsThatDoNotTakeIt(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ state, given, reason, says string }{
		{resource.DeliveryRestartRequired, "", federation.ReasonRestartRequired, "restart its Consul server"},
		{resource.DeliveryFailed, "CommandFailed", "CommandFailed", "host-dc2-a"},
		{resource.DeliveryRefused, "JoinNotAllowed", "JoinNotAllowed", "host-dc2-a"},
		{resource.DeliveryRestarting, "", federation.ReasonDelivering, "restarts"},
		{resource.DeliveryWaitingTurn, "OtherHostRestarts", federation.ReasonDelivering, "host-dc2-a"},
	} {
		t.Run(tt.state, func(t *testing.T) {
			t.Parallel()
			w := newWorld("dc2")
			w.primaryRuns()
			w.settle(t)
			w.bundle(t, "dc2")
			w.settle(t)
			w.host("dc2", 0, func(h *isthmusv1.FederationHost) { h.State, h.Reason = tt.state, tt.given })
			w.settle(t)
			if m := w.at(t, "dc2", resource.PhaseDelivering, tt.reason); !strings.Contains(m.GetMessage(), tt.says) {
				t.Errorf("says %q", m.GetMessage())
			}
			c := resource.FindCondition(w.f.GetStatus().GetConditions(), federation.ConditionRestartRequired)
			if (c.GetStatus() == resource.ConditionTrue) != (tt.state == resource.DeliveryRestartRequired) {
				t.Errorf("%v", c)
			}
		})
	}
}

// The primary is ready once all its servers are, and a restart that is needed later does not make what works unready.
func TestPrimaryOfSeveralServers(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	w.Put(enrolled("dc1-b", "dc1", resource.AgentKindAgent))
	w.see("dc1", func(s *federation.Seen) { s.Deliveries = append(s.Deliveries, delivery("dc1-b")) })
	w.host("dc1", 0, func(h *isthmusv1.FederationHost) { h.State = resource.DeliveryApplied })
	w.host("dc1", 1, func(h *isthmusv1.FederationHost) { h.State = resource.DeliveryWaitingTurn })
	w.primaryRuns()
	w.settle(t)
	if m := w.at(t, "dc1", resource.PhaseDelivering, federation.ReasonDelivering); !strings.Contains(m.GetMessage(), "host-dc1-b") {
		t.Errorf("says %q", m.GetMessage())
	}
	w.host("dc1", 1, func(h *isthmusv1.FederationHost) { h.State = resource.DeliveryApplied })
	w.join(t, "dc2")
	w.host("dc1", 1, func(h *isthmusv1.FederationHost) { h.State = resource.DeliveryRestartRequired })
	w.settle(t)
	w.at(t, "dc1", resource.PhaseJoined, federation.ReasonRestartRequired)
	if c := resource.FindCondition(w.f.GetStatus().GetConditions(), federation.ConditionRestartRequired); c.GetStatus() != resource.ConditionTrue || w.ready().GetStatus() != resource.ConditionTrue {
		t.Errorf("%v, %v", c, w.ready())
	}
}

func TestBundleErrors(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	w.see("dc1", func(s *federation.Seen) {
		s.Federation.Bundles = []*isthmusv1.ObservedBundle{{Datacenter: "dc2", ErrorReason: "CAUnreadable", Error: "no such file"}}
	})
	w.settle(t)
	if m := w.at(t, "dc2", resource.PhaseBundling, "CAUnreadable"); !strings.Contains(m.GetMessage(), "no such file") {
		t.Errorf("%q", m.GetMessage())
	}
	// One more agent cannot open what is stored.
	w.see("dc1", func(s *federation.Seen) { s.Federation.Bundles = nil })
	w.bundle(t, "dc2")
	w.Put(enrolled("dc2-b", "dc2", resource.AgentKindAgent))
	w.settle(t)
	w.at(t, "dc2", resource.PhaseBundling, federation.ReasonBundle)
}

// What a broken federation is shown with, by what its agents see.
func TestCauses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*world)
		says   string
	}{
		{"gateway", func(w *world) { w.probes("dc2", "dc1", "dc1.example:8443", "ConnectionRefused") }, "dc2 reaches no gateway of dc1: dc1.example:8443 ConnectionRefused"},
		{"gateway, the other way", func(w *world) { w.probes("dc1", "dc2", "dc2.example:8443", "Timeout") }, "dc1 reaches no gateway of dc2"},
		{"CA", func(w *world) { w.probes("dc2", "dc1", "dc1.example:8443", "WrongCertificate") }, "Wrong CA or certificate: dc2 refuses"},
		{"CA, by the read", func(w *world) {
			w.reads("dc1", "dc2", false, "rpc error: x509: certificate signed by unknown authority")
		}, "Wrong CA or certificate: rpc error"},
		{"token", func(w *world) { w.reads("dc2", "dc1", false, "ACL not found") }, "ACL token revoked"},
		{"gossip", func(w *world) {
			for _, way := range [][2]string{{"dc1", "dc2"}, {"dc2", "dc1"}} {
				w.probes(way[0], way[1], way[1]+".example:8443", "")
				w.see(way[0], func(s *federation.Seen) {
					s.Federation.WanMembers = []*isthmusv1.WanMember{{Node: "s1." + way[0], Datacenter: way[0], Status: "alive"}}
				})
			}
		}, "Wrong gossip key"},
		{"node name", func(w *world) {
			w.see("dc2", func(s *federation.Seen) {
				s.Federation.CertificateNames = []string{"server.dc2.consul"}
				s.Federation.WanMembers = []*isthmusv1.WanMember{{Node: "s1.dc2", Datacenter: "dc2", Status: "alive"}}
			})
		}, "Node name missing"},
		{"no route", func(w *world) { w.probes("dc2", "dc1", "dc1.example:8443", "NoRoute") }, "dc2 does not get through to dc1"},
		{"nothing known", func(*world) {}, "dc2 does not read dc1 (No path to datacenter)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld("dc2")
			w.join(t, "dc2")
			w.reads("dc2", "dc1", false, "No path to datacenter")
			w.reads("dc1", "dc2", false, "No path to datacenter")
			tt.change(w)
			w.settle(t)
			m := w.at(t, "dc2", resource.PhaseJoining, federation.ReasonReadsFailed)
			if !strings.HasPrefix(m.GetMessage(), tt.says) || !strings.Contains(m.GetMessage(), "does not read") && !strings.Contains(m.GetMessage(), "oes not read") {
				t.Errorf("says %q, want %q", m.GetMessage(), tt.says)
			}
			w.reads("dc2", "dc1", true, "")
			w.reads("dc1", "dc2", true, "")
			w.settle(t)
			w.at(t, "dc2", resource.PhaseJoined, federation.ReasonJoined)
		})
	}
}

func TestReplication(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	w.see("dc2", func(s *federation.Seen) { s.Inventory.AclReplication = &isthmusv1.AclReplication{Enabled: true} })
	w.join(t, "dc2")
	w.at(t, "dc2", resource.PhaseJoined, federation.ReasonReplicating)
	if w.ready().GetStatus() != resource.ConditionUnknown {
		t.Errorf("%v", w.ready())
	}
	w.now = w.now.Add(2 * time.Minute)
	w.settle(t)
	w.at(t, "dc2", resource.PhaseJoined, federation.ReasonReplicationFailed)
	w.see("dc2", func(s *federation.Seen) { s.Inventory.AclReplication.Healthy = true })
	w.settle(t)
	w.at(t, "dc2", resource.PhaseJoined, federation.ReasonJoined)
	w.see("dc2", func(s *federation.Seen) {
		s.Inventory.AclReplication = &isthmusv1.AclReplication{Enabled: true, Error: "ACL not found", LastSuccessTime: timestamppb.New(noon())}
	})
	w.settle(t)
	m := w.at(t, "dc2", resource.PhaseJoined, federation.ReasonReplicationFailed)
	if !strings.Contains(m.GetMessage(), "ACL not found") || w.ready().GetStatus() != resource.ConditionFalse {
		t.Errorf("%v; %v", m.GetMessage(), w.ready())
	}
}

// Whoever is silent is not taken for broken.
func TestSilence(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	w.join(t, "dc2")
	for _, dc := range []string{"dc1", "dc2"} {
		w.see(dc, func(s *federation.Seen) { s.Online = false })
	}
	w.settle(t)
	w.at(t, "dc1", resource.PhaseJoined, federation.ReasonAgentSilent)
	w.at(t, "dc2", resource.PhaseJoined, federation.ReasonAgentSilent)
	if w.ready().GetStatus() != resource.ConditionUnknown {
		t.Errorf("%v", w.ready())
	}
}

func TestLeave(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2", "dc3")
	w.join(t, "dc2")
	w.join(t, "dc3")
	w.edit(func(f *isthmusv1.Federation) { f.Spec.Secondaries = []string{"dc3"} })
	w.settle(t)
	w.at(t, "dc2", resource.PhaseLeaving, federation.ReasonLeaving)
	for _, i := range federation.Items(w, "dc2") {
		if s := i.GetFederationSecondary(); s != nil && (!s.GetDelete() || s.GetSecretDigest() != "") {
			t.Errorf("%v", s)
		}
	}
	revoke := func() bool {
		for _, m := range w.primaryItem(t).GetMembers() {
			if m.GetDatacenter() == "dc2" {
				return m.GetRevoke()
			}
		}
		return false
	}
	if revoke() {
		t.Error("its tokens are revoked while its hosts need them")
	}
	w.host("dc2", 0, func(h *isthmusv1.FederationHost) { h.State = resource.DeliveryRemoved })
	w.settle(t)
	w.at(t, "dc2", resource.PhaseLeaving, federation.ReasonRevoking)
	if !revoke() {
		t.Error("its tokens stay good")
	}
	w.see("dc1", func(s *federation.Seen) {
		s.Federation.Bundles = []*isthmusv1.ObservedBundle{{Datacenter: "dc2", Revoked: true}}
	})
	before := w.f.GetStatus()
	w.settle(t)
	if w.member("dc2") != nil || len(federation.SpentBundles(before, w.f.GetStatus())) != 1 {
		t.Errorf("%v", w.member("dc2"))
	}
	if w.ready().GetStatus() != resource.ConditionTrue {
		t.Errorf("%v", w.ready())
	}
}

// One host that never comes back is named, and whoever deletes its agent need not wait for it.
func TestLeaveWithADeadHost(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	for _, dc := range []string{"dc1", "dc2"} {
		w.Put(enrolled(dc+"-b", dc, resource.AgentKindAgent))
		w.see(dc, func(s *federation.Seen) { s.Deliveries = append(s.Deliveries, delivery(dc+"-b")) })
	}
	w.join(t, "dc2")
	w.host("dc1", 0, func(h *isthmusv1.FederationHost) { h.State = resource.DeliveryApplied })
	w.host("dc1", 1, func(h *isthmusv1.FederationHost) { h.State = resource.DeliveryApplied })
	w.edit(func(f *isthmusv1.Federation) { f.DeleteTime = timestamppb.New(w.now) })
	goes := func(dc, reason string) {
		t.Helper()
		w.settle(t)
		w.host(dc, 0, func(h *isthmusv1.FederationHost) { h.State = resource.DeliveryRemoved })
		w.see(dc, func(s *federation.Seen) { s.Deliveries[1].Online = false })
		w.now = w.now.Add(time.Hour)
		w.settle(t)
		m := w.at(t, dc, resource.PhaseLeaving, reason)
		if want := "on host-" + dc + "-b: its agent is silent: start it, or isthmus delete agent " + dc + "-b when"; !strings.Contains(m.GetMessage(), want) {
			t.Errorf("%s says %q, not %q", dc, m.GetMessage(), want)
		}
		w.Delete(resource.KindAgent, dc+"-b")
		w.see(dc, func(s *federation.Seen) { s.Deliveries = s.Deliveries[:1] })
		w.settle(t)
	}
	goes("dc2", federation.ReasonAgentSilent)
	w.at(t, "dc2", resource.PhaseLeaving, federation.ReasonRevoking)
	w.see("dc1", func(s *federation.Seen) {
		s.Federation.Bundles = []*isthmusv1.ObservedBundle{{Datacenter: "dc2", Revoked: true}}
	})
	goes("dc1", federation.ReasonUndoing)
	if !federation.Gone(w.f) {
		t.Errorf("%v", w.f.GetStatus())
	}
}

func TestLostDatacenter(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	w.join(t, "dc2")
	w.edit(func(f *isthmusv1.Federation) { f.Spec.Secondaries = nil })
	w.see("dc2", func(s *federation.Seen) {
		s.Online = false
		s.Deliveries[0].Online = false
	})
	dc, _ := resource.Lookup[*isthmusv1.Datacenter](w, resource.KindDatacenter, "dc2")
	dc.Status.Agent, dc.Status.AgentSince = resource.LivenessOffline, timestamppb.New(w.now)
	w.settle(t)
	w.at(t, "dc2", resource.PhaseLeaving, federation.ReasonAgentSilent)
	w.now = w.now.Add(59 * time.Minute)
	w.settle(t)
	w.at(t, "dc2", resource.PhaseLeaving, federation.ReasonAgentSilent) // its Consul may run all the same
	w.now = w.now.Add(2 * time.Minute)
	w.settle(t)
	w.at(t, "dc2", resource.PhaseLeaving, federation.ReasonRevoking)
	w.see("dc1", func(s *federation.Seen) {
		s.Federation.Bundles = []*isthmusv1.ObservedBundle{{Datacenter: "dc2", Revoked: true}}
	})
	w.settle(t)
	if w.member("dc2") != nil {
		t.Errorf("%v", w.member("dc2"))
	}
}

// Whoever deletes a datacenter that is silent, or its agents, says that it is lost.
func TestDeletedDatacenterIsLostAtOnce(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(*world, *isthmusv1.Datacenter){
		"datacenter": func(w *world, dc *isthmusv1.Datacenter) { dc.DeleteTime = timestamppb.New(w.now) },
		"agents":     func(w *world, _ *isthmusv1.Datacenter) { w.Delete(resource.KindAgent, "dc2-a") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld("dc2")
			w.join(t, "dc2")
			w.edit(func(f *isthmusv1.Federation) { f.Spec.Secondaries = nil })
			w.see("dc2", func(s *federation.Seen) { s.Online, s.Deliveries[0].Online = false, false })
			dc, _ := resource.Lookup[*isthmusv1.Datacenter](w, resource.KindDatacenter, "dc2")
			dc.Status.Agent, dc.Status.AgentSince = resource.LivenessOffline, timestamppb.New(w.now)
			remove(w, dc)
			w.settle(t)
			w.at(t, "dc2", resource.PhaseLeaving, federation.ReasonRevoking)
		})
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	w.join(t, "dc2")
	w.host("dc1", 0, func(h *isthmusv1.FederationHost) { h.State = resource.DeliveryApplied })
	w.edit(func(f *isthmusv1.Federation) { f.DeleteTime = timestamppb.New(w.now) })
	w.settle(t)
	w.at(t, "dc2", resource.PhaseLeaving, federation.ReasonLeaving)
	w.at(t, "dc1", resource.PhaseLeaving, federation.ReasonLeaving)
	if w.primaryItem(t).GetDelete() || federation.Gone(w.f) {
		t.Error("the primary goes before its secondaries")
	}
	w.host("dc2", 0, func(h *isthmusv1.FederationHost) { h.State = resource.DeliveryRemoved })
	w.see("dc1", func(s *federation.Seen) {
		s.Federation.Bundles = []*isthmusv1.ObservedBundle{{Datacenter: "dc2", Revoked: true}}
	})
	w.settle(t)
	w.at(t, "dc1", resource.PhaseLeaving, federation.ReasonUndoing)
	if !w.primaryItem(t).GetDelete() || federation.Gone(w.f) {
		t.Error("the primary's hosts are not told to go back")
	}
	w.host("dc1", 0, func(h *isthmusv1.FederationHost) { h.State = resource.DeliveryRemoved })
	w.settle(t)
	if !federation.Gone(w.f) {
		t.Errorf("%v", w.f.GetStatus())
	}
}

// What nobody began is gone at once.
func TestDeleteEarly(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	w.see("dc2", func(s *federation.Seen) { s.Online = false })
	w.settle(t)
	w.edit(func(f *isthmusv1.Federation) { f.DeleteTime = timestamppb.New(w.now) })
	w.settle(t)
	if !federation.Gone(w.f) {
		t.Errorf("%v", w.f.GetStatus())
	}
}

func TestChangeOfMode(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	w.join(t, "dc2")
	w.edit(func(f *isthmusv1.Federation) { f.Spec.Mode = resource.ModeTraditional })
	p := federation.Plan(w, w.f, w.evidence(), false)
	if p.GetMembers()[0].GetAction() != federation.ActionChangeMode || p.GetMembers()[1].GetAction() != federation.ActionChangeMode {
		t.Errorf("%v", p)
	}
	w.settle(t)
	w.at(t, "dc1", resource.PhaseDelivering, federation.ReasonDelivering)
	w.at(t, "dc2", resource.PhaseDelivering, federation.ReasonChangingMode)
	w.see("dc1", func(s *federation.Seen) { s.Inventory.WanFederationEnabled = new(false) })
	w.bundle(t, "dc2")
	w.settle(t)
	w.at(t, "dc2", resource.PhaseDelivering, federation.ReasonChangingMode)
	w.apply("dc2")
	w.settle(t)
	w.at(t, "dc1", resource.PhaseJoined, federation.ReasonJoined)
	w.at(t, "dc2", resource.PhaseJoined, federation.ReasonJoined)
}

func TestKeyless(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	w.primaryRuns()
	w.edit(func(f *isthmusv1.Federation) { f.Spec.Keyless = true })
	w.host("dc2", 0, func(h *isthmusv1.FederationHost) { h.Csr, h.CsrSignature = []byte("csr"), []byte("sig") })
	w.settle(t)
	requests := w.primaryItem(t).GetMembers()[0].GetRequests()
	if len(requests) != 1 || requests[0].GetAgent() != "dc2-a" || string(requests[0].GetCsr()) != "csr" {
		t.Fatalf("%v", requests)
	}
	w.bundle(t, "dc2")
	w.settle(t)
	w.at(t, "dc2", resource.PhaseBundling, federation.ReasonBundle)
	w.edit(func(f *isthmusv1.Federation) { f.GetStatus().GetMembers()[1].Bundle.Certificates = []string{"dc2-a"} })
	w.settle(t)
	w.at(t, "dc2", resource.PhaseDelivering, federation.ReasonDelivering)
}

func TestChecks(t *testing.T) {
	t.Parallel()
	w := newWorld("dc2")
	w.Put(&isthmusv1.Datacenter{Name: "dc2", Spec: &isthmusv1.DatacenterSpec{
		Runtime: resource.RuntimeKubernetes, Kubernetes: &isthmusv1.KubernetesSpec{ApiUrl: "https://k8s:6443"},
	}})
	w.join(t, "dc2")
	verdicts := func() map[string]string {
		out := map[string]string{}
		for _, c := range w.f.GetStatus().GetChecks() {
			out[fmt.Sprint(c.GetId(), " ", c.GetDatacenter(), " ", c.GetPeer())] = c.GetVerdict()
			if c.GetVerdict() == resource.CheckFail && (c.GetFix() == "" || c.GetMessage() == "") {
				t.Errorf("%v says nothing of what to do", c)
			}
		}
		return out
	}
	before := verdicts()
	for _, id := range []string{"SecondaryReachesPrimary dc2 dc1", "GatewayReachable dc1 dc2", "KubernetesAPIReachable dc1 dc2"} {
		if before[id] != resource.CheckUnknown {
			t.Errorf("%s: %q", id, before[id])
		}
	}
	w.probes("dc2", "dc1", "dc1.example:8443", "")
	w.probes("dc1", "dc2", "dc2.example:8443", "Timeout")
	w.probes("dc1", "dc2", "https://k8s:6443", "DNS")
	w.settle(t)
	after := verdicts()
	for id, want := range map[string]string{
		"SecondaryReachesPrimary dc2 dc1": "pass", "GatewayReachable dc2 dc1": "pass", "GatewayReachable dc1 dc2": "fail",
		"KubernetesAPIReachable dc1 dc2": "fail", "TLSEnabled dc2 ": "pass", "ACLsAlike dc2 ": "pass",
	} {
		if after[id] != want {
			t.Errorf("%s: %q, want %q", id, after[id], want)
		}
	}
	if w.f.GetStatus().GetChecks()[0].GetVerdict() != resource.CheckFail {
		t.Error("what fails does not come first")
	}
	if c := resource.FindCondition(w.f.GetStatus().GetConditions(), federation.ConditionNetwork); c.GetStatus() != resource.ConditionFalse {
		t.Errorf("%v", c)
	}
}
