package consul

import (
	"cmp"
	"context"
	"net"
	"slices"
	"strconv"

	"github.com/hashicorp/consul/api"

	"isthmus/fault"
)

// MeshServer is a Consul server, as a mesh gateway reaches it.
type MeshServer struct {
	// Node is its node name, Address its host.
	Node, Address string
	// RPC is the port of servers, GRPCTLS that of peers; 0: it has none.
	RPC, GRPCTLS int
	// Healthy: no check of it is critical.
	Healthy bool
}

// MeshServers are the servers of this datacenter, by node. There is always one: seeing none is an error, since that is how Consul says
// that the token may not read them.
func (c *Client) MeshServers(ctx context.Context, q Query) ([]MeshServer, uint64, error) {
	const doing = "listing Consul's servers"
	var list []*api.ServiceEntry
	index, err := c.read(ctx, doing, q, func(a *api.Client, o *api.QueryOptions) (meta *api.QueryMeta, err error) {
		list, meta, err = a.Health().Service("consul", "", false, o)
		return meta, err
	})
	if err != nil {
		return nil, 0, err
	}
	if len(list) == 0 {
		r := rule("node", "read", "") + " or " + rule("service", "read", "")
		return nil, 0, fault.Wrap(fault.Denied, missing(r, "the catalog shows no servers"), "%s: the Consul token lacks the rule %s", doing, r)
	}
	out := make([]MeshServer, 0, len(list))
	for _, e := range list {
		i := instanceOf(e)
		grpc, _ := strconv.Atoi(i.Meta["grpc_tls_port"]) // absent or odd: it serves no peers
		out = append(out, MeshServer{Node: i.Node, Address: i.Address, RPC: i.Port, GRPCTLS: max(grpc, 0), Healthy: i.Health != api.HealthCritical})
	}
	slices.SortFunc(out, func(x, y MeshServer) int { return cmp.Compare(x.Node, y.Node) })
	return out, index, nil
}

// FederationGateways are the mesh gateways of all datacenters that are federated through them, by Consul datacenter, this one included. A
// secondary fails until it has reached its primary. An answer of nothing after there was something is an error as well: it may be a
// token that is no more, and whoever asks anew, with Index 0, is told what is true.
func (c *Client) FederationGateways(ctx context.Context, q Query) (map[string][]Instance, uint64, error) {
	const doing = "listing other datacenters' mesh gateways"
	var answer map[string][]*api.ServiceEntry
	index, err := c.read(ctx, doing, q, func(a *api.Client, o *api.QueryOptions) (*api.QueryMeta, error) {
		return a.Raw().Query("/v1/internal/federation-states/mesh-gateways", &answer, o)
	})
	if err != nil {
		return nil, 0, err
	}
	if len(answer) == 0 && q.Index > 0 {
		return nil, 0, fault.New(fault.Unavailable, "%s: there are none any more; asking again", doing)
	}
	out := make(map[string][]Instance, len(answer))
	for datacenter, list := range answer {
		for _, e := range list {
			out[datacenter] = append(out[datacenter], instanceOf(e))
		}
		slices.SortFunc(out[datacenter], func(x, y Instance) int { return cmp.Or(cmp.Compare(x.ID, y.ID), cmp.Compare(x.Node, y.Node)) })
	}
	return out, index, nil
}

// Endpoint is where the TLS of a service in the mesh ends: its sidecar, or itself when it speaks Connect natively. For a service that is
// imported from a peer, it is a gateway of the peer.
type Endpoint struct {
	Service, Namespace string
	// Peer is where it is imported from; SNI are its names then.
	Peer string
	SNI  []string
	// Address is host:port.
	Address string
	// Healthy: no check of it or its node is critical.
	Healthy bool
}

// catalogNode is a node with all on it, as Consul's dashboard gets it.
type catalogNode struct {
	Address  string
	Checks   []struct{ ServiceID, Status string }
	Services []struct {
		Kind, ID, Service, Address, Namespace, PeerName string
		Port                                            int
		TaggedAddresses                                 map[string]struct {
			Address string
			Port    int
		}
		Proxy   struct{ DestinationServiceName string }
		Connect struct {
			Native   bool
			PeerMeta struct{ SNI []string }
		}
	}
}

// Endpoints are all of the catalog, by service, address and peer: one call, whatever their number.
func (c *Client) Endpoints(ctx context.Context, q Query) ([]Endpoint, uint64, error) {
	const doing = "listing the mesh's endpoints"
	var nodes []catalogNode
	index, err := c.read(ctx, doing, q, func(a *api.Client, o *api.QueryOptions) (*api.QueryMeta, error) {
		return a.Raw().Query("/v1/internal/ui/nodes", &nodes, o)
	})
	if err != nil {
		return nil, 0, err
	}
	if len(nodes) == 0 {
		r := rule("node", "read", "")
		return nil, 0, fault.Wrap(fault.Denied, missing(r, "the catalog shows no nodes"), "%s: the Consul token lacks the rule %s", doing, r)
	}
	var out []Endpoint
	for _, n := range nodes {
		out = append(out, n.endpoints()...)
	}
	slices.SortFunc(out, func(x, y Endpoint) int {
		return cmp.Or(cmp.Compare(x.Service, y.Service), cmp.Compare(x.Address, y.Address), cmp.Compare(x.Peer, y.Peer))
	})
	return out, index, nil
}

func (n catalogNode) endpoints() []Endpoint {
	critical := map[string]bool{} // by service id; "" is the node
	for _, check := range n.Checks {
		critical[check.ServiceID] = critical[check.ServiceID] || check.Status == api.HealthCritical
	}
	var out []Endpoint
	for _, s := range n.Services {
		e := Endpoint{
			Service: s.Service, Namespace: cmp.Or(s.Namespace, defaultNamespace), Peer: s.PeerName, SNI: s.Connect.PeerMeta.SNI,
			Address: join(cmp.Or(s.Address, n.Address), s.Port), Healthy: !critical[""] && !critical[s.ID],
		}
		switch {
		case s.Port == 0, s.PeerName != "" && len(e.SNI) == 0:
			continue
		case s.PeerName != "":
			if wan, ok := s.TaggedAddresses["wan"]; ok && wan.Port != 0 {
				e.Address = join(wan.Address, wan.Port)
			}
		case s.Kind == string(api.ServiceKindConnectProxy):
			e.Service = s.Proxy.DestinationServiceName
		case !s.Connect.Native:
			continue
		}
		out = append(out, e)
	}
	return out
}

const defaultNamespace = "default"

func join(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// MeshExport is a service that a peer may use; Service is * for all.
type MeshExport struct{ Service, Namespace, Peer string }

// MeshExports are what the exported-services config entries say, as they stand there.
func (c *Client) MeshExports(ctx context.Context, q Query) ([]MeshExport, uint64, error) {
	var list []struct {
		Services []struct {
			Name, Namespace string
			Consumers       []struct{ Peer string }
		}
	}
	index, err := c.read(ctx, "reading exported services", q, func(a *api.Client, o *api.QueryOptions) (*api.QueryMeta, error) {
		return a.Raw().Query("/v1/config/"+KindExportedServices, &list, o)
	})
	var out []MeshExport
	for _, entry := range list {
		for _, s := range entry.Services {
			for _, consumer := range s.Consumers {
				if consumer.Peer != "" {
					out = append(out, MeshExport{Service: s.Name, Namespace: cmp.Or(s.Namespace, defaultNamespace), Peer: consumer.Peer})
				}
			}
		}
	}
	return out, index, err
}

// TrustDomain is that of the mesh; empty while Connect is off or not ready.
func (c *Client) TrustDomain(ctx context.Context, q Query) (string, uint64, error) {
	domain := ""
	index, err := c.read(ctx, "reading the mesh's trust domain", q, func(a *api.Client, o *api.QueryOptions) (*api.QueryMeta, error) {
		roots, meta, err := a.Connect().CARoots(o)
		if err == nil {
			domain = roots.TrustDomain
		}
		return meta, err
	})
	return domain, index, err
}

// Leader is the host of Raft's leader; empty: there is none, or nobody says. It cannot be waited for.
func (c *Client) Leader(ctx context.Context) (string, error) {
	host := ""
	err := c.do(ctx, "finding Consul's leader", func(ctx context.Context, a *api.Client) error {
		address, err := a.Status().LeaderWithQueryOptions(options(ctx, Query{}))
		if h, _, malformed := net.SplitHostPort(address); malformed == nil {
			host = h
		}
		return err
	})
	return host, err
}
