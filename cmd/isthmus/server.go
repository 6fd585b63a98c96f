package main

import (
	"context"
	"errors"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"isthmus/fault"
	"isthmus/server"
	"isthmus/server/limit"
	"isthmus/server/session"
)

func (p Program) serverCommand() *cobra.Command {
	var config server.Config
	flags := pflag.NewFlagSet("server", pflag.ContinueOnError)
	serverFlags(flags, &config)
	logging := logFlags(flags)
	flags.String(configFlag, "", "YAML file with settings; the keys are these flags' names in lowerCamelCase")
	documentEnvironment(flags)
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run the control plane",
		Long: `Run the control plane: REST for people and programs, gRPC for agents. Without any settings it works: it keeps its data in an
embedded SQLite database. The first start makes the server's key and CA, and an API token of role admin in admin.token in the data
directory.

Each flag can also be set by an environment variable or in a file; flags go before the environment, that before the file. A
PostgreSQL URL with a password belongs into ISTHMUS_STORE or the file, not on the command line.`,
		Example: `  isthmus server
  isthmus server --config /etc/isthmus/server.yaml
  ISTHMUS_STORE=postgres://isthmus@db/isthmus isthmus server --server-key-file /etc/isthmus/server.key`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().AddFlagSet(flags)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := p.settle(flags); err != nil {
			return err
		}
		log, err := logging.logger(p, "server")
		if err != nil {
			return err
		}
		config.Version, config.Log, config.Now = versionOf(), log, p.Now
		return p.runServer(cmd.Context(), config)
	}
	return cmd
}

func serverFlags(flags *pflag.FlagSet, c *server.Config) {
	flags.StringVar(&c.DataDir, "data-dir", "", "directory of the database, the server key and admin.token (default $XDG_DATA_HOME/isthmus/server)")
	flags.StringVar(&c.Store, "store", "", "PostgreSQL URL, postgres://…; without it, SQLite in the data directory")
	flags.StringVar(&c.ServerKeyFile, "server-key-file", "", "file with the key that opens the store's secrets (default server.key in the data directory)")
	flags.StringVar(&c.HTTPAddr, "http-addr", server.DefaultHTTPAddr, "address of REST")
	flags.StringVar(&c.HTTPCertFile, "http-cert-file", "", "certificate (PEM) of REST; turns TLS on")
	flags.StringVar(&c.HTTPKeyFile, "http-key-file", "", "key (PEM) of that certificate")
	flags.BoolVar(&c.HTTPAllowPlain, "http-allow-plain", false, "listen beyond loopback without TLS, for a proxy in front that has it")
	flags.StringVar(&c.GRPCAddr, "grpc-addr", server.DefaultGRPCAddr, "address of gRPC, for agents; always TLS")
	flags.StringVar(&c.GRPCCertFile, "grpc-cert-file", "", "certificate chain (PEM) of gRPC up to its root; without it, the server's own CA issues one")
	flags.StringVar(&c.GRPCKeyFile, "grpc-key-file", "", "key (PEM) of that certificate")
	flags.StringSliceVar(&c.GRPCHosts, "grpc-hosts", nil, "further names and addresses in the server's own certificate")
	flags.StringVar(&c.GRPCAdvertise, "grpc-advertise", "", "host:port that agents are told to dial (default: where gRPC listens)")
	flags.DurationVar(&c.RenewalWindow, "renewal-window", server.DefaultRenewalWindow, "how long after its end an agent's certificate may still be renewed")
	flags.DurationVar(&c.SessionIdle, "session-idle", session.DefaultIdle, "how long a login in the dashboard lasts that nobody uses; none lasts longer than 12h")
	flags.IntVar(&c.KeepChanges, "keep-changes", 0, "how many changes the watch feed keeps (default 100000)")
	c.Limits = limit.Default()
	for _, f := range c.Limits.Flags() {
		flags.IntVar(f.Value, f.Name, *f.Value, f.Usage+"; -1 for no limit")
	}
}

func (p Program) runServer(ctx context.Context, config server.Config) error {
	if err := config.Validate(); err != nil {
		return err
	}
	s, err := server.New(ctx, config)
	if err != nil {
		return err
	}
	p.printf("REST: %s\ngRPC: %s\n", s.URL(), s.GRPCAddr())
	return errors.Join(s.Run(ctx), s.Close())
}

// logSettings are the flags about logs, which server and agent share.
type logSettings struct {
	level string
	json  bool
}

func logFlags(flags *pflag.FlagSet) *logSettings {
	l := &logSettings{}
	flags.StringVar(&l.level, "log-level", "info", "trace, debug, info, warn or error")
	flags.BoolVar(&l.json, "log-json", false, "write logs as JSON, one object on each line")
	return l
}

// logger writes to Err: Out belongs to what a command was asked for.
func (l *logSettings) logger(p Program, name string) (hclog.Logger, error) {
	level := hclog.LevelFromString(l.level)
	if level == hclog.NoLevel {
		return nil, fault.New(fault.Invalid, "--log-level: %q is not one of trace, debug, info, warn, error", l.level)
	}
	return hclog.New(&hclog.LoggerOptions{Name: name, Level: level, Output: p.Err, JSONFormat: l.json, TimeFormat: "2006-01-02T15:04:05.000Z07:00"}), nil
}
