package desired

import (
	"crypto/sha256"
	"encoding/hex"

	"google.golang.org/protobuf/proto"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Sum is a SHA-256.
type Sum [sha256.Size]byte

// Digest tells two desired states apart, whatever order their items are in. It panics for text that is not UTF-8, which no state has that
// passed resource.CheckMessage, or is made of resources.
func Digest(state *isthmusv1.DesiredState) string {
	var items Tree
	for _, item := range state.GetItems() {
		items.Put(item.GetId(), SumOf(item))
	}
	return DigestOf(SumOf(Header(state)), &items)
}

// DigestOf is the Digest of a state whose Header, and whose items, have these sums.
func DigestOf(header Sum, items *Tree) string {
	of := items.Sum()
	sum := sha256.Sum256(append(header[:], of[:]...))
	return hex.EncodeToString(sum[:])
}

// SumOf is of a message's encoding in the order of its fields' numbers. New versions only add fields, of larger numbers, so that who does not
// know them comes to the same sum. It panics as Digest does.
func SumOf(m proto.Message) Sum {
	wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic("desired: digest: " + err.Error())
	}
	return sha256.Sum256(wire)
}

// Header is a state without its items. Fields that this version does not know are in it, too.
func Header(state *isthmusv1.DesiredState) *isthmusv1.DesiredState {
	out := &isthmusv1.DesiredState{
		Datacenter: state.GetDatacenter(), ConsulDatacenter: state.GetConsulDatacenter(), ConsulPartition: state.GetConsulPartition(),
		Drift: state.GetDrift(), ConfirmedEpoch: state.GetConfirmedEpoch(),
	}
	out.ProtoReflect().SetUnknown(state.ProtoReflect().GetUnknown())
	return out
}
