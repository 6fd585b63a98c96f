package resource

import (
	"fmt"
	"time"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// deletionTakes is how long Consul may delete a peering, with what it imported, until that is said to be long: mostly it takes seconds.
const deletionTakes = time.Minute

// StuckDeletion says that Consul is long at the deletion of an end of a peering, and what helps if it hangs; empty: it is not. Consul deletes
// deferred, by its leader, a few ends each second. The one way known in which it gives up (1.20) is put right by the agent; of any other the next
// leader begins anew.
func StuckDeletion(datacenter string, e *isthmusv1.PeeringEnd, now time.Time) string {
	since := e.GetSince()
	if e.GetState() != "DELETING" || since == nil || now.Sub(since.AsTime()) <= deletionTakes {
		return ""
	}
	return fmt.Sprintf("the end in %s is DELETING since %s: Consul removes some five ends a second, one after the other. When none goes any more, its leader "+
		"hangs, and another one begins anew: on a server of %s, run consul operator raft transfer-leader (where there is one server only, restart it)",
		datacenter, since.AsTime().UTC().Format(time.RFC3339), datacenter)
}
