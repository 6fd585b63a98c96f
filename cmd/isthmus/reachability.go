package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"isthmus/client"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

func (p Program) reachabilityCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reachability",
		Short: "Show who reaches whose gateways",
		Long: `Show which datacenter (row) reaches the gateways of which other one (column): the agents connect to each address, ask for a server
of that datacenter by name and look at its certificate. A cell shows the time that this took, or why it fails; with several addresses,
how many are reached. -o wide lists every address with reason and time.`,
		Example: `  isthmus reachability
  isthmus reachability --federation global -o wide`,
		Args: cobra.NoArgs,
	}
	federation, form, conn := p.federationView(cmd, formTable, formWide, formJSON, formYAML)
	cmd.RunE = conn.run(func(ctx context.Context, c *client.Client, _ []string) error {
		answer, err := c.Reachability(ctx, *federation)
		if err != nil {
			return err
		}
		switch {
		case form.value == formJSON:
			return p.printJSON(answer)
		case form.value == formYAML:
			return printYAML(p, answer)
		case len(answer.GetCells()) == 0:
			p.note("Nothing is to be reached: no federation has two datacenters yet.")
			return nil
		case form.value == formWide:
			return p.reachabilityList(answer.GetCells())
		}
		return p.reachabilityMatrix(answer.GetCells())
	})
	return cmd
}

// Words of ReachedGateway.reached.
const (
	reachedYes     = "yes"
	reachedUnknown = "unknown"
)

func (p Program) reachabilityList(cells []*isthmusv1.ReachedGateway) error {
	var rows [][]string
	for _, c := range cells {
		rows = append(rows, []string{
			c.GetFrom(), c.GetTo(), cmp.Or(c.GetAddress(), "-"), c.GetReached(), latencyText(c), p.whenOrDash(c), cmp.Or(c.GetReason(), "-"), cmp.Or(c.GetMessage(), "-"),
		})
	}
	return p.table([]string{"FROM", "TO", "ADDRESS", "REACHED", "LATENCY", "SINCE", "REASON", "MESSAGE"}, rows)
}

func (p Program) whenOrDash(c *isthmusv1.ReachedGateway) string {
	if c.GetReached() == reachedUnknown {
		return "-"
	}
	return p.when(c.GetSince())
}

func latencyText(c *isthmusv1.ReachedGateway) string {
	if c.GetReached() != reachedYes {
		return "-"
	}
	return fmt.Sprintf("%d ms", c.GetLatencyMs())
}

// reachabilityMatrix has a row for each datacenter that tries, and a column for each that is tried.
func (p Program) reachabilityMatrix(cells []*isthmusv1.ReachedGateway) error {
	var from, to []string
	between := map[[2]string][]*isthmusv1.ReachedGateway{}
	for _, c := range cells {
		if !slices.Contains(from, c.GetFrom()) {
			from = append(from, c.GetFrom())
		}
		if !slices.Contains(to, c.GetTo()) {
			to = append(to, c.GetTo())
		}
		key := [2]string{c.GetFrom(), c.GetTo()}
		between[key] = append(between[key], c)
	}
	slices.Sort(from)
	slices.Sort(to)
	var rows [][]string
	for _, f := range from {
		row := []string{f}
		for _, t := range to {
			row = append(row, cellText(between[[2]string{f, t}]))
		}
		rows = append(rows, row)
	}
	header := []string{"FROM"}
	for _, t := range to {
		header = append(header, plainCell(t))
	}
	return p.table(header, rows)
}

// cellText sums up all addresses of one datacenter as another reaches them.
func cellText(addresses []*isthmusv1.ReachedGateway) string {
	var best *isthmusv1.ReachedGateway
	reached, why := 0, ""
	for _, a := range addresses {
		switch a.GetReached() {
		case reachedYes:
			reached++
			if best == nil || a.GetLatencyMs() < best.GetLatencyMs() {
				best = a
			}
		case reachedUnknown:
			why = cmp.Or(why, reachedUnknown)
		default:
			if why == "" || why == reachedUnknown {
				why = cmp.Or(a.GetReason(), "no")
			}
		}
	}
	switch {
	case len(addresses) == 0:
		return "-"
	case best == nil:
		return why
	case reached < len(addresses):
		return fmt.Sprintf("%s (%d of %d; %s)", latencyText(best), reached, len(addresses), why)
	}
	return latencyText(best)
}
