package agent_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/proto"

	"isthmus/agent"
	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// follower is a gateway's, as a test runs it.
type follower struct {
	*agent.Follower
	states chan *isthmusv1.DesiredState
	done   chan error
	stop   context.CancelFunc
}

func (h *hub) follower(dir string, change func(c *agent.FollowerConfig)) *follower {
	h.t.Helper()
	token, err := identity.MintJoinToken(h.fleet, identity.MintOptions{
		Datacenter: "dc1", Kind: identity.KindGateway, Address: h.addr, CAFingerprint: h.ca.Fingerprint(), Uses: 10,
	}, time.Now())
	need(h.t, err)
	config := agent.FollowerConfig{
		DataDir: dir, JoinToken: token.String(), Kind: identity.KindGateway, Version: "test", Host: "host",
		Log: hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: logWriter{h.t}}),
	}
	if change != nil {
		change(&config)
	}
	f := &follower{states: make(chan *isthmusv1.DesiredState, 100), done: make(chan error, 1)}
	f.Follower, err = agent.NewFollower(config)
	need(h.t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(h.t.Context()))
	ended := make(chan struct{})
	f.stop = func() { cancel(); <-ended }
	h.t.Cleanup(f.stop)
	go func() {
		defer close(ended)
		f.done <- f.Run(ctx, func(s *isthmusv1.DesiredState) { f.states <- s })
	}()
	return f
}

// gets waits for a state with these addresses.
func (f *follower) gets(t *testing.T, address string) {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case s := <-f.states:
			for _, item := range s.GetItems() {
				if routes := item.GetGatewayRoutes().GetRoutes(); len(routes) == 1 && routes[0].GetAddresses()[0] == address {
					return
				}
			}
		case <-timeout:
			t.Fatalf("no state with %s", address)
		}
	}
}

func routes(address string) *isthmusv1.DesiredItem {
	return &isthmusv1.DesiredItem{
		Id: resource.ItemGatewayRoutes, Type: resource.ItemGatewayRoutes,
		GatewayRoutes: &isthmusv1.GatewayRoutes{
			Routes: []*isthmusv1.GatewayRoute{{Pattern: "server.dc2.consul", Kind: "federation", Addresses: []string{address}}}, Domain: "consul",
		},
	}
}

// A gateway enrols, is told its routes, reports, and while the server is away a restarted one has the routes that it had.
func TestFollowerEnrolsFollowsAndRemembers(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.want("dc1", routes("192.0.2.1:8443"), &isthmusv1.DesiredItem{Id: "x", Type: "from-the-future"})
	dir := filepath.Join(t.TempDir(), "gateway")
	f := h.follower(dir, nil)
	report := &isthmusv1.GatewayReport{WanAddress: "198.51.100.1:8443", Routes: 3}
	f.Report(&isthmusv1.ReportRequest{Gateway: report})
	f.gets(t, "192.0.2.1:8443")
	eventually(t, "the report is there", func() bool { return proto.Equal(h.reported("dc1").GetGateway(), report) })
	eventually(t, "it says what it applied", func() bool {
		a := h.reported("dc1").GetAgent()
		return a.GetAppliedDigest() != "" && a.GetHost() == "host" && len(a.GetUnknownItems()) == 1 && len(a.GetFeatures()) == 1
	})
	h.want("dc1", routes("192.0.2.2:8443"))
	f.gets(t, "192.0.2.2:8443")
	f.stop()
	need(t, <-f.done)
	h.stop()

	f = h.follower(dir, func(c *agent.FollowerConfig) { c.JoinToken = "" })
	if !f.Enrolled() {
		t.Error("it does not know that it is enrolled")
	}
	f.gets(t, "192.0.2.2:8443")
	f.Report(&isthmusv1.ReportRequest{Gateway: &isthmusv1.GatewayReport{Routes: 4}})
	h.want("dc1", routes("192.0.2.3:8443"))
	h.start(h.addr)
	f.gets(t, "192.0.2.3:8443")
	eventually(t, "the report of the outage is there", func() bool { return h.reported("dc1").GetGateway().GetRoutes() == 4 })
	if h.enrols != 1 {
		t.Errorf("enrolled %d times", h.enrols)
	}
}

// What belongs to an agent is not for a gateway, and the other way round; and a gateway that the server will not have says so.
func TestFollowerRefused(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	agents := h.config("dc1", settings(t, nowhere))
	run(t, agents).stop()
	for name, test := range map[string]struct {
		change func(c *agent.FollowerConfig)
		code   agent.Exit
	}{
		"an agent's token":     {func(c *agent.FollowerConfig) { c.JoinToken = h.token("dc1").String() }, agent.ExitTokenInvalid},
		"an agent's directory": {func(c *agent.FollowerConfig) { c.DataDir = agents.DataDir }, agent.ExitTokenInvalid},
		"no token":             {func(c *agent.FollowerConfig) { c.JoinToken = "" }, agent.ExitTokenInvalid},
		"another fleet":        {func(c *agent.FollowerConfig) { c.FleetKey = "SHA256:other" }, agent.ExitUntrusted},
		"nobody there":         {func(c *agent.FollowerConfig) { c.ServerAddress, c.EnrolTimeout = "127.0.0.1:1", time.Second }, agent.ExitUnreachable},
	} {
		f := h.follower(t.TempDir(), test.change)
		if err := <-f.done; agent.ExitCode(err) != int(test.code) {
			t.Errorf("%s: %d, %v", name, agent.ExitCode(err), err)
		}
	}
	if _, err := agent.NewFollower(agent.FollowerConfig{Kind: identity.KindGateway}); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("without a directory: %v", err)
	}

	dir := t.TempDir()
	f := h.follower(dir, nil)
	eventually(t, "enrolled", f.Enrolled)
	h.edit(func() { h.refuse = refusedFor(fault.Denied, identity.ReasonAgentDeleted) })
	h.want("dc1", routes("192.0.2.9:8443")) // ends the long poll
	if err := <-f.done; agent.ExitCode(err) != int(agent.ExitAgentDeleted) {
		t.Errorf("deleted: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "identity.json")); errors.Is(err, os.ErrNotExist) || !f.Enrolled() {
		t.Errorf("its identity is gone: %v", err)
	}
}
