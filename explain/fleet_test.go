package explain_test

import (
	"encoding/json"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/explain"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// world is a fleet in which web in dc1 calls api in dc9, and all is well: by a peering through gateways, or in a federation.
type world struct {
	*resourcetest.Fleet
	seen        map[string]*explain.Seen
	connections []*isthmusv1.Connection
	// entries of each datacenter; in a federation those of all.
	entries map[string]map[string]any
	shared  bool
}

func datacenter(name string) *isthmusv1.Datacenter {
	return &isthmusv1.Datacenter{Name: name, Labels: map[string]string{"env": "prod"}, Spec: &isthmusv1.DatacenterSpec{Runtime: "vm"}}
}

func since[T any](body T) explain.Report[T] {
	return explain.Report[T]{Body: body, Since: noon.Add(-time.Hour)}
}

// addresses of the gateways, by datacenter.
func wan(dc string) string {
	return map[string]string{"dc1": "192.0.2.1:8443", "dc9": "192.0.2.9:8443"}[dc]
}

func agentOf(dc, service, trustDomain string) *explain.Seen {
	return &explain.Seen{
		Heard: noon.Add(-2 * time.Second),
		Inventory: since(&isthmusv1.InventoryReport{
			ConsulVersion: "1.20.6", TrustDomain: trustDomain, CaRoots: []string{"root of " + trustDomain}, CaExpireTime: timestamppb.New(noon.Add(1000 * time.Hour)),
			DefaultIntentionPolicy: "deny",
			Gateways:               []*isthmusv1.ObservedGateway{{ServiceId: "mesh-gateway", LanAddress: "10.0.0.20:8443", WanAddress: wan(dc), Health: "passing"}},
		}),
		Services: since(&isthmusv1.ServicesReport{Services: []*isthmusv1.CatalogService{
			{Name: "consul", Instances: 1, Healthy: 1}, {Name: service, Instances: 2, Healthy: 2, Mesh: true},
		}}),
		Peerings: since(&isthmusv1.PeeringsReport{}), Exports: since(&isthmusv1.ExportsReport{}), Policy: since(&isthmusv1.PolicyReport{}),
		Rights: since(&isthmusv1.RightsReport{}),
		Federation: since(&isthmusv1.FederationReport{Probes: []*isthmusv1.ObservedProbe{
			{Datacenter: map[string]string{"dc1": "dc9", "dc9": "dc1"}[dc], Address: wan(map[string]string{"dc1": "dc9", "dc9": "dc1"}[dc]), Ok: true, Since: timestamppb.New(noon), LatencyMs: 3},
		}}),
	}
}

// peered is such a world, connected by a peering of isthmus's own; dc1 is called west in dc9, and dc9 east in dc1.
func peered() *world {
	w := &world{
		Fleet: resourcetest.New(datacenter("dc1"), datacenter("dc9"), &isthmusv1.Peering{
			Name: "dc9-dc1", Uid: "u1", Spec: &isthmusv1.PeeringSpec{Acceptor: "dc9", Dialer: "dc1", AcceptorPeerName: "west", DialerPeerName: "east"},
		}),
		seen:        map[string]*explain.Seen{"dc1": agentOf("dc1", "web", "one.consul"), "dc9": agentOf("dc9", "api", "nine.consul")},
		connections: []*isthmusv1.Connection{{Kind: "peering", Name: "dc9-dc1", A: "dc9", B: "dc1", Verdict: "healthy"}},
		entries:     map[string]map[string]any{"dc1": {}, "dc9": {}},
	}
	end := func(dc, peer, root string) {
		w.seen[dc].Peerings.Body.Peerings = []*isthmusv1.ObservedPeering{{
			Uid: "u1", Origin: "own", PeerName: peer, State: "ACTIVE", Heartbeat: "fresh", PeerRoots: []string{root},
		}}
	}
	end("dc1", "east", "root of nine.consul")
	end("dc9", "west", "root of one.consul")
	w.services("dc1", &isthmusv1.CatalogService{Name: "api", Peer: "east", Instances: 2, Healthy: 2, Mesh: true})
	w.put("dc9", "exported-services/default", map[string]any{"Services": []any{map[string]any{"Name": "api", "Consumers": []any{map[string]any{"Peer": "west"}}}}})
	w.put("dc9", "service-intentions/api", sources(map[string]any{"Name": "web", "Peer": "west", "Action": "allow", "Precedence": 9}))
	return w
}

// federated is such a world, dc1 being the primary.
func federated() *world {
	w := &world{
		Fleet: resourcetest.New(datacenter("dc1"), datacenter("dc9"), federation("joined")),
		seen:  map[string]*explain.Seen{"dc1": agentOf("dc1", "web", "one.consul"), "dc9": agentOf("dc9", "api", "one.consul")},
		connections: []*isthmusv1.Connection{{
			Kind: "federation", Name: "global", A: "dc1", B: "dc9", Verdict: "healthy",
			Evidence: []*isthmusv1.Evidence{{Id: "Read", Datacenter: "dc1", Verdict: "pass", Message: "reads the catalog of dc9"}},
		}},
		entries: map[string]map[string]any{"dc1": {}, "dc9": {}},
		shared:  true,
	}
	w.put("dc1", "proxy-defaults/global", map[string]any{"MeshGateway": map[string]any{"Mode": "local"}})
	w.put("dc1", "service-intentions/api", sources(map[string]any{"Name": "web", "Action": "allow", "Precedence": 9}))
	return w
}

func federation(phase string) *isthmusv1.Federation {
	return &isthmusv1.Federation{
		Name: "global", Spec: &isthmusv1.FederationSpec{Primary: "dc1", Secondaries: []string{"dc9"}, Mode: resource.ModeMeshGateway},
		Status: &isthmusv1.FederationStatus{Members: []*isthmusv1.FederationMember{
			{Datacenter: "dc1", Role: "primary", Phase: "joined"}, {Datacenter: "dc9", Role: "secondary", Phase: phase, Message: "dc9 would lose things"},
		}},
	}
}

func sources(all ...any) map[string]any { return map[string]any{"Sources": all} }

// put writes a config entry, kind/name.
func (w *world) put(dc, entry string, body map[string]any) { w.entries[dc][entry] = body }

// services adds to a catalog.
func (w *world) services(dc string, more ...*isthmusv1.CatalogService) {
	r := w.seen[dc].Services.Body
	r.Services = append(r.Services, more...)
}

// service is one of a catalog.
func (w *world) service(dc, name string) *isthmusv1.CatalogService {
	for _, s := range w.seen[dc].Services.Body.GetServices() {
		if s.GetName() == name && s.GetPeer() == "" {
			return s
		}
	}
	return nil
}

// untold takes all reports of a datacenter away.
func (w *world) untold(dc string) { w.seen[dc] = &explain.Seen{Heard: noon} }

func (w *world) of(t *testing.T) func(dc string) explain.Seen {
	t.Helper()
	return func(dc string) explain.Seen {
		s := w.seen[dc]
		if s == nil {
			return explain.Seen{}
		}
		out := *s
		from := dc
		if w.shared {
			from = "dc1"
		}
		if out.Entries.Body == nil && out.Inventory.Body != nil {
			out.Entries = since(&isthmusv1.EntriesReport{Entries: reported(t, w.entries[from])})
		}
		return out
	}
}

func reported(t *testing.T, entries map[string]any) []*isthmusv1.ReportedEntry {
	t.Helper()
	var out []*isthmusv1.ReportedEntry
	for at, body := range entries {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		kind, name := cut(at)
		out = append(out, &isthmusv1.ReportedEntry{Kind: kind, Name: name, Namespace: "default", Json: string(text)})
	}
	return out
}

func cut(entry string) (kind, name string) {
	for i := range entry {
		if entry[i] == '/' {
			return entry[:i], entry[i+1:]
		}
	}
	return entry, ""
}

func (w *world) explain(t *testing.T, source, destination string) *isthmusv1.Explanation {
	t.Helper()
	e, err := explain.Explain(w, explain.Evidence{Of: w.of(t), Connections: w.connections}, source, destination, noon)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func hop(e *isthmusv1.Explanation, id string) *isthmusv1.Hop {
	for _, h := range e.GetHops() {
		if h.GetId() == id {
			return h
		}
	}
	return nil
}
