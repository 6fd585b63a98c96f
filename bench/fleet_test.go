package bench_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"isthmus/agent"
	"isthmus/client"
	"isthmus/demo/consulrun"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

const (
	// stepTimeout bounds each wait; what takes this long has failed.
	stepTimeout = 2 * time.Minute
	// lookEvery is the resolution of what is measured by asking Consul.
	lookEvery = 5 * time.Millisecond
)

// fleet is a server and some datacenters, all of them processes that end with the benchmark.
type fleet struct {
	dir string
	// store is the URL of its PostgreSQL; empty for SQLite.
	store  string
	client *client.Client
	// grpc is host:port of gRPC.
	grpc    string
	config  client.Config
	server  *exec.Cmd
	key     *identity.FleetKey
	consuls map[string]*consulrun.Server
	agents  map[string]*exec.Cmd
}

// newFleet starts a server, and for each datacenter a Consul server and an agent. Nothing is declared yet.
func newFleet(b *testing.B, datacenters ...string) *fleet {
	b.Helper()
	f := &fleet{dir: b.TempDir(), consuls: map[string]*consulrun.Server{}, agents: map[string]*exec.Cmd{}}
	f.startServer(b)
	for _, dc := range datacenters {
		f.startDatacenter(b, dc)
	}
	return f
}

// startServer starts the server, with further flags.
func (f *fleet) startServer(b *testing.B, flags ...string) {
	b.Helper()
	dir := filepath.Join(f.dir, "server")
	cmd, out := start(b, filepath.Join(f.dir, "server.log"), nil,
		append([]string{"server", "--data-dir", dir, "--http-addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0", "--store", f.store}, flags...)...)
	f.server = cmd
	lines := bufio.NewReader(out)
	address := listensAt(b, lines)
	f.grpc = listensAt(b, lines)
	go drain(out)
	token, err := os.ReadFile(filepath.Join(dir, "admin.token"))
	must(b, err)
	f.config.Address, f.config.Token = address, strings.TrimSpace(string(token))
	f.client, err = client.New(f.config)
	must(b, err)
	f.key, err = identity.NewFleetKey()
	must(b, err)
}

// listensAt is the address in the next line of what the server says.
func listensAt(b *testing.B, lines *bufio.Reader) string {
	b.Helper()
	line, err := lines.ReadString('\n')
	if err != nil {
		b.Fatalf("the server did not say where it listens: %v", err)
	}
	_, address, _ := strings.Cut(strings.TrimSpace(line), " ")
	return address
}

func (f *fleet) startDatacenter(b *testing.B, dc string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), stepTimeout)
	defer cancel()
	consul, err := consulrun.Start(ctx, consulrun.Options{Dir: filepath.Join(f.dir, dc, "consul"), Datacenter: dc})
	must(b, err)
	b.Cleanup(func() { must(b, consul.Stop()) })
	f.consuls[dc] = consul
	rules, err := agent.Policy(agent.PurposePeering)
	must(b, err)
	consulToken, err := consul.Token(ctx, "isthmus-agent", rules)
	must(b, err)
	f.agents[dc] = f.enrol(b, dc, resource.AgentKindAgent, consul.Env(consulToken))
	f.awaitAgent(ctx, b, dc)
}

// enrol starts an agent or a gateway with a join token.
func (f *fleet) enrol(b *testing.B, dc, kind string, env []string, args ...string) *exec.Cmd {
	b.Helper()
	token, err := f.client.CreateJoinToken(b.Context(), f.key, client.JoinTokenOptions{Datacenter: dc, Kind: kind}, time.Now())
	must(b, err)
	tokenFile := filepath.Join(f.dir, dc, kind+".join")
	must(b, os.WriteFile(tokenFile, []byte(token+"\n"), 0o600))
	cmd, out := start(b, filepath.Join(f.dir, dc, kind+".log"), env,
		append([]string{kind, "--data-dir", filepath.Join(f.dir, dc, kind), "--join-token-file", tokenFile}, args...)...)
	go drain(out)
	return cmd
}

// awaitAgent waits until the server hears of a datacenter's agent.
func (f *fleet) awaitAgent(ctx context.Context, b *testing.B, dc string) {
	b.Helper()
	for agents, err := range f.client.Watch(ctx, kind(b, resource.KindAgent), client.ListOptions{}) {
		must(b, err)
		for _, o := range agents {
			a, ok := o.(*isthmusv1.Agent)
			if ok && a.GetSpec().GetDatacenter() == dc && a.GetStatus().GetLiveness() == resource.LivenessOnline {
				return
			}
		}
	}
	b.Fatalf("the agent of %s did not come up", dc)
}

// start runs isthmus. It ends with the benchmark.
func start(b *testing.B, logFile string, env []string, args ...string) (*exec.Cmd, io.Reader) {
	b.Helper()
	must(b, os.MkdirAll(filepath.Dir(logFile), 0o700))
	log, err := os.Create(logFile)
	must(b, err)
	cmd := exec.CommandContext(context.Background(), binary, args...) // the cleanup ends it, gracefully
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	must(b, err)
	must(b, cmd.Start())
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // how it ended is in its log
		must(b, log.Close())
		if b.Failed() {
			text, _ := os.ReadFile(logFile)
			b.Logf("%s:\n%s", logFile, text[max(0, len(text)-4000):])
		}
	})
	return cmd, out
}

// drain reads what nobody looks at, so that the writer does not stop.
func drain(out io.Reader) { _, _ = io.Copy(io.Discard, out) }

// declare applies manifests.
func (f *fleet) declare(b *testing.B, manifests string) *isthmusv1.ApplyResponse {
	b.Helper()
	answer, err := f.client.Apply(b.Context(), []byte(manifests), client.ApplyOptions{})
	must(b, err)
	return answer
}

// datacenters are the manifests of as many datacenters: dc1, dc2, …
func datacenters(n int) string { return datacentersFrom(0, n) }

// datacentersFrom leaves out the first ones.
func datacentersFrom(from, n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, "kind: Datacenter\nname: dc%d\nlabels: {env: bench}\nspec: {runtime: vm}\n---\n", from+i+1)
	}
	return out.String()
}

// remove deletes a resource, and waits until it and what it owns is gone.
func (f *fleet) remove(b *testing.B, kindName, name string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), stepTimeout)
	defer cancel()
	k := kind(b, kindName)
	_, err := f.client.Delete(ctx, k, name, client.DeleteOptions{Force: kindName == resource.KindPeeringGroup})
	must(b, err)
	must(b, f.client.Wait(ctx, []client.Target{{Kind: k, Name: name, Gone: true}}, func(client.Target, client.Readiness) {}))
}

// awaitState waits until Consul itself says that a peering is in a state.
func (f *fleet) awaitState(ctx context.Context, b *testing.B, dc, peer, state string) {
	b.Helper()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		var peering struct{ State string }
		err := f.consuls[dc].Call(ctx, http.MethodGet, "/v1/peering/"+url.PathEscape(peer), nil, &peering)
		if err == nil && peering.State == state {
			return
		}
		select {
		case <-ctx.Done():
			b.Fatalf("the peering %s of %s is %q: %v", peer, dc, peering.State, err)
		case <-tick.C:
		}
	}
}

func kind(b *testing.B, name string) resource.Kind {
	b.Helper()
	k, ok := resource.KindNamed(name)
	if !ok {
		b.Fatalf("%s is no kind", name)
	}
	return k
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
