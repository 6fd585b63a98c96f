package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"isthmus/client"
	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

func (p Program) joinTokenCommand() *cobra.Command {
	return group("join-token", "Tokens with which agents enrol",
		p.joinTokenCreateCommand(), p.joinTokenInspectCommand(), p.listCommand("Show join tokens, never their secrets", resource.KindJoinToken))
}

// joinTokenCreator is isthmus join-token create.
type joinTokenCreator struct {
	program  Program
	options  client.JoinTokenOptions
	unsigned bool
	out      string
	kind     *choice
	fleetKey *fleetKeyFlag
}

func (p Program) joinTokenCreateCommand() *cobra.Command {
	j := joinTokenCreator{program: p}
	cmd := &cobra.Command{
		Use:   "create --datacenter NAME",
		Short: "Make a join token and print it alone on standard output",
		Long: `Make a join token for an agent of a datacenter and print it alone on standard output.

It is minted here, with the fleet key; the server learns its public half only, so that not even a hostile server can make agents
trust a key. With --without-fleet-key the server mints it: what enrols with it gets no secret of any other agent until
isthmus agent approve, with the fleet key.`,
		Example: `  isthmus join-token create --datacenter dc1 --out dc1.token`,
		Args:    cobra.NoArgs,
	}
	cmd.Flags().StringVar(&j.options.Datacenter, "datacenter", "", "the datacenter that the agent is for")
	cmd.Flags().DurationVar(&j.options.TTL, "ttl", 15*time.Minute, "how long it is good for")
	cmd.Flags().Int32Var(&j.options.Uses, "uses", 1, "how many agents may enrol with it")
	j.kind = choiceFlag(cmd, "kind", "", "what enrols with it", resource.AgentKindAgent, resource.AgentKindGateway)
	cmd.Flags().StringVar(&j.options.Address, "grpc-address", "", "host:port at which the agent reaches the server (default: what the server says)")
	cmd.Flags().BoolVar(&j.unsigned, "without-fleet-key", false, "let the server mint it; the agent has to be approved later")
	cmd.Flags().StringVar(&j.out, "out", "", "write the token into this new file, which only you can read, instead of printing it")
	required(cmd, "datacenter")
	j.fleetKey = p.fleetKeyFlag(cmd)
	conn := p.connectionOf(cmd)
	completeFlag(cmd, "datacenter", conn.completeName(resource.KindDatacenter))
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.RunE = conn.run(j.run)
	return cmd
}

func (j *joinTokenCreator) run(ctx context.Context, c *client.Client, _ []string) (err error) {
	j.options.Kind = j.kind.value
	if j.unsigned && j.options.Address != "" {
		return fault.New(fault.Invalid, "--grpc-address and --without-fleet-key exclude each other: a server that mints names itself")
	}
	sink, err := j.program.openSecretSink(j.out)
	if err != nil {
		return err
	}
	token, err := j.mint(ctx, c)
	if err != nil {
		sink.abandon()
		return err
	}
	return sink.give(token)
}

func (j *joinTokenCreator) mint(ctx context.Context, c *client.Client) (string, error) {
	if !j.unsigned {
		fleet, err := j.fleetKey.load()
		if err != nil {
			return "", err
		}
		return c.CreateJoinToken(ctx, fleet, j.options, j.program.Now())
	}
	answer, err := c.MintJoinToken(ctx, &isthmusv1.MintJoinTokenRequest{
		Datacenter: j.options.Datacenter, Kind: j.options.Kind, Ttl: j.options.TTL.String(), Uses: j.options.Uses,
	})
	if err != nil {
		return "", err
	}
	j.program.note("The agent that enrols with it gets no secrets until: isthmus agent approve NAME --fingerprint …")
	return answer.GetToken(), nil
}

func (p Program) joinTokenInspectCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inspect [FILE]",
		Short: "Show what a join token is good for, all but its secret",
		Long: `Show what a join token is good for, all but its secret. It is read from a file, from standard input (-), or from
ISTHMUS_JOIN_TOKEN. Whether it was used is asked of the server, when there is an API token to ask with.`,
		Args: cobra.MaximumNArgs(1),
	}
	conn := p.connectionOf(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		secret, err := p.joinTokenFrom(args)
		if err != nil {
			return err
		}
		token, err := identity.ParseJoinToken(secret)
		if err != nil {
			return err
		}
		return p.showJoinToken(cmd.Context(), conn, token)
	}
	return cmd
}

func (p Program) joinTokenFrom(args []string) (string, error) {
	if len(args) > 0 {
		return readSecretFile(args[0], p, "the join token")
	}
	if secret, ok := p.Env("ISTHMUS_JOIN_TOKEN"); ok && secret != "" {
		return strings.TrimSpace(secret), nil
	}
	return readSecretFile("-", p, "the join token")
}

func (p Program) showJoinToken(ctx context.Context, conn *connection, token *identity.JoinToken) error {
	grant := token.Grant
	trust := "none: minted without a fleet key, the agent has to be approved"
	if len(grant.GetSignature()) > 0 {
		trust = "minted with fleet key " + identity.KeyID(grant.GetFleetKey())
	}
	expires := p.when(grant.GetExpireTime())
	if p.Now().After(grant.GetExpireTime().AsTime()) {
		expires += ": EXPIRED"
	}
	for _, row := range [][2]string{
		{"Name", grant.GetName()},
		{"Kind", grant.GetKind()},
		{"Datacenter", grant.GetDatacenter()},
		{"Expires", expires},
		{"Uses", fmt.Sprint(grant.GetMaxUses())},
		{"Trust", trust},
		{"Server", token.Address},
		{"Server CA", token.CAFingerprint},
		{"State", p.joinTokenState(ctx, conn, grant.GetName())},
	} {
		p.printf("%-12s %s\n", row[0]+":", row[1])
	}
	return nil
}

// joinTokenState is what the server knows of a token; a server that cannot be asked is no error here.
func (p Program) joinTokenState(ctx context.Context, conn *connection, name string) string {
	c, err := conn.client()
	if err != nil {
		return "not known: " + err.Error()
	}
	registered, err := client.Lookup[*isthmusv1.JoinToken](ctx, c, name)
	if err == nil {
		status := registered.GetStatus()
		return fmt.Sprintf("%s, used %d of %d times", status.GetState(), status.GetUses(), registered.GetSpec().GetGrant().GetMaxUses())
	}
	if fault.CodeOf(err) == fault.NotFound {
		return "the server at " + c.Address() + " does not know it"
	}
	if fault.CodeOf(err) == fault.Unauthenticated {
		return "not known: no API token to ask the server with"
	}
	return "not known: " + err.Error()
}
