package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/removal"
	"isthmus/resource"
	"isthmus/server/auth"
	"isthmus/server/change"
	"isthmus/server/evidence"
	"isthmus/server/request"
	"isthmus/store/snapshot"
)

// reasonPlanChanged: what a removal would do is no longer what somebody confirmed.
const reasonPlanChanged = "PlanChanged"

// RemoveDatacenter implements the RPC. It takes the datacenter out of all policies at once, and leaves the other steps to the controller.
// Asking again for one that is being removed tells how far it is; with lost, that its Consul is gone by now.
func (s *DatacenterService) RemoveDatacenter(ctx context.Context, r *isthmusv1.RemoveDatacenterRequest) (*isthmusv1.DatacenterRemoval, error) {
	if r.GetDryRun() {
		return s.planRemoval(ctx, r)
	}
	_, v, err := s.submit(ctx, false, func(v *snapshot.View) (*batch, error) {
		before, err := existing(v, resource.KindDatacenter, r.GetName(), 0)
		if err != nil {
			return nil, err
		}
		d := before.(*isthmusv1.Datacenter) //nolint:forcetypeassert // the kind's type is fixed by the registry.
		if known := d.GetStatus().GetRemoval(); known != nil && (known.GetLost() || !r.GetLost()) {
			return &batch{}, nil
		}
		plan := removal.Plan(v, d, r.GetLost(), evidence.Federation(v, s.Observations))
		if err := confirmed(plan, r.GetPlanDigest()); err != nil {
			return nil, err
		}
		return s.removing(ctx, v, d, plan), nil
	})
	if err != nil {
		return nil, err
	}
	d, ok := resource.Lookup[*isthmusv1.Datacenter](v, resource.KindDatacenter, r.GetName())
	if !ok || d.GetStatus().GetRemoval() == nil {
		return nil, notFound(resource.KindDatacenter, r.GetName()) // it is gone by now
	}
	return d.GetStatus().GetRemoval(), nil
}

// planRemoval tells what a removal would be, or how far it is. Reports have no index, so it never blocks.
func (s *DatacenterService) planRemoval(ctx context.Context, r *isthmusv1.RemoveDatacenterRequest) (*isthmusv1.DatacenterRemoval, error) {
	v, err := s.newest(ctx)
	if err != nil {
		return nil, err
	}
	d, ok := resource.Lookup[*isthmusv1.Datacenter](v, resource.KindDatacenter, r.GetName())
	if !ok {
		return nil, notFound(resource.KindDatacenter, r.GetName())
	}
	request.At(ctx, v.Revision().Index)
	if known := d.GetStatus().GetRemoval(); known != nil && (known.GetLost() || !r.GetLost()) {
		return known, nil
	}
	plan := removal.Plan(v, d, r.GetLost(), evidence.Federation(v, s.Observations))
	if err := check(v, s.removing(ctx, v, d, plan)); err != nil {
		plan = proto.CloneOf(plan)
		plan.Blocked = append(plan.Blocked, sentences(err)...)
	}
	return plan, nil
}

// sentences are an error's violations, or its message when it has none.
func sentences(err error) []string {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || len(f.Violations) == 0 {
		return []string{err.Error()}
	}
	var out []string
	for _, v := range f.Violations {
		out = append(out, v.Message)
	}
	return out
}

// confirmed refuses what nobody has confirmed, and what cannot be done.
func confirmed(plan *isthmusv1.DatacenterRemoval, digest string) error {
	if len(plan.GetBlocked()) > 0 {
		var wrong []fault.Violation
		for _, sentence := range plan.GetBlocked() {
			wrong = append(wrong, fault.Violation{Field: "name", Reason: "Blocked", Message: sentence})
		}
		err := fault.Violated(wrong...)
		err.Code = fault.Refused
		return err
	}
	if digest == plan.GetPlanDigest() {
		return nil
	}
	message := fmt.Sprintf("is not that of what would be done now, which is %s: %s", plan.GetPlanDigest(), changesText(plan))
	if digest == "" {
		message = "is needed: that of a dry run, which tells what would be done"
	}
	err := fault.Violated(fault.Violation{Field: "planDigest", Reason: reasonPlanChanged, Message: message})
	err.Code = fault.Refused
	return err
}

// changesText lists what a plan changes, but no more than one reads.
func changesText(plan *isthmusv1.DatacenterRemoval) string {
	const most = 20
	var out []string
	for _, c := range plan.GetChanges() {
		if c.GetAction() != changeUnchanged {
			out = append(out, fmt.Sprintf("%s %s %s", c.GetAction(), c.GetKind(), c.GetName()))
		}
	}
	if more := len(out) - most; more > 0 {
		out = append(out[:most], fmt.Sprintf("and %d more", more))
	}
	if len(out) == 0 {
		return "nothing else changes"
	}
	return strings.Join(out, ", ")
}

// removing is the batch that begins a removal, or tells of one under way that the datacenter is lost.
func (s *DatacenterService) removing(ctx context.Context, v *snapshot.View, d *isthmusv1.Datacenter, plan *isthmusv1.DatacenterRemoval) *batch {
	after := s.marked(d).(*isthmusv1.Datacenter) //nolint:forcetypeassert // marked keeps the type.
	if after.Status == nil {
		after.Status = &isthmusv1.DatacenterStatus{}
	}
	begun := d.GetStatus().GetRemoval()
	message := "plan " + plan.GetPlanDigest()
	if plan.GetLost() {
		message += "; lost: nothing is awaited of it"
	}
	next := proto.CloneOf(plan)
	next.RequestTime, next.RequestedBy = begun.GetRequestTime(), begun.GetRequestedBy()
	b := &batch{}
	if begun == nil {
		next.RequestTime, next.RequestedBy = timestamppb.New(s.Now()), change.By(ctx, auth.CallerOf(ctx)).Actor
		first := next.GetSteps()[0]
		first.State, first.Since = resource.StepDoing, next.GetRequestTime()
		b.edits = drain(v, d)
	}
	after.Status.Removal = next
	b.edits = slices.Insert(b.edits, 0, &edit{
		kind: resource.KindOf(d), before: d, after: after, action: resource.ActionRemove, message: message, status: true, stepwise: true,
	})
	return b
}

// drain are the edits that take a datacenter out of all policies.
func drain(v *snapshot.View, d *isthmusv1.Datacenter) []*edit {
	var out []*edit
	edits, _ := removal.Edits(v, d)
	for _, e := range edits {
		if e.Step != resource.StepPolicies && e.Step != resource.StepExports {
			continue
		}
		one := &edit{kind: resource.KindOf(e.Before), before: e.Before, after: e.After, action: resource.ActionUpdate, message: "datacenter " + d.GetName() + " is removed from the fleet", draining: true}
		if e.After == nil {
			one.action = resource.ActionDelete
		}
		out = append(out, one)
	}
	return out
}

// checkNewcomer refuses a join token for a datacenter that is on its way out: its agents are to go, and none is to come.
func checkNewcomer(next *prospect, e *edit) []problem {
	t, ok := e.after.(*isthmusv1.JoinToken)
	if !ok || e.before != nil {
		return nil
	}
	name := t.GetSpec().GetGrant().GetDatacenter()
	d, ok := resource.Lookup[*isthmusv1.Datacenter](next, resource.KindDatacenter, name)
	if !ok || !resource.Departed(d, resource.StepAgents) {
		return nil
	}
	return []problem{{fault.Refused, e.at(fault.Violation{
		Field: "spec.grant.datacenter", Reason: "Deleting", Message: fmt.Sprintf("Datacenter %q is being deleted, and so are its agents", name),
	})}}
}
