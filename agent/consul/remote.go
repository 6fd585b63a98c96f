package consul

import (
	"context"
	"errors"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/consul/api"

	"isthmus/fault"
)

// Reasons why another datacenter of the WAN federation cannot be read through the local Consul.
const (
	// NoPath: no server of it is in the WAN pool, or none that is alive.
	NoPath Reason = "NoPathToDatacenter"
	// RemoteUnreachable: its servers are known, and calls of them fail. "alive" in the gossip proves nothing about calls.
	RemoteUnreachable Reason = "RemoteServersUnreachable"
	// RemoteCertificate: the certificate of its servers is not taken here, or ours not there.
	RemoteCertificate Reason = "RemoteCertificateRefused"
)

// WANMember is one server in the WAN gossip, as the local servers see it.
type WANMember struct {
	// Node is the server's name in the WAN: node.datacenter.
	Node, Datacenter, Address string
	// RPCAddress is where it takes calls; empty when it does not say.
	RPCAddress string
	// Status is alive, leaving, left or failed.
	Status string
	// Build is Consul's version; Protocol that of Consul's own, as consul members prints it.
	Build, Protocol string
}

// WANMembers are the servers in the WAN gossip, by name. A client agent does not know them, so that servers are asked then.
func (c *Client) WANMembers(ctx context.Context) ([]WANMember, error) {
	const doing = "listing the members of the WAN"
	var list []*api.AgentMember
	ask := func(ctx context.Context, a *api.Client) (err error) {
		list, err = members(ctx, a)
		return err
	}
	if err := c.do(ctx, doing, ask); err != nil {
		return nil, err
	}
	if len(list) == 0 {
		for _, s := range c.servers(ctx) {
			a, err := s.open()
			if err == nil && c.tryServer(ctx, a, ask) == nil && len(list) > 0 {
				break
			}
		}
	}
	out := make([]WANMember, 0, len(list))
	for _, m := range list {
		build, _, _ := strings.Cut(m.Tags["build"], ":")
		rpc := ""
		if port := m.Tags["port"]; port != "" {
			rpc = net.JoinHostPort(m.Addr, port)
		}
		out = append(out, WANMember{
			RPCAddress: rpc,
			Node:       m.Name, Datacenter: m.Tags["dc"], Address: net.JoinHostPort(m.Addr, strconv.Itoa(int(m.Port))),
			Status: memberStatus(m.Status), Build: build, Protocol: m.Tags["vsn"],
		})
	}
	slices.SortFunc(out, func(x, y WANMember) int { return strings.Compare(x.Node, y.Node) })
	return out, nil
}

// members is a call of Consul's client that takes no context: it ends by itself with the connection.
func members(ctx context.Context, a *api.Client) ([]*api.AgentMember, error) {
	type answer struct {
		list []*api.AgentMember
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		list, err := a.Agent().Members(true)
		done <- answer{list, err}
	}()
	select {
	case a := <-done:
		return a.list, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// MemberAlive is the status of a server that answers in the gossip, which proves nothing about calls.
const MemberAlive = "alive"

// memberStatus is Serf's word for the state of a member.
func memberStatus(status int) string {
	words := []string{"none", MemberAlive, "leaving", "left", "failed"}
	if status < 0 || status >= len(words) {
		return words[0]
	}
	return words[status]
}

// RemoteServices proves that the local Consul can read the catalog of another datacenter of the WAN federation: how many services there
// are. There is always the service consul: without it the token may not read, since Consul then answers as if there were nothing.
func (c *Client) RemoteServices(ctx context.Context, datacenter string) (int, error) {
	doing := "reading the services of Consul datacenter " + datacenter
	var services map[string][]string
	err := c.do(ctx, doing, func(ctx context.Context, a *api.Client) (err error) {
		o := options(ctx, Query{})
		o.Datacenter = datacenter
		services, _, err = a.Catalog().Services(o)
		return err
	})
	if err != nil {
		return 0, remoteProblem(err, doing)
	}
	if _, ok := services["consul"]; !ok {
		r := rule("service", "read", "")
		return 0, fault.Wrap(fault.Denied, missing(r, "the catalog shows no service consul"), "%s: the agent's Consul token lacks the rule %s there", doing, r)
	}
	return len(services), nil
}

// sources are this end's address and port in an error of Go's net package, which are others each time.
var sources = regexp.MustCompile(`(tcp|udp) [0-9a-fA-F.:\[\]]+->`)

// remoteProblem tells what is wrong between datacenters from what is wrong with the local Consul, which explain is about.
func remoteProblem(err error, doing string) error {
	p, ok := errors.AsType[*Problem](err)
	if !ok || p.Reason == RuleMissing && p.Rule != "" || p.Reason == ACLUnknown || p.Reason == Untrusted {
		return err
	}
	text := strings.TrimSpace(sources.ReplaceAllString(p.Text, "$1 "))
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
	}
	reason := RemoteUnreachable
	switch {
	case errors.Is(err, context.DeadlineExceeded), has("context deadline exceeded"):
		text = "no answer in time"
	case p.Reason == Unreachable, has("No cluster leader"):
		return err
	case has("No path to datacenter", "Remote DC has no server currently reachable"):
		reason = NoPath
	case has("x509:", "tls: bad certificate", "tls: unknown certificate", "tls: expired certificate", "tls: certificate required"):
		reason = RemoteCertificate
	}
	return fault.Wrap(fault.Unavailable, &Problem{Reason: reason, Text: text}, "%s: %s", doing, text)
}
