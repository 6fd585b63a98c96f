package explain_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/explain"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// one thing is wrong, and one hop says so.
type wrong struct {
	name string
	do   func(w *world)
	// verdict of the whole, the hop that decides it, its verdict, what it says, and what its fix says.
	verdict, hop, is string
	says, fix        []string
}

func run(t *testing.T, fresh func() *world, tests []wrong) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := fresh()
			tt.do(w)
			e := w.explain(t, "web@dc1", "api@dc9")
			h := hop(e, tt.hop)
			if e.GetVerdict() != tt.verdict || h.GetVerdict() != tt.is {
				t.Errorf("it is %s, and %s is %s: %s\nall: %s", e.GetVerdict(), tt.hop, h.GetVerdict(), h.GetMessage(), e.GetMessage())
			}
			text := h.GetMessage() + "\n" + strings.Join(h.GetEvidence(), "\n")
			if !contains(text, tt.says...) {
				t.Errorf("%s says %q, want %q", tt.hop, text, tt.says)
			}
			if !contains(h.GetFix(), tt.fix...) || tt.is == resource.CheckFail && h.GetFix() == "" {
				t.Errorf("the fix of %s is %q, want %q", tt.hop, h.GetFix(), tt.fix)
			}
			if tt.verdict != "allowed" && tt.is != resource.CheckPass && !strings.HasPrefix(e.GetMessage(), tt.hop+": ") {
				t.Errorf("the message is %q, which is not about %s", e.GetMessage(), tt.hop)
			}
		})
	}
}

func TestHopsOfAPeering(t *testing.T) {
	t.Parallel()
	run(t, peered, []wrong{
		{"no agent ever", func(w *world) { delete(w.seen, "dc1") }, "unknown", "Source", "unknown", []string{"no agent of dc1"}, []string{"isthmus join-token create --datacenter dc1"}},
		{"the agent is silent", func(w *world) { w.seen["dc9"].Heard = noon.Add(-time.Minute) }, "unknown", "Destination", "unknown", []string{"silent", "1m ago", "2 instances of api"}, nil},
		{"the agent cannot look", func(w *world) { w.seen["dc9"].Trouble = "Consul does not answer" }, "unknown", "Destination", "unknown", []string{"cannot look: Consul does not answer"}, nil},
		{"the agent has told nothing", func(w *world) { w.untold("dc1") }, "unknown", "Source", "unknown", []string{"not told of its services"}, nil},
		{"an agent of an earlier version", func(w *world) {
			w.service("dc1", "web").Mesh = false
			w.seen["dc1"].Inventory.Body = nil // so that there are no entries, too
		}, "unknown", "Source", "unknown", []string{"which services are in the mesh"}, []string{"upgrade"}},
		{"the caller is not there", func(w *world) { w.service("dc1", "web").Name = "webb" }, "broken", "Source", "fail", []string{"web is not registered in dc1; did you mean webb?"}, []string{"isthmus services --datacenter dc1"}},
		{"rights hide services", func(w *world) {
			w.service("dc1", "web").Name = "other"
			w.seen["dc1"].Rights.Body.Missing = []*isthmusv1.MissingRight{{Rule: `service_prefix "" { policy = "read" }`}}
		}, "unknown", "Source", "unknown", []string{"may not see all", "service_prefix"}, []string{"isthmus agent policy"}},
		{"the caller's own health does not matter", func(w *world) { w.service("dc1", "web").Healthy = 0 }, "allowed", "Source", "pass", []string{"0 healthy"}, nil},
		{"no sidecar", func(w *world) { w.service("dc9", "api").Mesh = false }, "broken", "Destination", "fail", []string{"not in the mesh"}, []string{"sidecar_service"}},
		{"nothing is healthy", func(w *world) { w.service("dc9", "api").Healthy = 0 }, "broken", "Destination", "fail", []string{"no instance of api in dc9 is healthy"}, []string{"checks"}},
		{"not connected", func(w *world) { w.Delete(resource.KindPeering, "dc9-dc1"); w.seen["dc1"].Peerings.Body.Peerings = nil }, "broken", "Connection", "fail", []string{"nothing connects"}, []string{"kind: Peering, name: dc9-dc1,", `acceptor: "dc9", dialer: "dc1", throughGateways: true`}},
		{"the peering goes", func(w *world) {
			p, _ := resource.Lookup[*isthmusv1.Peering](w, resource.KindPeering, "dc9-dc1")
			p.DeleteTime = timestamppb.New(noon)
			w.seen["dc1"].Peerings.Body.Peerings = nil
		}, "broken", "Connection", "fail", []string{"is being deleted"}, []string{"name: dc9-dc1-2"}},
		{"a group has not made the peering yet", func(w *world) {
			w.Delete(resource.KindPeering, "dc9-dc1")
			w.seen["dc1"].Peerings.Body.Peerings = nil
			w.Put(prodMesh())
		}, "broken", "Connection", "fail", []string{"not connected: PeeringGroup prod is about to connect them, by Peering prod-dc1-dc9"}, []string{"isthmus describe peering-group prod"}},
		{"the group's peering comes back", func(w *world) {
			p, _ := resource.Lookup[*isthmusv1.Peering](w, resource.KindPeering, "dc9-dc1")
			p.DeleteTime, p.Status = timestamppb.New(noon), &isthmusv1.PeeringStatus{Group: "prod"}
			w.seen["dc1"].Peerings.Body.Peerings = nil
			w.Put(prodMesh())
		}, "broken", "Connection", "fail", []string{"PeeringGroup prod would connect them: Peering dc9-dc1 is being deleted: it comes back"}, []string{"isthmus describe peering-group prod"}},
		{"a group of others", func(w *world) {
			w.Delete(resource.KindPeering, "dc9-dc1")
			w.seen["dc1"].Peerings.Body.Peerings = nil
			w.Put(&isthmusv1.PeeringGroup{Name: "prod", Spec: &isthmusv1.PeeringGroupSpec{Shape: resource.ShapeFullMesh, Selector: "env=test"}})
		}, "broken", "Connection", "fail", []string{"nothing connects"}, []string{"kind: Peering, name: dc9-dc1,"}},
		{"a stale peering", func(w *world) {
			w.connections[0].Verdict, w.connections[0].Message, w.connections[0].Fix = "stale", "dc1 hears nothing", "isthmus peering heal dc9-dc1"
		}, "broken", "Connection", "fail", []string{"it is stale: dc1 hears nothing"}, []string{"isthmus peering heal"}},
		{"nobody knows how the peering is", func(w *world) { w.connections[0].Verdict = "unknown" }, "unknown", "Connection", "unknown", nil, nil},
		{"no verdict yet", func(w *world) { w.connections = nil }, "unknown", "Connection", "unknown", []string{"not known yet"}, nil},
		{"not exported", func(w *world) { delete(w.entries["dc9"], "exported-services/default") }, "broken", "Export", "fail", []string{"does not export api to dc1 (there: peer west)"}, []string{"kind: ServiceExport", "consumers: {datacenters:"}},
		{"exported to others only", func(w *world) {
			w.put("dc9", "exported-services/default", map[string]any{"Services": []any{map[string]any{"Name": "api", "Consumers": []any{map[string]any{"Peer": "other"}}}}})
		}, "broken", "Export", "fail", nil, []string{"kind: ServiceExport"}},
		{"an export that is not applied", func(w *world) {
			delete(w.entries["dc9"], "exported-services/default")
			w.Put(&isthmusv1.ServiceExport{Name: "api", Spec: &isthmusv1.ServiceExportSpec{Service: "api", Namespace: "default", Datacenters: []string{"dc9"}, Consumers: &isthmusv1.ExportConsumers{Selector: "env=prod"}}})
		}, "broken", "Export", "fail", []string{"although ServiceExport/api wants it"}, []string{"isthmus describe service-export api"}},
		{"exported by a wildcard", func(w *world) {
			w.put("dc9", "exported-services/default", map[string]any{"Services": []any{map[string]any{"Name": "*", "Consumers": []any{map[string]any{"Peer": "west"}}}}})
		}, "allowed", "Export", "pass", []string{"written in Consul by somebody else"}, nil},
		{"not imported", func(w *world) {
			w.services("dc1")
			w.seen["dc1"].Services.Body.Services = w.seen["dc1"].Services.Body.Services[:2]
		}, "broken", "Export", "fail", []string{"has not imported it from its peer east"}, []string{"isthmus describe peering dc9-dc1"}},
		{"where it arrives it goes elsewhere", func(w *world) {
			w.put("dc9", "service-resolver/api", map[string]any{"Redirect": map[string]any{"Service": "old"}})
		}, "broken", "Resolver", "fail", []string{"go to old in dc9 instead: service-resolver/api"}, []string{"consul config read -kind service-resolver -name api"}},
		{"the caller's entries are not asked", func(w *world) {
			w.put("dc1", "service-resolver/api", map[string]any{"Redirect": map[string]any{"Service": "old"}})
		}, "allowed", "Resolver", "pass", []string{"by its name alone, calls go to old in dc1", "destination_peer: east"}, nil},
		{"failover leads there", func(w *world) {
			w.put("dc1", "service-resolver/api", map[string]any{"Failover": map[string]any{"*": map[string]any{"Targets": []any{map[string]any{"Peer": "east"}}}}})
		}, "allowed", "Resolver", "pass", []string{"when nothing is healthy there to api of peer east"}, nil},
		{"denied by default", func(w *world) { delete(w.entries["dc9"], "service-intentions/api") }, "denied", "Intention", "fail", []string{"no intention is about web of peer west calling api"}, []string{"kind: Intention", `sources: [{service: web, datacenters: ["dc1"], action: allow}]`}},
		{"denied by an exact entry", func(w *world) {
			w.put("dc9", "service-intentions/api", sources(map[string]any{"Name": "web", "Peer": "west", "Action": "deny"}))
		}, "denied", "Intention", "fail", []string{"service-intentions/api denies web of peer west", "somebody else"}, []string{"consul config write"}},
		{"a plain source is about no peer", func(w *world) {
			w.put("dc9", "service-intentions/api", sources(map[string]any{"Name": "web", "Action": "allow"}))
		}, "denied", "Intention", "fail", []string{"no intention is about"}, nil},
		{"it depends on the request", func(w *world) {
			w.put("dc9", "service-intentions/api", sources(map[string]any{"Name": "web", "Peer": "west", "Permissions": []any{map[string]any{"Action": "allow", "HTTP": map[string]any{"PathPrefix": "/v1"}}}}))
		}, "unknown", "Intention", "unknown", []string{"depends on the request", `permission 1: allow {"PathPrefix":"/v1"}`}, nil},
		{"nobody knows the default", func(w *world) {
			delete(w.entries["dc9"], "service-intentions/api")
			w.seen["dc9"].Inventory.Body.DefaultIntentionPolicy = ""
		}, "unknown", "Intention", "unknown", nil, nil},
		{"entries that cannot be read", func(w *world) {
			w.seen["dc9"].Entries = since(&isthmusv1.EntriesReport{ErrorReason: "AclRuleMissing", Error: "the token may not see them"})
		}, "unknown", "Export", "unknown", []string{"the token may not see them"}, []string{"isthmus agent policy"}},
		{"more entries than are told", func(w *world) { w.seen["dc9"].Entries = since(&isthmusv1.EntriesReport{Truncated: true}) }, "unknown", "Export", "unknown", []string{"more config entries"}, nil},
		{"no gateway", func(w *world) { w.seen["dc9"].Inventory.Body.Gateways = nil }, "broken", "Gateway", "fail", []string{"dc9 has no mesh gateway"}, []string{"isthmus gateway"}},
		{"a sick gateway", func(w *world) { w.seen["dc9"].Inventory.Body.Gateways[0].Health = "critical" }, "broken", "Gateway", "fail", []string{"no mesh gateway of dc9 is healthy", "critical"}, nil},
		{"an address that is not reached", func(w *world) {
			p := w.seen["dc1"].Federation.Body.Probes[0]
			p.Ok, p.ErrorReason, p.Error = false, "Timeout", "it does not answer"
		}, "broken", "Gateway", "fail", []string{"does not reach the mesh gateways of dc9: 192.0.2.9:8443", "Timeout"}, []string{"firewall"}},
		{"an address that nobody tried", func(w *world) { w.seen["dc1"].Federation.Body.Probes = nil }, "unknown", "Gateway", "unknown", []string{"nobody has tried"}, nil},
		{"http needs Envoy", func(w *world) {
			w.put("dc9", "service-defaults/api", map[string]any{"Protocol": "http"})
			w.seen["dc9"].Gateways = []*isthmusv1.GatewayReport{{WanAddress: wan("dc9")}}
		}, "broken", "Gateway", "fail", []string{"NeedsEnvoy", "protocol http"}, []string{"consul connect envoy"}},
		{"http through Envoy", func(w *world) {
			w.put("dc9", "proxy-defaults/global", map[string]any{"Config": map[string]any{"protocol": "http"}})
		}, "allowed", "Gateway", "pass", nil, nil},
		{"no mesh CA", func(w *world) { w.seen["dc9"].Inventory.Body.TrustDomain = "" }, "unknown", "SNI", "unknown", nil, nil},
		{"a root that the other end lacks", func(w *world) { w.seen["dc9"].Inventory.Body.CaRoots = []string{"a new root", "root of nine.consul"} }, "broken", "Certificate", "fail", []string{"dc1 does not trust the active root a new root"}, []string{"isthmus peering rotate dc9-dc1"}},
		{"roots that nobody tells", func(w *world) { w.seen["dc9"].Peerings.Body.Peerings[0].PeerRoots = nil }, "unknown", "Certificate", "unknown", []string{"dc9 does not tell"}, nil},
		{"an expired root", func(w *world) { w.seen["dc1"].Inventory.Body.CaExpireTime = timestamppb.New(noon.Add(-time.Hour)) }, "broken", "Certificate", "fail", []string{"has expired: 1h ago"}, nil},
	})
}

// prodMesh stands for both datacenters.
func prodMesh() *isthmusv1.PeeringGroup {
	return &isthmusv1.PeeringGroup{Name: "prod", Spec: &isthmusv1.PeeringGroupSpec{Shape: resource.ShapeFullMesh, Selector: "env=prod"}}
}

func TestHopsOfAFederation(t *testing.T) {
	t.Parallel()
	run(t, federated, []wrong{
		{"not joined yet", func(w *world) { w.Put(federation("blocked")); w.shared = false }, "broken", "Connection", "fail", []string{"dc9 is blocked: dc9 would lose things"}, []string{"isthmus describe federation global"}},
		{"one-sided", func(w *world) { w.connections[0].Verdict = "one-sided" }, "broken", "Connection", "fail", []string{"one-sided", "reads the catalog of dc9"}, nil},
		{"redirected to another member", func(w *world) {
			w.put("dc1", "service-resolver/api", map[string]any{"Redirect": map[string]any{"Datacenter": "dc1"}})
		}, "broken", "Resolver", "fail", []string{"go to api in dc1 instead"}, nil},
		{"redirected there", func(w *world) {
			w.put("dc1", "service-resolver/api", map[string]any{"Redirect": map[string]any{"Datacenter": "dc9"}})
		}, "allowed", "Resolver", "pass", []string{"by its name alone, calls go to api in dc9"}, nil},
		{"split", func(w *world) {
			w.put("dc1", "service-splitter/api", map[string]any{"Splits": []any{map[string]any{"Weight": 25}, map[string]any{"Weight": 75, "Service": "other"}}})
		}, "allowed", "Resolver", "pass", []string{"25% of the calls that ask for api@dc9 go there"}, nil},
		{"split there in two ways", func(w *world) {
			w.put("dc1", "service-splitter/api", map[string]any{"Splits": []any{
				map[string]any{"Weight": 40, "ServiceSubset": "v1"}, map[string]any{"Weight": 40, "ServiceSubset": "v2"}, map[string]any{"Weight": 20, "Service": "other"},
			}})
			w.put("dc1", "service-resolver/api", map[string]any{"Redirect": nil, "Subsets": map[string]any{"v1": map[string]any{}, "v2": map[string]any{}}})
		}, "allowed", "Resolver", "pass", []string{"80% of the calls that ask for api@dc9 go there"}, nil},
		{"routed", func(w *world) {
			w.put("dc1", "service-router/api", map[string]any{"Routes": []any{map[string]any{"Match": map[string]any{"HTTP": map[string]any{"PathPrefix": "/x"}}, "Destination": map[string]any{"Service": "other"}}}})
		}, "allowed", "Resolver", "pass", []string{"some requests that ask for api@dc9 go there"}, nil},
		{"denied by a wildcard", func(w *world) {
			delete(w.entries["dc1"], "service-intentions/api")
			w.put("dc1", "service-intentions/*", sources(map[string]any{"Name": "*", "Action": "deny"}))
		}, "denied", "Intention", "fail", []string{"service-intentions/* denies *"}, []string{"scope: federation", "sources: [{service: web, action: allow}]"}},
		{"denied by isthmus's own", func(w *world) {
			w.Put(&isthmusv1.Intention{Name: "no", Spec: &isthmusv1.IntentionSpec{
				Destination: &isthmusv1.IntentionDestination{Service: "api", Namespace: "default", Datacenters: []string{"dc1", "dc9"}},
				Sources:     []*isthmusv1.IntentionSource{{Service: "web", Namespace: "default", Action: "deny"}},
			}})
			w.put("dc1", "service-intentions/api", sources(map[string]any{"Name": "web", "Action": "deny"}))
		}, "denied", "Intention", "fail", []string{"Intention/no"}, []string{"isthmus delete intention no"}},
		{"an Intention that is not applied", func(w *world) {
			delete(w.entries["dc1"], "service-intentions/api")
			w.Put(&isthmusv1.Intention{Name: "yes", Spec: &isthmusv1.IntentionSpec{
				Destination: &isthmusv1.IntentionDestination{Service: "api", Namespace: "default", Datacenters: []string{"dc1", "dc9"}},
				Sources:     []*isthmusv1.IntentionSource{{Service: "web", Namespace: "default", Action: "allow"}},
			}})
			w.seen["dc1"].Policy = since(&isthmusv1.PolicyReport{Entries: []*isthmusv1.ObservedEntry{{Kind: "service-intentions", Name: "api", Parts: []*isthmusv1.ObservedPart{
				{Key: "source/default/web", State: "failed", Message: "a rule is missing"},
			}}}})
		}, "denied", "Intention", "fail", []string{"although Intention/yes is about just this call", "a rule is missing"}, []string{"isthmus describe intention yes"}},
		{"an Intention that would deny, and is not applied", func(w *world) {
			w.Put(&isthmusv1.Intention{Name: "no", Spec: &isthmusv1.IntentionSpec{
				Destination: &isthmusv1.IntentionDestination{Service: "api", Namespace: "default", Datacenters: []string{"dc1", "dc9"}},
				Sources:     []*isthmusv1.IntentionSource{{Service: "web", Namespace: "default", Action: "deny"}},
			}})
			w.seen["dc1"].Policy = since(&isthmusv1.PolicyReport{Entries: []*isthmusv1.ObservedEntry{{Kind: "service-intentions", Name: "api", Parts: []*isthmusv1.ObservedPart{
				{Key: "source/default/web", State: "conflict", Message: "somebody allows it"},
			}}}})
		}, "allowed", "Intention", "pass", []string{"careful", "is not applied", "somebody allows it"}, nil},
		{"managed by Kubernetes", func(w *world) {
			body := sources(map[string]any{"Name": "web", "Action": "deny"})
			body["Meta"] = map[string]any{"external-source": "kubernetes"}
			w.put("dc1", "service-intentions/api", body)
		}, "denied", "Intention", "fail", []string{"Kubernetes"}, []string{"custom resource"}},
		{"no gateway mode", func(w *world) { delete(w.entries["dc1"], "proxy-defaults/global") }, "unknown", "Gateway", "unknown", nil, []string{"meshGatewayMode: local"}},
		{"no gateway mode where networks are flat", func(w *world) {
			delete(w.entries["dc1"], "proxy-defaults/global")
			f := federation("joined")
			f.Spec.Mode = resource.ModeTraditional
			w.Put(f)
		}, "allowed", "Gateway", "skip", []string{"directly"}, nil},
		{"the caller's gateway is sick", func(w *world) { w.seen["dc1"].Inventory.Body.Gateways[0].Health = "critical" }, "broken", "Gateway", "fail", []string{"leave dc1 through its own mesh gateways"}, nil},
		{"remote mode needs no gateway of the caller's", func(w *world) {
			w.seen["dc1"].Inventory.Body.Gateways = nil
			w.put("dc1", "service-defaults/api", map[string]any{"MeshGateway": map[string]any{"Mode": "remote"}})
		}, "allowed", "Gateway", "pass", []string{"service-defaults/api", "the sidecar of web dials"}, nil},
		{"its own CA still", func(w *world) { w.seen["dc9"].Inventory.Body.TrustDomain = "nine.consul" }, "broken", "Certificate", "fail", []string{"different mesh CAs"}, nil},
		{"a CA that lags behind", func(w *world) { w.seen["dc9"].Inventory.Body.CaRoots = []string{"an old root"} }, "broken", "Certificate", "fail", []string{"lags behind"}, nil},
	})
}

func TestOneDatacenter(t *testing.T) {
	t.Parallel()
	w := peered()
	w.services("dc9", &isthmusv1.CatalogService{Name: "web", Instances: 1, Healthy: 1, Mesh: true})
	if e := w.explain(t, "web@dc9", "api@dc9"); e.GetVerdict() != "denied" || hop(e, "SNI").GetMessage() != "api.default.dc9.internal.nine.consul" || !contains(e.GetFix(), "sources: [{service: web, action: allow}]") {
		t.Errorf("%s: %s: %s", e.GetVerdict(), e.GetMessage(), e.GetFix())
	}
	w.put("dc9", "service-intentions/api", sources(map[string]any{"Name": "web", "Action": "allow"}))
	if e := w.explain(t, "web@dc9", "api@dc9"); e.GetVerdict() != "allowed" {
		t.Errorf("%s: %s", e.GetVerdict(), e.GetMessage())
	}
}

// A virtual service has no instances: the walk goes on with what it stands for.
func TestVirtualService(t *testing.T) {
	t.Parallel()
	w := federated()
	w.put("dc1", "service-resolver/api-there", map[string]any{"Redirect": map[string]any{"Service": "api", "Datacenter": "dc9"}})
	e := w.explain(t, "web@dc1", "api-there@dc1")
	if e.GetVerdict() != "allowed" || e.GetDestination() != "api-there@dc1" || !contains(strings.Join(hop(e, "Destination").GetEvidence(), "\n"), "api-there@dc1 is a virtual service", "leads to api@dc9") {
		t.Errorf("%s: %s: %v", e.GetVerdict(), e.GetMessage(), hop(e, "Destination"))
	}
}

// Of another operator's cluster one end is seen, and no call is ever said to be allowed.
func TestExternalPeer(t *testing.T) {
	t.Parallel()
	w := peered()
	w.Put(&isthmusv1.Peering{Name: "partner", Spec: &isthmusv1.PeeringSpec{ExternalAcceptor: "partner", Dialer: "dc1", AcceptorPeerName: "us", DialerPeerName: "them"}})
	w.connections = append(w.connections, &isthmusv1.Connection{Kind: "peering", Name: "partner", A: "partner", B: "dc1", Verdict: "healthy"})
	if e := w.explain(t, "web@dc1", "pay@partner"); e.GetVerdict() != "broken" || hop(e, "Destination").GetVerdict() != "fail" {
		t.Errorf("%s: %s", e.GetVerdict(), e.GetMessage())
	}
	w.services("dc1", &isthmusv1.CatalogService{Name: "pay", Peer: "them", Instances: 1, Healthy: 1, Mesh: true})
	e := w.explain(t, "web@dc1", "pay@partner")
	if e.GetVerdict() != "unknown" || hop(e, "Connection").GetVerdict() != "pass" || hop(e, "Intention").GetVerdict() != "unknown" {
		t.Errorf("%s: %s", e.GetVerdict(), e.GetMessage())
	}
	in := w.explain(t, "shop@partner", "web@dc1")
	if in.GetVerdict() == "allowed" || !contains(hop(in, "Intention").GetFix(), "peer: them") || !contains(hop(in, "Export").GetFix(), "peers: [them]") {
		t.Errorf("%s: %s: %s", in.GetVerdict(), in.GetMessage(), hop(in, "Intention").GetFix())
	}
}

// Members of a federation have one trust domain: what is said of one peer counts for the other as well.
func TestSharedTrust(t *testing.T) {
	t.Parallel()
	w := peered()
	ends := w.seen["dc9"].Peerings.Body
	ends.Peerings = append(ends.Peerings, &isthmusv1.ObservedPeering{PeerName: "east-too", Origin: "own", State: "ACTIVE", PeerRoots: []string{"root of one.consul"}})
	e := w.explain(t, "web@dc1", "api@dc9")
	if text := strings.Join(hop(e, "Intention").GetEvidence(), "\n"); !contains(text, "careful: peer east-too", "same trust domain") {
		t.Errorf("it is not warned of: %s", text)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	w := peered()
	for _, tt := range []struct{ source, destination, says string }{
		{"web", "api@dc9", "source: \"web\" is not a service of a datacenter"},
		{"web@dc1", "@dc9", "destination"},
		{"web@dc1", "a/b/c@dc9", "destination"},
		{"web@dc1", "*@dc9", "destination"},
		{"web@dc1", "api@dc", "there is no Datacenter named \"dc\""},
		{"web@dcl", "api@dc9", "did you mean dc1? There are dc1, dc9"},
		{"web@", "api@dc9", "source"},
	} {
		e, err := explain.Explain(w, explain.Evidence{Of: w.of(t)}, tt.source, tt.destination, noon)
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s → %s: %v, %v; want %s", tt.source, tt.destination, e, err, tt.says)
		}
	}
	e := w.explain(t, "default/web@dc1", "team/api@dc9")
	if e.GetSource() != "web@dc1" || e.GetDestination() != "team/api@dc9" || !contains(hop(e, "Destination").GetMessage(), "has no namespace team") {
		t.Errorf("%s → %s: %s", e.GetSource(), e.GetDestination(), hop(e, "Destination").GetMessage())
	}
}
