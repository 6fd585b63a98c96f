package api

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store/snapshot"
)

// problem is a violation and the code that it stands for on its own.
type problem struct {
	code      fault.Code
	violation fault.Violation
}

// check looks at a batch against the fleet as it would be afterwards. Every edit is valid by itself already.
func check(v *snapshot.View, b *batch) error {
	next := newProspect(v, b.edits)
	var problems []problem
	for _, e := range b.edits {
		if !e.changes() {
			continue
		}
		switch {
		case e.stepwise, e.stillLeaving():
			continue // what refers to it goes before it does
		case e.leaving():
			problems = append(problems, checkReferrers(next, e)...)
			problems = append(problems, checkMember(v, e, b.force)...)
			continue
		}
		problems = append(problems, checkStanding(e)...)
		problems = append(problems, checkDiscovered(e)...)
		if !e.draining {
			problems = append(problems, checkReferences(next, e)...)
		}
		problems = append(problems, checkNewcomer(next, e)...)
		if claims := checkClaims(next, e); len(claims) > 0 {
			problems = append(problems, claims...)
			continue // its other rules would say the same once more
		}
		problems = append(problems, checkFederations(next, e)...)
		problems = append(problems, checkPolicies(v, next, e)...)
	}
	if len(problems) > 0 {
		return refusal(problems)
	}
	return checkGroups(v, next, b)
}

// refusal is one error for all problems: with their code when they share one, as plainly invalid otherwise.
func refusal(problems []problem) error {
	const most = 20 // violations; an answer has to fit into gRPC's trailers
	violations := make([]fault.Violation, 0, min(len(problems), most))
	code := problems[0].code
	for i, p := range problems {
		if p.code != code {
			code = fault.Invalid
		}
		if i < most {
			violations = append(violations, p.violation)
		}
	}
	err := fault.Violated(violations...)
	err.Code = code
	if n := len(problems); n > most {
		err.Message = fmt.Sprintf("%s: %s (and %d more)", violations[0].Field, violations[0].Message, n-1)
	}
	return err
}

// checkStanding refuses to change what is going, what a group owns and what is fixed at creation.
func checkStanding(e *edit) []problem {
	if e.before == nil {
		return nil
	}
	if e.before.GetDeleteTime() != nil {
		return []problem{{fault.Refused, e.at(fault.Violation{
			Field: "name", Reason: "Deleting",
			Message: fmt.Sprintf("%s %q is being deleted; it can be made anew when it is gone", e.kind.Name, e.name()),
		})}}
	}
	if p, ok := e.before.(*isthmusv1.Peering); ok && p.GetStatus().GetGroup() != "" && e.byHand {
		return []problem{{fault.Refused, e.at(fault.Violation{
			Field: "name", Reason: "GroupOwned",
			Message: fmt.Sprintf("Peering %q belongs to PeeringGroup %q and cannot be edited by hand; change the group", p.GetName(), p.GetStatus().GetGroup()),
		})}}
	}
	var f *fault.Error
	if err := resource.ValidateUpdate(e.before, e.after); errors.As(err, &f) {
		out := make([]problem, 0, len(f.Violations))
		for _, v := range f.Violations {
			out = append(out, problem{f.Code, e.at(v)})
		}
		return out
	}
	return nil
}

// checkDiscovered keeps the Gateways that agents find for the controller.
func checkDiscovered(e *edit) []problem {
	for _, o := range []resource.Object{e.before, e.after} {
		if g, ok := o.(*isthmusv1.Gateway); ok && g.GetSpec().GetSource() == resource.SourceDiscovered {
			return []problem{{fault.Refused, e.at(fault.Violation{
				Field: "spec.source", Reason: "Discovered",
				Message: "discovered is for the gateways that agents find in Consul, which nobody else writes; leave it out, or say static",
			})}}
		}
	}
	return nil
}

// checkReferences finds what an edit names and the fleet has not.
func checkReferences(next *prospect, e *edit) []problem {
	if e.kind.References == nil {
		return nil
	}
	var out []problem
	for _, r := range e.kind.References(e.after) {
		target, ok := next.Get(r.Kind, r.Name)
		switch {
		case !ok:
			out = append(out, problem{fault.Invalid, e.at(fault.Violation{
				Field: r.Field, Reason: "NotFound",
				Message: fmt.Sprintf("there is no %s named %q%s", r.Kind, r.Name, known(next, r.Kind)),
			})})
		case target.GetDeleteTime() != nil:
			out = append(out, problem{fault.Invalid, e.at(fault.Violation{
				Field: r.Field, Reason: "Deleting",
				Message: fmt.Sprintf("%s %q is being deleted", r.Kind, r.Name),
			})})
		}
	}
	return out
}

// known names some resources of a kind, for who mistyped one.
func known(next *prospect, kind string) string {
	const most = 8
	var names []string
	more := false
	for o := range next.List(kind) {
		if more = len(names) == most; more {
			break
		}
		names = append(names, o.GetName())
	}
	if len(names) == 0 {
		return fmt.Sprintf("; there is none yet: apply the %s first, or together with this", kind)
	}
	text := "; there are "
	if len(names) == 1 {
		text = "; there is "
	}
	for i, name := range names {
		if i > 0 {
			text += ", "
		}
		text += name
	}
	if more {
		text += ", …"
	}
	return text
}

// checkClaims finds who holds already what an edit claims. The store checks again under its lock.
func checkClaims(next *prospect, e *edit) []problem {
	if e.kind.Claims == nil {
		return nil
	}
	claims := e.kind.Claims(e.after)
	// One of its claims is enough to say: a second peering of a pair takes the first one's names, too.
	first := map[string]resource.Claim{}
	for _, datacenter := range e.kind.Datacenters(e.after) {
		holders := next.claimed(e.kind, datacenter)
		for _, claim := range claims {
			for _, other := range holders[claim] {
				if _, told := first[other]; !told && other != e.name() {
					first[other] = claim
				}
			}
		}
	}
	var out []problem
	for _, other := range slices.Sorted(maps.Keys(first)) {
		out = append(out, problem{fault.AlreadyExists, e.at(claimed(e, other, first[other]))})
	}
	return out
}

func claimed(e *edit, holder string, claim resource.Claim) fault.Violation {
	kind := e.kind.Name
	switch claim.Scope {
	case resource.ScopePeeringPair:
		return fault.Violation{
			Field: "spec.dialer", Reason: "Duplicate",
			Message: fmt.Sprintf("%s %q connects these two already; there is one for each pair, whoever dials", kind, holder),
		}
	case resource.ScopePeerName:
		return fault.Violation{
			Field: "spec", Reason: "Duplicate",
			Message: fmt.Sprintf("%s %q uses the peer name %s (datacenter/name) already; choose another acceptorPeerName or dialerPeerName",
				kind, holder, claim.Key),
		}
	case resource.ScopeFederationMember:
		field := "spec"
		for _, r := range e.kind.References(e.after) {
			if r.Name == claim.Key {
				field = r.Field
			}
		}
		return fault.Violation{
			Field: field, Reason: "Duplicate",
			Message: fmt.Sprintf("datacenter %s is in %s %q already; a datacenter is in one federation", claim.Key, kind, holder),
		}
	}
	return fault.Violation{
		Field: "spec", Reason: "Duplicate",
		Message: fmt.Sprintf("%s %q holds %s %s already", kind, holder, claim.Scope, claim.Key),
	}
}

// referrers are the resources of a kind that may name one that goes: of the many that name datacenters those that touch it.
func referrers(next *prospect, kind resource.Kind, e *edit) iter.Seq[resource.Object] {
	if e.kind.Name == resource.KindDatacenter && (kind.Name == resource.KindPeering || kind.Name == resource.KindGateway) {
		return next.Touching(kind.Name, e.name())
	}
	return next.List(kind.Name)
}

// checkReferrers lists who still names a resource that goes.
func checkReferrers(next *prospect, e *edit) []problem {
	var out []problem
	for _, kind := range resource.Kinds() {
		if kind.References == nil {
			continue
		}
		for o := range referrers(next, kind, e) {
			if e.leaving() && e.after != nil && passing(o) {
				continue
			}
			for _, r := range kind.References(o) {
				if r.Kind == e.kind.Name && r.Name == e.name() {
					out = append(out, problem{fault.Referenced, e.at(fault.Violation{
						Field: "name", Reason: "Referenced",
						Message: fmt.Sprintf("%s %q names %s in %s; delete or change it first", kind.Name, o.GetName(), r.Name, r.Field),
					})})
				}
			}
		}
	}
	if e.kind.Name == resource.KindDatacenter && len(out) > 0 {
		out[0].violation.Message += fmt.Sprintf("; or take it out of the fleet with all that names it: isthmus datacenter remove %s", e.name())
	}
	return out
}
