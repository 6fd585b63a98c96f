package main

import (
	"context"

	"github.com/spf13/cobra"

	"isthmus/client"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

func (p Program) exportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export [KIND...]",
		Short: "Write manifests that apply back to the same",
		Long: `Write what operators have declared as manifests, which apply back to the same. What isthmus makes by itself is left out:
peerings that a group owns, gateways that an agent discovered, and what is being deleted.`,
		Example: `  isthmus export > fleet.yaml`,
	}
	conn := p.connectionOf(cmd)
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		var words []string
		for _, k := range resource.Kinds() {
			if k.Manifest {
				words = append(words, k.Plural)
			}
		}
		return withPrefix(words, toComplete), cobra.ShellCompDirectiveNoFileComp
	}
	cmd.RunE = conn.run(func(ctx context.Context, c *client.Client, args []string) error {
		kinds, err := exportKinds(args)
		if err != nil {
			return err
		}
		var objects []resource.Object
		for _, kind := range kinds {
			for o, err := range c.List(ctx, kind, client.ListOptions{}) {
				if err != nil {
					return err
				}
				if declared(o) {
					objects = append(objects, o)
				}
			}
		}
		manifests, err := resource.FormatManifests(objects...)
		if err != nil {
			return err
		}
		return p.write(manifests)
	})
	return cmd
}

func exportKinds(args []string) ([]resource.Kind, error) {
	var kinds []resource.Kind
	for _, arg := range args {
		kind, err := kindArgument(arg)
		if err != nil {
			return nil, err
		}
		kinds = append(kinds, kind)
	}
	if len(args) > 0 {
		return kinds, nil
	}
	for _, kind := range resource.Kinds() {
		if kind.Manifest {
			kinds = append(kinds, kind)
		}
	}
	return kinds, nil
}

// declared tells whether an operator wrote it, and still wants it.
func declared(o resource.Object) bool {
	if o.GetDeleteTime() != nil {
		return false
	}
	switch o := o.(type) {
	case *isthmusv1.Peering:
		return o.GetStatus().GetGroup() == ""
	case *isthmusv1.Gateway:
		return o.GetSpec().GetSource() != resource.SourceDiscovered
	}
	return true
}
