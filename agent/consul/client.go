package consul

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/go-hclog"

	"isthmus/fault"
)

const (
	dialTimeout = 5 * time.Second
	keepAlive   = 30 * time.Second
	// callTimeout bounds a call that does not block. Establish is the slowest: through gateways it waits a second, and it
	// tries the peer's addresses for ten.
	callTimeout = 20 * time.Second
	// blockSlack is what Consul may take beyond the wait that it was asked for: a sixteenth as jitter, and the way.
	blockSlack = 10 * time.Second
)

// Client talks to one Consul datacenter. All methods may be called concurrently. Errors are *fault.Error with a *Problem
// inside (see ReasonOf): Denied for ACLs, Refused for what Consul will not do, Unavailable for what may work later.
//
// It may have two tokens, the configured one and one of its own (Settings.OwnTokenFile): a datacenter that joins a federation forgets all
// tokens that it had, and knows its new ones some seconds later. What worked last is used, and the other one when Consul does not know it.
type Client struct {
	settings Settings
	log      hclog.Logger
	// enterprise: it is Consul Enterprise, which has namespaces. Known once it said who it is.
	enterprise atomic.Bool

	mu sync.Mutex
	// own: the token of our own is the one that worked last.
	own bool
	// with the configured token, and with our own.
	configured, ours opened
}

// opened is a client of consul/api, and of which files it was made.
type opened struct {
	api   *api.Client
	stamp string
}

// New makes a client. It makes no call: Consul may be down.
func New(settings Settings, log hclog.Logger) (*Client, error) {
	if _, _, err := settings.split(); err != nil {
		return nil, err
	}
	return &Client{settings: settings, log: log, own: settings.has(true)}, nil
}

// DefaultPartition is the partition of those who name none.
const DefaultPartition = "default"

// Partition is the admin partition (Consul Enterprise) that calls are about.
func (c *Client) Partition() string { return cmp.Or(c.settings.Partition, DefaultPartition) }

// now are the settings with the token that is to be used.
func (c *Client) now() Settings {
	s := c.settings
	c.mu.Lock()
	s.own = c.own
	c.mu.Unlock()
	if !s.has(s.own) && s.has(!s.own) {
		s.own = !s.own // that one is gone, or only the other is there yet
	}
	return s
}

// client is the current one; made anew when a file that it came from has changed.
func (c *Client) client(s Settings) (*api.Client, error) {
	stamp := fileStamp(s.files())
	c.mu.Lock()
	defer c.mu.Unlock()
	o := &c.configured
	if s.own {
		o = &c.ours
	}
	if o.api != nil && o.stamp == stamp {
		return o.api, nil
	}
	made, err := s.open()
	if err != nil {
		return nil, fault.Wrap(fault.CodeOf(err), &Problem{Reason: Other, Text: err.Error()}, "opening Consul")
	}
	if o.api != nil {
		c.log.Info("read Consul's token and certificates again, since a file changed")
	}
	o.api, o.stamp = made, stamp
	return made, nil
}

// either runs a call with the token that worked last, and when Consul does not know that one, with the other, if there is one. The error
// is consul/api's or a *fault.Error.
func (c *Client) either(call func(a *api.Client) error) error {
	s := c.now()
	a, err := c.client(s)
	if err != nil {
		return err
	}
	first := call(a)
	if !unknownToken(first) || !s.has(!s.own) {
		return first
	}
	s.own = !s.own
	if a, err = c.client(s); err != nil {
		return first
	}
	if err = call(a); unknownToken(err) {
		return first
	}
	c.mu.Lock()
	changed := c.own != s.own
	c.own = s.own
	c.mu.Unlock()
	if changed {
		c.log.Info("Consul does not know the former ACL token; going on with the other one", "own", s.own)
	}
	return err
}

func unknownToken(err error) bool { return err != nil && classify(err).Reason == ACLUnknown }

// fileStamp changes when one of the files does.
func fileStamp(files []string) string {
	var b strings.Builder
	for _, f := range files {
		if f == "" {
			continue
		}
		if info, err := os.Stat(f); err == nil {
			fmt.Fprintf(&b, "%s %d %d\n", f, info.Size(), info.ModTime().UnixNano())
		}
	}
	return b.String()
}

// do runs one call within its time.
func (c *Client) do(ctx context.Context, doing string, call func(ctx context.Context, a *api.Client) error) error {
	return explain(c.either(func(a *api.Client) error {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		return call(ctx, a)
	}), doing)
}

// lead runs a call that Consul answers reliably only on its leader: where it is told to go first, then at the leader, then
// at the other servers. An answer that would be the same everywhere ends it.
func (c *Client) lead(ctx context.Context, doing string, call func(ctx context.Context, a *api.Client) error) error {
	first := c.do(ctx, doing, call)
	var p *Problem
	if first == nil || !errors.As(first, &p) || !p.wrongServer || ctx.Err() != nil {
		return first
	}
	for _, s := range c.servers(ctx) {
		a, err := s.open()
		if err != nil {
			continue
		}
		err = c.tryServer(ctx, a, call)
		if err == nil {
			c.log.Debug("another server did it", "doing", doing, "server", s.Address)
			return nil
		}
		if p := classify(err); !p.wrongServer {
			return explain(err, doing)
		}
	}
	return first
}

func (c *Client) tryServer(ctx context.Context, a *api.Client, call func(ctx context.Context, a *api.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return call(ctx, a)
}

// servers are the settings to reach each server, the leader first as far as that is known.
func (c *Client) servers(ctx context.Context) []Settings {
	var out []Settings
	settings := c.now()
	if len(settings.Servers) > 0 {
		for _, address := range settings.Servers {
			s := settings
			s.Address = address
			out = append(out, s)
		}
		return out
	}
	leader, nodes, err := c.raft(ctx)
	if err != nil {
		return nil
	}
	hosts := []string{leader}
	for _, n := range nodes {
		hosts = append(hosts, n.Address)
	}
	seen := map[string]bool{"": true}
	for _, host := range hosts {
		if s, ok := settings.at(host); ok && !seen[host] {
			out = append(out, s)
		}
		seen[host] = true
	}
	return out
}

// raft is the leader's host, and the servers of the catalog.
func (c *Client) raft(ctx context.Context) (leader string, servers []Node, err error) {
	err = c.do(ctx, "finding Consul's leader", func(ctx context.Context, a *api.Client) error {
		address, err := a.Status().LeaderWithQueryOptions(options(ctx, Query{}))
		if err != nil {
			return err
		}
		if host, _, err := net.SplitHostPort(address); err == nil {
			leader = host
		}
		list, _, err := a.Catalog().Service("consul", "", options(ctx, Query{}))
		for _, s := range list {
			servers = append(servers, Node{Name: s.Node, Address: s.Address})
		}
		return err
	})
	slices.SortFunc(servers, func(x, y Node) int { return strings.Compare(x.Name, y.Name) })
	return leader, servers, err
}

// Query makes a read block until something is newer than Index, for at most Wait. The zero value reads at once.
type Query struct {
	Index uint64
	Wait  time.Duration
	// Whole: an answer of which Consul left out what the token may not see is an error. (It says so to known tokens only.)
	Whole bool
}

func options(ctx context.Context, q Query) *api.QueryOptions {
	o := &api.QueryOptions{WaitIndex: q.Index, WaitTime: q.Wait}
	return o.WithContext(ctx)
}

func writing(ctx context.Context) *api.WriteOptions { return new(api.WriteOptions).WithContext(ctx) }

// read runs a read that may block, and gives the index to wait on next.
func (c *Client) read(ctx context.Context, doing string, q Query, call func(a *api.Client, o *api.QueryOptions) (*api.QueryMeta, error)) (uint64, error) {
	timeout := callTimeout
	if q.Index > 0 {
		timeout = q.Wait + q.Wait/16 + blockSlack
	}
	var index uint64
	filtered := false
	err := c.either(func(a *api.Client) error {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		meta, err := call(a, options(ctx, q))
		if err == nil {
			index, filtered = meta.LastIndex, meta.ResultsFilteredByACLs
		}
		return err
	})
	if err == nil && q.Whole && filtered {
		return 0, partial(doing)
	}
	return index, explain(err, doing)
}
