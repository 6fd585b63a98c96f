package main

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"isthmus/agent"
	"isthmus/agent/consul"
	"isthmus/client"
	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// agentSettings is what isthmus agent can be told.
type agentSettings struct {
	agent.Config
	joinTokenFile string
	consulServers []string
	logging       *logSettings
}

func (p Program) agentCommand() *cobra.Command {
	var s agentSettings
	flags := pflag.NewFlagSet("agent", pflag.ContinueOnError)
	s.flags(flags)
	documentEnvironment(flags)
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run the agent of a datacenter, or see to agents",
		Long: `Run the agent of one datacenter: it pulls what its datacenter shall be and makes the local Consul match it. It only dials out.

The first start enrols with a join token (isthmus join-token create) and keeps keys and certificate in the data directory. Consul
is found as Consul's own tools find it: CONSUL_HTTP_ADDR, CONSUL_HTTP_TOKEN or CONSUL_HTTP_TOKEN_FILE, CONSUL_CACERT, …; isthmus
agent policy prints the rights that the token needs.

Exit codes: 10 wrong datacenter, 11 join token expired, 12 used up, 13 not valid, 14 server unreachable, 15 server not trusted,
16 agent deleted, 17 away for too long, 1 anything else.`,
		Example: `  isthmus agent --data-dir /var/lib/isthmus-agent --join-token-file dc1.token`,
		Args:    noArgument,
	}
	cmd.Flags().AddFlagSet(flags)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := p.settle(flags); err != nil {
			return err
		}
		return p.runAgent(cmd.Context(), s)
	}
	cmd.AddCommand(p.agentPolicyCommand(), p.listCommand("Show agents", resource.KindAgent), p.agentApproveCommand())
	return cmd
}

func (s *agentSettings) flags(flags *pflag.FlagSet) {
	s.reachFlags(flags)
	flags.StringVar(&s.joinTokenFile, "join-token-file", "", "file with the join token, needed only to enrol; the token itself can be in $ISTHMUS_JOIN_TOKEN")
	flags.StringVar(&s.FleetKey, "fleet-id", "", "the fleet (SHA256:…, see isthmus fleet show) that this agent shall belong to (default: the join token's)")
	flags.DurationVar(&s.EnrolTimeout, "enrol-timeout", 0, "give up when no server answers within this time (5m); 0: never")
	flags.StringVar(&s.Host, "host", "", "name of this machine in reports (default: its host name)")
	flags.BoolVar(&s.AllowAdopt, "allow-adopt", false, "let isthmus take over what somebody else wrote into Consul's config entries, when a policy asks for that (isthmus adopt) and it says the same; from then on the control plane may change it")
	s.federationFlags(flags)
	s.kubernetesFlags(flags)
	s.logging = logFlags(flags)
	flags.String(configFlag, "", "YAML file with settings; the keys are these flags' names in lowerCamelCase")
}

// reachFlags are those that say who the agent is, and how it reaches others.
func (s *agentSettings) reachFlags(flags *pflag.FlagSet) {
	flags.StringVar(&s.DataDir, "data-dir", "", "directory of the agent's keys, certificate and last desired state (default isthmus/agent below $XDG_DATA_HOME or ~/.local/share)")
	flags.StringVar(&s.ServerAddress, "server-address", "", "host:port of the server's gRPC API, in place of the one in the join token")
	flags.StringSliceVar(&s.consulServers, "consul-servers", nil, "addresses of Consul's servers, to find the leader (default: those in the catalog)")
}

// federationFlags are what this host allows for a federation, beyond Consul's API.
func (s *agentSettings) federationFlags(flags *pflag.FlagSet) {
	f := &s.Federation
	flags.Var(primariesFlag{&f.AllowJoin}, flagAllowJoin, "let this datacenter join the federation of this `primary`, and leave it: joining replaces its ACLs and config entries by the primary's; may be repeated; "+
		"without a value: of any primary of the fleet, which leaves it to the control plane which one")
	flags.Lookup(flagAllowJoin).NoOptDefVal = agent.AnyPrimary
	flags.StringVar(&f.ConfigDir, "consul-config-dir", "", "directory that this host's Consul server reads its configuration from (-config-dir): what a federation gives is written there")
	flags.StringVar(&f.ReloadCommand, "consul-reload-command", "", "shell command that has Consul read its certificates again, such as systemctl reload consul (default: the restart command)")
	flags.StringVar(&f.RestartCommand, "consul-restart-command", "", "shell command that restarts Consul, or starts it, such as systemctl restart consul; without it the agent says when a restart is required")
	flags.StringVar(&f.GatewayTokenFile, "gateway-token-file", "", "file for the Consul token that a federation gives the mesh gateway on this host")
	flags.StringVar(&f.CACertFile, "consul-ca-cert", "", "CA certificate (PEM) of the Consul servers' certificates; the primary's agent needs it (default for others: the file that Consul names)")
	flags.StringVar(&f.CAKeyFile, "consul-ca-key", "", "key (PEM) of that CA; the primary's agent needs it")
	flags.StringSliceVar(&f.AllowedRecipients, "allow-bundle-recipient", nil, "age recipient (age1…) to whom this primary's agent may seal a bundle although the fleet key has not signed that; may be repeated")
}

// kubernetesFlags say which cluster's Consul the agent looks after.
func (s *agentSettings) kubernetesFlags(flags *pflag.FlagSet) {
	k := &s.Federation.Kubernetes
	flags.StringVar(&k.Kubeconfig, "kubeconfig", "", "Consul runs in the Kubernetes cluster of this file: what a federation gives goes into Secrets there")
	flags.BoolVar(&k.InCluster, "in-cluster", false, "Consul runs in the Kubernetes cluster that this agent runs in")
	flags.StringVar(&k.Namespace, "kubernetes-namespace", "", "namespace of Consul (default consul)")
	flags.StringVar(&k.SecretName, "federation-secret", "", "name of the federation Secret (default consul-federation)")
	flags.StringVar(&k.ServerCertSecret, "server-cert-secret", "", "name of the Secret for the servers' certificate in a keyless federation, as in the Helm value server.serverCert.secretName (default consul-federation-server)")
	flags.StringVar(&k.CACertSecret, "ca-cert-secret", "", "name of the Secret with the CA certificate of a primary (default consul-ca-cert)")
	flags.StringVar(&k.CAKeySecret, "ca-key-secret", "", "name of the Secret with the CA key of a primary (default consul-ca-key)")
	flags.BoolVar(&k.AllowRollout, "allow-rollout", false, "let the agent roll the StatefulSet of the servers when they have to be restarted")
	flags.StringVar(&k.StatefulSet, "stateful-set", "", "name of that StatefulSet (default consul-server)")
}

// config is what the agent package needs, Consul's own environment variables included.
func (s *agentSettings) config(p Program, log hclog.Logger) (agent.Config, error) {
	c := s.Config
	var err error
	if c.DataDir == "" {
		if c.DataDir, err = p.dataDir("agent"); err != nil {
			return c, err
		}
	}
	if c.Consul, err = consul.FromEnv(p.Env); err != nil {
		return c, err
	}
	c.Consul.Servers = s.consulServers
	c.Version, c.Log, c.Now = versionOf(), log, p.Now
	return c, nil
}

func (p Program) runAgent(ctx context.Context, s agentSettings) error {
	log, err := s.logging.logger(p, "agent")
	if err != nil {
		return err
	}
	config, err := s.config(p, log)
	if err != nil {
		return err
	}
	if config.JoinToken, err = p.joinToken(s.joinTokenFile, log); err != nil {
		return err
	}
	a, err := agent.New(config)
	if err != nil {
		return err
	}
	if err := a.Run(ctx); err != nil {
		return &exitStatus{code: agent.ExitCode(err), cause: err}
	}
	return nil
}

// joinToken is what is in the file, or without one in the environment. One that has enrolled needs it no more, and the file may be gone.
func (p Program) joinToken(file string, log hclog.Logger) (string, error) {
	if file == "" {
		token, _ := p.Env("ISTHMUS_JOIN_TOKEN")
		return token, nil
	}
	token, err := readSecretFile(file, p, "the join token")
	if errors.Is(err, fs.ErrNotExist) {
		log.Debug("there is no join token", "file", file)
		return "", nil
	}
	return token, err
}

// dataDir is where a command keeps data when nobody said otherwise.
func (p Program) dataDir(name string) (string, error) {
	base, _ := p.Env("XDG_DATA_HOME")
	if base == "" {
		home, _ := p.Env("HOME")
		if home == "" {
			return "", fault.New(fault.Invalid, "there is no home directory to keep data in: set --data-dir")
		}
		base = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(base, "isthmus", name), nil
}

func (p Program) agentPolicyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "policy",
		Short:   "Print the Consul ACL rules that an agent needs, and no more",
		Example: `  isthmus agent policy --for peering | consul acl policy create -name isthmus-agent -rules -`,
		Args:    cobra.NoArgs,
	}
	purpose := choiceFlag(cmd, "for", "", "what the agent (or the gateway) shall do", agent.Purposes()...)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.RunE = func(*cobra.Command, []string) error {
		rules, err := agent.Policy(purpose.value)
		if err != nil {
			return err
		}
		return p.write([]byte(rules))
	}
	return cmd
}

func (p Program) agentApproveCommand() *cobra.Command {
	var fingerprint string
	cmd := &cobra.Command{
		Use:   "approve NAME --fingerprint SHA256:…",
		Short: "Trust an agent whose join token was minted without the fleet key",
		Long: `Trust an agent whose join token was minted without the fleet key: sign its keys with the fleet key. The fingerprint has to be the
one that the agent itself logs on its host; what the server shows may be another agent's.`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&fingerprint, "fingerprint", "", "fingerprint of the agent's keys, as the agent logs it on its host")
	required(cmd, "fingerprint")
	key := p.fleetKeyFlag(cmd)
	conn := p.connectionOf(cmd)
	cmd.ValidArgsFunction = conn.completeName(resource.KindAgent)
	cmd.RunE = conn.run(func(ctx context.Context, c *client.Client, args []string) error {
		fleet, err := key.load()
		if err != nil {
			return err
		}
		a, err := client.Lookup[*isthmusv1.Agent](ctx, c, args[0])
		if err != nil {
			return err
		}
		attestation := a.GetSpec().GetAttestation()
		if got := identity.Fingerprint(attestation); got != fingerprint {
			return fault.New(fault.Refused, "the server shows other keys for agent %s: their fingerprint is %s. Do not approve it unless the agent itself logs this one", args[0], got)
		}
		if attestation.GetAgent() != args[0] {
			return fault.New(fault.Refused, "the server shows the keys of agent %s for agent %s", attestation.GetAgent(), args[0])
		}
		approval, err := identity.Approve(fleet, attestation, p.Now())
		if err != nil {
			return err
		}
		if _, err := c.ApproveAgent(ctx, args[0], approval); err != nil {
			return err
		}
		p.printf("Agent %s of datacenter %s approved\n", args[0], attestation.GetGrant().GetDatacenter())
		return nil
	})
	return cmd
}
