package gateway_test

import (
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"testing"

	"isthmus/gateway"
	"isthmus/test/consultest"
)

// Two real Consul datacenters are peered, and all that the dialer's servers know of the acceptor is the address of a gateway: the
// control traffic of the peering goes through it, by its server name.
func TestPeeringControlTrafficOfRealConsul(t *testing.T) {
	t.Parallel()
	acceptor, dialer := consultest.Start(t, "dc1"), consultest.Start(t, "dc2")
	var servers []struct {
		Address     string
		ServiceMeta map[string]string
	}
	acceptor.Do(http.MethodGet, "/v1/catalog/service/consul", nil, &servers)
	if len(servers) != 1 {
		t.Fatalf("%d servers", len(servers))
	}
	var roots struct{ TrustDomain string }
	acceptor.Do(http.MethodGet, "/v1/connect/ca/roots", nil, &roots)
	name := "server.dc1.peering." + roots.TrustDomain
	g := start(t, gateway.Config{}, table(t, name+"="+net.JoinHostPort(servers[0].Address, servers[0].ServiceMeta["grpc_tls_port"])))

	var made struct{ PeeringToken string }
	acceptor.Do(http.MethodPost, "/v1/peering/token", map[string]any{"PeerName": "dc2", "ServerExternalAddresses": []string{g.Addr()}}, &made)
	if said := serverNameIn(t, made.PeeringToken); said != name {
		t.Errorf("the token's server name is %s, expected %s", said, name)
	}
	dialer.Do(http.MethodPost, "/v1/peering/establish", map[string]any{"PeerName": "dc1", "PeeringToken": made.PeeringToken}, nil)
	eventually(t, func() bool {
		return acceptor.Peerings()["dc2"].State == "ACTIVE" && dialer.Peerings()["dc1"].State == "ACTIVE"
	}, "both ends are ACTIVE")
	for _, direction := range []string{"from-client", "to-client"} {
		if n := g.metric(t, `isthmus_gateway_bytes_total{direction="`+direction+`",route="static"}`); n == 0 {
			t.Errorf("nothing went %s through the gateway", direction)
		}
	}
}

// serverNameIn is the name that a peering token tells the dialer to ask for.
func serverNameIn(t *testing.T, token string) string {
	t.Helper()
	text, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		t.Fatal("the token is not base64")
	}
	var said struct{ ServerName string }
	if err := json.Unmarshal(text, &said); err != nil {
		t.Fatal("the token is not JSON")
	}
	return said.ServerName
}
