package evidence

import (
	"time"

	"isthmus/inventory"
	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Datacenter is the status of a datacenter: what it has, brought to what evidence and the config entries that its agent reports show. A new
// one, of which nothing can be known, is stored with what it says of no evidence, so that the controller has nothing to add.
func Datacenter(d *isthmusv1.Datacenter, e inventory.Evidence, entries *isthmusv1.EntriesReport, now time.Time) *isthmusv1.DatacenterStatus {
	next := inventory.Datacenter(d, e, now)
	posture := policy.Posture(next.GetDefaultIntentionPolicy(), entries)
	next.Conditions = resource.SetCondition(d, next.GetConditions(), posture, now)
	return next
}
