package main

import (
	"context"
	"errors"
	"net"
	"slices"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"isthmus/agent"
	"isthmus/agent/consul"
	"isthmus/fault"
	"isthmus/gateway"
	"isthmus/gateway/control"
	"isthmus/identity"
)

// gatewaySettings is what isthmus gateway can be told.
type gatewaySettings struct {
	gateway.Config
	bootstrap, routes []string
	domain            string
	lan, wan, service string
	leave             *choice
	noConsul          bool
	follower          agent.FollowerConfig
	joinTokenFile     string
	logging           *logSettings
}

func (p Program) gatewayCommand() *cobra.Command {
	var s gatewaySettings
	flags := pflag.NewFlagSet("gateway", pflag.ContinueOnError)
	s.flags(flags)
	documentEnvironment(flags)
	cmd := &cobra.Command{
		Use:   "gateway",
		Short: "Run a mesh gateway: pass TLS connections on by the name that they ask for",
		Long: `Run a mesh gateway without Envoy, for what Consul's servers say to each other across datacenters, and for TLS of other kinds: it
reads the name that a client asks for (SNI), looks up the route, and passes bytes. It has no certificate and no key: TLS goes from
end to end.

Routes come from three places, any of which may be absent; of one name, all addresses are tried in this order, those that failed
lately last:

1. Flags. A bootstrap route leads to another datacenter's servers, server.DATACENTER.DOMAIN and all names below it, through that
   datacenter's gateways. With it, and primary_gateways set to this gateway's own address, Consul's servers need no way out of their
   network. A route is for one name, or for all names below one (*.NAME). Of several routes the most exact one counts. Both flags can
   be repeated.
2. The local Consul, with --wan-address: its servers, services, exports, peerings, and the gateways of federated datacenters. The
   gateway registers itself there as a mesh gateway. Consul is found as Consul's own tools find it: CONSUL_HTTP_ADDR,
   CONSUL_HTTP_TOKEN or CONSUL_HTTP_TOKEN_FILE (which may be written later), CONSUL_CACERT, …; isthmus agent policy --for gateway
   prints the rights that the token needs.
3. The control plane, with --join-token-file or $ISTHMUS_JOIN_TOKEN for the first start (isthmus join-token create --kind gateway),
   and --data-dir alone from then on. What it said last is remembered there.

SIGTERM makes it accept no more and wait for what is open; --leave says whether it takes itself out of Consul before.

Exit codes of one that the control plane does not let in are those of isthmus agent. One that it let in before goes on without it.`,
		Example: `  isthmus gateway --bootstrap-route dc1=gw.dc1.example.com:8443
  isthmus gateway --route server.dc2.consul=10.0.0.10:8300 --route '*.server.dc2.consul=10.0.0.10:8300,10.0.0.11:8300'
  isthmus gateway --lan-address 10.0.0.20:8443 --wan-address 198.51.100.7:8443 --data-dir /var/lib/isthmus-gateway --join-token-file gw.token`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().AddFlagSet(flags)
	if err := cmd.RegisterFlagCompletionFunc("leave", cobra.FixedCompletions(control.Leaves(), cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag was added one line above
	}
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := p.settle(flags); err != nil {
			return err
		}
		return p.runGateway(cmd.Context(), s)
	}
	return cmd
}

func (s *gatewaySettings) flags(flags *pflag.FlagSet) {
	flags.StringVar(&s.Listen, "listen", gateway.DefaultListen, "host:port where connections are accepted")
	flags.StringSliceVar(&s.bootstrap, "bootstrap-route", nil, "datacenter=host:port[,host:port…]: that datacenter's servers, through its gateways")
	flags.StringSliceVar(&s.routes, "route", nil, "name=host:port[,host:port…], the name as in SNI, or *.name for all names below it")
	flags.StringVar(&s.domain, "domain", "consul", "Consul's domain, in the names of bootstrap routes")
	flags.StringVar(&s.MetricsAddr, "metrics-addr", "", "host:port of /metrics, /healthz and /readyz in plain HTTP (default: not served)")
	flags.DurationVar(&s.HelloTimeout, "hello-timeout", gateway.DefaultHelloTimeout, "how long a client may take to say which name it wants")
	flags.DurationVar(&s.DialTimeout, "dial-timeout", gateway.DefaultDialTimeout, "how long each address of a route is tried")
	flags.DurationVar(&s.IdleTimeout, "idle-timeout", gateway.DefaultIdleTimeout, "end connections on which nothing moves for this long")
	flags.DurationVar(&s.DrainTimeout, "drain-timeout", gateway.DefaultDrainTimeout, "how long open connections may go on after SIGTERM")
	flags.IntVar(&s.MaxConnections, "max-connections", 0, "how many connections may be open (default: as many as the limit of open files allows)")
	flags.IntVar(&s.SourceRate, "source-rate", 0, "how many connections per second one address may open; 0: no limit")
	s.consulFlags(flags)
	s.serverFlags(flags)
	s.logging = logFlags(flags)
	flags.String(configFlag, "", "YAML file with settings; the keys are these flags' names in lowerCamelCase")
}

// consulFlags are those that say how the gateway stands in Consul.
func (s *gatewaySettings) consulFlags(flags *pflag.FlagSet) {
	flags.StringVar(&s.wan, "wan-address", "", "host:port of this gateway as other datacenters dial it; with it the gateway works with the local Consul, and the control plane knows where it is")
	flags.StringVar(&s.lan, "lan-address", "", "host:port of this gateway as its own datacenter dials it (default: --listen, if that is one address)")
	flags.StringVar(&s.service, "service-name", control.DefaultServiceName, "name of the service that it registers as in Consul")
	s.leave = &choice{value: string(control.LeaveUnlessLast), of: control.Leaves()}
	flags.Var(s.leave, "leave", "when it ends, take it out of Consul: unless-last keeps the only one that other datacenters could return to")
	flags.BoolVar(&s.noConsul, "no-consul", false, "leave Consul alone: do not register there, and take no routes from there")
}

// serverFlags are those that say how the gateway reaches the control plane.
func (s *gatewaySettings) serverFlags(flags *pflag.FlagSet) {
	flags.StringVar(&s.follower.DataDir, "data-dir", "", "directory of the gateway's keys, certificate and last routes from the control plane (default isthmus/gateway below $XDG_DATA_HOME or ~/.local/share)")
	flags.StringVar(&s.joinTokenFile, "join-token-file", "", "file with the join token, needed only to enrol; the token itself can be in $ISTHMUS_JOIN_TOKEN")
	flags.StringVar(&s.follower.ServerAddress, "server-address", "", "host:port of the server's gRPC API, in place of the one in the join token")
	flags.StringVar(&s.follower.FleetKey, "fleet-id", "", "the fleet (SHA256:…, see isthmus fleet show) that this gateway shall belong to (default: the join token's)")
	flags.DurationVar(&s.follower.EnrolTimeout, "enrol-timeout", 0, "give up when no server answers within this time (5m); 0: never")
	flags.StringVar(&s.follower.Host, "host", "", "name of this machine in reports (default: its host name)")
}

// fixed is what the flags say about routes.
func (s *gatewaySettings) fixed() ([]gateway.Entry, error) {
	routes, err := gateway.ParseRoutes(s.routes)
	if err != nil {
		return nil, err
	}
	bootstrap, err := gateway.ParseBootstrapRoutes(s.bootstrap, s.domain)
	return slices.Concat(routes, bootstrap), err
}

// follow is the way to the control plane; nil when nothing says that there is one.
func (s *gatewaySettings) follow(p Program, log hclog.Logger) (*agent.Follower, error) {
	c := s.follower
	var err error
	if c.JoinToken, err = p.joinToken(s.joinTokenFile, log); err != nil {
		return nil, err
	}
	if c.JoinToken == "" && s.joinTokenFile == "" && c.DataDir == "" {
		return nil, nil //nolint:nilnil // it works without
	}
	if c.DataDir == "" {
		if c.DataDir, err = p.dataDir("gateway"); err != nil {
			return nil, err
		}
	}
	c.Kind, c.Version, c.Log, c.Now = identity.KindGateway, versionOf(), log, p.Now
	return agent.NewFollower(c)
}

// steer makes what tells a gateway that listens its routes; nil when the flags say all of them.
func (s *gatewaySettings) steer(p Program, g *gateway.Gateway, fixed []gateway.Entry, log hclog.Logger) (*control.Control, error) {
	config := control.Config{
		Replace: g.Replace, Fixed: fixed, LAN: s.lan, WAN: s.wan, ServiceName: s.service, Leave: control.Leave(s.leave.value), Log: log, Now: p.Now,
	}
	if host, _, err := net.SplitHostPort(g.Addr()); err == nil && config.LAN == "" && !net.ParseIP(host).IsUnspecified() {
		config.LAN = g.Addr()
	}
	if s.wan != "" && !s.noConsul {
		settings, err := consul.FromEnv(p.Env)
		if err != nil {
			return nil, err
		}
		if config.Consul, err = consul.New(settings, log.Named("consul")); err != nil {
			return nil, err
		}
	}
	follower, err := s.follow(p, log)
	if err != nil {
		return nil, err
	}
	if follower != nil {
		config.Follower = follower
	}
	switch {
	case config.Consul != nil, follower != nil:
		return control.New(config)
	case len(fixed) == 0:
		return nil, fault.New(fault.Invalid, "a gateway without routes passes nothing on: set --route or --bootstrap-route, "+
			"--wan-address to take them from Consul, or --join-token-file to hear of them from the control plane")
	}
	return nil, nil //nolint:nilnil // there is nothing to do
}

func (p Program) runGateway(ctx context.Context, s gatewaySettings) error {
	log, err := s.logging.logger(p, "gateway")
	if err != nil {
		return err
	}
	fixed, err := s.fixed()
	if err != nil {
		return err
	}
	table, err := gateway.NewTable(fixed)
	if err != nil {
		return err
	}
	config := s.Config
	config.Log, config.Now = log, p.Now
	g, err := gateway.New(ctx, config, table)
	if err != nil {
		return err
	}
	steering, err := s.steer(p, g, fixed, log)
	if err != nil {
		return errors.Join(err, g.Close())
	}
	p.printf("Gateway: %s\n", g.Addr())
	if addr := g.MetricsAddr(); addr != "" {
		p.printf("Metrics: http://%s/metrics\n", addr)
	}
	if steering == nil {
		return g.Run(ctx)
	}
	return serveSteered(ctx, g, steering)
}

// serveSteered runs both. At the end the gateway still accepts until it is out of Consul: those who come meanwhile are not turned away.
func serveSteered(ctx context.Context, g *gateway.Gateway, steering *control.Control) error {
	group, ctx := errgroup.WithContext(ctx)
	serving, drain := context.WithCancel(context.WithoutCancel(ctx))
	group.Go(func() error { return g.Run(serving) })
	group.Go(func() error {
		defer drain()
		if err := steering.Run(ctx); err != nil {
			return &exitStatus{code: agent.ExitCode(err), cause: err}
		}
		return nil
	})
	return group.Wait() //nolint:wrapcheck // each says what it was doing
}
