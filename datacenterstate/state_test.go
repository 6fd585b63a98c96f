package datacenterstate_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/datacenterstate"
	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// world is one datacenter, dc1, whose agent leads, is heard of and knows everything.
func world(desired ...*isthmusv1.DesiredItem) datacenterstate.Evidence {
	features := append(plan.Features(), resource.ItemGatewayRoutes)
	heard := noon.Add(-time.Second)
	return datacenterstate.Evidence{
		Desired: &isthmusv1.DesiredState{Datacenter: "dc1", Items: desired},
		Agents: []datacenterstate.Agent{{
			Agent: &isthmusv1.Agent{
				Name: "dc1-a", Spec: &isthmusv1.AgentSpec{Datacenter: "dc1", Kind: resource.AgentKindAgent}, Status: &isthmusv1.AgentStatus{Trust: resource.TrustFleet},
			},
			Report: &isthmusv1.AgentReport{Leader: true, Features: features, AppliedDigest: "d1", AppliedIndex: 7}, Heard: heard, Wanted: "d1",
		}},
		Peerings:   datacenterstate.Report[*isthmusv1.PeeringsReport]{Body: &isthmusv1.PeeringsReport{}, Heard: heard},
		Exports:    datacenterstate.Report[*isthmusv1.ExportsReport]{Body: &isthmusv1.ExportsReport{}, Heard: heard},
		Policy:     datacenterstate.Report[*isthmusv1.PolicyReport]{Body: &isthmusv1.PolicyReport{}, Heard: heard},
		Entries:    datacenterstate.Report[*isthmusv1.EntriesReport]{Body: &isthmusv1.EntriesReport{}, Heard: heard},
		Federation: datacenterstate.Report[*isthmusv1.FederationReport]{Body: &isthmusv1.FederationReport{}, Heard: heard},
	}
}

func of(t *testing.T, e datacenterstate.Evidence, objects ...resource.Object) []*isthmusv1.ItemState {
	t.Helper()
	return datacenterstate.Of(resourcetest.New(objects...), "dc1", e, noon).GetItems()
}

// only is the one item that there is.
func only(t *testing.T, items []*isthmusv1.ItemState) *isthmusv1.ItemState {
	t.Helper()
	if len(items) != 1 {
		t.Fatalf("%d items, want one: %v", len(items), items)
	}
	return items[0]
}

func change(field, before, after string) []*isthmusv1.FieldChange {
	return []*isthmusv1.FieldChange{{Field: field, Before: before, After: after}}
}

func same(t *testing.T, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func acceptor() *isthmusv1.DesiredItem {
	return &isthmusv1.DesiredItem{Id: "peering-acceptor/u1", Type: resource.ItemPeeringAcceptor, PeeringAcceptor: &isthmusv1.PeeringAcceptor{
		Uid: "u1", Peering: "dc1-dc2", PeerName: "dc2", Generation: 2,
	}}
}

func dialer(secret string) *isthmusv1.DesiredItem {
	return &isthmusv1.DesiredItem{Id: "peering-dialer/u1", Type: resource.ItemPeeringDialer, PeeringDialer: &isthmusv1.PeeringDialer{
		Uid: "u1", Peering: "dc1-dc2", PeerName: "dc2", Generation: 2, SecretDigest: secret,
	}}
}

func TestPeering(t *testing.T) {
	t.Parallel()
	going := acceptor()
	going.PeeringAcceptor.Delete = true
	unasked := acceptor()
	unasked.PeeringAcceptor.Generation = 0
	active := &isthmusv1.ObservedPeering{Uid: "u1", State: "ACTIVE", Generation: 2, Heartbeat: resource.HeartbeatFresh}
	for _, tt := range []struct {
		name          string
		item          *isthmusv1.DesiredItem
		seen          *isthmusv1.ObservedPeering
		state, reason string
		differences   []*isthmusv1.FieldChange
	}{
		{"works", acceptor(), active, "applied", "Applied", nil},
		{"nothing is told of it", acceptor(), nil, "pending", "NotReported", nil},
		{"it is not there", acceptor(), &isthmusv1.ObservedPeering{Uid: "u1", Generation: 2}, "pending", "NotCreated", change("state", "", `"ACTIVE"`)},
		{"no agents to make a token for", unasked, &isthmusv1.ObservedPeering{Uid: "u1"}, "pending", "WaitingForAgents", change("state", "", `"ACTIVE"`)},
		{"no token yet", dialer(""), &isthmusv1.ObservedPeering{Uid: "u1", Generation: 2}, "pending", "WaitingForToken", change("state", "", `"ACTIVE"`)},
		{"on its way", dialer("x"), &isthmusv1.ObservedPeering{Uid: "u1", State: "ESTABLISHING", Generation: 2}, "pending", "Connecting", change("state", `"ESTABLISHING"`, `"ACTIVE"`)},
		{"the next token", dialer("x"), &isthmusv1.ObservedPeering{Uid: "u1", State: "ACTIVE", Generation: 1, Heartbeat: "fresh"}, "pending", "Rotating", change("tokenGeneration", "1", "2")},
		{"refused", dialer("x"), &isthmusv1.ObservedPeering{Uid: "u1", Generation: 2, Outcome: "refused"}, "failed", "TokenRefused", change("state", "", `"ACTIVE"`)},
		{"deaf", acceptor(), &isthmusv1.ObservedPeering{Uid: "u1", State: "ACTIVE", Generation: 2, Heartbeat: "stale"}, "failed", "HeartbeatMissing", change("heartbeat", `"stale"`, `"fresh"`)},
		{"lost", acceptor(), &isthmusv1.ObservedPeering{Uid: "u1", State: "FAILING", Generation: 2}, "failed", "ConnectionFailing", change("state", `"FAILING"`, `"ACTIVE"`)},
		{"terminated", acceptor(), &isthmusv1.ObservedPeering{Uid: "u1", State: "TERMINATED", Generation: 2}, "failed", "PeerTerminated", change("state", `"TERMINATED"`, `"ACTIVE"`)},
		{"deleted by hand", acceptor(), &isthmusv1.ObservedPeering{Uid: "u1", State: "DELETING", Generation: 2}, "failed", "DeletedInConsul", change("state", `"DELETING"`, `"ACTIVE"`)},
		{"its name is taken", acceptor(), &isthmusv1.ObservedPeering{Uid: "u1", Generation: 2, ErrorReason: "NameTaken", Error: "rename it"}, "conflict", "NameTaken", change("state", "", `"ACTIVE"`)},
		{"Consul refuses", acceptor(), &isthmusv1.ObservedPeering{Uid: "u1", Generation: 2, ErrorReason: "AclRuleMissing", Error: "no"}, "failed", "AclRuleMissing", change("state", "", `"ACTIVE"`)},
		{"going", going, active, "pending", "Removing", change("state", `"ACTIVE"`, "")},
		{"gone", going, &isthmusv1.ObservedPeering{Uid: "u1", Deleted: true}, "applied", "Removed", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := world(tt.item)
			if tt.seen != nil {
				e.Peerings.Body.Peerings = []*isthmusv1.ObservedPeering{{Uid: "other", State: "FAILING"}, tt.seen}
			}
			got := only(t, of(t, e))
			if got.GetState() != tt.state || got.GetReason() != tt.reason || got.GetId() != tt.item.GetId() || got.GetName() != "dc2" || got.GetWantedBy()[0] != "Peering/dc1-dc2" {
				t.Errorf("%v, want %s %s", got, tt.state, tt.reason)
			}
			if tt.state == "failed" && tt.reason != "AclRuleMissing" && got.GetFix() == "" {
				t.Error("nobody says what to do")
			}
			same(t, tt.differences, got.GetDifferences())
		})
	}
}

// Who is not heard of vouches for nothing, and who does not see its Consul neither.
func TestNobodyVouches(t *testing.T) {
	t.Parallel()
	told := func() datacenterstate.Evidence {
		e := world(acceptor())
		e.Peerings.Body.Peerings = []*isthmusv1.ObservedPeering{{Uid: "u1", State: "ACTIVE", Generation: 2, Heartbeat: resource.HeartbeatFresh}}
		return e
	}
	for _, tt := range []struct {
		name          string
		change        func(e *datacenterstate.Evidence)
		state, reason string
	}{
		{"heard of", func(*datacenterstate.Evidence) {}, "applied", "Applied"},
		{"silent", func(e *datacenterstate.Evidence) { e.Peerings.Heard = noon.Add(-resource.Silence - time.Second) }, "unknown", "AgentSilent"},
		{"blind", func(e *datacenterstate.Evidence) { e.Blind, e.BlindMessage = "ConsulUnreachable", "it does not answer" }, "unknown", "ConsulUnreachable"},
		{"nothing told, heard of", func(e *datacenterstate.Evidence) { e.Peerings.Body = nil }, "pending", "NotReported"},
		{"nothing told, blind", func(e *datacenterstate.Evidence) { e.Peerings.Body, e.Blind = nil, "NoLeader" }, "failed", "NoLeader"},
		{"nothing told, silent", func(e *datacenterstate.Evidence) { e.Peerings.Body, e.Agents[0].Heard = nil, time.Time{} }, "unknown", "AgentSilent"},
		{"nobody there", func(e *datacenterstate.Evidence) { e.Agents = nil }, "pending", "NoAgent"},
		{"not trusted", func(e *datacenterstate.Evidence) { e.Agents[0].Status.Trust = resource.TrustNone }, "pending", "AgentNotTrusted"},
		{"only a gateway", func(e *datacenterstate.Evidence) { e.Agents[0].Spec.Kind = resource.AgentKindGateway }, "pending", "NoAgent"},
		{"too old", func(e *datacenterstate.Evidence) { e.Agents[0].Report.Features = []string{"mesh"} }, "pending", "AgentTooOld"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := told()
			tt.change(&e)
			if got := only(t, of(t, e)); got.GetState() != tt.state || got.GetReason() != tt.reason {
				t.Errorf("%v, want %s %s", got, tt.state, tt.reason)
			} else if tt.state != "applied" && tt.reason != "NotReported" && got.GetFix() == "" {
				t.Errorf("nobody says what to do: %v", got)
			}
		})
	}
}

func TestExports(t *testing.T) {
	t.Parallel()
	wanted := &isthmusv1.DesiredItem{Id: "exported-services", Type: resource.ItemExportedServices, ExportedServices: &isthmusv1.ExportedServices{Services: []*isthmusv1.ExportedService{
		{Name: "api", Peers: []string{"dc2", "dc3"}, Exports: []string{"api", "more"}}, {Name: "web", Namespace: "team", Peers: []string{"dc2"}, Exports: []string{"web"}},
	}}}
	e := world(wanted)
	e.Exports.Body.Exports = []*isthmusv1.ObservedExport{
		{Name: "api", Namespace: "default", State: "applied", Peers: []string{"dc2", "dc9"}},
		{Name: "old", State: "applied", Peers: []string{"dc3"}},
	}
	got := of(t, e)
	want := []*isthmusv1.ItemState{
		{
			Id: "exported-services/api", Type: "exported-services", Name: "exported-services/api", WantedBy: []string{"ServiceExport/api", "ServiceExport/more"},
			State: "pending", Reason: "NotWritten", Message: "not yet exported to dc3", Differences: change("Consumers", `["dc2","dc9"]`, `["dc2","dc3"]`),
		},
		{
			Id: "exported-services/old", Type: "exported-services", Name: "exported-services/old", State: "pending", Reason: "Removing",
			Message: "still exported to dc3", Differences: change("Consumers", `["dc3"]`, ""),
		},
		{
			Id: "exported-services/team/web", Type: "exported-services", Name: "exported-services/team/web", WantedBy: []string{"ServiceExport/web"},
			State: "pending", Reason: "NotWritten", Message: "the agent of dc1 has not written it yet", Differences: change("Consumers", "", `["dc2"]`),
		},
	}
	same(t, want, got)

	e.Exports.Body = &isthmusv1.ExportsReport{ErrorReason: "ManagedByKubernetes", Error: "left alone", Exports: []*isthmusv1.ObservedExport{
		{Name: "api", State: "applied", Peers: []string{"dc3", "dc2"}}, {Name: "web", Namespace: "team", State: "conflict", Message: "somebody's"},
	}}
	states := map[string]string{}
	for _, i := range of(t, e) {
		states[i.GetId()] = i.GetState() + " " + i.GetReason()
	}
	same(t, map[string]string{"exported-services": "managed ManagedByKubernetes", "exported-services/api": "applied Applied", "exported-services/team/web": "conflict Conflict"}, states)
}

func TestConfigEntries(t *testing.T) {
	t.Parallel()
	api := &isthmusv1.ConfigEntry{Kind: "service-router", Name: "api", Parts: []*isthmusv1.ConfigPart{
		{Key: "routes", Value: `[{"Match":{"HTTP":{"Header":[{"Name":"x-key","Exact":"hunter2"}]}}}]`, Policies: []string{"TrafficPolicy/api"}},
	}}
	web := &isthmusv1.ConfigEntry{Kind: "service-intentions", Name: "web", Parts: []*isthmusv1.ConfigPart{
		{Key: "source/default/a", Value: `{"Name":"a","Action":"allow"}`, Policies: []string{"Intention/b", "Intention/a"}},
		{Key: "source/default/b", Value: `{"Name":"b","Action":"allow"}`, Policies: []string{"Intention/a"}},
	}}
	e := world(&isthmusv1.DesiredItem{Id: "config-entries", Type: resource.ItemConfigEntries, ConfigEntries: &isthmusv1.ConfigEntries{Entries: []*isthmusv1.ConfigEntry{web, api}}})
	e.Policy.Body.Entries = []*isthmusv1.ObservedEntry{
		{Kind: "service-intentions", Name: "web", Namespace: "default", WantedDigest: resource.Digest(web), State: "conflict", Reason: "WrittenByHand", Message: "somebody else's", Parts: []*isthmusv1.ObservedPart{
			{Key: "source/default/a", State: "conflict", Found: `{"Name":"a","Action":"deny"}`, Fix: "delete it"},
		}},
		{Kind: "service-router", Name: "api", WantedDigest: resource.Digest(api), State: "managed", Reason: "ManagedByKubernetes", Parts: []*isthmusv1.ObservedPart{
			{Key: "routes", State: "managed", Found: `[{"Match":{"HTTP":{"Header":[{"Name":"x-key","Exact":"hunter2"}]}}}]`},
		}},
		{Kind: "service-resolver", Name: "old", Namespace: "team", State: "failed", Reason: "AclRuleMissing", Message: "no"},
	}
	items := of(t, e)
	same(t, []*isthmusv1.ItemState{
		{Id: "config-entry/service-resolver/team/old", Type: "config-entry", Name: "service-resolver/team/old", State: "failed", Reason: "AclRuleMissing", Message: "no"},
		{
			Id: "config-entry/service-intentions/web", Type: "config-entry", Name: "service-intentions/web", WantedBy: []string{"Intention/a", "Intention/b"},
			State: "conflict", Reason: "WrittenByHand", Message: "somebody else's", Fix: "the agent of dc1 says: delete it",
			Differences: change("source/default/a", `{"Action":"deny","Name":"a"}`, `{"Action":"allow","Name":"a"}`),
		},
		{
			Id: "config-entry/service-router/api", Type: "config-entry", Name: "service-router/api", WantedBy: []string{"TrafficPolicy/api"}, State: "managed", Reason: "ManagedByKubernetes",
			Fix:         "see the patch in status.placements of TrafficPolicy/api",
			Differences: change("routes", `[{"Match":{"HTTP":{"Header":[{"Exact":"…","Name":"x-key"}]}}}]`, `[{"Match":{"HTTP":{"Header":[{"Exact":"…","Name":"x-key"}]}}}]`),
		},
	}, items)
	for _, i := range items {
		if text, err := protojson.Marshal(i); err != nil || strings.Contains(string(text), "hunter2") {
			t.Errorf("%v: it shows a header's value: %s", err, text)
		}
	}

	api.Parts[0].Value = `[]` // wanted otherwise since: the agent told of what was wanted before
	for _, i := range of(t, e) {
		if i.GetName() == "service-router/api" && (i.GetState() != "pending" || i.GetDifferences() != nil) {
			t.Errorf("%v", i)
		}
	}
}

func entry(t *testing.T, kind, name string, body any) *isthmusv1.ReportedEntry {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return &isthmusv1.ReportedEntry{Kind: kind, Name: name, Json: string(text)}
}

func TestMesh(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	item := &isthmusv1.DesiredItem{Id: "mesh", Type: resource.ItemMesh, Mesh: &isthmusv1.MeshSettings{PeerThroughMeshGateways: true}}
	for _, tt := range []struct {
		name, trouble string
		entry         m
		state         string
		differences   []*isthmusv1.FieldChange
	}{
		{"so", "", m{"Peering": m{"PeerThroughMeshGateways": true}}, "applied", nil},
		{"not yet", "", nil, "pending", change("PeerThroughMeshGateways", "", "true")},
		{"by hand", "ConfigEntryByHand", m{"Peering": m{}}, "conflict", change("PeerThroughMeshGateways", "false", "true")},
		{"drifted", "ConfigEntryByHand", m{"Peering": m{}, "Meta": m{"isthmus-through-gateways": "true"}}, "drifted", change("PeerThroughMeshGateways", "false", "true")},
		{"managed", "ManagedByKubernetes", m{"Meta": m{"external-source": "kubernetes"}}, "managed", change("PeerThroughMeshGateways", "", "true")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := world(item)
			e.MeshPeerings = []string{"p1"}
			e.Agents[0].Report.ErrorReason = tt.trouble
			if tt.entry != nil {
				e.Entries.Body.Entries = append(e.Entries.Body.Entries, entry(t, "mesh", "mesh", tt.entry))
			}
			got := only(t, of(t, e))
			if got.GetState() != tt.state || got.GetName() != "mesh/mesh" || got.GetWantedBy()[0] != "Peering/p1" {
				t.Errorf("%v, want %s", got, tt.state)
			}
			same(t, tt.differences, got.GetDifferences())
		})
	}
	e := world(item)
	e.Entries.Body.ErrorReason = "AclRuleMissing"
	if got := only(t, of(t, e)); got.GetState() != "pending" || got.GetReason() != "NotReported" || got.GetDifferences() != nil {
		t.Errorf("it could not be read: %v", got)
	}
}

// joined is dc1's part in a federation.
func joined(role, phase string) *isthmusv1.Federation {
	f := &isthmusv1.Federation{Name: "global", Uid: "f1", Spec: &isthmusv1.FederationSpec{Primary: "dc9", Secondaries: []string{"dc1"}, MeshGatewayMode: "local"}, Status: &isthmusv1.FederationStatus{
		Members: []*isthmusv1.FederationMember{{Datacenter: "dc1", Role: role, Phase: phase, Reason: "Why", Message: "so", Bundle: &isthmusv1.BundleEntry{Generation: 3, SecretDigest: "sealed"}}},
	}}
	if role == resource.RolePrimary {
		f.Spec.Primary, f.Spec.Secondaries = "dc1", []string{"dc2"}
	}
	return f
}

func TestFederation(t *testing.T) {
	t.Parallel()
	secondary := &isthmusv1.DesiredItem{Id: "federation-secondary/f1", Type: resource.ItemFederationSecondary, FederationSecondary: &isthmusv1.FederationSecondary{
		Uid: "f1", Federation: "global", SecretDigest: "sealed", Generation: 3,
	}}
	for _, tt := range []struct {
		name, phase string
		host        *isthmusv1.FederationHost
		state       string
		differences []*isthmusv1.FieldChange
	}{
		{"joined", resource.PhaseJoined, &isthmusv1.FederationHost{Host: "h1", Applied: 3}, "applied", nil},
		{"on its way", resource.PhaseDelivering, &isthmusv1.FederationHost{Host: "h1", Applied: 2}, "pending", change("bundle of h1", "2", "3")},
		{"blocked", resource.PhaseBlocked, nil, "failed", nil},
		{"refused", resource.PhaseDelivering, &isthmusv1.FederationHost{Host: "h1", State: "refused", Reason: "OwnCAUnknown"}, "failed", change("bundle of h1", "0", "3")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := world(secondary)
			if tt.host != nil {
				e.Agents[0].Delivery = &isthmusv1.DeliveryReport{Uid: "f1", Host: tt.host}
			}
			got := only(t, of(t, e, joined(resource.RoleSecondary, tt.phase)))
			if got.GetState() != tt.state || got.GetWantedBy()[0] != "Federation/global" {
				t.Errorf("%v, want %s", got, tt.state)
			}
			same(t, tt.differences, got.GetDifferences())
			if text, err := protojson.Marshal(got); err != nil || strings.Contains(string(text), "sealed") {
				t.Errorf("%v: it names the sealed bundle: %s", err, text)
			}
		})
	}
}

func TestPrimary(t *testing.T) {
	t.Parallel()
	primary := &isthmusv1.DesiredItem{Id: "federation-primary/f1", Type: resource.ItemFederationPrimary, FederationPrimary: &isthmusv1.FederationPrimary{Uid: "f1", Federation: "global"}}
	defaults := &isthmusv1.DesiredItem{Id: "proxy-defaults", Type: resource.ItemProxyDefaults, ProxyDefaults: &isthmusv1.ProxyDefaults{MeshGatewayMode: "local"}}
	probes := &isthmusv1.DesiredItem{Id: "probes", Type: resource.ItemProbes, Probes: &isthmusv1.Probes{
		Gateways: []*isthmusv1.GatewayProbe{{Datacenter: "dc2", Address: "a:1"}}, Reads: []*isthmusv1.ReadProbe{{Datacenter: "dc2"}},
	}}
	e := world(primary, defaults, probes)
	e.Federation.Body.Reads = []*isthmusv1.ObservedRead{{Datacenter: "dc2"}}
	e.Entries.Body.Entries = []*isthmusv1.ReportedEntry{entry(t, "proxy-defaults", "global", map[string]any{"MeshGateway": map[string]any{"Mode": "remote"}})}
	states := func() map[string]string {
		out := map[string]string{}
		for _, i := range of(t, e, joined(resource.RolePrimary, resource.PhaseJoined)) {
			out[i.GetId()] = i.GetState() + " " + i.GetReason()
		}
		return out
	}
	same(t, map[string]string{"federation-primary/f1": "applied Applied", "proxy-defaults": "pending NotWritten", "probes": "pending NotTried"}, states())
	e.Federation.Body.Probes = []*isthmusv1.ObservedProbe{{Datacenter: "dc2", Address: "a:1"}}
	e.Federation.Body.Bundles = []*isthmusv1.ObservedBundle{{Datacenter: "dc2", ErrorReason: "CAUnreadable", Error: "no"}}
	e.Federation.Body.ErrorReason = "ConfigEntryByHand"
	same(t, map[string]string{"federation-primary/f1": "failed CAUnreadable", "proxy-defaults": "conflict ConfigEntryByHand", "probes": "applied Applied"}, states())
}

func TestState(t *testing.T) {
	t.Parallel()
	e := world()
	expires := timestamppb.New(noon)
	e.Ages = []*isthmusv1.ReportAge{{Part: "inventory", Agent: "dc1-a"}}
	e.Inventory.Body = &isthmusv1.InventoryReport{ConsulVersion: "1.20.6"}
	e.Federation.Body = &isthmusv1.FederationReport{WanMembers: []*isthmusv1.WanMember{{Node: "s1"}}, CertificateNames: []string{"n"}, CertificateExpireTime: expires}
	e.Rights.Body = &isthmusv1.RightsReport{Missing: []*isthmusv1.MissingRight{{Rule: "r"}}}
	e.Agents[0].Report.ErrorReason, e.Agents[0].Report.Error, e.Agents[0].Report.HeldRemovals = "NoLeader", "none", 4
	standby := e.Agents[0]
	standby.Agent, standby.Report = resource.Clone(standby.Agent), &isthmusv1.AgentReport{UnknownItems: []string{"x"}}
	standby.Name = "dc1-b"
	e.Agents = append(e.Agents, standby)
	same(t, &isthmusv1.DatacenterState{
		Datacenter: "dc1", Reports: e.Ages, Inventory: e.Inventory.Body, WanMembers: e.Federation.Body.GetWanMembers(), CertificateNames: []string{"n"}, CertificateExpireTime: expires,
		Agents: []*isthmusv1.AgentState{
			{Agent: e.Agents[0].Agent, ErrorReason: "NoLeader", Error: "none", Current: true, AppliedIndex: 7, HeldRemovals: 4},
			{Agent: standby.Agent, UnknownItems: []string{"x"}},
		},
		MissingRights: e.Rights.Body.GetMissing(), Time: timestamppb.New(noon),
	}, datacenterstate.Of(resourcetest.New(), "dc1", e, noon))
}
