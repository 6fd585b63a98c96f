package resource

import (
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// ConditionReady is the type of the condition that sums a resource up.
const ConditionReady = "Ready"

// ReasonPending of ConditionReady: nothing stands against it, and who has to act on it has not done so yet.
const ReasonPending = "Pending"

// ConditionDefaultDeny of a Datacenter: a call that no intention names is denied there.
const ConditionDefaultDeny = "DefaultDeny"

// Reasons of ConditionDefaultDeny: Consul's default decides, or an intention from * to *, which may look at the request.
const (
	PostureByDefault   = "ByDefault"
	PostureByIntention = "ByIntention"
	PostureByRequest   = "ByRequest"
)

// The values of a condition's status.
const (
	ConditionTrue    = "true"
	ConditionFalse   = "false"
	ConditionUnknown = "unknown"
)

// SetCondition returns conds with c in it, in place of the one of its type, as what is true of o's present generation. The
// transition time is kept when the status is what it was, and is now otherwise; c's own is ignored. Nothing that is passed
// is changed; when all of it is so already, it is conds itself.
func SetCondition(o Object, conds []*isthmusv1.Condition, c *isthmusv1.Condition, now time.Time) []*isthmusv1.Condition {
	next := &isthmusv1.Condition{
		Type: c.GetType(), Status: c.GetStatus(), Reason: c.GetReason(), Message: c.GetMessage(), ObservedGeneration: o.GetGeneration(),
	}
	at := slices.IndexFunc(conds, func(old *isthmusv1.Condition) bool { return old.GetType() == c.GetType() })
	if at < 0 {
		next.LastTransitionTime = timestamppb.New(now)
		return append(slices.Clip(conds), next)
	}
	old := conds[at]
	if old.GetStatus() == c.GetStatus() && old.GetLastTransitionTime() != nil {
		if old.GetReason() == c.GetReason() && old.GetMessage() == c.GetMessage() && old.GetObservedGeneration() == o.GetGeneration() {
			return conds
		}
		next.LastTransitionTime = old.GetLastTransitionTime()
	} else {
		next.LastTransitionTime = timestamppb.New(now)
	}
	out := slices.Clone(conds)
	out[at] = next
	return out
}

// FindCondition is the condition of a type; nil when there is none.
func FindCondition(conds []*isthmusv1.Condition, kind string) *isthmusv1.Condition {
	for _, c := range conds {
		if c.GetType() == kind {
			return c
		}
	}
	return nil
}
