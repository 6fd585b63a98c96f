package e2e_test

import (
	"net/http"
	"strings"
	"testing"
)

// Two peers with the same addresses inside: what their servers say to each other goes through gateways.
func TestPeeringThroughGateways(t *testing.T) {
	f := NewWorld(t, 2, "dc1", "dc2")
	dc1, dc2 := f.Site("dc1", Site{}), f.Site("dc2", Site{})
	f.Declare("dc1", "dc2")
	dc1.Register("web")
	f.Apply(`
kind: Peering
name: dc1-dc2
spec: {acceptor: dc1, dialer: dc2, throughGateways: true}
---
kind: ServiceExport
name: web
spec: {service: web, datacenters: [dc1], consumers: {selector: env=test}}
`)
	f.Healthy("dc1-dc2")
	dc2.Discovers("web", "dc1")
	var peering struct{ PeerServerAddresses []string }
	dc2.Do(http.MethodGet, "/v1/peering/dc1", nil, &peering)
	if got := strings.Join(peering.PeerServerAddresses, " "); got != dc1.Gateways[0].WAN {
		t.Errorf("dc2 knows dc1 by %s, want its gateway %s", got, dc1.Gateways[0].WAN)
	}
}
