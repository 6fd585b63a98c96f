package consul

import (
	"cmp"
	"context"
	"net"
	"slices"
	"strconv"

	"github.com/hashicorp/consul/api"
)

// RaftServer is a server that Raft knows.
type RaftServer struct {
	// Node is its name; empty when nobody knows it.
	Node string
	// Address is where it takes calls, host:port.
	Address       string
	Leader, Voter bool
}

// metaNonVoter is what Consul says in its catalog of a server that only reads along.
const metaNonVoter = "non_voter"

// Raft is the servers that Raft knows, by node and address. A token with operator:read is told by Raft's own configuration, in which a server
// that has just come does not vote yet; without that rule, which agents need for nothing else, they are put together out of Consul's status and
// catalog, where it does. No leader among them: there is none.
func (c *Client) Raft(ctx context.Context) ([]RaftServer, error) {
	allowed, err := c.Authorize(ctx, []Question{{Resource: "operator", Access: "read"}}) // asked first, since Consul logs each refusal as an error
	if err != nil {
		return nil, err
	}
	read := c.raftStatus
	if allowed[0] {
		read = c.raftConfiguration
	}
	servers, err := read(ctx)
	slices.SortFunc(servers, func(a, b RaftServer) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Address, b.Address))
	})
	return servers, err
}

func (c *Client) raftConfiguration(ctx context.Context) ([]RaftServer, error) {
	var out []RaftServer
	err := c.do(ctx, "reading Raft's configuration", func(ctx context.Context, a *api.Client) error {
		configuration, err := a.Operator().RaftGetConfiguration(options(ctx, Query{}))
		if err != nil {
			return err
		}
		out = nil
		for _, s := range configuration.Servers {
			out = append(out, RaftServer{Node: s.Node, Address: s.Address, Leader: s.Leader, Voter: s.Voter})
		}
		return nil
	})
	return out, err
}

func (c *Client) raftStatus(ctx context.Context) ([]RaftServer, error) {
	var out []RaftServer
	err := c.do(ctx, "listing Consul's servers", func(ctx context.Context, a *api.Client) error {
		leader, err := a.Status().LeaderWithQueryOptions(options(ctx, Query{}))
		if err != nil {
			return err
		}
		peers, err := a.Status().PeersWithQueryOptions(options(ctx, Query{}))
		if err != nil {
			return err
		}
		list, _, err := a.Catalog().Service("consul", "", options(ctx, Query{}))
		if err != nil {
			return err
		}
		known := map[string]*api.CatalogService{}
		for _, s := range list {
			known[net.JoinHostPort(s.Address, strconv.Itoa(s.ServicePort))] = s
		}
		out = nil
		for _, address := range peers {
			s := RaftServer{Address: address, Leader: address == leader}
			if node := known[address]; node != nil {
				s.Node, s.Voter = node.Node, node.ServiceMeta[metaNonVoter] != "true"
			}
			out = append(out, s)
		}
		return nil
	})
	return out, err
}
