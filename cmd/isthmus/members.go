package main

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"isthmus/client"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

func (p Program) membersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "members",
		Short: "Show the servers of WAN federations as all datacenters see them",
		Long: `Show the servers in the WAN gossip, as consul members -wan does, but merged from all datacenters: the last column tells who sees what
where they disagree. Datacenters whose view is missing are named on standard error. That a server is alive in the gossip does not
prove that it can be called: isthmus reachability and isthmus status do.`,
		Example: `  isthmus members
  isthmus members --federation global -o json`,
		Args: cobra.NoArgs,
	}
	federation, form, conn := p.federationView(cmd, formTable, formJSON, formYAML)
	cmd.RunE = conn.run(func(ctx context.Context, c *client.Client, _ []string) error {
		answer, err := c.Members(ctx, *federation)
		if err != nil {
			return err
		}
		switch form.value {
		case formJSON:
			return p.printJSON(answer)
		case formYAML:
			return printYAML(p, answer)
		}
		return p.memberTable(answer)
	})
	return cmd
}

// federationView adds the flags of a command that shows one federation, or all.
func (p Program) federationView(cmd *cobra.Command, forms ...string) (federation *string, form *choice, conn *connection) {
	federation = cmd.Flags().String("federation", "", "only this federation (default: all)")
	form = outputFlag(cmd, forms...)
	conn = p.connectionOf(cmd)
	completeFlag(cmd, "federation", conn.completeName(resource.KindFederation))
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return federation, form, conn
}

func (p Program) memberTable(answer *isthmusv1.ListMembersResponse) error {
	for _, gap := range answer.GetGaps() {
		p.note("Not known how %s sees it: %s", gap.GetDatacenter(), gap.GetMessage())
	}
	list := answer.GetMembers()
	if len(list) == 0 {
		p.note("No servers: no datacenter of a federation has told of its WAN gossip yet.")
		return nil
	}
	several := slices.ContainsFunc(list, func(m *isthmusv1.MergedMember) bool { return m.GetFederation() != list[0].GetFederation() })
	header := []string{"Node", "Address", "Status", "Type", "Build", "Protocol", "DC", "Seen by"}
	if several {
		header = append(header, "Federation")
	}
	var rows [][]string
	for _, merged := range list {
		m := merged.GetMember()
		row := []string{
			m.GetNode(), cmp.Or(m.GetAddress(), "-"), m.GetStatus(), "server", cmp.Or(m.GetBuild(), "-"), cmp.Or(m.GetProtocol(), "-"),
			m.GetDatacenter(), seenBy(merged.GetViews()),
		}
		if several {
			row = append(row, cmp.Or(merged.GetFederation(), "-"))
		}
		rows = append(rows, row)
	}
	return p.table(header, rows)
}

// seenBy tells who sees a server as what: all alike, or each.
func seenBy(views []*isthmusv1.MemberView) string {
	if len(views) == 1 && len(views[0].GetDatacenters()) > 1 {
		return "all"
	}
	if len(views) == 1 {
		return strings.Join(views[0].GetDatacenters(), ",")
	}
	var parts []string
	for _, v := range views {
		parts = append(parts, strings.Join(v.GetDatacenters(), ",")+": "+v.GetStatus())
	}
	return strings.Join(parts, "; ")
}
