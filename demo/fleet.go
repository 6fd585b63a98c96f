package demo

import (
	"fmt"
	"net"
	"strings"
)

// Services that the demo has people look for.
const (
	// Service is what dc1 offers to all others.
	Service = "web"
	// SecondaryService is what the federation's secondary offers.
	SecondaryService = "api"
)

// federation is the name of the Federation.
const federation = "global"

// What each datacenter is for. From three on, the first two are a federation.
const (
	rolePrimary   = "primary"
	roleSecondary = "secondary"
	rolePeer      = "peer"
)

// federated is how many datacenters it takes for a federation.
const federated = 3

// site is one datacenter of the demo.
type site struct {
	name, role string
	// server and gateway are the loopback addresses of its Consul and its mesh gateway: own ones where there are any.
	server, gateway string
}

// sites are the datacenters: dc1, dc2, …
func sites(n int) []site {
	all := make([]site, n)
	for i := range all {
		all[i] = site{name: fmt.Sprintf("dc%d", i+1), role: rolePeer, server: own(1 + i), gateway: own(101 + i)}
	}
	if n >= federated {
		all[0].role, all[1].role = rolePrimary, roleSecondary
	}
	return all
}

// own is an address of the loopback network, or 127.0.0.1 where the system has no other.
func own(host int) string {
	address := fmt.Sprintf("127.0.0.%d", host)
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0")) //nolint:noctx // it fails or succeeds at once
	if err != nil {
		return "127.0.0.1"
	}
	_ = l.Close()
	return address
}

// inFederation tells whether a datacenter is in the federation.
func (s site) inFederation() bool { return s.role != rolePeer }

// fleet is the manifest that the demo applies. Two datacenters are peered. Of more, dc2 joins dc1's federation and all others are
// peered with dc1. dc1's service is for all of them, and within the federation dc2's may call it.
func fleet(all []site) []byte {
	var out strings.Builder
	for _, s := range all {
		fmt.Fprintf(&out, "kind: Datacenter\nname: %s\nlabels: {env: demo, role: %s}\nspec: {runtime: vm}\n---\n", s.name, s.role)
	}
	if len(all) < federated {
		out.WriteString("kind: PeeringGroup\nname: demo\nspec: {shape: full-mesh, selector: env=demo}\n---\n")
	} else {
		fmt.Fprintf(&out, "kind: Federation\nname: %s\nspec: {primary: dc1, secondaries: [dc2], mode: mesh-gateway, meshGatewayMode: local}\n---\n", federation)
		fmt.Fprintf(&out, "kind: PeeringGroup\nname: demo\nspec: {shape: hub-and-spoke, selector: role!=%s, hub: role=%s}\n---\n", roleSecondary, rolePrimary)
		fmt.Fprintf(&out, "kind: Intention\nname: %[1]s-from-%[2]s\nspec: {destination: {service: %[1]s, datacenters: [dc1, dc2]}, sources: [{service: %[2]s, action: allow}]}\n---\n",
			Service, SecondaryService)
	}
	fmt.Fprintf(&out, "kind: ServiceExport\nname: %[1]s\nspec: {service: %[1]s, datacenters: [dc1], consumers: {selector: role=%[2]s}}\n", Service, rolePeer)
	return []byte(out.String())
}
