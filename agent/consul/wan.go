package consul

import (
	"context"

	"github.com/hashicorp/consul/api"
)

// JoinWAN has the server join the WAN gossip at a server's address, host:port. Consul refuses it where federation goes through mesh
// gateways. Needs agent:write.
func (c *Client) JoinWAN(ctx context.Context, address string) error {
	return c.do(ctx, "joining the WAN gossip at "+address, func(ctx context.Context, a *api.Client) error {
		// This call of Consul's client takes no context: it ends by itself when Consul gives up on the address.
		done := make(chan error, 1)
		go func() { done <- a.Agent().Join(address, true) }()
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// ForceLeaveWAN makes the servers forget one of the WAN gossip that failed or left, given by its name there: node.datacenter. One that is
// not there is no error. Needs operator:write.
func (c *Client) ForceLeaveWAN(ctx context.Context, node string) error {
	return c.do(ctx, "forgetting server "+node+" in the WAN gossip", func(ctx context.Context, a *api.Client) error {
		return a.Agent().ForceLeaveOptions(node, api.ForceLeaveOpts{Prune: true, WAN: true}, options(ctx, Query{}))
	})
}
