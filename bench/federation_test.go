package bench_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"isthmus/agent"
	"isthmus/client"
	"isthmus/demo/consulrun"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// BenchmarkFederation is a pair: from apply of the Federation until reads are proven in both directions. Before, agents and gateways of
// both run, dc1's Consul does as well, and dc2's is installed and not started; dc1's has to restart for it.
func BenchmarkFederation(b *testing.B) {
	var took times
	for b.Loop() {
		b.StopTimer()
		f := newFleet(b)
		f.startMember(b, "dc1", "127.0.0.1", false)
		f.startMember(b, "dc2", "127.0.0.2", true)
		f.declare(b, datacenters(2))
		ctx, cancel := context.WithTimeout(b.Context(), stepTimeout)
		f.awaitGateways(ctx, b, 2)
		b.StartTimer()
		began := time.Now()
		f.declare(b, "kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc2], mode: mesh-gateway}\n")
		target := client.Target{Kind: kind(b, resource.KindFederation), Name: "global"}
		must(b, f.client.Wait(ctx, []client.Target{target}, func(client.Target, client.Readiness) {}))
		took = append(took, time.Since(began))
		cancel()
	}
	took.report(b, "WAN federation of a pair, fresh: apply → read in both directions", "< 10 s")
}

// startMember starts a Consul server, or only installs it, and an agent and a gateway that belong to it.
func (f *fleet) startMember(b *testing.B, dc, address string, fresh bool) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), stepTimeout)
	defer cancel()
	consul, err := consulrun.Start(ctx, consulrun.Options{
		Dir: filepath.Join(f.dir, dc, "consul"), Datacenter: dc, Address: address, UnixSocket: true, Prepared: fresh,
	})
	must(b, err)
	b.Cleanup(func() { must(b, consul.Stop()) })
	f.consuls[dc] = consul
	gatewayToken := filepath.Join(f.dir, dc, "gateway.token")
	flags := []string{"--consul-config-dir", consul.ConfigDir, "--consul-restart-command", consul.RestartCommand(), "--consul-reload-command", consul.ReloadCommand()}
	token := ""
	if fresh {
		flags = append(flags, "--allow-join=dc1", "--gateway-token-file", gatewayToken)
	} else {
		flags = append(flags, "--consul-ca-cert", consul.CAFile, "--consul-ca-key", consul.CAKeyFile)
		token = mint(ctx, b, consul, agent.PurposePrimary)
		must(b, os.WriteFile(gatewayToken, []byte(mint(ctx, b, consul, agent.PurposeGateway)+"\n"), 0o600))
	}
	f.agents[dc] = f.enrol(b, dc, resource.AgentKindAgent, consul.Env(token), flags...)
	f.awaitAgent(ctx, b, dc)
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(address, "0"))
	must(b, err)
	at := l.Addr().String()
	must(b, l.Close())
	env := slices.DeleteFunc(consul.Env(""), func(v string) bool { return strings.HasPrefix(v, "CONSUL_HTTP_TOKEN=") })
	f.enrol(b, dc, resource.AgentKindGateway, append(env, "CONSUL_HTTP_TOKEN_FILE="+gatewayToken),
		"--listen", at, "--lan-address", at, "--wan-address", at, "--drain-timeout", "1ms")
}

func mint(ctx context.Context, b *testing.B, consul *consulrun.Server, purpose string) string {
	b.Helper()
	rules, err := agent.Policy(purpose)
	must(b, err)
	token, err := consul.Token(ctx, "isthmus-"+purpose, rules)
	must(b, err)
	return token
}

// awaitGateways waits until so many are known and the primary's passes its check, and no agent has anything left to say of them.
func (f *fleet) awaitGateways(ctx context.Context, b *testing.B, n int) {
	b.Helper()
	for gateways, err := range f.client.Watch(ctx, kind(b, resource.KindGateway), client.ListOptions{}) {
		must(b, err)
		passing := slices.ContainsFunc(gateways, func(o resource.Object) bool {
			g, ok := o.(*isthmusv1.Gateway)
			return ok && g.GetStatus().GetHealth() == "passing"
		})
		if len(gateways) == n && passing {
			return
		}
	}
	b.Fatal("the gateways did not come up")
}
