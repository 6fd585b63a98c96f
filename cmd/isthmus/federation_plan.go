package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"isthmus/client"
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// dryRunLosses is how many lost things of a datacenter a dry run lists; isthmus federation plan lists all.
const dryRunLosses = 20

func (p Program) federationPlanCommand() *cobra.Command {
	var deleting bool
	cmd := &cobra.Command{
		Use:   "plan NAME",
		Short: "Show what a federation costs: what each datacenter loses, what restarts, what it becomes",
		Long: `Show what a federation, as it is now, means for each of its datacenters: what it loses in joining (ACL policies, tokens, config entries,
exports, peerings, its mesh CA), what has to be restarted, what it is afterwards, and what stands against it.

Nothing that destroys is done before the Federation's spec accepts it, by the digest of exactly this plan, and the agents of that
datacenter run with --allow-join=PRIMARY.`,
		Example: `  isthmus federation plan global
  isthmus federation plan global --delete`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().BoolVar(&deleting, "delete", false, "what deleting the federation would mean")
	form := outputFlag(cmd, formTable, formJSON, formYAML)
	conn := p.connectionOf(cmd)
	cmd.ValidArgsFunction = conn.completeName(resource.KindFederation)
	cmd.RunE = conn.run(func(ctx context.Context, c *client.Client, args []string) error {
		plan, err := c.FederationPlan(ctx, args[0], deleting)
		if err != nil {
			return err
		}
		switch form.value {
		case formJSON:
			return p.printJSON(plan)
		case formYAML:
			return printYAML(p, plan)
		}
		p.showPlan(plan, federation.MaxLosses)
		return nil
	})
	return cmd
}

// showPlan writes a plan for people, with at most so many losses of each datacenter.
func (p Program) showPlan(plan *isthmusv1.FederationPlan, losses int) {
	p.printf("Federation %s\n", plan.GetFederation())
	if len(plan.GetMembers()) == 0 {
		p.printf("  has no datacenters\n")
	}
	for _, m := range plan.GetMembers() {
		p.printf("\n  %s: %s\n", m.GetDatacenter(), planTitle(m))
		for _, l := range m.GetLosses()[:min(losses, len(m.GetLosses()))] {
			p.printf("    loses     %s\n", plainCell(strings.TrimRight(fmt.Sprintf("%s %s: %s", l.GetKind(), l.GetName(), l.GetMessage()), ": ")))
		}
		if more := int(m.GetLossCount()) - min(losses, len(m.GetLosses())); more > 0 {
			p.printf("    loses     … and %d more\n", more)
		}
		p.planLines("restarts", m.GetRestarts())
		p.planLines("becomes", m.GetBecomes())
		p.planLines("blocked", m.GetBlocked())
	}
	p.showAcceptance(plan)
}

func (p Program) planLines(title string, sentences []string) {
	for _, s := range sentences {
		p.printf("    %-9s %s\n", title, plainCell(s))
	}
}

// planTitle says in short what happens to a datacenter.
func planTitle(m *isthmusv1.MemberPlan) string {
	what := map[string]string{
		federation.ActionPrimary: "the primary", federation.ActionJoin: "joins", federation.ActionLeave: "leaves",
		federation.ActionChangeMode: "changes its mode", federation.ActionNone: "stays as it is",
	}[m.GetAction()]
	if what == "" {
		what = m.GetAction()
	}
	switch {
	case !m.GetKnown() && m.GetAction() == federation.ActionJoin:
		return what + "; not known yet what it would lose: its agent has not told"
	case m.GetLossCount() > 0 && m.GetAccepted():
		return fmt.Sprintf("%s; loses %s, which is accepted", what, things(m.GetLossCount()))
	case m.GetLossCount() > 0:
		return fmt.Sprintf("%s; loses %s, which nobody has accepted", what, things(m.GetLossCount()))
	case m.GetAction() == federation.ActionJoin || m.GetAction() == federation.ActionLeave:
		return what + "; loses nothing"
	}
	return what
}

func things(count int32) string {
	if count == 1 {
		return "1 thing"
	}
	return fmt.Sprintf("%d things", count)
}

// showAcceptance writes what to put into the manifest.
func (p Program) showAcceptance(plan *isthmusv1.FederationPlan) {
	first := true
	for _, m := range plan.GetMembers() {
		if m.GetDigest() == "" || m.GetAccepted() {
			continue
		}
		if first {
			p.printf("\nNothing of this is destroyed before it is accepted. To accept it, put this below spec of the Federation %s and apply it:\n\n  acceptDataLoss:\n", plan.GetFederation())
			first = false
		}
		p.printf("    - datacenter: %s\n      planDigest: %s\n", m.GetDatacenter(), m.GetDigest())
	}
}
