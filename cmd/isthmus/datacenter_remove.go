package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"isthmus/client"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// exitUnderWay: a removal goes on, and is not at its end.
const exitUnderWay = 2

func (p Program) datacenterRemoveCommand() *cobra.Command {
	r := remover{program: p}
	cmd := &cobra.Command{
		Use:   "remove NAME",
		Short: "Take a datacenter out of the fleet, until nothing of it is left in the others",
		Long: `Take a datacenter out of the fleet, step by step: policies and exports no longer name it, its peerings are deleted at both ends, it leaves
its federation (its tokens are revoked, its servers leave the WAN pool), its agents are deleted and refused from then on, and what the
others report is scanned for anything that is left. Each step is proven by what agents report before the next one begins.

What it would do is shown first, and confirmed by typing the name of the datacenter. In scripts, ask with --dry-run -o json and confirm
its planDigest: with --yes --plan-digest. What depends on the datacenter by then and was not shown makes the digest void.

The server does all of it: Ctrl-C, or a restart of anything, leaves it going on, and the same command shows how far it is.

Exit codes: 0 it is gone (with --dry-run: it can be done), 1 it was refused or something stands against it, 2 it goes on and is not gone
yet (after --wait, or Ctrl-C).`,
		Example: `  isthmus datacenter remove dc3 --dry-run
  isthmus datacenter remove dc3
  isthmus datacenter remove dc3 --yes --plan-digest 5f2a… --wait 10m
  isthmus datacenter remove dc3 --lost`,
		Args: cobra.ExactArgs(1),
	}
	flags := cmd.Flags()
	flags.BoolVar(&r.lost, "lost", false, "its Consul is gone for good: nothing is awaited of its agents, and what is in it stays")
	flags.BoolVar(&r.dryRun, "dry-run", false, "only show what would be done")
	flags.BoolVar(&r.yes, "yes", false, "do not ask; needs --plan-digest")
	flags.StringVar(&r.digest, "plan-digest", "", "the digest of the plan that is confirmed, from a dry run")
	flags.DurationVar(&r.wait, "wait", 0, "wait so long until it is gone (10m). Default: for ever")
	r.form = outputFlag(cmd, formTable, formJSON, formYAML)
	conn := p.connectionOf(cmd)
	cmd.ValidArgsFunction = conn.completeName(resource.KindDatacenter)
	cmd.RunE = conn.run(r.run)
	return cmd
}

// remover is isthmus datacenter remove.
type remover struct {
	program      Program
	lost, dryRun bool
	yes          bool
	digest       string
	wait         time.Duration
	form         *choice
}

func (r *remover) run(ctx context.Context, c *client.Client, args []string) error {
	name := args[0]
	if r.yes && r.digest == "" && !r.dryRun {
		return fault.New(fault.Invalid, "--yes needs --plan-digest: that of the plan which isthmus datacenter remove %s --dry-run shows", name)
	}
	plan, err := c.RemoveDatacenter(ctx, &isthmusv1.RemoveDatacenterRequest{Name: name, DryRun: true, Lost: r.lost})
	if err != nil {
		return err
	}
	underWay := plan.GetRequestTime() != nil
	if r.dryRun {
		return r.dry(plan, underWay)
	}
	if !underWay {
		r.program.showRemoval(plan)
		if err := standsAgainst(plan); err != nil {
			return err
		}
		digest := r.digest
		if !r.yes {
			if err := r.program.askFor(name); err != nil {
				return err
			}
			digest = plan.GetPlanDigest()
		}
		if _, err := c.RemoveDatacenter(ctx, &isthmusv1.RemoveDatacenterRequest{Name: name, PlanDigest: digest, Lost: r.lost}); err != nil {
			return err
		}
	} else {
		r.program.note("Datacenter %s is being removed since %s, by %s.", name, r.program.when(plan.GetRequestTime()), plan.GetRequestedBy())
	}
	return r.follow(ctx, c, name)
}

// dry shows the plan, or how far it is.
func (r *remover) dry(plan *isthmusv1.DatacenterRemoval, underWay bool) error {
	switch r.form.value {
	case formJSON:
		if err := r.program.printJSON(plan); err != nil {
			return err
		}
	case formYAML:
		if err := printYAML(r.program, plan); err != nil {
			return err
		}
	default:
		r.program.showRemoval(plan)
	}
	if underWay {
		return nil
	}
	if r.form.value == formTable {
		return standsAgainst(plan)
	}
	if len(plan.GetBlocked()) > 0 {
		return &exitStatus{code: exitError}
	}
	return nil
}

// standsAgainst is why a removal cannot be done now.
func standsAgainst(plan *isthmusv1.DatacenterRemoval) error {
	if len(plan.GetBlocked()) == 0 {
		return nil
	}
	err := fault.New(fault.Refused, "Datacenter %s cannot be removed as things are:", plan.GetDatacenter())
	for _, sentence := range plan.GetBlocked() {
		err.Violations = append(err.Violations, fault.Violation{Message: sentence})
	}
	return err
}

// askFor has a person type a name.
func (p Program) askFor(name string) error {
	fmt.Fprintf(p.Err, "\nType the name of the datacenter to remove it: ")
	line, err := bufio.NewReader(io.LimitReader(p.In, 1<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch typed := strings.TrimSpace(line); {
	case typed == name:
		return nil
	case typed == "" && err != nil:
		return fault.New(fault.Invalid, "nobody is there to confirm it; in scripts: --yes --plan-digest")
	default:
		return fault.New(fault.Invalid, "that is not %s: nothing was done", name)
	}
}

// follow shows step by step how far a removal is, until the datacenter is gone.
func (r *remover) follow(ctx context.Context, c *client.Client, name string) error {
	p := r.program
	asked := ctx
	if r.wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.wait)
		defer cancel()
	}
	kind, _ := resource.KindNamed(resource.KindDatacenter)
	view := p.newProgress()
	gone, failed := false, error(nil)
	for o, err := range c.WatchName(ctx, kind, name) {
		if err != nil {
			if fault.CodeOf(err) == fault.NotFound {
				gone = true
			} else if !client.Retriable(err) {
				failed = err
			}
			continue
		}
		d, _ := o.(*isthmusv1.Datacenter)
		if d == nil {
			gone = true
			break
		}
		for _, s := range d.GetStatus().GetRemoval().GetSteps() {
			finished := s.GetState() == resource.StepDone || s.GetState() == resource.StepSkipped
			view.set(s.GetId(), s.GetState(), s.GetMessage(), finished)
		}
	}
	view.finish()
	switch {
	case gone:
		p.note("Datacenter %s is gone after %.1f s: nothing of it is left in the others.", name, p.Now().Sub(view.start).Seconds())
		return nil
	case failed != nil && ctx.Err() == nil:
		return failed
	case asked.Err() != nil:
		p.note("The removal goes on; isthmus datacenter remove %s shows how far it is.", name)
		return &exitStatus{code: exitUnderWay}
	}
	late := fault.New(fault.Timeout, "Datacenter %s is not gone after %s; its removal goes on, and waits for:", name, r.wait)
	for _, what := range view.missing() {
		late.Violations = append(late.Violations, fault.Violation{Message: what})
	}
	return &exitStatus{code: exitUnderWay, cause: late}
}

// showRemoval writes a plan, or how far it is, for people.
func (p Program) showRemoval(plan *isthmusv1.DatacenterRemoval) {
	p.printf("Datacenter %s leaves the fleet%s\n\n", plan.GetDatacenter(), map[bool]string{true: ", and is lost: nothing is awaited of it"}[plan.GetLost()])
	for i, s := range plan.GetSteps() {
		p.printf("  %d  %-10s  %-8s %s\n", i+1, s.GetId(), s.GetState(), plainCell(s.GetTitle()))
		if s.GetMessage() != "" {
			p.printf("                           %s\n", plainCell(s.GetMessage()))
		}
	}
	if len(plan.GetChanges()) > 0 {
		p.printf("\nWhat depends on it:\n")
	}
	for _, c := range plan.GetChanges() {
		line := fmt.Sprintf("  %s %s %s", c.GetKind(), c.GetName(), outcomeOf(c.GetAction(), true))
		switch {
		case c.GetAction() == resource.ActionUnchanged:
			line = fmt.Sprintf("  %s %s stays as it is, and no longer has it", c.GetKind(), c.GetName())
		case c.GetGroup() != "":
			line += ", of group " + c.GetGroup()
		}
		p.printf("%s\n", plainCell(line))
		if c.GetAction() == resource.ActionUpdate {
			p.showFields(c)
		}
	}
	p.printf("\nPlan digest: %s\n", plan.GetPlanDigest())
}

// describeRemoval shows how far the removal of a datacenter is.
func (p Program) describeRemoval(o resource.Object) error {
	d, ok := o.(*isthmusv1.Datacenter)
	removal := d.GetStatus().GetRemoval()
	if !ok || removal == nil {
		return nil
	}
	p.printf("\nRemoval: since %s, by %s, plan %s%s\n", p.when(removal.GetRequestTime()), removal.GetRequestedBy(), removal.GetPlanDigest(),
		map[bool]string{true: ", lost"}[removal.GetLost()])
	var rows [][]string
	for _, s := range removal.GetSteps() {
		rows = append(rows, []string{s.GetId(), s.GetState(), p.when(s.GetSince()), dash(s.GetMessage())})
	}
	return p.table([]string{"STEP", "STATE", "SINCE", "MESSAGE"}, rows)
}
