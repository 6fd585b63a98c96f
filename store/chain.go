package store

import (
	"math"
	"strconv"

	"google.golang.org/protobuf/proto"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// EventName is an event's name: its number in the log with 12 digits, so that names sort as the log does.
func EventName(number uint64) string { return string(AppendEventName(nil, number)) }

// AppendEventName appends an event's name.
func AppendEventName(out []byte, number uint64) []byte {
	const digits = 12
	var room [20]byte
	text := strconv.AppendUint(room[:0], number, 10)
	for range digits - len(text) {
		out = append(out, '0')
	}
	return append(out, text...)
}

// MaxEventNumber is the largest number of an event: databases have no larger integers. The first event has number 1.
const MaxEventNumber uint64 = math.MaxInt64

// EventNumber is the number that an event's name stands for, from 1 to MaxEventNumber: NotFound when it is no event's name.
func EventNumber(name string) (uint64, error) {
	number, err := strconv.ParseUint(name, 10, 64)
	if err != nil || number == 0 || number > MaxEventNumber || EventName(number) != name {
		return 0, fault.New(fault.NotFound, "%s %s does not exist", KindEvent, name)
	}
	return number, nil
}

// EventHash is the hash of an event in the audit log's chain: over all of it (the hash before it included) but the hash
// itself. Whoever holds the log can compute it again: an event that was changed, added or taken out shows.
func EventHash(e *isthmusv1.Event) string {
	bare := proto.CloneOf(e)
	bare.Status = &isthmusv1.EventStatus{PreviousHash: e.GetStatus().GetPreviousHash()}
	return resource.Digest(bare)
}
