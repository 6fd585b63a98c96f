package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"isthmus/client"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// adoptWait is how long isthmus adopt waits for agents by default.
const adoptWait = time.Minute

// adoptable are the kinds whose content somebody else may have written already.
func adoptable() []resource.Kind {
	return slices.DeleteFunc(resource.Kinds(), func(k resource.Kind) bool {
		return !slices.Contains([]string{resource.KindIntention, resource.KindTrafficPolicy, resource.KindServiceExport}, k.Name)
	})
}

func (p Program) adoptCommand() *cobra.Command {
	a := adopter{program: p}
	cmd := &cobra.Command{
		Use:   "adopt KIND NAME",
		Short: "Take over what stands in Consul already, where it is just what a policy wants",
		Long: `Make what somebody wrote into Consul's config entries isthmus's own, where an Intention, a TrafficPolicy or a ServiceExport wants just
that. From then on it is kept as it is declared, and goes when the policy goes. What differs is shown beside what is wanted, and stays as it is.

This sets spec.adopt; a manifest of the policy should say adopt: true as well. Exit code 2 when something differs.`,
		Example: `  isthmus adopt intention api-from-web`,
		Args:    cobra.ExactArgs(2),
	}
	cmd.Flags().DurationVar(&a.wait, "wait", adoptWait, "how long to wait for the agents")
	conn := p.connectionOf(cmd)
	cmd.ValidArgsFunction = conn.completeKindAndName(adoptable())
	cmd.RunE = conn.run(a.run)
	return cmd
}

// adopter is isthmus adopt.
type adopter struct {
	program Program
	wait    time.Duration
}

func (a *adopter) run(ctx context.Context, c *client.Client, args []string) error {
	kind, err := kindArgument(args[0])
	if err != nil {
		return err
	}
	wish := kind.New()
	switch o := wish.(type) {
	case *isthmusv1.Intention:
		o.Name, o.Spec = args[1], &isthmusv1.IntentionSpec{Adopt: true}
	case *isthmusv1.TrafficPolicy:
		o.Name, o.Spec = args[1], &isthmusv1.TrafficPolicySpec{Adopt: true}
	case *isthmusv1.ServiceExport:
		o.Name, o.Spec = args[1], &isthmusv1.ServiceExportSpec{Adopt: true}
	default:
		return fault.New(fault.Invalid, "a %s has nothing to adopt; expected one of intention, traffic-policy and service-export", kind.Singular)
	}
	asked, err := c.Update(ctx, wish, "spec.adopt")
	if err != nil {
		return err
	}
	settled, err := a.await(ctx, c, kind, asked)
	if err != nil {
		return err
	}
	return a.show(settled)
}

// await waits until the agents have done what was asked, or have said what stands against it.
func (a *adopter) await(ctx context.Context, c *client.Client, kind resource.Kind, asked resource.Object) (resource.Object, error) {
	ctx, cancel := context.WithTimeout(ctx, a.wait)
	defer cancel()
	last := asked
	for o, err := range c.WatchName(ctx, kind, asked.GetName()) {
		switch {
		case err != nil && !client.Retriable(err):
			return nil, err
		case err != nil:
			continue
		case o == nil:
			return nil, fault.New(fault.NotFound, "%s %s was deleted meanwhile", kind.Name, asked.GetName())
		}
		last = o
		if pending, known := unsettled(o); known && len(pending) == 0 {
			return o, nil
		}
	}
	pending, _ := unsettled(last)
	late := fault.New(fault.Timeout, "not every agent has answered after %s; what is missing:", a.wait)
	late.Violations = append(late.Violations, pending...)
	return nil, late
}

// place is one Consul that holds, or shall hold, what a policy says.
type place struct{ datacenter, state, message, entries string }

// placesOf are the places of a policy or an export.
func placesOf(o resource.Object) []place {
	var out []place
	if export, ok := o.(*isthmusv1.ServiceExport); ok {
		for _, at := range export.GetStatus().GetPlacements() {
			out = append(out, place{at.GetDatacenter(), at.GetState(), at.GetMessage(), "exported-services"})
		}
		return out
	}
	status, _ := policyStatusOf(o)
	for _, at := range status.GetPlacements() {
		out = append(out, place{at.GetDatacenter(), at.GetState(), at.GetMessage(), strings.Join(at.GetEntries(), ", ")})
	}
	return out
}

// unsettled are the places whose agents have not answered yet; not known before the controllers have seen the present spec.
func unsettled(o resource.Object) (waiting []fault.Violation, known bool) {
	for _, at := range placesOf(o) {
		if at.state == resource.PolicyPending {
			waiting = append(waiting, fault.Violation{Field: at.datacenter, Message: at.message})
		}
	}
	ready := resource.FindCondition(conditionsOf(resource.Status(o)), resource.ConditionReady)
	return waiting, ready.GetObservedGeneration() == o.GetGeneration()
}

// show tells what is isthmus's own now, and what is not, with what differs.
func (a *adopter) show(o resource.Object) error {
	all := true
	for _, at := range placesOf(o) {
		switch at.state {
		case resource.PolicyApplied:
			a.program.printf("%s: %s: what %s wants there is isthmus's own\n", at.datacenter, dash(at.entries), o.GetName())
		case resource.ExportExcluded:
			a.program.printf("%s: left out: %s\n", at.datacenter, at.message)
		default:
			all = false
			a.program.printf("%s: %s: %s: %s\n", at.datacenter, dash(at.entries), at.state, at.message)
		}
	}
	if status, ok := policyStatusOf(o); ok {
		if err := a.program.describeConflicts(status); err != nil {
			return err
		}
	}
	if !all {
		return &exitStatus{code: exitDegraded}
	}
	return nil
}
