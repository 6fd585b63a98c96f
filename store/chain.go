package store

import (
	"google.golang.org/protobuf/proto"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// EventHash is the hash of an event in the audit log's chain: over all of it (the hash before it included) but the hash
// itself. Whoever holds the log can compute it again: an event that was changed, added or taken out shows.
func EventHash(e *isthmusv1.Event) string {
	bare := proto.CloneOf(e)
	bare.Status = &isthmusv1.EventStatus{PreviousHash: e.GetStatus().GetPreviousHash()}
	return resource.Digest(bare)
}
