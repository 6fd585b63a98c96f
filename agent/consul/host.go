package consul

import (
	"context"
	"strings"

	"github.com/hashicorp/consul/api"
)

// Standing is how the servers stand, as the one that is asked sees it. No token is needed to ask.
type Standing struct {
	// Leader is the leader's address; empty: there is none.
	Leader string
	// Servers are those that Raft knows.
	Servers int
}

// Standing asks.
func (c *Client) Standing(ctx context.Context) (Standing, error) {
	var out Standing
	err := c.do(ctx, "asking how Consul's servers stand", func(ctx context.Context, a *api.Client) error {
		leader, err := a.Status().LeaderWithQueryOptions(options(ctx, Query{}))
		if err != nil {
			return err
		}
		peers, err := a.Status().PeersWithQueryOptions(options(ctx, Query{}))
		out = Standing{Leader: leader, Servers: len(peers)}
		return err
	})
	return out, err
}

// ServerTLS is where the Consul server that we talk to takes calls of other servers (host:port), and the file that it reads their CA
// from; empty: it does not say.
func (c *Client) ServerTLS(ctx context.Context) (address, caFile string, err error) {
	var answer struct {
		DebugConfig struct {
			RPCAdvertiseAddr string
			TLS              struct {
				InternalRPC struct{ CAFile string }
			}
		}
	}
	err = c.do(ctx, "asking Consul for its TLS settings", func(ctx context.Context, a *api.Client) error {
		_, err := a.Raw().Query("/v1/agent/self", &answer, options(ctx, Query{}))
		return err
	})
	return strings.TrimPrefix(answer.DebugConfig.RPCAdvertiseAddr, "tcp://"), answer.DebugConfig.TLS.InternalRPC.CAFile, err
}
