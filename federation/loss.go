package federation

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Actions of a member's plan.
const (
	ActionPrimary    = "primary"
	ActionJoin       = "join"
	ActionLeave      = "leave"
	ActionChangeMode = "change-mode"
	ActionNone       = "none"
)

// MaxLosses is how many lost things a report and a plan list; all are counted and digested.
const MaxLosses = 1000

// LossDigest tells two lists of losses apart, by what is lost and what is in it. Empty when nothing is lost.
func LossDigest(items []*isthmusv1.LostItem) string {
	if len(items) == 0 {
		return ""
	}
	h := sha256.New()
	for _, i := range SortLosses(items) {
		fmt.Fprintf(h, "%d:%s%d:%s%d:%s\n", len(i.GetKind()), i.GetKind(), len(i.GetName()), i.GetName(), len(i.GetDigest()), i.GetDigest())
	}
	return hex.EncodeToString(h.Sum(nil))
}

// SortLosses gives them in order of kind and name.
func SortLosses(items []*isthmusv1.LostItem) []*isthmusv1.LostItem {
	return slices.SortedFunc(slices.Values(items), func(a, b *isthmusv1.LostItem) int {
		return cmp.Or(cmp.Compare(a.GetKind(), b.GetKind()), cmp.Compare(a.GetName(), b.GetName()), cmp.Compare(a.GetDigest(), b.GetDigest()))
	})
}

// PlanDigest is what acceptDataLoss names: one datacenter, one action, exactly these losses. Agent and server compute it alike; the
// agent again right before it acts. Empty when nothing is lost.
func PlanDigest(uid, datacenter, action, lossDigest string) string {
	if lossDigest == "" {
		return ""
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "isthmus/1/federation-plan\n%s\n%s\n%s\n%s\n", uid, datacenter, action, lossDigest))
	return hex.EncodeToString(sum[:16])
}
