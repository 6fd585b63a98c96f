package e2e_test

import (
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"isthmus/agent"
	"isthmus/demo/consulrun"
	"isthmus/doctor"
)

// A federation is broken in one way after the other; doctor names each, and the fix that it names works.
func TestDoctorOfAFederation(t *testing.T) {
	f := NewWorld(t, 2, "dc1", "dc2")
	dc1 := f.Site("dc1", Site{Primary: true})
	dc2 := f.Site("dc2", Site{Fresh: true, NoJoin: true, NoRestart: true, Gateways: -1})
	f.Declare("dc1", "dc2")
	f.Apply("kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc2]}\n")

	t.Log("the agent of a datacenter that shall join may not have it do so, and there is no gateway")
	f.Finds("FederationReady", "", finds)
	f.Finds("JoinAllowed", "dc2", finds, "--allow-join=dc1")
	f.Finds("GatewayPresent", "dc2", finds, "run isthmus gateway")
	f.Finds("ConsulReachable", "dc2", finds, "start Consul")
	dc2.StartGateway()
	dc2.Agents[0].With("--allow-join=dc1")

	t.Log("nor may it start Consul with what it has written")
	severity(t, f.Finds("BundleCurrent", "dc2", finds, "none yet", "restart Consul on", "--consul-restart-command"), doctor.SeverityError)
	dc2.Agents[0].With("--consul-restart-command", dc2.RestartCommand())
	f.Joined("global", dc1, dc2)
	f.Passes("FederationReady", "GatewayPresent", "ConsulReachable", "BundleCurrent")
	f.Well()

	t.Log("a server's certificate without the name of its node, and for two days only")
	if err := dc1.Recertify(consulrun.Certificate{Names: []string{"server.dc1.consul", "localhost"}, Life: 48 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	shell(t, dc1.ReloadCommand())
	f.Finds("NodeNamesInCertificate", "dc1", finds, "-node s1", "*.server.dc1.consul")
	severity(t, f.Finds("ServerCertificateExpiry", "dc1", finds, "consul tls cert create -server -dc dc1"), doctor.SeverityWarning)
	if err := dc1.Recertify(consulrun.Certificate{}); err != nil {
		t.Fatal(err)
	}
	shell(t, dc1.ReloadCommand())
	f.Passes("NodeNamesInCertificate", "ServerCertificateExpiry")

	t.Log("a gateway that somebody registered without the meta, with an address that is good for nothing")
	byHand := map[string]any{
		"Kind": "mesh-gateway", "ID": "by-hand", "Name": "mesh-gateway", "Address": "10.0.0.30", "Port": gatewayPort,
		"TaggedAddresses": map[string]any{"wan": map[string]any{"Address": "127.0.0.1", "Port": 9443}},
	}
	dc1.Do(http.MethodPut, "/v1/agent/service/register", byHand, nil)
	f.Finds("GatewayMeta", "dc1", finds, "by-hand", "-expose-servers")
	f.Finds("GatewayAddress", "dc1", finds, "127.0.0.1:9443", "loopback", "-wan-address")
	byHand["Meta"] = map[string]string{"consul-wan-federation": "1"}
	byHand["TaggedAddresses"] = map[string]any{"wan": addressOf(t, dc1.Gateways[0].WAN)}
	dc1.Do(http.MethodPut, "/v1/agent/service/register", byHand, nil)
	f.Passes("GatewayMeta", "GatewayAddress")
	dc1.Do(http.MethodPut, "/v1/agent/service/deregister/by-hand", nil, nil)

	t.Log("a gateway whose token may not register it any more")
	dc1.rewrite("isthmus-gateway", lacking(f.rules(agent.PurposeGateway), `service "mesh-gateway"`))
	dc1.forgetGateway()
	f.Finds("GatewayRegistered", "dc1", finds, "isthmus agent policy --for gateway")
	dc1.rewrite("isthmus-gateway", f.rules(agent.PurposeGateway))
	f.Passes("GatewayRegistered")

	t.Log("a gateway that nobody reaches")
	dc2.Gateways[0].kill()
	f.Finds("GatewayReachable", "dc1", finds, dc2.Gateways[0].WAN)
	f.Finds("AgentOnline", "dc2", finds, "start isthmus gateway")
	dc2.Gateways[0].Restart()
	f.Passes("GatewayReachable", "AgentOnline", "FederationReady")

	t.Log("a replication token that somebody revoked, while nobody can make another")
	dc1.Agents[0].stop()
	dc1.Do(http.MethodDelete, "/v1/acl/token/"+dc1.accessorOf(f.replicationToken(dc2)), nil, nil)
	f.Finds("ACLReplication", "dc2", finds, "anew")
	f.Finds("AgentOnline", "dc1", finds, "start isthmus agent")
	f.Finds("LeaderFound", "dc1", nobody, "no agent of dc1 is heard of")
	dc1.Agents[0].Restart()
	f.Passes("ACLReplication", "AgentOnline", "LeaderFound")
	f.Well()
}

// addressOf is host:port as Consul's registration has it.
func addressOf(t testing.TB, address string) map[string]any {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{"Address": host, "Port": n}
}

// forgetGateway takes the gateways out of a datacenter's Consul.
func (d *Datacenter) forgetGateway() {
	d.f.t.Helper()
	var services map[string]struct{ Kind string }
	d.Do(http.MethodGet, "/v1/agent/services", nil, &services)
	for _, id := range slices.Sorted(maps.Keys(services)) {
		if services[id].Kind == "mesh-gateway" {
			d.Do(http.MethodPut, "/v1/agent/service/deregister/"+id, nil, nil)
		}
	}
}
