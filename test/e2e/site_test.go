package e2e_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"isthmus/agent"
	"isthmus/client"
	"isthmus/demo/consulrun"
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/test/consultest"
	"isthmus/test/netns"
)

// gatewayPort is where the first gateway of a network of its own listens; the next one at the next port.
const gatewayPort = 8443

// Site says what a datacenter of a federation is like before anything happens.
type Site struct {
	// Fresh: its Consul is installed, and neither configured nor started.
	Fresh bool
	// Primary: its agents know the CA, and have the rights of a primary.
	Primary bool
	// CA: its servers' certificates are of that datacenter's CA. Default: of a CA of its own.
	CA *Datacenter
	// ShowCAOf: its agents are told that datacenter's CA, which is not theirs.
	ShowCAOf *Datacenter
	// Servers is how many there are. Default: one.
	Servers int
	// Joins is the primary that its agents may have it join. Default: dc1.
	Joins string
	// NoJoin leaves --allow-join out, and NoRestart --consul-restart-command.
	NoJoin, NoRestart bool
	// NoAgent: it has none; somebody opens a bundle by hand.
	NoAgent bool
	// Gateways is how many there are at first. Default: one; -1: none.
	Gateways int
	// Guard makes a file DATACENTER-two-at-once when a server is restarted while another one is.
	Guard bool
	// Routable: its server is at an address of the network that all share, as mode traditional needs it.
	Routable bool
	// Config is laid over its servers' configuration.
	Config map[string]any
}

// NewWorld is NewFleet for datacenters whose networks overlap: each is in a namespace of its own, with the same addresses in all.
// Consuls is how many servers there will be.
func NewWorld(t *testing.T, consuls int64, names ...string) *Fleet {
	t.Helper()
	f := newFleet(t, consuls)
	f.rig = netns.New(t, names...)
	f.grpc = f.rig.Host() + ":0"
	f.StartServer()
	return f
}

// Site starts a datacenter with an agent beside each server, and gateways.
func (f *Fleet) Site(name string, site Site) *Datacenter {
	f.t.Helper()
	d := &Datacenter{f: f}
	f.t.Cleanup(f.tell)
	if f.rig != nil {
		d.space = f.rig.Spaces[name]
	}
	d.Servers = f.servers(d, name, site)
	d.Cluster = d.Servers[0]
	d.gatewayToken = f.path(name + "-gateway.token")
	if site.NoAgent {
		d.gatewayToken = filepath.Join(d.ConfigDir, federation.FileGatewayToken)
	}
	if !site.Fresh {
		purpose := agent.PurposeSecondary
		if site.Primary {
			purpose = agent.PurposePrimary
		}
		d.token = d.MintToken("isthmus-agent", f.rules(purpose))
		f.write(name+"-gateway.token", d.MintToken("isthmus-gateway", f.rules(agent.PurposeGateway)))
	}
	for _, s := range d.Servers {
		if !site.NoAgent {
			d.launchAgent(s, d.agentFlags(site, s)...)
		}
	}
	for range max(site.Gateways, 0) + boolInt(site.Gateways == 0) {
		d.StartGateway()
	}
	for _, a := range d.Agents {
		f.online(a)
	}
	return d
}

// agentFlags are what the agent beside a server is allowed and told.
func (d *Datacenter) agentFlags(site Site, s *consultest.Cluster) []string {
	restart := s.RestartCommand()
	if site.Guard {
		lock, broken := d.f.path(d.Cluster.Datacenter+"-restarting"), d.f.path(d.Cluster.Datacenter+"-two-at-once")
		restart = fmt.Sprintf("mkdir '%s' || touch '%s'; %s; code=$?; rmdir '%s'; exit $code", lock, broken, restart, lock)
	}
	args := []string{"--consul-config-dir", s.ConfigDir, "--consul-reload-command", s.ReloadCommand(), "--gateway-token-file", d.gatewayToken}
	if !site.NoRestart {
		args = append(args, "--consul-restart-command", restart)
	}
	ca := s
	if site.ShowCAOf != nil {
		ca = site.ShowCAOf.Cluster
	}
	if !site.Fresh {
		args = append(args, "--consul-ca-cert", ca.CAFile)
	}
	if site.Primary {
		args = append(args, "--consul-ca-key", ca.CAKeyFile)
	} else if !site.NoJoin {
		args = append(args, "--allow-join="+cmp.Or(site.Joins, "dc1"))
	}
	return args
}

// tell shows of a test that failed how far its federation has come.
func (f *Fleet) tell() {
	if !f.t.Failed() || f.told {
		return
	}
	f.told = true
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "describe", "federation", "global")
	cmd.Env = append(os.Environ(), "ISTHMUS_ADDR=http://"+f.http, "ISTHMUS_TOKEN_FILE="+f.path("server", "admin.token"))
	out, err := cmd.CombinedOutput()
	f.t.Logf("the federation (%v):\n%s", err, out)
}

func boolInt(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func (f *Fleet) servers(d *Datacenter, name string, site Site) []*consultest.Cluster {
	f.t.Helper()
	var servers []*consultest.Cluster
	config := site.Config
	if site.Fresh && site.Servers > 1 {
		config = together(config, d.space.Servers[:site.Servers])
	}
	for i := range max(site.Servers, 1) {
		options := consulrun.Options{
			Datacenter: name, NodeName: fmt.Sprintf("s%d", i+1), UnixSocket: true, Prepared: site.Fresh, Config: config,
		}
		if site.CA != nil {
			options.CA = site.CA.Server
		}
		if i > 0 {
			options.Join = servers[0].Server
		}
		if d.space != nil {
			options.Network, options.Address = d.space, d.space.Servers[i]
			if site.Routable {
				options.Address = d.space.WAN[i]
			}
		}
		servers = append(servers, consultest.StartWith(f.t, options))
	}
	return servers
}

// together is a configuration with which servers that are all new elect a leader once the last one is there, as people install three.
func together(config map[string]any, addresses []string) map[string]any {
	out := map[string]any{"bootstrap_expect": len(addresses), "retry_join": addresses, "retry_interval": "1s"}
	maps.Copy(out, config)
	return out
}

func (f *Fleet) rules(purpose string) string {
	f.t.Helper()
	rules, err := agent.Policy(purpose)
	if err != nil {
		f.t.Fatal(err)
	}
	return rules
}

// Gateway is one isthmus gateway.
type Gateway struct {
	*process
	// LAN and WAN are its addresses.
	LAN, WAN string
	f        *Fleet
	dir      string
	start    func() *process
}

// Name is what it enrolled as.
func (g *Gateway) Name() string { return g.f.enrolledAs(g.dir) }

// Restart starts a gateway again that was stopped or killed.
func (g *Gateway) Restart() { g.process = g.start() }

// StartGateway starts one more gateway, at the next addresses that its network has.
func (d *Datacenter) StartGateway() *Gateway {
	f, n := d.f, len(d.Gateways)
	f.t.Helper()
	dc := d.Cluster.Datacenter
	name := fmt.Sprintf("%s-gateway-%d", dc, n+1)
	g := &Gateway{f: f, dir: f.path(name)}
	port := strconv.Itoa(gatewayPort + n)
	if d.space != nil {
		g.LAN, g.WAN = net.JoinHostPort(d.space.Gateways[n], port), net.JoinHostPort(d.space.WAN[n], port)
	} else {
		g.LAN = freeAddress(f.t)
		g.WAN = g.LAN
	}
	tokenFile := f.path(name + ".join")
	f.Must("join-token", "create", "--datacenter", dc, "--kind", "gateway", "--fleet-key", f.path("fleet.key"), "--out", tokenFile)
	listen := g.LAN
	if d.space != nil {
		listen = ":" + port // at both addresses
	}
	g.start = func() *process {
		f.t.Helper()
		env := []string{"CONSUL_HTTP_ADDR=unix://" + d.Socket, "CONSUL_HTTP_TOKEN_FILE=" + d.gatewayToken}
		args := []string{
			"gateway", "--data-dir", g.dir, "--join-token-file", tokenFile, "--lan-address", g.LAN, "--wan-address", g.WAN, "--log-level", "debug",
			"--listen", listen, "--drain-timeout", "1s",
		}
		return launchIn(f.t, d.space, name, f.path(name+".log"), env, args...)
	}
	g.process = g.start()
	d.Gateways = append(d.Gateways, g)
	return g
}

// freeAddress is one that nobody listens on as yet.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Federation reads a federation.
func (f *Fleet) Federation(name string) *isthmusv1.Federation {
	f.t.Helper()
	found, err := client.Lookup[*isthmusv1.Federation](f.t.Context(), f.Client, name)
	if err != nil {
		f.t.Fatal(err)
	}
	return found
}

// Member is one datacenter's part in a federation's status.
func (f *Fleet) Member(federation, datacenter string) *isthmusv1.FederationMember {
	f.t.Helper()
	for _, m := range f.Federation(federation).GetStatus().GetMembers() {
		if m.GetDatacenter() == datacenter {
			return m
		}
	}
	return nil
}

// Phase waits until a member is in a phase, with one of these reasons when there are any.
func (f *Fleet) Phase(federation, datacenter, phase string, reasons ...string) {
	f.t.Helper()
	f.Eventually(datacenter+" is "+phase+" "+strings.Join(reasons, " or "), func() error {
		m := f.Member(federation, datacenter)
		if m.GetPhase() != phase || len(reasons) > 0 && !slices.Contains(reasons, m.GetReason()) {
			return fmt.Errorf("it is %q, %s: %s; hosts %v", m.GetPhase(), m.GetReason(), m.GetMessage(), m.GetHosts())
		}
		return nil
	})
}

// Joined waits until secondaries have joined, and takes over the primary's token for them: it is the one that counts there.
func (f *Fleet) Joined(federation string, primary *Datacenter, secondaries ...*Datacenter) {
	f.t.Helper()
	for _, d := range secondaries {
		f.Phase(federation, d.Cluster.Datacenter, "joined")
		d.ManagementToken = primary.ManagementToken
	}
}

// Accept applies a Federation of dc1 and one secondary, sees what the secondary would lose, and accepts just that.
func (f *Fleet) Accept(federation, secondary, spec string) {
	f.t.Helper()
	f.Apply(federationOf(federation, secondary, spec, ""))
	f.Apply(federationOf(federation, secondary, spec, f.Planned(federation, secondary).GetDigest()))
}

// federationOf is the manifest of a Federation of dc1 and one secondary, with more in its spec.
func federationOf(name, secondary, spec, digest string) string {
	text := fmt.Sprintf("kind: Federation\nname: %s\nspec:\n  primary: dc1\n  secondaries: [%s]\n%s", name, secondary, spec)
	if digest != "" {
		text += fmt.Sprintf("  acceptDataLoss: [{datacenter: %s, planDigest: %s}]\n", secondary, digest)
	}
	return text
}

// Planned waits until it is known what a datacenter would lose, and that it is something.
func (f *Fleet) Planned(federation, datacenter string) *isthmusv1.MemberPlan {
	f.t.Helper()
	var found *isthmusv1.MemberPlan
	f.Eventually("what "+datacenter+" would lose is known", func() error {
		plan, err := f.Client.FederationPlan(f.t.Context(), federation, false)
		if err != nil {
			return err
		}
		for _, m := range plan.GetMembers() {
			if m.GetDatacenter() == datacenter && m.GetKnown() && m.GetDigest() != "" {
				found = m
				return nil
			}
		}
		return fmt.Errorf("the plan is %v", plan)
	})
	return found
}
