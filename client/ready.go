package client

import (
	"cmp"
	"fmt"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Readiness says whether a resource is as its spec wants it, as far as its status tells.
type Readiness struct {
	Ready bool
	// State is one or two words: healthy, offline, 2/3 healthy.
	State string
	// Message says why it is not ready.
	Message string
}

// unknown is what nobody has reported (yet). It never counts as ready.
const unknown = "unknown"

// Judge reads a resource's status. A kind that has nothing to become ready for (what is only registered) is ready at once.
func Judge(o resource.Object) Readiness {
	var r Readiness
	var conditions []*isthmusv1.Condition
	switch o := o.(type) {
	case *isthmusv1.Datacenter:
		r.State, conditions = cmp.Or(o.GetStatus().GetAgent(), unknown), o.GetStatus().GetConditions()
	case *isthmusv1.Peering:
		r.State, conditions = cmp.Or(o.GetStatus().GetVerdict(), unknown), o.GetStatus().GetConditions()
	case *isthmusv1.PeeringGroup:
		r.State, conditions = ratio(o.GetStatus().GetHealthy(), o.GetStatus().GetPeerings(), "healthy"), o.GetStatus().GetConditions()
	case *isthmusv1.Federation:
		r.State, conditions = ratio(o.GetStatus().GetJoined(), o.GetStatus().GetSecondaries(), resource.PhaseJoined), o.GetStatus().GetConditions()
	case *isthmusv1.ServiceExport:
		r.State, conditions = ratio(o.GetStatus().GetApplied(), o.GetStatus().GetDatacenters(), resource.ExportApplied), o.GetStatus().GetConditions()
	case *isthmusv1.Intention:
		r.State, conditions = appliedOf(o.GetStatus()), o.GetStatus().GetConditions()
	case *isthmusv1.TrafficPolicy:
		r.State, conditions = appliedOf(o.GetStatus()), o.GetStatus().GetConditions()
	default:
		return Readiness{Ready: true, State: "stored"}
	}
	ready := resource.FindCondition(conditions, resource.ConditionReady)
	switch {
	case o.GetDeleteTime() != nil:
		r.State, r.Message = Deleting, cmp.Or(ready.GetMessage(), "it is being deleted")
	case ready == nil:
		r.State, r.Message = unknown, "nothing is known of it yet"
	case ready.GetObservedGeneration() < o.GetGeneration():
		r.Message = "its latest change has not been looked at yet"
	case ready.GetStatus() == resource.ConditionTrue:
		r.Ready = true
	default:
		r.Message = ready.GetMessage()
	}
	return r
}

func appliedOf(s *isthmusv1.PolicyStatus) string {
	return ratio(s.GetApplied(), s.GetDatacenters(), resource.PolicyApplied)
}

func ratio(n, of int32, what string) string { return fmt.Sprintf("%d/%d %s", n, of, what) }
