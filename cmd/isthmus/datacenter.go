package main

import (
	"context"

	"github.com/spf13/cobra"

	"isthmus/client"
	"isthmus/resource"
)

func (p Program) datacenterCommand() *cobra.Command {
	return group("datacenter", "Things to do to a datacenter", p.datacenterConfirmCommand(), p.datacenterRemoveCommand())
}

func (p Program) datacenterConfirmCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "confirm NAME",
		Short: "Let a datacenter's agents remove what a restored store no longer wants",
		Long: `After the store was restored from a backup (isthmus store restored), agents hold removals back, because what is missing in
the backup may be missing by accident. Confirm once isthmus get shows
what should be there.`,
		Args: cobra.ExactArgs(1),
	}
	conn := p.connectionOf(cmd)
	cmd.ValidArgsFunction = conn.completeName(resource.KindDatacenter)
	cmd.RunE = conn.run(func(ctx context.Context, c *client.Client, args []string) error {
		if _, err := c.ConfirmDatacenter(ctx, args[0]); err != nil {
			return err
		}
		p.printf("Datacenter %s confirmed\n", args[0])
		return nil
	})
	return cmd
}
