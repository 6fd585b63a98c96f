package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"isthmus/fault"
	"isthmus/gateway"
)

// gatewaySettings is what isthmus gateway can be told.
type gatewaySettings struct {
	gateway.Config
	bootstrap, routes []string
	domain            string
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

A bootstrap route leads to another datacenter's servers, server.DATACENTER.DOMAIN and all names below it, through that datacenter's
gateways. With it, and primary_gateways set to this gateway's own address, Consul's servers need no way out of their network. A
route is for one name, or for all names below one (*.NAME). Of several routes the most exact one counts; all its addresses are
tried, in their order, those that failed lately last. Both flags can be repeated.

SIGTERM makes it accept no more and wait for what is open.`,
		Example: `  isthmus gateway --bootstrap-route dc1=gw.dc1.example.com:8443
  isthmus gateway --route server.dc2.consul=10.0.0.10:8300 --route '*.server.dc2.consul=10.0.0.10:8300,10.0.0.11:8300'`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().AddFlagSet(flags)
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
	s.logging = logFlags(flags)
	flags.String(configFlag, "", "YAML file with settings; the keys are these flags' names in lowerCamelCase")
}

// table is what the flags say about routes.
func (s *gatewaySettings) table() (*gateway.Table, error) {
	routes, err := gateway.ParseRoutes(s.routes)
	if err != nil {
		return nil, err
	}
	bootstrap, err := gateway.ParseBootstrapRoutes(s.bootstrap, s.domain)
	if err != nil {
		return nil, err
	}
	if len(routes)+len(bootstrap) == 0 {
		return nil, fault.New(fault.Invalid, "a gateway without routes passes nothing on: set --route or --bootstrap-route")
	}
	return gateway.NewTable(routes, bootstrap)
}

func (p Program) runGateway(ctx context.Context, s gatewaySettings) error {
	log, err := s.logging.logger(p, "gateway")
	if err != nil {
		return err
	}
	table, err := s.table()
	if err != nil {
		return err
	}
	config := s.Config
	config.Log, config.Now = log, p.Now
	g, err := gateway.New(ctx, config, table)
	if err != nil {
		return err
	}
	p.printf("Gateway: %s\n", g.Addr())
	if addr := g.MetricsAddr(); addr != "" {
		p.printf("Metrics: http://%s/metrics\n", addr)
	}
	return g.Run(ctx)
}
