package main

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/client"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// verdicts of connections, as --verdict takes them.
func verdicts() []string {
	return []string{"healthy", "pending", "stale", "one-sided", "failing", "deleting", "unknown"}
}

// kinds of connections, as --kind takes them.
func connectionKinds() []string { return []string{"peering", "federation"} }

func (p Program) connectionsCommand() *cobra.Command {
	var options client.ConnectionOptions
	cmd := &cobra.Command{
		Use:   "connections",
		Short: "Show which datacenters are really connected, and the evidence",
		Long: `Show of each two datacenters that a Peering or a Federation connects whether they really are: a verdict out of what the agents of both
ends saw, never out of Consul's state alone. BROKEN is the direction in which nothing arrives. -o wide lists the evidence below each
connection; docs/health.md tells what the verdicts and each piece of evidence mean.

Exit codes: 0 all that are shown are healthy or on their way; 2 others are among them; 1 it could not be asked.`,
		Example: `  isthmus connections
  isthmus connections --datacenter dc2 -o wide
  isthmus connections --verdict stale -o json`,
		Args: cobra.NoArgs,
	}
	form := outputFlag(cmd, formTable, formWide, formJSON, formYAML)
	cmd.Flags().StringVar(&options.Datacenter, "datacenter", "", "only those of this datacenter")
	cmd.Flags().StringVar(&options.Kind, "kind", "", "only those of this kind: "+strings.Join(connectionKinds(), " or "))
	cmd.Flags().StringVar(&options.Name, "name", "", "only those of the Peering or Federation of this name")
	cmd.Flags().StringVar(&options.Verdict, "verdict", "", "only those with this verdict: "+strings.Join(verdicts(), ", "))
	conn := p.connectionOf(cmd)
	completeFlag(cmd, "datacenter", conn.completeName(resource.KindDatacenter))
	completeFlag(cmd, "kind", fixed(connectionKinds()))
	completeFlag(cmd, "name", cobra.NoFileCompletions)
	completeFlag(cmd, "verdict", fixed(verdicts()))
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.RunE = conn.run(func(ctx context.Context, c *client.Client, _ []string) error {
		found, err := c.Connections(ctx, options)
		if err != nil {
			return err
		}
		switch form.value {
		case formJSON:
			err = p.printJSON(&isthmusv1.ListConnectionsResponse{Connections: found})
		case formYAML:
			err = printYAML(p, &isthmusv1.ListConnectionsResponse{Connections: found})
		default:
			err = p.connections(found, form.value == formWide)
		}
		if err == nil && slices.ContainsFunc(found, unwell) {
			return &exitStatus{code: exitDegraded}
		}
		return err
	})
	return cmd
}

// fixed completes a flag with one of some words.
func fixed(words []string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// unwell tells whether somebody should look at a connection.
func unwell(c *isthmusv1.Connection) bool {
	return !slices.Contains([]string{"healthy", "pending", "deleting"}, c.GetVerdict())
}

// connections shows a table of them; wide: each with its evidence and what to do.
func (p Program) connections(found []*isthmusv1.Connection, wide bool) error {
	if len(found) == 0 {
		p.note("No two datacenters are connected, of those that were asked for.")
		return nil
	}
	header := []string{"KIND", "NAME", "A", "B", "VERDICT", "FOR", "BROKEN", "REASON"}
	if !wide {
		var rows [][]string
		for _, c := range found {
			rows = append(rows, append(p.connectionRow(c), cmp.Or(c.GetMessage(), "-")))
		}
		return p.table(append(header, "MESSAGE"), rows)
	}
	for i, c := range found {
		if i > 0 {
			p.printf("\n")
		}
		if err := p.table(header, [][]string{p.connectionRow(c)}); err != nil {
			return err
		}
		if c.GetMessage() != "" {
			p.printf("%s\n", c.GetMessage())
		}
		if err := p.describeEvidence(c); err != nil {
			return err
		}
	}
	return nil
}

func (p Program) connectionRow(c *isthmusv1.Connection) []string {
	return []string{c.GetKind(), c.GetName(), c.GetA(), c.GetB(), c.GetVerdict(), p.since(c.GetSince()), dash(c.GetBroken()), dash(c.GetReason())}
}

// since is how long ago something was.
func (p Program) since(t *timestamppb.Timestamp) string {
	if t == nil {
		return "-"
	}
	return max(p.Now().Sub(t.AsTime()), 0).Round(time.Second).String()
}
