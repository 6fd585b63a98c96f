package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"isthmus/client"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

func (p Program) applyCommand() *cobra.Command {
	a := applier{program: p}
	cmd := &cobra.Command{
		Use:   "apply -f FILE|DIR|-",
		Short: "Make the fleet what manifests say",
		Long: `Create and update what manifests name, all of it or nothing. What stands in no manifest is left alone.

With --wait, apply is done when everything in the manifests is as it should be: agents heard of, peerings healthy as seen
from both ends, exports applied. Exit code 1 and a list of what is missing when that takes longer.`,
		Example: `  isthmus apply -f fleet.yaml --dry-run
  isthmus apply -f fleet/ --wait 2m
  isthmus export | ssh hub isthmus apply -f -`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringArrayVarP(&a.files, "filename", "f", nil, "file or directory with manifests, or - for standard input; may be repeated")
	cmd.Flags().BoolVar(&a.dryRun, "dry-run", false, "only tell what would change, the peerings of groups and what federations cost included")
	cmd.Flags().BoolVar(&a.force, "force", false, "let groups delete more peerings than their limit")
	cmd.Flags().DurationVar(&a.wait, "wait", 0, "wait so long until everything applied is healthy (2m)")
	a.form = outputFlag(cmd, formTable, formJSON)
	conn := p.connectionOf(cmd)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.RunE = conn.run(a.run)
	return cmd
}

// applier is isthmus apply.
type applier struct {
	program       Program
	files         []string
	dryRun, force bool
	wait          time.Duration
	form          *choice
}

func (a *applier) run(ctx context.Context, c *client.Client, _ []string) error {
	if len(a.files) == 0 {
		return fault.New(fault.Invalid, "expected --filename with a file or directory, or - for standard input")
	}
	set, err := readManifests(a.program, a.files)
	if err != nil {
		return err
	}
	text, err := set.text()
	if err != nil {
		return err
	}
	answer, err := c.Apply(ctx, text, client.ApplyOptions{DryRun: a.dryRun, Force: a.force})
	if err != nil {
		return set.relocate(err)
	}
	if a.form.value == formJSON {
		err = a.program.printJSON(answer)
	} else {
		a.show(answer.GetChanges())
		for _, plan := range answer.GetFederations() {
			a.program.printf("\n")
			a.program.showPlan(plan, dryRunLosses)
		}
	}
	if err != nil || a.dryRun || a.wait == 0 {
		return err
	}
	targets, err := targetsOf(answer.GetChanges())
	if err != nil {
		return err
	}
	return a.program.await(ctx, c, targets, a.wait)
}

// show tells what was done, or what would be done.
func (a *applier) show(changes []*isthmusv1.Change) {
	counts := map[string]int{}
	for _, change := range changes {
		counts[change.GetAction()]++
		line := fmt.Sprintf("%s %s %s", change.GetKind(), change.GetName(), outcomeOf(change.GetAction(), a.dryRun))
		if change.GetGroup() != "" {
			line += " by group " + change.GetGroup()
		}
		a.program.printf("%s\n", line)
		if a.dryRun && change.GetAction() != resource.ActionUnchanged {
			a.program.showFields(change)
		}
	}
	if a.dryRun {
		a.program.printf("Dry run: %d to create, %d to update, %d to delete, %d unchanged. Nothing was stored.\n",
			counts[resource.ActionCreate], counts[resource.ActionUpdate], counts[resource.ActionDelete], counts[resource.ActionUnchanged])
	}
}

func (p Program) showFields(change *isthmusv1.Change) {
	for _, f := range change.GetFields() {
		switch {
		case f.GetBefore() == "":
			p.printf("  + %s: %s\n", f.GetField(), f.GetAfter())
		case f.GetAfter() == "":
			p.printf("  - %s: %s\n", f.GetField(), f.GetBefore())
		default:
			p.printf("  ~ %s: %s → %s\n", f.GetField(), f.GetBefore(), f.GetAfter())
		}
	}
}

func outcomeOf(action string, dryRun bool) string {
	switch {
	case action == resource.ActionUnchanged:
		return action
	case dryRun:
		return "to " + action
	case strings.HasSuffix(action, "e"):
		return action + "d"
	}
	return action
}

// targetsOf are what to wait for: what the documents name, and what groups make of it.
func targetsOf(changes []*isthmusv1.Change) ([]client.Target, error) {
	var targets []client.Target
	for _, change := range changes {
		kind, ok := resource.KindNamed(change.GetKind())
		if !ok {
			return nil, fault.New(fault.Unimplemented, "this isthmus does not know the kind %s that the server applied: it is older than the server", change.GetKind())
		}
		targets = append(targets, client.Target{
			Kind: kind, Name: change.GetName(), Gone: change.GetAction() == resource.ActionDelete, Group: change.GetGroup(),
		})
	}
	return targets, nil
}

// await waits until all targets are ready, and shows how they come along.
func (p Program) await(ctx context.Context, c *client.Client, targets []client.Target, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	view := p.newProgress()
	err := c.Wait(ctx, targets, func(t client.Target, r client.Readiness) {
		view.set(t.Kind.Name+" "+t.Name, r.State, r.Message, r.Ready)
	})
	view.finish()
	if err == nil {
		p.note("Everything is as it should be after %.1f s.", p.Now().Sub(view.start).Seconds())
		return nil
	}
	if fault.CodeOf(err) != fault.Timeout {
		return err
	}
	late := fault.New(fault.Timeout, "not everything is as it should be after %s; what is missing:", timeout)
	for _, what := range view.missing() {
		late.Violations = append(late.Violations, fault.Violation{Message: what})
	}
	return late
}
