package agent

import (
	"cmp"
	"context"
	"net"
	"slices"
	"strconv"

	"isthmus/agent/consul"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// kindMeshGateway is Consul's kind of a service that is a mesh gateway, whatever its name.
const kindMeshGateway = "mesh-gateway"

// metaWANFederation is how Consul marks a gateway that serves WAN federation.
const metaWANFederation = "consul-wan-federation"

// gateways are the mesh gateways that Consul knows, with the address that other datacenters dial.
func (r *reconciler) gateways(ctx context.Context, services []consul.Service) ([]*isthmusv1.ObservedGateway, error) {
	var out []*isthmusv1.ObservedGateway
	for _, s := range services {
		if s.Kind != kindMeshGateway || s.Peer != "" {
			continue
		}
		instances, err := r.consul.Instances(ctx, s.Name, "")
		if err != nil {
			return nil, err
		}
		for _, i := range instances {
			g := &isthmusv1.ObservedGateway{
				ServiceId: i.ID, Node: i.Node, LanAddress: hostPort(i.Address, i.Port), WanAddress: hostPort(i.WAN, i.WANPort),
				Health: i.Health, WanFederation: i.Meta[metaWANFederation] == "1",
			}
			if g.GetWanAddress() == "" {
				g.WanAddress = g.GetLanAddress() // what Consul itself uses then
			}
			out = append(out, g)
		}
	}
	slices.SortFunc(out, func(a, b *isthmusv1.ObservedGateway) int {
		return cmp.Or(cmp.Compare(a.GetServiceId(), b.GetServiceId()), cmp.Compare(a.GetNode(), b.GetNode()))
	})
	return out, nil
}

func hostPort(host string, port int) string {
	if host == "" {
		return ""
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}
