package evidence

import (
	"time"

	"google.golang.org/protobuf/proto"

	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/observation"
)

// maxNamed is how many datacenters a policy may name whose status is found while its writer waits.
const maxNamed = 8

// PolicyReports gives what each datacenter's agent said last of its config entries, and whether it is heard of.
func PolicyReports(table *observation.Table, now time.Time) policy.Reported {
	return func(datacenter string) (*isthmusv1.PolicyReport, bool) {
		seen, ok := table.Get(datacenter, observation.PartPolicy)
		if !ok {
			return nil, false
		}
		return seen.Policy, now.Sub(table.HeardOf(datacenter, seen.Agent)) <= resource.Silence
	}
}

// Foreseeable tells whether o is an Intention or a TrafficPolicy whose status is found while its writer waits: it names a few datacenters for itself.
func Foreseeable(o resource.Object) bool {
	n := named(o)
	return n > 0 && n <= maxNamed
}

// PendingPolicy is the status that the controller gives an Intention or a TrafficPolicy next when its agents have yet to act on it, so that it can be
// stored with what is wanted, and the controller has nothing to add. It is nil where that is for the controller: when nothing is to be added, and when it
// is anything but pending. Then there may be something to tell the audit log, which the controller bounds, and a replica to which reports come a moment later
// must not say that something is applied. r has the policy as it will be.
func PendingPolicy(r resource.Reader, o resource.Object, table *observation.Table, now time.Time) *isthmusv1.PolicyStatus {
	before, _ := resource.Status(o).(*isthmusv1.PolicyStatus)
	next := policy.StatusOf(r, o, PolicyReports(table, now), now)
	if next == before || resource.FindCondition(next.GetConditions(), resource.ConditionReady).GetReason() != resource.ReasonPending {
		return nil
	}
	drifts := map[string]*isthmusv1.Drift{}
	for _, p := range before.GetPlacements() {
		drifts[p.GetDatacenter()] = p.GetDrift()
	}
	for _, p := range next.GetPlacements() {
		if len(p.GetConflicts()) > 0 || !proto.Equal(p.GetDrift(), drifts[p.GetDatacenter()]) {
			return nil
		}
	}
	return next
}

// named is how many datacenters a policy names for itself; 0 when it chooses them otherwise, and for all that is no policy.
func named(o resource.Object) int {
	switch o := o.(type) {
	case *isthmusv1.Intention:
		if d := o.GetSpec().GetDestination(); d.GetSelector() == "" {
			return len(d.GetDatacenters())
		}
	case *isthmusv1.TrafficPolicy:
		if o.GetSpec().GetSelector() == "" {
			return len(o.GetSpec().GetDatacenters())
		}
	}
	return 0
}
