package connection_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/connection"
	"isthmus/fault"
	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(now.Add(-d)) }

// scene is two datacenters with a peering, all well; a test breaks something.
type scene struct {
	peering      *isthmusv1.Peering
	acceptor     peering.End
	dialer       peering.End
	seenA, seenB connection.Seen
	federation   *isthmusv1.Federation
}

func newScene() *scene {
	end := func(exported, imported string) peering.End {
		return peering.End{
			HeardTime: now, ReportTime: now.Add(-time.Hour), Recipients: []string{"age"},
			Report: &isthmusv1.ObservedPeering{
				Uid: "u", State: peering.StateActive, PeerId: "id", Heartbeat: resource.HeartbeatFresh, Generation: 1,
				ExportedServices: int32(len(exported)), ExportedDigest: exported, ImportedServices: int32(len(imported)), ImportedDigest: imported,
			},
		}
	}
	s := &scene{acceptor: end("ab", "c"), dialer: end("c", "ab")}
	s.acceptor.Report.PeerRoots, s.dialer.Report.PeerRoots = []string{"root-b"}, []string{"root-a"}
	s.dialer.Report.Outcome = resource.OutcomeUsed
	s.dialer.Report.Dials = []*isthmusv1.ObservedProbe{{Datacenter: "dc1", Address: "192.0.2.1:8443", Ok: true, LatencyMs: 5, Since: ago(time.Hour)}}
	s.peering = &isthmusv1.Peering{
		Name: "dc1-dc2", Uid: "u", CreateTime: ago(time.Hour),
		Spec: &isthmusv1.PeeringSpec{Acceptor: "dc1", Dialer: "dc2", AcceptorPeerName: "west", DialerPeerName: "east"},
		Status: &isthmusv1.PeeringStatus{
			Verdict: "healthy", VerdictSince: ago(30 * time.Minute),
			Acceptor: &isthmusv1.PeeringEnd{State: "ACTIVE", Since: ago(time.Hour)}, Dialer: &isthmusv1.PeeringEnd{State: "ACTIVE", Since: ago(time.Hour)},
			Token: &isthmusv1.TokenStatus{Generation: 1, Reason: "Created", RequestTime: ago(time.Hour), Ledger: []*isthmusv1.TokenEntry{{
				Generation: 1, Attempt: 1, MakeTime: ago(time.Hour), UseTime: ago(time.Hour), Outcome: resource.OutcomeUsed,
			}}},
		},
	}
	s.seenA = connection.Seen{
		Online: true, HeardTime: now, Inventory: &isthmusv1.InventoryReport{CaRoots: []string{"root-a"}}, ServicesTime: now.Add(-time.Hour),
		Services: services("a", "", 2, 2, "b", "", 1, 1, "c", "west", 3, 2),
	}
	s.seenB = connection.Seen{
		Online: true, HeardTime: now, Inventory: &isthmusv1.InventoryReport{CaRoots: []string{"root-b"}}, ServicesTime: now.Add(-time.Hour),
		Services: services("a", "east", 2, 2, "b", "east", 1, 1, "c", "", 3, 2),
	}
	return s
}

// services is a catalog: name, peer, instances, healthy ones.
func services(rows ...any) *isthmusv1.ServicesReport {
	out := &isthmusv1.ServicesReport{}
	for ; len(rows) > 0; rows = rows[4:] {
		out.Services = append(out.Services, &isthmusv1.CatalogService{
			Name: rows[0].(string), Peer: rows[1].(string), Instances: int32(rows[2].(int)), Healthy: int32(rows[3].(int)),
		})
	}
	return out
}

func (s *scene) list(t *testing.T, filter connection.Filter) []*isthmusv1.Connection {
	t.Helper()
	objects := []resource.Object{s.peering}
	if s.federation != nil {
		objects = []resource.Object{s.federation}
	}
	out, err := connection.List(resourcetest.New(objects...), s.evidence(), filter, now)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (s *scene) evidence() connection.Evidence {
	return connection.Evidence{
		Of: func(dc string) connection.Seen {
			return map[string]connection.Seen{"dc1": s.seenA, "dc2": s.seenB}[dc]
		},
		Peering: func(*isthmusv1.Peering) peering.Evidence {
			return peering.Evidence{Acceptor: s.acceptor, Dialer: s.dialer}
		},
	}
}

func (s *scene) one(t *testing.T) *isthmusv1.Connection {
	t.Helper()
	found := s.list(t, connection.Filter{})
	if len(found) != 1 {
		t.Fatalf("%d connections", len(found))
	}
	return found[0]
}

// lines are the evidence that does not pass, one a line.
func lines(c *isthmusv1.Connection) string {
	var out []string
	for _, e := range c.GetEvidence() {
		if e.GetVerdict() != resource.CheckPass {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s: %s", e.GetVerdict(), e.GetId(), e.GetDatacenter(), e.GetMessage())))
		}
	}
	return strings.Join(out, "\n")
}

func TestHealthyPeeringHasAllEvidence(t *testing.T) {
	t.Parallel()
	c := newScene().one(t)
	if c.GetKind() != "peering" || c.GetA() != "dc1" || c.GetB() != "dc2" || c.GetVerdict() != "healthy" || !c.GetSince().AsTime().Equal(ago(30*time.Minute).AsTime()) ||
		c.GetBroken() != "" || c.GetFix() != "" {
		t.Errorf("%v", c)
	}
	if text := lines(c); text != "" {
		t.Errorf("not everything passes:\n%s", text)
	}
	count := map[string]int{}
	for _, e := range c.GetEvidence() {
		count[e.GetId()]++
	}
	for id, want := range map[string]int{
		"Agent": 2, "State": 2, "Heartbeat": 2, "ImportsMatch": 2, "CatalogMatches": 2, "GatewayDialled": 1, "TrustRoots": 2, "PeerID": 1,
	} {
		if count[id] != want {
			t.Errorf("%d times %s, want %d", count[id], id, want)
		}
	}
}

func TestEvidenceAgainstAPeering(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                 string
		change               func(*scene)
		verdict, broken, fix string
		lines                []string
	}{
		{
			"the dialer hears nothing", func(s *scene) {
				r := s.dialer.Report
				r.Heartbeat, r.HeartbeatTime, r.ReceiveTime, r.SendTime = "stale", ago(time.Minute), ago(time.Minute), ago(time.Second)
				s.peering.Status.Heal = &isthmusv1.HealStatus{State: "suggested"}
			}, "stale", "a-to-b", "isthmus peering heal dc1-dc2",
			[]string{
				"fail Heartbeat dc2: the last heartbeat came at 11:59:00Z", "fail Receive dc2: something was received last, or receiving failed, at 11:59:00Z",
				"fail Send dc2: dc2 gets no answer: it sent something last, or failed to, at 11:59:59Z",
			},
		},
		{
			"ACTIVE at both ends, and nothing has ever come", func(s *scene) {
				for _, r := range []*isthmusv1.ObservedPeering{s.acceptor.Report, s.dialer.Report} {
					r.Heartbeat, r.ImportedServices, r.ImportedDigest, r.SendTime = "stale", 0, "", ago(time.Hour)
				}
			}, "stale", "both", "",
			[]string{
				"fail Heartbeat dc1: no heartbeat has come over this stream", "fail Receive dc2: nothing has ever been received", "fail Send dc1: dc1 gets no answer",
				"fail ImportsMatch : dc1 exports 2 services over the stream, and dc2 imports 0",
			},
		},
		{
			"no address is reached", func(s *scene) {
				s.acceptor.Report.State, s.acceptor.Report.Heartbeat = "FAILING", "stale"
				s.dialer.Report.Dials[0].Ok, s.dialer.Report.Dials[0].Error = false, "192.0.2.1:8443 does not answer"
				s.peering.Status.Heal = &isthmusv1.HealStatus{Message: "healing does not help: see the network"}
			}, "failing", "b-to-a", "healing does not help: see the network",
			[]string{"fail State dc1: FAILING", "fail GatewayDialled dc2: dc2 dials dc1 at 192.0.2.1:8443: 192.0.2.1:8443 does not answer"},
		},
		{
			"an agent is silent", func(s *scene) { s.acceptor.HeardTime = now.Add(-time.Hour) }, "unknown", "",
			"see whether isthmus agent runs there, and what its log says",
			[]string{"fail Agent dc1: the agent of dc1 is silent"},
		},
		{
			"an agent does not see its Consul", func(s *scene) {
				s.dialer.Blind, s.dialer.BlindMessage, s.dialer.BlindTime = "AclTokenUnknown", "ACL not found", now.Add(-time.Minute)
			}, "unknown", "", "see whether Consul answers there, and knows the agent's token", []string{"fail Agent dc2: the agent of dc2 does not see its Consul (AclTokenUnknown)"},
		},
		{
			"a catalog is not what it is there", func(s *scene) {
				s.seenB.Services = services("a", "east", 2, 1, "b", "east", 1, 1, "gone", "east", 1, 1, "c", "", 3, 2)
			}, "healthy", "", "",
			[]string{"fail CatalogMatches : dc2 shows 2 of 3 services of dc1 not as they are there: a (2/2 healthy in dc1, 1/2 in dc2), gone (0/0 healthy in dc1, 1/1 in dc2)"},
		},
		{
			"a catalog changed a moment ago", func(s *scene) {
				s.seenA.Services, s.seenA.ServicesTime = services("a", "", 3, 3, "b", "", 1, 1, "c", "west", 3, 2), now.Add(-time.Second)
			}, "healthy", "", "", []string{"unknown CatalogMatches : dc2 shows 1 of 2 services"},
		},
		{"a root that is not trusted", func(s *scene) { s.seenA.Inventory.CaRoots = []string{"root-new", "root-a"} }, "healthy", "", "", []string{"fail TrustRoots dc2: dc2 does not trust the root root-new"}},
		{
			"two ends that do not belong together", func(s *scene) { s.dialer.Report.PeerId = "other" }, "failing", "",
			"wait: its end is made anew; isthmus peering rotate dc1-dc2 asks for it now",
			[]string{"fail PeerID : dc1's end is id, and dc2's belongs to other"},
		},
		{"nobody has reported", func(s *scene) {
			s.acceptor, s.dialer, s.seenA, s.seenB = peering.End{}, peering.End{}, connection.Seen{}, connection.Seen{}
		}, "unknown", "", "see whether isthmus agent runs there, and what its log says", []string{"unknown Agent dc1: no agent of dc1 has reported yet"}},
		{
			"an end of another operator's", func(s *scene) { s.peering.Spec.Acceptor, s.peering.Spec.ExternalAcceptor = "", "acme" }, "healthy", "", "",
			[]string{"unknown Agent acme: acme is another operator's"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newScene()
			c.change(s)
			got := s.one(t)
			if got.GetVerdict() != c.verdict || got.GetBroken() != c.broken || got.GetFix() != c.fix {
				t.Errorf("%s (%s: %s), broken %q, fix %q; want %s, %q, %q", got.GetVerdict(), got.GetReason(), got.GetMessage(), got.GetBroken(), got.GetFix(), c.verdict, c.broken, c.fix)
			}
			for _, line := range c.lines {
				if text := lines(got); !strings.Contains(text, line) {
					t.Errorf("no %q in:\n%s", line, text)
				}
			}
		})
	}
}

// federated has dc1 and dc2 in one federation, which read each other.
func federated() *scene {
	s := newScene()
	member := func(dc, role string) *isthmusv1.FederationMember {
		return &isthmusv1.FederationMember{Datacenter: dc, ConsulDatacenter: dc, Role: role, Phase: resource.PhaseJoined, Reason: "Joined", PhaseSince: ago(time.Hour)}
	}
	s.federation = &isthmusv1.Federation{
		Name: "global", Spec: &isthmusv1.FederationSpec{Primary: "dc2"},
		Status: &isthmusv1.FederationStatus{Members: []*isthmusv1.FederationMember{member("dc1", resource.RoleSecondary), member("dc2", resource.RolePrimary)}},
	}
	report := func(other string) *isthmusv1.FederationReport {
		return &isthmusv1.FederationReport{
			WanMembers: []*isthmusv1.WanMember{{Node: "s1", Datacenter: other, Status: "alive"}},
			Reads:      []*isthmusv1.ObservedRead{{Datacenter: other, Ok: true, Since: ago(time.Hour), Services: 3}},
			Probes:     []*isthmusv1.ObservedProbe{{Datacenter: other, Address: "192.0.2.1:8443", Ok: true, LatencyMs: 2, Since: ago(time.Hour)}},
		}
	}
	s.seenA.Federation, s.seenB.Federation = report("dc2"), report("dc1")
	s.seenA.Inventory = &isthmusv1.InventoryReport{CaRoots: []string{"root"}, AclReplication: &isthmusv1.AclReplication{Enabled: true, Healthy: true}}
	s.seenB.Inventory = &isthmusv1.InventoryReport{CaRoots: []string{"root"}}
	return s
}

func TestPairsOfAFederation(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                    string
		change                  func(*scene)
		verdict, reason, broken string
		lines                   string
	}{
		{"both read", func(*scene) {}, "healthy", "BothRead", "", ""},
		{
			"one does not read", func(s *scene) {
				s.seenA.Federation.Reads[0] = &isthmusv1.ObservedRead{Datacenter: "dc2", Error: "No path to datacenter", Since: ago(time.Minute)}
			}, "one-sided", "ReadFailed", "b-to-a", "fail Read dc1: dc1 does not read the catalog of dc2: No path to datacenter",
		},
		{
			"neither reads", func(s *scene) {
				s.seenA.Federation.Reads[0].Ok, s.seenB.Federation.Reads[0].Ok = false, false
				s.seenA.Federation.WanMembers[0].Status = "failed"
			}, "failing", "ReadFailed", "both", "fail WANMember dc1: dc1 sees 1 servers of dc2 in the WAN gossip, 0 of them alive",
		},
		{"nobody has read yet", func(s *scene) { s.seenA.Federation = nil }, "unknown", "NotReadYet", "", "unknown Read dc1: dc1 has not read dc2 yet"},
		{"an agent is silent", func(s *scene) { s.seenB.Online, s.seenB.HeardTime = false, now.Add(-time.Hour) }, "unknown", "AgentSilent", "", "fail Agent dc2"},
		{
			"an agent does not see its Consul", func(s *scene) {
				s.seenB.Blind, s.seenB.BlindMessage, s.seenB.BlindTime = "AclTokenUnknown", "ACL not found", now.Add(-time.Minute)
			}, "unknown", "ConsulUnseen", "", "fail Agent dc2: the agent of dc2 does not see its Consul (AclTokenUnknown)",
		},
		{
			"an agent does not see its Consul for a moment", func(s *scene) {
				s.seenB.Blind, s.seenB.BlindMessage, s.seenB.BlindTime = "NoLeader", "No cluster leader", now.Add(-time.Second)
			}, "healthy", "BothRead", "", "fail Agent dc2",
		},
		{
			"ACLs do not come any more", func(s *scene) {
				s.seenA.Inventory.AclReplication = &isthmusv1.AclReplication{Enabled: true, Error: "ACL not found", LastSuccessTime: ago(time.Minute)}
			}, "stale", "ACLReplicationFailing", "a-to-b", "fail ACLReplication dc1: dc1 does not get the primary's ACLs: ACL not found",
		},
		{"one has not joined", func(s *scene) {
			s.federation.Status.Members[0].Phase, s.federation.Status.Members[0].Reason = "blocked", "LossNotAccepted"
		}, "pending", "LossNotAccepted", "", ""},
		{"one that had joined is read no more", func(s *scene) {
			m := s.federation.Status.Members[0]
			m.Phase, m.Reason, m.WasJoined = resource.PhaseJoining, "ReadsFailed", true
			s.seenA.Federation.Reads[0] = &isthmusv1.ObservedRead{Datacenter: "dc2", Error: "No path to datacenter", Since: ago(time.Minute)}
		}, "one-sided", "ReadFailed", "b-to-a", ""},
		{"one joins for the first time", func(s *scene) {
			s.federation.Status.Members[0].Phase, s.federation.Status.Members[0].Reason = resource.PhaseJoining, "Connecting"
			s.seenA.Federation.Reads[0].Ok = false
		}, "pending", "Connecting", "", ""},
		{"one leaves", func(s *scene) { s.federation.Status.Members[0].Phase = resource.PhaseLeaving }, "deleting", "Joined", "", ""},
		{"two meshes", func(s *scene) { s.seenA.Inventory.CaRoots = []string{"other"} }, "healthy", "BothRead", "", "fail TrustRoots : dc2 has the mesh CA root, and dc1 other"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := federated()
			c.change(s)
			got := s.one(t)
			if got.GetKind() != "federation" || got.GetA() != "dc2" || got.GetB() != "dc1" {
				t.Errorf("the pair is %s %s %s", got.GetKind(), got.GetA(), got.GetB())
			}
			if got.GetVerdict() != c.verdict || got.GetReason() != c.reason || got.GetBroken() != c.broken {
				t.Errorf("%s %s (%s), broken %q; want %s %s %q", got.GetVerdict(), got.GetReason(), got.GetMessage(), got.GetBroken(), c.verdict, c.reason, c.broken)
			}
			if text := lines(got); !strings.Contains(text, c.lines) || c.lines == "" && c.verdict == "healthy" && text != "" {
				t.Errorf("no %q in:\n%s", c.lines, text)
			}
		})
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	s := newScene()
	for _, c := range []struct {
		filter connection.Filter
		want   int
	}{
		{connection.Filter{}, 1},
		{connection.Filter{Datacenter: "dc2", Kind: "peering", Name: "dc1-dc2", Verdict: "healthy"}, 1},
		{connection.Filter{Datacenter: "dc3"}, 0},
		{connection.Filter{Kind: "federation"}, 0},
		{connection.Filter{Name: "other"}, 0},
		{connection.Filter{Verdict: "stale"}, 0},
	} {
		if got := s.list(t, c.filter); len(got) != c.want {
			t.Errorf("%+v chooses %d, want %d", c.filter, len(got), c.want)
		}
	}
}

func TestTooManyPairs(t *testing.T) {
	t.Parallel()
	f := &isthmusv1.Federation{Name: "global", Status: &isthmusv1.FederationStatus{}}
	for i := range 200 {
		f.Status.Members = append(f.Status.Members, &isthmusv1.FederationMember{Datacenter: fmt.Sprintf("dc%d", i)})
	}
	r := resourcetest.New(f)
	if _, err := connection.List(r, connection.Evidence{}, connection.Filter{}, now); fault.CodeOf(err) != fault.Refused {
		t.Errorf("all pairs of 200: %v", err)
	}
	found, err := connection.List(r, connection.Evidence{}, connection.Filter{Datacenter: "dc7"}, now)
	if err != nil || len(found) != 199 {
		t.Errorf("%d pairs of one, %v", len(found), err)
	}
}

// A verdict chooses after all were judged: that, too, has an end.
func TestTooManyToJudge(t *testing.T) {
	t.Parallel()
	f := &isthmusv1.Federation{Name: "global", Status: &isthmusv1.FederationStatus{}}
	for i := range 500 {
		f.Status.Members = append(f.Status.Members, &isthmusv1.FederationMember{Datacenter: fmt.Sprintf("dc%d", i)})
	}
	r := resourcetest.New(f)
	if _, err := connection.List(r, connection.Evidence{}, connection.Filter{Verdict: "failing"}, now); fault.CodeOf(err) != fault.Refused {
		t.Errorf("those that fail of all pairs of 500: %v", err)
	}
	f.Status.Members = f.Status.Members[:200]
	asked := map[string]int{}
	e := connection.Evidence{Of: func(datacenter string) connection.Seen { asked[datacenter]++; return connection.Seen{} }}
	found, err := connection.List(resourcetest.New(f), e, connection.Filter{Verdict: "failing"}, now)
	if err != nil || len(found) != 0 {
		t.Errorf("those that fail of all pairs of 200: %d, %v", len(found), err)
	}
	for datacenter, times := range asked {
		if times != 1 {
			t.Errorf("%d looks at %s", times, datacenter)
		}
	}
}

// Links are what List has, but for fixes and evidence.
func TestLinksAreAsTheListIs(t *testing.T) {
	t.Parallel()
	for _, s := range []*scene{newScene(), federated()} {
		s.seenB.Online = false
		s.dialer.Report.Heartbeat = "stale"
		want := s.one(t)
		objects := []resource.Object{s.peering}
		if s.federation != nil {
			objects = []resource.Object{s.federation}
		}
		got := connection.Links(resourcetest.New(objects...), s.evidence(), now)
		if len(got) != 1 || len(got[0].GetEvidence()) > 0 {
			t.Fatalf("got %v", got)
		}
		want.Evidence, want.Fix, got[0].Fix = nil, "", ""
		if !proto.Equal(got[0], want) {
			t.Errorf("got %v, want %v", got[0], want)
		}
	}
}

// Of a federation so large that nobody could draw all pairs, those with the primary are given.
func TestLinksOfALargeFederation(t *testing.T) {
	t.Parallel()
	for members, want := range map[int]int{100: 100 * 99 / 2, 101: 100, 1000: 999} {
		f := &isthmusv1.Federation{Name: "f", Spec: &isthmusv1.FederationSpec{Primary: "dc0"}, Status: &isthmusv1.FederationStatus{}}
		for i := range members {
			role := resource.RoleSecondary
			if i == 0 {
				role = resource.RolePrimary
			}
			f.Status.Members = append(f.Status.Members, &isthmusv1.FederationMember{Datacenter: fmt.Sprintf("dc%d", i), Role: role, Phase: resource.PhaseJoined})
		}
		got := connection.Links(resourcetest.New(f), connection.Evidence{}, now)
		if len(got) != want || got[0].GetA() != "dc0" {
			t.Errorf("%d members: %d links, the first %v", members, len(got), got[0])
		}
	}
}
