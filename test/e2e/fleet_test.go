package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"isthmus/agent"
	"isthmus/client"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/test/consultest"
	"isthmus/test/netns"
)

const (
	// patience is how long anything may take on a busy machine before a test gives up.
	patience = 90 * time.Second
	// glance is how often a test looks.
	glance = 100 * time.Millisecond
)

// Fleet is a control plane with the datacenters that a test gave it.
type Fleet struct {
	t      testing.TB
	dir    string
	server *process
	// program is what the server is started as next.
	program string
	http    string
	grpc    string
	key     *identity.FleetKey
	// rig is where the datacenters are when their networks overlap; nil: all are on loopback.
	rig *netns.Rig
	// told: see tell.
	told bool
	// Client speaks REST as an admin.
	Client *client.Client
}

// NewFleet starts a server on its embedded store, for a test with so many Consul datacenters. It runs beside other tests as
// long as these have few enough together.
func NewFleet(t *testing.T, datacenters int64) *Fleet {
	t.Helper()
	f := newFleet(t, datacenters)
	f.StartServer()
	return f
}

// newFleet is NewFleet without the server.
func newFleet(t *testing.T, datacenters int64) *Fleet {
	t.Helper()
	t.Parallel()
	since := time.Now()
	if err := consuls.Acquire(t.Context(), datacenters); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { consuls.Release(datacenters) })
	t.Logf("waited %s for %d Consul servers to be free", time.Since(since).Round(time.Second), datacenters)
	key, err := identity.NewFleetKey()
	if err != nil {
		t.Fatal(err)
	}
	f := &Fleet{t: t, dir: t.TempDir(), http: "127.0.0.1:0", grpc: "127.0.0.1:0", key: key, program: binary}
	if err := key.Save(f.path("fleet.key")); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *Fleet) path(elements ...string) string {
	return filepath.Join(append([]string{f.dir}, elements...)...)
}

// StartServer starts the server, at the same addresses as before when it ran before, with further arguments.
func (f *Fleet) StartServer(more ...string) {
	f.t.Helper()
	args := []string{"server", "--data-dir", f.path("server"), "--http-addr", f.http, "--grpc-addr", f.grpc, "--log-level", "debug"}
	f.server = launchAs(f.t, f.program, nil, "isthmus server", f.path("server.log"), nil, append(args, more...)...)
	address, ok := strings.CutPrefix(<-f.server.first, "REST: ")
	if !ok {
		f.t.Fatalf("the server does not run:\n%s", f.server.tail())
	}
	f.reach(address)
}

// reach speaks to the server that runs at an address.
func (f *Fleet) reach(address string) {
	f.t.Helper()
	token, err := os.ReadFile(f.path("server", "admin.token"))
	if err != nil {
		f.t.Fatal(err)
	}
	f.Client, err = client.New(client.Config{Address: address, Token: strings.TrimSpace(string(token))})
	if err != nil {
		f.t.Fatal(err)
	}
	f.http = strings.TrimPrefix(address, "http://")
	info, err := f.Client.Server(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	f.grpc = info.GetGrpcAddress()
}

// KillServer ends the server as kill -9 does.
func (f *Fleet) KillServer() { f.server.kill() }

// Run is the CLI as a person uses it: standard output, standard error and exit code.
func (f *Fleet) Run(args ...string) (out, problem string, code int) {
	f.t.Helper()
	return f.RunWith("", args...)
}

// RunWith is Run with something on standard input.
func (f *Fleet) RunWith(in string, args ...string) (out, problem string, code int) {
	f.t.Helper()
	return f.runEnv(nil, in, args...)
}

func (f *Fleet) runEnv(env []string, in string, args ...string) (out, problem string, code int) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(os.Environ(),
		"ISTHMUS_ADDR=http://"+f.http, "ISTHMUS_TOKEN_FILE="+f.path("server", "admin.token"), "ISTHMUS_FLEET_KEY="+f.path("fleet.key"))
	cmd.Env = append(cmd.Env, env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(in), &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		f.t.Fatal(err)
	}
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// Must is Run of what has to succeed: its standard output.
func (f *Fleet) Must(args ...string) string {
	f.t.Helper()
	out, problem, code := f.Run(args...)
	if code != 0 {
		f.t.Fatalf("isthmus %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, problem)
	}
	return out
}

// Apply applies manifests.
func (f *Fleet) Apply(manifests string) {
	f.t.Helper()
	if out, problem, code := f.RunWith(manifests, "apply", "-f", "-"); code != 0 {
		f.t.Fatalf("apply: exit code %d\n%s%s", code, out, problem)
	}
}

// Declare applies Datacenters of these names, with label env: test.
func (f *Fleet) Declare(names ...string) {
	f.t.Helper()
	var out strings.Builder
	for _, name := range names {
		fmt.Fprintf(&out, "---\nkind: Datacenter\nname: %s\nlabels: {env: test}\nspec: {runtime: vm}\n", name)
	}
	f.Apply(out.String())
}

// Eventually looks until what is wanted is so; the error that look returns says what is still missing.
func (f *Fleet) Eventually(what string, look func() error) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for {
		err := look()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			f.t.Fatalf("%s: not after %s: %v", what, patience, err)
		case <-tick.C:
		}
	}
}

// Peering reads a peering.
func (f *Fleet) Peering(name string) *isthmusv1.Peering {
	f.t.Helper()
	p, err := client.Lookup[*isthmusv1.Peering](f.t.Context(), f.Client, name)
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

// Healthy waits until peerings have the verdict healthy.
func (f *Fleet) Healthy(names ...string) {
	f.t.Helper()
	for _, name := range names {
		f.Verdict(name, "healthy")
	}
}

// Verdict waits until a peering has a verdict.
func (f *Fleet) Verdict(name, verdict string) {
	f.t.Helper()
	f.Eventually("peering "+name+" is "+verdict, func() error {
		p, err := client.Lookup[*isthmusv1.Peering](f.t.Context(), f.Client, name)
		if err != nil {
			return err
		}
		if s := p.GetStatus(); s.GetVerdict() != verdict {
			return fmt.Errorf("it is %s, %s: %s (token %d)", s.GetVerdict(), s.GetReason(), s.GetMessage(), s.GetToken().GetGeneration())
		}
		return nil
	})
}

// Gone waits until a resource is no more.
func (f *Fleet) Gone(kind, name string) {
	f.t.Helper()
	k, _ := resource.KindNamed(kind)
	f.Eventually(kind+" "+name+" is gone", func() error {
		objects, err := f.Client.All(f.t.Context(), k, client.ListOptions{})
		if err != nil {
			return err
		}
		for _, o := range objects {
			if o.GetName() == name {
				return errors.New("it is still there")
			}
		}
		return nil
	})
}

// Datacenter is a Consul datacenter with agents.
type Datacenter struct {
	*consultest.Cluster
	f *Fleet
	// Agents in the order in which they were started.
	Agents []*Agent
	// Servers are its Consul servers; Cluster is the first one.
	Servers []*consultest.Cluster
	// Gateways in the order in which they were started.
	Gateways []*Gateway
	token    string
	// gatewayToken is the file with its gateways' Consul token.
	gatewayToken string
	// space is its network when that is one of its own.
	space *netns.Space
}

// Agent is one agent process.
type Agent struct {
	*process
	dc  *Datacenter
	dir string
	// more are its further arguments, and program what it is started as, from its next start on.
	more    []string
	program string
	start   func() *process
}

// Datacenter starts a Consul datacenter and enrols an agent for it, with the rights that peering needs and no more.
func (f *Fleet) Datacenter(name string) *Datacenter {
	f.t.Helper()
	d := f.Bare(name)
	d.Enrol()
	return d
}

// Bare starts a Consul datacenter that has no agent.
func (f *Fleet) Bare(name string) *Datacenter {
	f.t.Helper()
	d := &Datacenter{Cluster: consultest.Start(f.t, name), f: f}
	rules, err := agent.Policy(agent.PurposePeering)
	if err != nil {
		f.t.Fatal(err)
	}
	d.token = d.MintToken("isthmus-agent", rules)
	return d
}

// Enrol starts one more agent.
func (d *Datacenter) Enrol() *Agent {
	d.f.t.Helper()
	a := d.launchAgent(d.Cluster)
	d.f.online(a)
	return a
}

// launchAgent starts one more agent, beside a server, with further arguments. It may take its time to enrol.
func (d *Datacenter) launchAgent(server *consultest.Cluster, more ...string) *Agent {
	f := d.f
	f.t.Helper()
	name := fmt.Sprintf("%s-agent-%d", d.Cluster.Datacenter, len(d.Agents)+1)
	dir, tokenFile := f.path(name), f.path(name+".join")
	f.Must("join-token", "create", "--datacenter", d.Cluster.Datacenter, "--fleet-key", f.path("fleet.key"), "--out", tokenFile)
	a := &Agent{dc: d, dir: dir, more: more, program: binary}
	a.start = func() *process {
		f.t.Helper()
		args := append([]string{"agent", "--data-dir", dir, "--join-token-file", tokenFile, "--log-level", "debug"}, a.more...)
		return launchAs(f.t, a.program, d.space, name, f.path(name+".log"), server.Env(d.token), args...)
	}
	a.process = a.start()
	d.Agents = append(d.Agents, a)
	return a
}

// online waits until the server hears an agent.
func (f *Fleet) online(a *Agent) {
	f.t.Helper()
	f.Eventually(a.name+" is heard of", func() error {
		i, err := identity.LoadIdentity(a.dir)
		if err != nil {
			return err
		}
		seen, err := client.Lookup[*isthmusv1.Agent](f.t.Context(), f.Client, i.Agent())
		if err != nil {
			return err
		}
		if seen.GetStatus().GetLiveness() != "online" {
			return fmt.Errorf("its liveness is %q", seen.GetStatus().GetLiveness())
		}
		return nil
	})
}

// Restart starts an agent again that was stopped or killed.
func (a *Agent) Restart() {
	a.dc.f.t.Helper()
	a.process = a.start()
}

// With starts an agent anew with further arguments.
func (a *Agent) With(more ...string) {
	a.dc.f.t.Helper()
	a.stop()
	a.more = append(a.more, more...)
	a.Restart()
}

// Name is the agent's name in the API.
func (a *Agent) Name() string { return a.dc.f.enrolledAs(a.dir) }

// enrolledAs is the name of whoever keeps its identity in a directory.
func (f *Fleet) enrolledAs(dir string) string {
	f.t.Helper()
	i, err := identity.LoadIdentity(dir)
	if err != nil {
		f.t.Fatal(err)
	}
	return i.Agent()
}

// Discovers waits until a service of a peer is found healthy in this datacenter.
func (d *Datacenter) Discovers(service, peer string) {
	d.f.t.Helper()
	d.f.Eventually(fmt.Sprintf("%s discovers %s of %s", d.Cluster.Datacenter, service, peer), func() error {
		if d.Cluster.Healthy(service, peer) == 0 {
			return errors.New("no healthy instance")
		}
		return nil
	})
}
