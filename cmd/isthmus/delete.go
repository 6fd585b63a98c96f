package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"isthmus/client"
	"isthmus/fault"
	"isthmus/resource"
)

func (p Program) deleteCommand() *cobra.Command {
	d := deleter{program: p}
	cmd := &cobra.Command{
		Use:   "delete KIND NAME... | -f FILE",
		Short: "Delete resources",
		Long: `Delete resources by name, or those that manifests name.

A peering goes after both of its ends are gone from Consul; until then it is "deleting". With --force it goes at once, and an
end that cannot be reached stays behind as an orphan.`,
		Example: `  isthmus delete peering dc1-dc2 --wait 1m
  isthmus delete -f fleet.yaml`,
	}
	cmd.Flags().StringArrayVarP(&d.files, "filename", "f", nil, "file or directory with manifests, or - for standard input; may be repeated")
	cmd.Flags().BoolVar(&d.force, "force", false, "although a limit or a silent datacenter stands against it")
	cmd.Flags().DurationVar(&d.wait, "wait", 0, "wait so long until they are gone (2m); exit code 1 when they are not")
	conn := p.connectionOf(cmd)
	cmd.ValidArgsFunction = conn.completeKindAndName(resource.Kinds())
	cmd.RunE = conn.run(d.run)
	return cmd
}

// deleter is isthmus delete.
type deleter struct {
	program Program
	files   []string
	force   bool
	wait    time.Duration
}

func (d *deleter) run(ctx context.Context, c *client.Client, args []string) error {
	targets, err := d.targets(args)
	if err != nil {
		return err
	}
	var left []client.Target
	for _, t := range targets {
		outcome, err := c.Delete(ctx, t.Kind, t.Name, client.DeleteOptions{Force: d.force})
		if fault.CodeOf(err) == fault.NotFound && len(d.files) > 0 {
			d.program.printf("%s %s is not there\n", t.Kind.Name, t.Name)
			continue
		}
		if err != nil {
			return err
		}
		d.program.printf("%s %s %s\n", t.Kind.Name, t.Name, outcome)
		if outcome != client.Deleted {
			t.Gone = true
			left = append(left, t)
		}
	}
	if d.wait == 0 || len(left) == 0 {
		return nil
	}
	return d.program.await(ctx, c, left, d.wait)
}

// targets are what to delete, what refers to others first.
func (d *deleter) targets(args []string) ([]client.Target, error) {
	switch {
	case len(d.files) > 0 && len(args) > 0:
		return nil, fault.New(fault.Invalid, "names and --filename exclude each other")
	case len(d.files) == 0 && len(args) < 2:
		return nil, fault.New(fault.Invalid, "expected a kind and a name, or --filename")
	case len(d.files) == 0:
		kind, err := kindArgument(args[0])
		if err != nil {
			return nil, err
		}
		var targets []client.Target
		for _, name := range args[1:] {
			targets = append(targets, client.Target{Kind: kind, Name: name})
		}
		return targets, nil
	}
	set, err := readManifests(d.program, d.files)
	if err != nil {
		return nil, err
	}
	var targets []client.Target
	for _, m := range set.manifests {
		targets = append(targets, client.Target{Kind: resource.KindOf(m.Object), Name: m.Object.GetName()})
	}
	order := map[string]int{}
	for i, k := range resource.Kinds() {
		order[k.Name] = i
	}
	slices.SortStableFunc(targets, func(a, b client.Target) int { return order[b.Kind.Name] - order[a.Kind.Name] })
	return targets, nil
}
