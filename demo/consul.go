package demo

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"isthmus/agent"
	"isthmus/client"
	"isthmus/demo/child"
	"isthmus/demo/consulrun"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// startConsul runs one Consul server. The secondary's is only installed: its agent starts it, with its bundle.
func (d *demo) startConsul(ctx context.Context, s site) (string, error) {
	server, err := consulrun.Start(ctx, consulrun.Options{
		Binary: d.consul, Dir: filepath.Join(d.dir, s.name, "consul"), Datacenter: s.name, Address: s.server,
		UnixSocket: s.inFederation(), Prepared: s.role == roleSecondary, Log: d.Log,
	})
	if err != nil {
		return "", err
	}
	d.mu.Lock()
	d.consuls[s.name] = server
	d.mu.Unlock()
	switch {
	case s.role == roleSecondary:
		return "installed; no TLS, ACLs or keys yet", nil
	case s.name == d.sites[0].name:
		if err := server.RegisterMeshService(ctx, Service); err != nil {
			return "", err
		}
		return "TLS, ACLs, gossip encryption; offers " + Service, nil
	}
	return "TLS, ACLs, gossip encryption", nil
}

// startAgent enrols one agent, which gets no more rights in its Consul than it needs, and waits until the server hears of it.
func (d *demo) startAgent(ctx context.Context, s site) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	consul := d.consuls[s.name]
	token, err := d.consulToken(ctx, s)
	if err != nil {
		return "", err
	}
	started, err := d.enrol(ctx, s, enrolment{
		kind: resource.AgentKindAgent, env: consul.Env(token), args: d.agentFlags(s, consul),
	})
	if err != nil {
		return "", err
	}
	name, err := d.awaitAgent(ctx, s, resource.AgentKindAgent, started)
	if err != nil {
		return "", err
	}
	return "enrolled as " + name, nil
}

// consulToken is the token that an agent starts with. The secondary's has none: its Consul does not run.
func (d *demo) consulToken(ctx context.Context, s site) (string, error) {
	purposes := []string{agent.PurposePeering, agent.PurposeIntentions, agent.PurposeTraffic}
	switch s.role {
	case roleSecondary:
		return "", nil
	case rolePrimary:
		purposes = []string{agent.PurposePrimary}
	}
	return d.mint(ctx, s, "isthmus-agent", purposes...)
}

// mint makes a token with the rules for some purposes.
func (d *demo) mint(ctx context.Context, s site, name string, purposes ...string) (string, error) {
	var all strings.Builder
	for _, purpose := range purposes {
		rules, err := agent.Policy(purpose)
		if err != nil {
			return "", err
		}
		all.WriteString(rules)
	}
	return d.consuls[s.name].Token(ctx, name, all.String())
}

// agentFlags are what a federation asks of an agent: where it may write, how it restarts Consul, where the CA is.
func (d *demo) agentFlags(s site, consul *consulrun.Server) []string {
	if !s.inFederation() {
		return nil
	}
	flags := []string{
		"--consul-config-dir", consul.ConfigDir,
		"--consul-restart-command", consul.RestartCommand(), "--consul-reload-command", consul.ReloadCommand(),
		"--gateway-token-file", d.gatewayToken(s),
	}
	if s.role == rolePrimary {
		return append(flags, "--consul-ca-cert", consul.CAFile, "--consul-ca-key", consul.CAKeyFile)
	}
	return append(flags, "--allow-join="+d.sites[0].name)
}

// enrolment is one agent or gateway that is started with a join token.
type enrolment struct {
	kind string
	env  []string
	args []string
}

// enrol mints a join token and starts who uses it.
func (d *demo) enrol(ctx context.Context, s site, e enrolment) (*child.Process, error) {
	joinToken, err := d.client.CreateJoinToken(ctx, d.fleet, client.JoinTokenOptions{Datacenter: s.name, Kind: e.kind}, d.Now())
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(d.dir, s.name, e.kind)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "make the directory of the %s", e.kind)
	}
	tokenFile := filepath.Join(d.dir, s.name, e.kind+".join")
	if err := os.WriteFile(tokenFile, []byte(joinToken+"\n"), 0o600); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "write the join token")
	}
	started, err := child.Start(child.Options{
		Name: "the " + e.kind + " of " + s.name, Binary: d.Executable, LogFile: filepath.Join(d.dir, s.name, e.kind+".log"),
		Args: append([]string{e.kind, "--data-dir", dir, "--join-token-file", tokenFile}, e.args...),
		Env:  e.env,
	})
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.agents = append(d.agents, enrolled{Process: started, site: s.name, kind: e.kind})
	d.mu.Unlock()
	return started, nil
}

// awaitAgent waits until the server has heard of a datacenter's agent or gateway.
func (d *demo) awaitAgent(ctx context.Context, s site, agentKind string, started *child.Process) (string, error) {
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
			if ok && a.GetSpec().GetDatacenter() == s.name && a.GetSpec().GetKind() == agentKind && a.GetStatus().GetLiveness() == resource.LivenessOnline {
				return a.GetName(), nil
			}
		}
	}
	select {
	case <-started.Done():
		return "", started.Ended()
	default:
		return "", fault.Wrap(fault.Timeout, ctx.Err(), "wait for the %s of %s", agentKind, s.name)
	}
}
