package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/client"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

func (p Program) apiTokenCommand() *cobra.Command {
	return group("api-token", "Tokens with which people and programs use the API",
		p.apiTokenCreateCommand(), p.listCommand("Show API tokens, never their secrets", resource.KindAPIToken), p.apiTokenRevokeCommand())
}

func (p Program) apiTokenCreateCommand() *cobra.Command {
	var (
		ttl         time.Duration
		description string
		out         string
	)
	cmd := &cobra.Command{
		Use:   "create [NAME]",
		Short: "Make an API token and print its secret, once",
		Long: `Make an API token and print its secret alone on standard output. The server keeps a hash of it only: it cannot be shown
again. A token without a name gets a random one.`,
		Example: `  isthmus api-token create grafana --role viewer --ttl 720h --out grafana.token`,
		Args:    cobra.MaximumNArgs(1),
	}
	role := choiceFlag(cmd, "role", "", "what it may do: viewer reads, operator also writes, admin also handles tokens",
		resource.RoleViewer, resource.RoleOperator, resource.RoleAdmin)
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "how long it is good for (720h); 0: until it is revoked")
	cmd.Flags().StringVar(&description, "description", "", "what it is for")
	cmd.Flags().StringVar(&out, "out", "", "write the secret into this new file, which only you can read, instead of printing it")
	conn := p.connectionOf(cmd)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.RunE = conn.run(func(ctx context.Context, c *client.Client, args []string) error {
		token := &isthmusv1.APIToken{Spec: &isthmusv1.APITokenSpec{Role: role.value, Description: description}}
		if len(args) > 0 {
			token.Name = args[0]
		}
		if ttl > 0 {
			token.Spec.ExpireTime = timestamppb.New(p.Now().Add(ttl))
		}
		sink, err := p.openSecretSink(out)
		if err != nil {
			return err
		}
		answer, err := c.CreateAPIToken(ctx, token)
		if err != nil {
			sink.abandon()
			return err
		}
		p.note("API token %s, role %s.", answer.GetApiToken().GetName(), answer.GetApiToken().GetSpec().GetRole())
		return sink.give(answer.GetSecret())
	})
	return cmd
}

func (p Program) apiTokenRevokeCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "revoke NAME", Short: "Refuse an API token from now on", Args: cobra.ExactArgs(1)}
	conn := p.connectionOf(cmd)
	cmd.ValidArgsFunction = conn.completeName(resource.KindAPIToken)
	cmd.RunE = conn.run(func(ctx context.Context, c *client.Client, args []string) error {
		kind, err := kindArgument(resource.KindAPIToken)
		if err != nil {
			return err
		}
		if _, err := c.Delete(ctx, kind, args[0], client.DeleteOptions{}); err != nil {
			return err
		}
		p.printf("APIToken %s revoked\n", args[0])
		return nil
	})
	return cmd
}

// listCommand is isthmus get for one kind, under the command that people look for it.
func (p Program) listCommand(short, kindName string) *cobra.Command {
	g := getter{program: p}
	cmd := &cobra.Command{Use: "list", Short: short, Args: cobra.NoArgs}
	g.form = outputFlag(cmd, formTable, formWide, formJSON, formYAML)
	cmd.Flags().StringVarP(&g.selector, "selector", "l", "", "only what has these labels: env=prod,region in (eu,us),!old")
	cmd.Flags().BoolVarP(&g.watch, "watch", "w", false, "go on and show what changes")
	conn := p.connectionOf(cmd)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.RunE = conn.run(func(ctx context.Context, c *client.Client, _ []string) error {
		return g.run(ctx, c, []string{kindName})
	})
	return cmd
}
