package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"isthmus/agent"
	"isthmus/client"
	"isthmus/demo/child"
	"isthmus/demo/consulrun"
	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// startServer runs isthmus server on the usual ports, or on free ones when these are taken, and logs in.
func (d *demo) startServer(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	dir := filepath.Join(d.dir, "server")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fault.Wrap(fault.Internal, err, "make the server's directory")
	}
	address, err := d.launchServer(ctx, dir)
	if err != nil {
		return "", err
	}
	d.tokenFile = filepath.Join(dir, "admin.token")
	token, err := os.ReadFile(d.tokenFile)
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "read the admin token")
	}
	d.client, err = client.New(client.Config{Address: address, Token: strings.TrimSpace(string(token)), UserAgent: "isthmus-demo"})
	if err != nil {
		return "", err
	}
	d.fleet, err = identity.NewFleetKey()
	if err != nil {
		return "", err
	}
	if err := d.fleet.Save(filepath.Join(d.dir, "fleet.key")); err != nil {
		return "", err
	}
	return "REST at " + address, nil
}

// launchServer starts the child and returns the URL of its REST API.
func (d *demo) launchServer(ctx context.Context, dir string) (string, error) {
	var problems error
	for _, addr := range d.serverAddresses(ctx) {
		first := newFirstLine()
		server, err := child.Start(child.Options{
			Name: "isthmus server", Binary: d.Executable, LogFile: filepath.Join(d.dir, "server.log"), Out: first,
			Args: []string{"server", "--data-dir", dir, "--http-addr", addr.http, "--grpc-addr", addr.grpc},
		})
		if err != nil {
			return "", err
		}
		d.mu.Lock()
		d.server = server
		d.mu.Unlock()
		line, err := first.wait(ctx, server)
		if err == nil {
			return strings.TrimPrefix(line, "REST: "), nil
		}
		problems = errors.Join(problems, err)
		if fault.CodeOf(err) != fault.Refused {
			break
		}
	}
	return "", problems
}

type serverAddress struct{ http, grpc string }

// serverAddresses are what to try: the usual ones, if nobody listens there (somebody may until the child tries), and else any
// free ports.
func (d *demo) serverAddresses(ctx context.Context) []serverAddress {
	usual := serverAddress{http: d.HTTPAddr, grpc: d.GRPCAddr}
	free := serverAddress{http: "127.0.0.1:0", grpc: "127.0.0.1:0"}
	for _, addr := range []string{usual.http, usual.grpc} {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
		if err != nil {
			return []serverAddress{free}
		}
		_ = l.Close()
	}
	return []serverAddress{usual, free}
}

// startConsul runs one Consul server.
func (d *demo) startConsul(ctx context.Context, dc string) (string, error) {
	server, err := consulrun.Start(ctx, consulrun.Options{
		Binary: d.consul, Dir: filepath.Join(d.dir, dc, "consul"), Datacenter: dc, Log: d.Log,
	})
	if err != nil {
		return "", err
	}
	d.mu.Lock()
	d.consuls[dc] = server
	d.mu.Unlock()
	if dc == datacenters(1)[0] {
		if err := server.RegisterService(ctx, Service); err != nil {
			return "", err
		}
		return "TLS, ACLs, gossip encryption; offers " + Service, nil
	}
	return "TLS, ACLs, gossip encryption", nil
}

// startAgent enrols one agent, which gets no more rights in its Consul than peering needs, and waits until the server hears
// of it.
func (d *demo) startAgent(ctx context.Context, dc string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	consul := d.consuls[dc]
	rules, err := agent.Policy("peering")
	if err != nil {
		return "", err
	}
	consulToken, err := consul.Token(ctx, "isthmus-agent", rules)
	if err != nil {
		return "", err
	}
	joinToken, err := d.client.CreateJoinToken(ctx, d.fleet, client.JoinTokenOptions{Datacenter: dc}, d.Now())
	if err != nil {
		return "", err
	}
	dir := filepath.Join(d.dir, dc, "agent")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fault.Wrap(fault.Internal, err, "make the agent's directory")
	}
	tokenFile := filepath.Join(d.dir, dc, "join.token")
	if err := os.WriteFile(tokenFile, []byte(joinToken+"\n"), 0o600); err != nil {
		return "", fault.Wrap(fault.Internal, err, "write the join token")
	}
	started, err := child.Start(child.Options{
		Name: "the agent of " + dc, Binary: d.Executable, LogFile: filepath.Join(d.dir, dc, "agent.log"),
		Args: []string{"agent", "--data-dir", dir, "--join-token-file", tokenFile},
		Env:  consul.Env(consulToken),
	})
	if err != nil {
		return "", err
	}
	d.mu.Lock()
	d.agents[dc] = started
	d.mu.Unlock()
	name, err := d.awaitAgent(ctx, dc, started)
	if err != nil {
		return "", err
	}
	return "enrolled as " + name, nil
}

// awaitAgent waits until the server has heard of a datacenter's agent.
func (d *demo) awaitAgent(ctx context.Context, dc string, started *child.Process) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-started.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	kind, _ := resource.KindNamed(resource.KindAgent)
	for agents, err := range d.client.Watch(ctx, kind, client.ListOptions{}) {
		if err != nil {
			return "", err
		}
		for _, o := range agents {
			a, ok := o.(*isthmusv1.Agent)
			if ok && a.GetSpec().GetDatacenter() == dc && a.GetStatus().GetLiveness() == resource.LivenessOnline {
				return a.GetName(), nil
			}
		}
	}
	select {
	case <-started.Done():
		return "", started.Ended()
	default:
		return "", fault.Wrap(fault.Timeout, ctx.Err(), "wait for the agent of %s", dc)
	}
}

// connect applies the fleet, waits until all is healthy, and asks each Consul for the service of dc1.
func (d *demo) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, healthyTimeout)
	defer cancel()
	applied := d.Now()
	answer, err := d.client.Apply(ctx, fleet(d.Datacenters), client.ApplyOptions{})
	if err != nil {
		return err
	}
	d.Progress("apply", fmt.Sprintf("%d resources", len(answer.GetChanges())), "", true)
	var targets []client.Target
	for _, change := range answer.GetChanges() {
		kind, ok := resource.KindNamed(change.GetKind())
		if ok {
			targets = append(targets, client.Target{Kind: kind, Name: change.GetName(), Group: change.GetGroup()})
		}
	}
	err = d.client.Wait(ctx, targets, func(t client.Target, r client.Readiness) {
		d.Progress(t.Kind.Name+" "+t.Name, r.State, r.Message, r.Ready)
	})
	if err != nil {
		return err
	}
	result := Result{
		Address: d.client.Address(), TokenFile: d.tokenFile, Dir: d.dir, Healthy: d.Now().Sub(applied),
	}
	if result.Peerings, err = client.AllOf[*isthmusv1.Peering](ctx, d.client); err != nil {
		return err
	}
	for _, dc := range datacenters(d.Datacenters)[1:] {
		found, err := d.discover(ctx, dc)
		if err != nil {
			return err
		}
		result.Discovered = append(result.Discovered, found)
	}
	return d.Ready(result)
}

// discover asks a datacenter's own Consul for the service of dc1, as any of its users would.
func (d *demo) discover(ctx context.Context, dc string) (Discovery, error) {
	step := Service + " of dc1 from " + dc
	d.Progress(step, "asking", "", false)
	exporter := datacenters(1)[0]
	path := "/v1/health/service/" + url.PathEscape(Service) + "?peer=" + url.QueryEscape(exporter)
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		var entries []struct {
			Node    struct{ Node, Address string }
			Service struct {
				Service, Address, PeerName string
				Port                       int
			}
			Checks []struct{ Status string }
		}
		if err := d.consuls[dc].Call(ctx, http.MethodGet, path, nil, &entries); err != nil {
			return Discovery{}, err
		}
		if len(entries) > 0 && len(entries[0].Checks) > 0 {
			e := entries[0]
			found := Discovery{
				Datacenter: dc, Service: e.Service.Service, Peer: e.Service.PeerName, Node: e.Node.Node,
				Address: fmt.Sprintf("%s:%d", e.Service.Address, e.Service.Port), Status: e.Checks[0].Status,
			}
			d.Progress(step, "discovered", "", true)
			return found, nil
		}
		select {
		case <-ctx.Done():
			return Discovery{}, fault.Wrap(fault.Timeout, ctx.Err(), "wait for %s in the Consul of %s", Service, dc)
		case <-tick.C:
		}
	}
}
