package control_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"isthmus/agent/consul"
	"isthmus/gateway"
	"isthmus/gateway/control"
)

const td = "5e1f.consul"

// everything is a datacenter with all that can be.
func everything() control.Facts {
	return control.Facts{
		Datacenter: "dc1", Domain: "consul", TrustDomain: td, Leader: "10.0.0.12",
		Servers: []consul.MeshServer{
			{Node: "S1", Address: "10.0.0.11", RPC: 8300, GRPCTLS: 8503, Healthy: true},
			{Node: "s2", Address: "10.0.0.12", RPC: 8300, GRPCTLS: 8503, Healthy: true},
			{Node: "s3", Address: "10.0.0.13", RPC: 8300, Healthy: false},
		},
		Gateways: map[string][]consul.Instance{
			"dc1": {{ID: "own", WAN: "192.0.2.1", WANPort: 8443, Health: "passing"}},
			"dc2": {
				{ID: "sick", WAN: "192.0.2.20", WANPort: 8443, Health: "critical"},
				{ID: "well", WAN: "192.0.2.21", WANPort: 8443, Health: "passing"},
				{ID: "lan-only", Address: "10.0.0.20", Port: 8443, Health: "passing"},
			},
		},
		Peerings: []consul.Peering{
			{Name: "dialled", ServerName: "server.west.peering.77.consul", ServerAddresses: []string{"192.0.2.70:8443"}},
			{Name: "accepted"},
			{Name: "going", ServerName: "server.east.peering.78.consul", ServerAddresses: []string{"192.0.2.71:8443"}, Deleting: true},
		},
		Endpoints: []consul.Endpoint{
			{Service: "api", Namespace: "default", Address: "10.0.0.30:21000", Healthy: false},
			{Service: "api", Namespace: "default", Address: "10.0.0.31:21000", Healthy: true},
			{Service: "web", Namespace: "default", Address: "10.0.0.32:21000", Healthy: true},
			{Service: "bill", Peer: "dialled", SNI: []string{"bill.default.default.dc1.external.77.consul"}, Address: "192.0.2.70:8443", Healthy: true},
		},
		Exports: []consul.MeshExport{
			{Service: "api", Namespace: "default", Peer: "dialled"},
			{Service: "absent", Namespace: "default", Peer: "dialled"},
			{Service: "*", Namespace: "default", Peer: "accepted"},
		},
	}
}

func TestRoutesOfFacts(t *testing.T) {
	t.Parallel()
	routes, refused := everything().Routes()
	table, err := gateway.NewTable(routes)
	if err != nil || len(refused) > 0 {
		t.Fatal(err, refused)
	}
	var got []string
	for _, e := range table.Entries() {
		got = append(got, e.Pattern+" "+string(e.Kind)+" "+strings.Join(e.Addresses, " "))
	}
	dc2 := "192.0.2.21:8443 10.0.0.20:8443 192.0.2.20:8443"
	want := []string{
		"*.dc2.internal." + td + " federation " + dc2,
		"*.server.dc2.consul federation " + dc2,
		"api.default.dc1.internal." + td + " service 10.0.0.31:21000 10.0.0.30:21000",
		"api.default.default.accepted.external." + td + " export 10.0.0.31:21000 10.0.0.30:21000",
		"api.default.default.dialled.external." + td + " export 10.0.0.31:21000 10.0.0.30:21000",
		"bill.default.default.dc1.external.77.consul import 192.0.2.70:8443",
		"s1.server.dc1.consul server 10.0.0.11:8300",
		"s2.server.dc1.consul server 10.0.0.12:8300",
		"s3.server.dc1.consul server 10.0.0.13:8300",
		"server.dc1.consul server 10.0.0.12:8300 10.0.0.11:8300 10.0.0.13:8300",
		"server.dc1.peering." + td + " peering 10.0.0.12:8503 10.0.0.11:8503",
		"server.dc2.consul federation " + dc2,
		"server.west.peering.77.consul peering 192.0.2.70:8443",
		"web.default.dc1.internal." + td + " service 10.0.0.32:21000",
		"web.default.default.accepted.external." + td + " export 10.0.0.32:21000",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRoutesOfLittle(t *testing.T) {
	t.Parallel()
	if routes, _ := (control.Facts{Gateways: everything().Gateways}).Routes(); len(routes) > 0 {
		t.Errorf("a datacenter without a name has routes: %v", routes)
	}
	// The mesh is not ready; what it says of names is wild.
	f := everything()
	f.TrustDomain = ""
	f.Servers = append(f.Servers, consul.MeshServer{Node: "no dns name", Address: "10.0.0.14", RPC: 8300, Healthy: true})
	f.Peerings[0].ServerAddresses = []string{"nonsense"}
	routes, refused := f.Routes()
	for _, e := range routes {
		if strings.Contains(e.Pattern, "internal") || strings.Contains(e.Pattern, "external."+td) || strings.Contains(e.Pattern, "dc1.peering") {
			t.Errorf("a route without a trust domain: %v", e)
		}
	}
	if len(refused) != 2 {
		t.Errorf("left out: %v", refused)
	}
}

func TestWhoDependsOnAGateway(t *testing.T) {
	t.Parallel()
	alone := control.Facts{Datacenter: "dc1", Gateways: map[string][]consul.Instance{"dc1": {{ID: "own", Health: "passing"}}}}
	peered, federated, two, sick := alone, everything(), everything(), everything()
	peered.Peerings = []consul.Peering{{Name: "x"}}
	two.Gateways["dc1"] = append(two.Gateways["dc1"], consul.Instance{ID: "other", Health: "passing"})
	sick.Gateways["dc1"] = append(sick.Gateways["dc1"], consul.Instance{ID: "other", Health: "critical"})
	for name, test := range map[string]struct {
		facts control.Facts
		want  bool
	}{"alone": {alone, false}, "peered": {peered, true}, "federated": {federated, true}, "another": {two, false}, "another is sick": {sick, true}} {
		if got := test.facts.DependOn("own"); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
