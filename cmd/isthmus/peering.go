package main

import (
	"context"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"isthmus/agent"
	"isthmus/client"
	"isthmus/fault"
	"isthmus/identity"
	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/seal"
)

// importTTL is how long an imported peering token waits for an agent that is away. Consul's own do not expire.
const importTTL = 24 * time.Hour

func (p Program) peeringCommand() *cobra.Command {
	return group("peering", "Peerings, and what to do to them",
		p.listCommand("Show peerings with their verdicts", resource.KindPeering),
		p.peeringRotateCommand(), p.peeringHealCommand(), p.peeringTokenCommand(), p.peeringImportCommand())
}

func (p Program) peeringRotateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate NAME",
		Short: "Renew a peering's secret while it stays up",
		Args:  cobra.ExactArgs(1),
	}
	conn := p.connectionOf(cmd)
	cmd.ValidArgsFunction = conn.completeName(resource.KindPeering)
	cmd.RunE = conn.run(func(ctx context.Context, c *client.Client, args []string) error {
		if _, err := c.RotatePeering(ctx, args[0]); err != nil {
			return err
		}
		p.printf("Peering %s: a new token is asked for\n", args[0])
		return nil
	})
	return cmd
}

func (p Program) peeringHealCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "heal NAME",
		Short: "Take the next step of healing a peering whose stream hangs",
		Long: `Take the next step of healing a peering whose stream hangs, whatever spec.heal says: re-establish it with a fresh token, and when that
did not help transfer the leadership of the dialer's Consul servers, for which the dialer's agent needs the rules of isthmus agent policy
--for heal. It is refused when something else is wrong: no stream hangs, an agent does not see its Consul, no address can be dialled.
isthmus describe peering NAME tells what came of it.`,
		Args: cobra.ExactArgs(1),
	}
	conn := p.connectionOf(cmd)
	cmd.ValidArgsFunction = conn.completeName(resource.KindPeering)
	cmd.RunE = conn.run(func(ctx context.Context, c *client.Client, args []string) error {
		if _, err := c.HealPeering(ctx, args[0]); err != nil {
			return err
		}
		p.printf("Peering %s: the next step of healing is asked for\n", args[0])
		return nil
	})
	return cmd
}

func (p Program) peeringTokenCommand() *cobra.Command {
	var (
		settings agentSettings
		request  agent.TokenRequest
		out      string
	)
	flags := pflag.NewFlagSet("peering token", pflag.ContinueOnError)
	settings.reachFlags(flags)
	documentEnvironment(flags)
	cmd := &cobra.Command{
		Use:   "token NAME --recipient age1… | --plain",
		Short: "Make the peering token for an external dialer, on the acceptor agent's host",
		Long: `Make the peering token of a peering with an externalDialer, for the other operator. This runs on the host of the acceptor's agent,
with that agent's data directory and Consul settings: the server never gets the token, but the audit log tells that it was made,
and for whom. With --recipient it is encrypted to the other operator's age key; with --plain whoever reads it can use it.`,
		Example: `  isthmus peering token dc1-acme --recipient age1… --data-dir /var/lib/isthmus-agent --out acme.token.age`,
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&request.Recipient, "recipient", "", "age recipient (age1…) of the other operator")
	cmd.Flags().BoolVar(&request.Plain, "plain", false, "do not encrypt the token")
	cmd.Flags().StringVar(&out, "out", "", "write the token into this new file, which only you can read, instead of printing it")
	cmd.Flags().AddFlagSet(flags)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := p.settle(flags); err != nil {
			return err
		}
		config, err := settings.config(p, hclog.NewNullLogger())
		if err != nil {
			return err
		}
		sink, err := p.openSecretSink(out)
		if err != nil {
			return err
		}
		request.Peering = args[0]
		token, err := agent.ExternalToken(cmd.Context(), config, request)
		if err != nil {
			sink.abandon()
			return err
		}
		return sink.give(token)
	}
	return cmd
}

func (p Program) peeringImportCommand() *cobra.Command {
	var tokenFile string
	cmd := &cobra.Command{
		Use:   "import NAME --token-file FILE|-",
		Short: "Bring in the peering token of an external acceptor",
		Long: `Bring in the peering token that another operator's Consul made, for a peering with an externalAcceptor. The token is sealed here
to the dialer's agents, whose keys are checked up to the fleet key; the server sees ciphertext only.`,
		Example: `  isthmus peering import acme-dc1 --token-file acme.token`,
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&tokenFile, "token-file", "", "file with the peering token, or - for standard input (the API token: $ISTHMUS_TOKEN_FILE)")
	required(cmd, "token-file")
	key := p.fleetKeyFlag(cmd)
	// --token-file is the peering token here, so the API token comes from the environment only.
	conn := p.connectionOf(cmd)
	cmd.ValidArgsFunction = conn.completeName(resource.KindPeering)
	cmd.RunE = conn.run(func(ctx context.Context, c *client.Client, args []string) error {
		fleet, err := key.load()
		if err != nil {
			return err
		}
		token, err := readSecretFile(tokenFile, p, "the peering token")
		if err != nil {
			return err
		}
		if err := peering.CheckConsulToken(token); err != nil {
			return err
		}
		target, err := client.Lookup[*isthmusv1.Peering](ctx, c, args[0])
		if err != nil {
			return err
		}
		payload, agents, err := p.sealImport(ctx, c, fleet, target, token)
		if err != nil {
			return err
		}
		if _, err := c.ImportPeering(ctx, args[0], payload); err != nil {
			return err
		}
		p.printf("Peering %s: token imported, sealed to %d agents of %s\n", args[0], agents, target.GetSpec().GetDialer())
		return nil
	})
	return cmd
}

// sealImport seals a peering token to those of the dialer's agents that the fleet key vouches for. The server is not
// believed about any key.
func (p Program) sealImport(ctx context.Context, c *client.Client, fleet *identity.FleetKey, target *isthmusv1.Peering, token string) (*isthmusv1.SealedPayload, int, error) {
	spec := target.GetSpec()
	if spec.GetExternalAcceptor() == "" {
		return nil, 0, fault.New(fault.Refused, "peering %s has the acceptor %s, whose agent makes the tokens: there is nothing to import", target.GetName(), spec.GetAcceptor())
	}
	agents, err := client.AllOf[*isthmusv1.Agent](ctx, c)
	if err != nil {
		return nil, 0, err
	}
	var recipients []string
	for _, a := range agents {
		trusted := &isthmusv1.TrustedAgent{Attestation: a.GetSpec().GetAttestation(), Approval: a.GetSpec().GetApproval()}
		grant := trusted.GetAttestation().GetGrant()
		if grant.GetDatacenter() != spec.GetDialer() || grant.GetKind() != resource.AgentKindAgent {
			continue
		}
		if err := identity.VerifyTrusted(trusted, fleet.Public()); err != nil {
			p.note("Not sealed to agent %s: %s", a.GetName(), explain(err))
			continue
		}
		recipients = append(recipients, trusted.GetAttestation().GetAgeRecipient())
	}
	slices.Sort(recipients)
	recipients = slices.Compact(recipients)
	payload, err := seal.Seal(seal.Draft{
		Kind: seal.KindPeeringToken, UID: target.GetUid(), From: seal.Operator,
		FromDatacenter: spec.GetExternalAcceptor(), ToDatacenter: spec.GetDialer(),
		Generation: peering.ImportGeneration(target.GetStatus().GetToken()), Attempt: 1, TTL: importTTL,
	}, fleet.Signer(), recipients, []byte(token), p.Now())
	return payload, len(recipients), err
}
