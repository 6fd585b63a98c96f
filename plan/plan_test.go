package plan_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"isthmus/peering"
	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
)

var noon = timestamppb.New(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC))

func datacenter(name, env string) *isthmusv1.Datacenter {
	return &isthmusv1.Datacenter{
		Name: name, Labels: map[string]string{"env": env}, Spec: &isthmusv1.DatacenterSpec{Runtime: "vm"},
	}
}

func agent(name, datacenter, trust string) *isthmusv1.Agent {
	return &isthmusv1.Agent{
		Name: name,
		Spec: &isthmusv1.AgentSpec{
			Datacenter: datacenter, Kind: "agent",
			Attestation: &isthmusv1.Attestation{Agent: name, AgeRecipient: "age-" + name},
		},
		Status: &isthmusv1.AgentStatus{Trust: trust},
	}
}

// of gives an agent's join token a fleet.
func of(fleet string, a *isthmusv1.Agent) *isthmusv1.Agent {
	a.Spec.Attestation.Grant = &isthmusv1.JoinGrant{FleetKey: []byte(fleet)}
	return a
}

func peered(generation int32, ledger ...*isthmusv1.TokenEntry) *isthmusv1.Peering {
	return &isthmusv1.Peering{
		Name: "dc1-dc2", Uid: "u1",
		Spec:   &isthmusv1.PeeringSpec{Acceptor: "dc1", Dialer: "dc2"},
		Status: &isthmusv1.PeeringStatus{Token: &isthmusv1.TokenStatus{Generation: generation, Ledger: ledger}},
	}
}

func fleet(p *isthmusv1.Peering) *resourcetest.Fleet {
	return resourcetest.New(
		datacenter("dc1", "prod"), datacenter("dc2", "prod"), p,
		agent("dc1-a", "dc1", "fleet"), agent("dc2-a", "dc2", "fleet"), agent("dc2-b", "dc2", "approved"), agent("dc2-x", "dc2", "none"),
	)
}

func itemOf(t *testing.T, f *resourcetest.Fleet, datacenter, kind string) *isthmusv1.DesiredItem {
	t.Helper()
	state, _ := plan.For(f, datacenter, plan.Features())
	for _, item := range state.GetItems() {
		if item.GetType() == kind {
			return item
		}
	}
	return nil
}

func TestPeeringItems(t *testing.T) {
	t.Parallel()
	made := &isthmusv1.TokenEntry{
		Generation: 2, Attempt: 1, MakeTime: noon, Outcome: "made", SecretDigest: "d2", Recipients: []string{"age-dc2-a", "age-dc2-b"},
	}
	forOne := proto.CloneOf(made)
	forOne.Recipients = []string{"age-dc2-a"}
	usedByOne := proto.CloneOf(forOne)
	usedByOne.UseTime, usedByOne.Outcome = noon, "used"
	claimed := &isthmusv1.TokenEntry{Generation: 2, Attempt: 1}
	old := &isthmusv1.TokenEntry{Generation: 1, Attempt: 1, MakeTime: noon, SecretDigest: "d1", UseTime: noon, Outcome: "used"}
	for _, tt := range []struct {
		name    string
		peering *isthmusv1.Peering
		stored  bool
		digest  string
	}{
		{"no token asked for", peered(0), false, ""},
		{"asked for", peered(1), false, ""},
		{"claimed", peered(2, claimed, old), false, ""},
		{"stored", peered(2, made, old), true, "d2"},
		{"an agent came that cannot open it", peered(2, forOne), false, "d2"},
		{"it came after the token was used, which is of no use any more", peered(2, usedByOne), true, ""},
		{"a new one asked for", peered(3, made, old), false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := fleet(tt.peering)
			acceptor := itemOf(t, f, "dc1", resource.ItemPeeringAcceptor).GetPeeringAcceptor()
			dialer := itemOf(t, f, "dc2", resource.ItemPeeringDialer).GetPeeringDialer()
			if acceptor.GetTokenStored() != tt.stored || dialer.GetSecretDigest() != tt.digest {
				t.Errorf("stored %v, digest %q; want %v, %q", acceptor.GetTokenStored(), dialer.GetSecretDigest(), tt.stored, tt.digest)
			}
			if got := len(acceptor.GetRecipients()); got != 2 {
				t.Errorf("%d recipients, want the two trusted agents of dc2", got)
			}
			if acceptor.GetPeerName() != "dc2" || dialer.GetPeerName() != "dc1" {
				t.Errorf("peers' names %q and %q", acceptor.GetPeerName(), dialer.GetPeerName())
			}
		})
	}
}

// An agent of another fleet, to which the acceptor's agents never seal, is not waited for.
func TestRecipientsAreOfTheAcceptorsFleet(t *testing.T) {
	t.Parallel()
	made := &isthmusv1.TokenEntry{Generation: 1, Attempt: 1, MakeTime: noon, Outcome: "made", SecretDigest: "d1", Recipients: []string{"age-dc2-a", "age-dc2-b"}}
	approved := of("theirs", agent("dc2-b", "dc2", "approved"))
	approved.Spec.Approval = &isthmusv1.Approval{FleetKey: []byte("ours")}
	f := resourcetest.New(
		datacenter("dc1", "prod"), datacenter("dc2", "prod"), peered(1, made),
		of("ours", agent("dc1-a", "dc1", "fleet")), of("ours", agent("dc2-a", "dc2", "fleet")), approved, of("theirs", agent("dc2-x", "dc2", "fleet")),
	)
	item := itemOf(t, f, "dc1", resource.ItemPeeringAcceptor).GetPeeringAcceptor()
	if len(item.GetRecipients()) != 2 || !item.GetTokenStored() {
		t.Errorf("recipients %v, stored %v", item.GetRecipients(), item.GetTokenStored())
	}
	f.Delete(resource.KindAgent, "dc1-a")
	if item := itemOf(t, f, "dc1", resource.ItemPeeringAcceptor).GetPeeringAcceptor(); len(item.GetRecipients()) != 0 {
		t.Errorf("without an agent that could seal: %v", item.GetRecipients())
	}
	p, _ := resource.Lookup[*isthmusv1.Peering](f, resource.KindPeering, "dc1-dc2")
	p.Spec.Acceptor, p.Spec.ExternalAcceptor = "", "acme"
	if got := plan.Recipients(f, p); len(got) != 3 {
		t.Errorf("of an external acceptor's token: %v", got)
	}
}

func TestDeletionIsAnItem(t *testing.T) {
	t.Parallel()
	p := peered(1, &isthmusv1.TokenEntry{Generation: 1, MakeTime: noon, Outcome: "made", SecretDigest: "d1"})
	p.DeleteTime = noon
	f := fleet(p)
	acceptor := itemOf(t, f, "dc1", resource.ItemPeeringAcceptor).GetPeeringAcceptor()
	dialer := itemOf(t, f, "dc2", resource.ItemPeeringDialer).GetPeeringDialer()
	if !acceptor.GetDelete() || !dialer.GetDelete() || dialer.GetSecretDigest() != "" {
		t.Errorf("acceptor %v, dialer %v: want both to delete, and no token to fetch", acceptor, dialer)
	}
}

func TestAgentsTooOldAreNotGivenWhatTheyCannotDo(t *testing.T) {
	t.Parallel()
	state, omitted := plan.For(fleet(peered(1)), "dc1", []string{resource.ItemExportedServices})
	if len(state.GetItems()) != 1 || state.GetItems()[0].GetType() != resource.ItemExportedServices {
		t.Errorf("items %v, want the exports alone", state.GetItems())
	}
	if diff := cmp.Diff([]string{"config-entries", "peering-acceptor/u1"}, omitted); diff != "" {
		t.Errorf("omitted (-want +got):\n%s", diff)
	}
}

func TestMesh(t *testing.T) {
	t.Parallel()
	if item := itemOf(t, fleet(peered(1)), "dc1", resource.ItemMesh); item != nil {
		t.Errorf("nobody said anything of gateways, and yet %v", item)
	}
	for _, through := range []bool{true, false} {
		p := peered(1)
		p.Spec.ThroughGateways = &through
		if got := itemOf(t, fleet(p), "dc2", resource.ItemMesh).GetMesh().GetPeerThroughMeshGateways(); got != through {
			t.Errorf("through gateways %v, want %v", got, through)
		}
	}
}

func TestUndeclaredDatacenter(t *testing.T) {
	t.Parallel()
	state, _ := plan.For(resourcetest.New(), "dc1", plan.Features())
	want := []*isthmusv1.DesiredItem{
		{Id: resource.ItemConfigEntries, Type: resource.ItemConfigEntries, ConfigEntries: &isthmusv1.ConfigEntries{}},
		{Id: resource.ItemExportedServices, Type: resource.ItemExportedServices, ExportedServices: &isthmusv1.ExportedServices{}},
	}
	if diff := cmp.Diff(want, state.GetItems(), protocmp.Transform()); state.GetConsulDatacenter() != "dc1" || diff != "" {
		t.Errorf("%s: empty lists and nothing else (-want +got):\n%s", state.GetConsulDatacenter(), diff)
	}
}

func gatewayAgent(datacenter string) *isthmusv1.Agent {
	a := agent(datacenter+"-g", datacenter, "fleet")
	a.Spec.Kind = resource.AgentKindGateway
	return a
}

// federated is a Federation in any state.
func federated(t *rapid.T, names []string) *isthmusv1.Federation {
	name := rapid.SampledFrom([]string{"f1", "f2"}).Draw(t, "federation")
	f := &isthmusv1.Federation{Name: name, Uid: name, Spec: &isthmusv1.FederationSpec{
		Primary: rapid.SampledFrom(names).Draw(t, "primary"), MeshGatewayMode: rapid.SampledFrom([]string{"", "local"}).Draw(t, "gateways' mode"),
		Mode: rapid.SampledFrom([]string{resource.ModeMeshGateway, resource.ModeTraditional}).Draw(t, "mode"),
	}}
	if rapid.Bool().Draw(t, "by labels") {
		f.Spec.SecondarySelector = "env=prod"
	} else {
		f.Spec.Secondaries = []string{rapid.SampledFrom(names).Draw(t, "secondary")}
	}
	f.Status = &isthmusv1.FederationStatus{Members: []*isthmusv1.FederationMember{{
		Datacenter: f.GetSpec().GetPrimary(), ConsulDatacenter: f.GetSpec().GetPrimary(), Role: resource.RolePrimary, Phase: resource.PhaseJoined,
	}}}
	for _, dc := range names {
		if phase := rapid.SampledFrom([]string{"", "blocked", "bundling", "delivering", "joined", "leaving"}).Draw(t, "phase of "+dc); phase != "" && dc != f.GetSpec().GetPrimary() {
			f.Status.Members = append(f.Status.Members, &isthmusv1.FederationMember{
				Datacenter: dc, ConsulDatacenter: dc, Role: resource.RoleSecondary, Phase: phase,
				Gateways: []*isthmusv1.MemberGateway{{WanAddress: dc + ":1", LanAddress: dc + ":2", Health: "passing", Used: true}},
			})
		}
	}
	return f
}

// joined is dc1's federation with dc2, which is in a phase.
func joined(phase string) *isthmusv1.Federation {
	return &isthmusv1.Federation{
		Name: "global", Uid: "f1", Spec: &isthmusv1.FederationSpec{Primary: "dc1", Secondaries: []string{"dc2"}, MeshGatewayMode: "local"},
		Status: &isthmusv1.FederationStatus{Members: []*isthmusv1.FederationMember{
			{Datacenter: "dc1", ConsulDatacenter: "dc1", Role: resource.RolePrimary, Phase: resource.PhaseJoined},
			{Datacenter: "dc2", ConsulDatacenter: "dc2", Role: resource.RoleSecondary, Phase: phase},
		}},
	}
}

// Config entries of a secondary are the primary's: its own plan has none, and what its peerings want of the mesh is the primary's to write.
func TestSecondariesWriteNoConfigEntries(t *testing.T) {
	t.Parallel()
	outside := &isthmusv1.Peering{Name: "p", Uid: "p", Spec: &isthmusv1.PeeringSpec{Acceptor: "dc2", Dialer: "dc9", ThroughGateways: new(true)}}
	web := &isthmusv1.ServiceExport{Name: "web", Spec: &isthmusv1.ServiceExportSpec{
		Service: "web", Selector: "env=prod", Consumers: &isthmusv1.ExportConsumers{Selector: "env=test"},
	}}
	for phase, want := range map[string]struct{ services, itself, primary bool }{
		resource.PhaseBlocked:    {services: true, itself: true},
		resource.PhaseBundling:   {itself: true},
		resource.PhaseDelivering: {primary: true},
		resource.PhaseJoined:     {primary: true},
		resource.PhaseLeaving:    {primary: true},
	} {
		f := resourcetest.New(datacenter("dc1", "prod"), datacenter("dc2", "prod"), datacenter("dc9", "test"), joined(phase), outside, web)
		exports := itemOf(t, f, "dc2", resource.ItemExportedServices)
		mesh := itemOf(t, f, "dc2", resource.ItemMesh)
		if (exports != nil) != want.itself || (mesh != nil) != want.itself {
			t.Errorf("%s: exports %v, mesh %v", phase, exports, mesh)
		}
		if (len(exports.GetExportedServices().GetServices()) > 0) != want.services {
			t.Errorf("%s: it exports %v", phase, exports)
		}
		if got := itemOf(t, f, "dc1", resource.ItemMesh); got.GetMesh().GetPeerThroughMeshGateways() != want.primary {
			t.Errorf("%s: the primary's mesh %v", phase, got)
		}
		if itemOf(t, f, "dc1", resource.ItemProxyDefaults) == nil || itemOf(t, f, "dc2", resource.ItemProxyDefaults) != nil {
			t.Errorf("%s: proxy-defaults are the primary's", phase)
		}
		if itemOf(t, f, "dc1", resource.ItemFederationPrimary) == nil || itemOf(t, f, "dc2", resource.ItemFederationSecondary) == nil {
			t.Errorf("%s: an item is missing", phase)
		}
	}
}

func TestForGateway(t *testing.T) {
	t.Parallel()
	f := joined(resource.PhaseJoined)
	f.Status.Members[0].Gateways = []*isthmusv1.MemberGateway{{WanAddress: "dc1:8443", Health: "passing"}}
	state := plan.ForGateway(resourcetest.New(datacenter("dc1", "prod"), datacenter("dc2", "prod"), f), "dc2")
	if len(state.GetItems()) != 1 || state.GetItems()[0].GetType() != resource.ItemGatewayRoutes || state.GetConsulDatacenter() != "dc2" {
		t.Fatalf("%v", state)
	}
	routes := state.GetItems()[0].GetGatewayRoutes().GetRoutes()
	if len(routes) != 2 || routes[1].GetPattern() != "server.dc1.consul" || routes[1].GetAddresses()[0] != "dc1:8443" {
		t.Errorf("%v", routes)
	}
}

// somewhere is a choice of datacenters, by name or by label.
func somewhere(t *rapid.T, names []string, label string) (datacenters []string, selector string) {
	if rapid.Bool().Draw(t, label+" by name") {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 4, rapid.ID).Draw(t, label), ""
	}
	return nil, rapid.SampledFrom([]string{"env=prod", "env=test", "env"}).Draw(t, label)
}

func scope(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", resource.ScopeFederation}).Draw(t, "scope")
}

func anIntention(t *rapid.T, names []string) *isthmusv1.Intention {
	i := &isthmusv1.Intention{Name: rapid.SampledFrom([]string{"i", "j"}).Draw(t, "name"), Spec: &isthmusv1.IntentionSpec{
		Scope: scope(t), Destination: &isthmusv1.IntentionDestination{Service: rapid.SampledFrom([]string{"api", "Api"}).Draw(t, "service")},
	}}
	i.Spec.Destination.Datacenters, i.Spec.Destination.Selector = somewhere(t, names, "destination")
	for range rapid.IntRange(1, 2).Draw(t, "sources") {
		s := &isthmusv1.IntentionSource{
			Service: "web", Namespace: rapid.SampledFrom([]string{"", "", "team"}).Draw(t, "namespace"), Action: rapid.SampledFrom([]string{"allow", "deny"}).Draw(t, "action"),
		}
		s.Datacenters, s.Selector = somewhere(t, names, "source")
		i.Spec.Sources = append(i.Spec.Sources, s)
	}
	return i
}

func aTrafficPolicy(t *rapid.T, names []string) *isthmusv1.TrafficPolicy {
	p := &isthmusv1.TrafficPolicy{Name: rapid.SampledFrom([]string{"p", "q"}).Draw(t, "name"), Spec: &isthmusv1.TrafficPolicySpec{Service: "web", Scope: scope(t)}}
	p.Spec.Datacenters, p.Spec.Selector = somewhere(t, names, "callers")
	target := &isthmusv1.TrafficTarget{Datacenter: rapid.SampledFrom(names).Draw(t, "target")}
	switch rapid.IntRange(0, 2).Draw(t, "way") {
	case 0:
		step := &isthmusv1.FailoverStep{SameLabel: rapid.SampledFrom([]string{"", "env", "rack"}).Draw(t, "same label")}
		step.Datacenters, step.Selector = somewhere(t, names, "failover")
		p.Spec.Failover = append(p.Spec.Failover, step)
	case 1:
		p.Spec.Redirect = target
	default:
		p.Spec.Split = []*isthmusv1.TrafficSplit{{Weight: 90}, {Weight: 10, Target: target}}
	}
	return p
}

// asSeen draws what agents and the controller have said of a peering.
func asSeen(t *rapid.T, p *isthmusv1.Peering) *isthmusv1.Peering {
	s := p.GetStatus()
	s.Verdict = rapid.SampledFrom([]string{peering.VerdictHealthy, peering.VerdictStale}).Draw(t, "verdict")
	s.Reason = rapid.SampledFrom([]string{peering.ReasonHealthy, peering.ReasonHeartbeatMissing}).Draw(t, "reason")
	s.Acceptor = &isthmusv1.PeeringEnd{PeerId: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "peer id"), State: rapid.SampledFrom([]string{"", "ACTIVE"}).Draw(t, "state")}
	s.Heal = &isthmusv1.HealStatus{
		State: rapid.SampledFrom([]string{"", peering.HealTrying}).Draw(t, "heal"), Step: rapid.SampledFrom([]string{"", peering.StepTransferLeader}).Draw(t, "step"),
		LeaderTransfer: rapid.Int32Range(0, 2).Draw(t, "transfer"),
	}
	if rapid.Bool().Draw(t, "claimed") {
		e := &isthmusv1.TokenEntry{Generation: rapid.Int32Range(1, 2).Draw(t, "of generation"), Attempt: rapid.Int32Range(1, 2).Draw(t, "attempt")}
		if rapid.Bool().Draw(t, "made") {
			e.MakeTime, e.SecretDigest = timestamppb.New(time.Unix(1, 0)), rapid.SampledFrom([]string{"", "d", "e"}).Draw(t, "digest")
			e.Recipients = rapid.SampledFrom([][]string{nil, {"age-dc2-a"}, {"age-dc3-a", "age-dc4-a"}}).Draw(t, "recipients")
			e.Outcome = rapid.SampledFrom([]string{resource.OutcomeMade, resource.OutcomeDelivered, resource.OutcomeUsed, resource.OutcomeRefused}).Draw(t, "outcome")
		}
		s.Token.Ledger = []*isthmusv1.TokenEntry{e}
	}
	if rapid.IntRange(0, 4).Draw(t, "going") == 0 {
		p.DeleteTime = timestamppb.New(time.Unix(1, 0))
	}
	return p
}

// anyObject draws a resource that plans are made of, in any state.
func anyObject(names []string) *rapid.Generator[resource.Object] {
	env := rapid.SampledFrom([]string{"prod", "test"})
	return rapid.Custom(func(t *rapid.T) resource.Object {
		switch rapid.IntRange(0, 8).Draw(t, "kind") {
		case 7:
			return anIntention(t, names)
		case 8:
			return aTrafficPolicy(t, names)
		case 4:
			dc := rapid.SampledFrom(names).Draw(t, "datacenter")
			return &isthmusv1.Gateway{Name: dc + "-gw", Spec: &isthmusv1.GatewaySpec{
				Datacenter: dc, WanAddress: rapid.SampledFrom([]string{"a:1", "b:1"}).Draw(t, "address"),
			}}
		case 5:
			return gatewayAgent(rapid.SampledFrom(names).Draw(t, "datacenter"))
		case 6:
			return federated(t, names)
		case 0:
			dc := datacenter(rapid.SampledFrom(names).Draw(t, "name"), env.Draw(t, "env"))
			dc.Status = &isthmusv1.DatacenterStatus{
				TrustDomain: rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "trust domain"), ConsulDomain: rapid.SampledFrom([]string{"", "example"}).Draw(t, "domain"),
				WanAddresses: rapid.SampledFrom([][]string{nil, {"a:2"}}).Draw(t, "wan"), RpcAddresses: rapid.SampledFrom([][]string{nil, {"a:3"}}).Draw(t, "rpc"),
				AclEnabled: rapid.SampledFrom([]*bool{nil, new(true), new(false)}).Draw(t, "acl"), Servers: rapid.Int32Range(0, 3).Draw(t, "servers"),
				ConsulVersion: rapid.SampledFrom([]string{"", "1.20.6", "1.20.6+ent"}).Draw(t, "version"),
			}
			dc.Labels["rack"] = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "rack")
			if rapid.IntRange(0, 4).Draw(t, "going") == 0 {
				dc.DeleteTime = timestamppb.New(time.Unix(1, 0))
			}
			if rapid.Bool().Draw(t, "kubernetes") {
				dc.Spec = &isthmusv1.DatacenterSpec{Runtime: "kubernetes", Kubernetes: &isthmusv1.KubernetesSpec{ApiUrl: "https://" + dc.GetName()}}
			}
			return dc
		case 1:
			i := rapid.IntRange(0, 2).Draw(t, "acceptor")
			j := rapid.IntRange(i+1, 3).Draw(t, "dialer")
			p := peered(rapid.Int32Range(0, 2).Draw(t, "generation"))
			p.Name = names[i] + "-" + names[j]
			p.Uid, p.Spec.Acceptor, p.Spec.Dialer = p.Name, names[i], names[j]
			p.Spec.AcceptorPeerName = rapid.SampledFrom([]string{"", "", "west"}).Draw(t, "acceptor's name")
			p.Spec.ThroughGateways = rapid.SampledFrom([]*bool{nil, new(true), new(false)}).Draw(t, "through gateways")
			return asSeen(t, p)
		case 2:
			dc := rapid.SampledFrom(names).Draw(t, "datacenter")
			return of(rapid.SampledFrom([]string{"ours", "theirs"}).Draw(t, "fleet"), agent(dc+"-a", dc, rapid.SampledFrom([]string{"fleet", "none"}).Draw(t, "trust")))
		default:
			e := &isthmusv1.ServiceExport{Name: rapid.SampledFrom([]string{"e", "f"}).Draw(t, "export"), Spec: &isthmusv1.ServiceExportSpec{
				Service: rapid.SampledFrom([]string{"web", "web", "api"}).Draw(t, "service"), Adopt: rapid.Bool().Draw(t, "adopt"), Consumers: &isthmusv1.ExportConsumers{},
			}}
			switch rapid.IntRange(0, 3).Draw(t, "consumers") {
			case 0:
				e.Spec.Consumers.Peers = []string{rapid.SampledFrom([]string{"partner", "dc2"}).Draw(t, "peer")}
			case 1:
				e.Spec.Consumers.Datacenters = []string{rapid.SampledFrom(names).Draw(t, "to")}
			default:
				e.Spec.Consumers.Selector = rapid.SampledFrom([]string{"env=prod", "env=test", "rack=a"}).Draw(t, "to")
			}
			if rapid.IntRange(0, 4).Draw(t, "going") == 0 {
				e.DeleteTime = timestamppb.New(time.Unix(1, 0))
			}
			if rapid.Bool().Draw(t, "by name") {
				e.Spec.Datacenters = []string{rapid.SampledFrom(names).Draw(t, "from")}
			} else {
				e.Spec.Selector = "env=" + env.Draw(t, "from")
			}
			return e
		}
	})
}

// Touched names every datacenter whose plan a change alters: property, over random fleets and changes.
func TestTouchedMissesNobody(t *testing.T) {
	t.Parallel()
	names := []string{"dc1", "dc2", "dc3", "dc4"}
	object := anyObject(names)
	digests := func(f *resourcetest.Fleet) map[string]string {
		out := map[string]string{}
		for _, name := range names {
			state, _ := plan.For(f, name, plan.Features())
			out[name] = plan.Digest(state) + plan.Digest(plan.ForGateway(f, name))
		}
		return out
	}
	rapid.Check(t, func(t *rapid.T) {
		f := resourcetest.New()
		for i := range rapid.IntRange(1, 25).Draw(t, "changes") {
			after := object.Draw(t, fmt.Sprint("change ", i))
			kind := resource.KindOf(after).Name
			before, _ := f.Get(kind, after.GetName())
			old := digests(f)
			if before != nil && rapid.Bool().Draw(t, "delete") {
				f.Delete(kind, after.GetName())
				after = nil
			} else {
				f.Put(after)
			}
			affected := map[string]bool{}
			for name := range plan.Touched(f, before, after) {
				affected[name] = true
			}
			for name, digest := range digests(f) {
				if digest != old[name] && !affected[name] {
					t.Fatalf("the plan of %s changed, but %v → %v touches only %v", name, before, after, affected)
				}
			}
		}
	})
}
