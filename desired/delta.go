package desired

import (
	"cmp"
	"slices"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Merge is the state that a delta leads to: its items in order of their ids, those that are the same shared with the state before, which stays
// as it is. Whether it is the right one, its Digest shows.
func Merge(state *isthmusv1.DesiredState, delta *isthmusv1.StateDelta) *isthmusv1.DesiredState {
	others := make(map[string]bool, len(delta.GetItems())+len(delta.GetRemoved()))
	for _, id := range delta.GetRemoved() {
		others[id] = true
	}
	for _, item := range delta.GetItems() {
		others[item.GetId()] = true
	}
	out := Header(delta.GetState())
	out.Items = make([]*isthmusv1.DesiredItem, 0, len(state.GetItems())+len(delta.GetItems()))
	for _, item := range state.GetItems() {
		if !others[item.GetId()] {
			out.Items = append(out.Items, item)
		}
	}
	out.Items = append(out.Items, delta.GetItems()...)
	slices.SortFunc(out.Items, func(a, b *isthmusv1.DesiredItem) int { return cmp.Compare(a.GetId(), b.GetId()) })
	return out
}
