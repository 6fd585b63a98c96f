package simulate

import (
	"slices"

	"isthmus/desired"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// holding is what an agent keeps of the state that it has: enough to tell its digest, and what a federation wants, which is small. A real agent
// keeps all of it; thousands in one process need not.
type holding struct {
	items desired.Tree
	wan   []*isthmusv1.DesiredItem
}

// todo is what an agent has to do: all that a state has, or what became another in it.
type todo struct {
	whole bool
	items []*isthmusv1.DesiredItem
	// removed are ids of items that are gone, of those that are not whole; wan is what a federation wants.
	removed []string
	wan     []*isthmusv1.DesiredItem
}

// take begins with a whole state.
func (h *holding) take(state *isthmusv1.DesiredState) *todo {
	*h = holding{}
	h.put(state.GetItems())
	return &todo{whole: true, items: state.GetItems(), wan: h.wan}
}

// merge goes on by a delta, and gives the digest that it comes to.
func (h *holding) merge(delta *isthmusv1.StateDelta) (more *todo, digest string) {
	h.drop(delta.GetRemoved())
	h.put(delta.GetItems())
	return &todo{items: delta.GetItems(), removed: delta.GetRemoved(), wan: h.wan}, desired.DigestOf(desired.SumOf(desired.Header(delta.GetState())), &h.items)
}

func (h *holding) put(items []*isthmusv1.DesiredItem) {
	for _, item := range items {
		h.items.Put(item.GetId(), desired.SumOf(item))
		switch item.GetType() {
		case resource.ItemFederationPrimary, resource.ItemFederationSecondary, resource.ItemProbes:
			h.wan = append(without(h.wan, item.GetId()), item)
		}
	}
}

func (h *holding) drop(ids []string) {
	for _, id := range ids {
		h.items.Delete(id)
		h.wan = without(h.wan, id)
	}
}

// without is a new list of the items with other ids.
func without(items []*isthmusv1.DesiredItem, id string) []*isthmusv1.DesiredItem {
	return slices.DeleteFunc(slices.Clone(items), func(item *isthmusv1.DesiredItem) bool { return item.GetId() == id })
}

// and is what there is to do when more came before it was done.
func (t *todo) and(more *todo) *todo {
	if t == nil {
		return more
	}
	state := desired.Merge(&isthmusv1.DesiredState{Items: t.items}, &isthmusv1.StateDelta{Items: more.items, Removed: more.removed})
	return &todo{whole: t.whole, items: state.GetItems(), removed: slices.Concat(t.removed, more.removed), wan: more.wan}
}
