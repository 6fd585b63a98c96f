package tree

import (
	"slices"
	"sort"
	"strings"

	"isthmus/store"
)

const (
	// mostItems is what one node of a tree has at most. Each change copies a node of each level: at 32, some hundred bytes.
	mostItems = 32
	// fewItems is when a node is put together with one beside it.
	fewItems = mostItems / 4
)

// Item is something that a tree keeps by its key.
type Item interface {
	comparable
	Key() store.Key
}

// Tree is an ordered set of items. It never changes: an edit makes another one, which shares with it all that is the same. The zero value is
// empty. All leaves are equally deep, and none is empty.
type Tree[T Item] struct {
	root *node[T]
}

// node is a leaf, which has items, or has children.
type node[T Item] struct {
	// owner is the edit that made the node, and may still change it.
	owner *Edit
	// items in order of their keys.
	items []T
	// children in order. All in children[i] is at or above floors[i], and below floors[i+1].
	children []*node[T]
	floors   []store.Key
	// superseded is given when the newest state has another leaf in place of this one.
	superseded Signal
}

// Edit is one change of trees: what it made itself it changes in place.
type Edit struct {
	// Superseded are the signals of all that the edit took out or replaced: the leaves', and what its user adds. They are to be given, and
	// forgotten, once the edit's trees are the newest: nodes hold their Edit for as long as they live.
	Superseded []*Signal
}

func compareKeys(a, b store.Key) int {
	if a.Kind != b.Kind {
		return strings.Compare(a.Kind, b.Kind)
	}
	return strings.Compare(a.Name, b.Name)
}

// position is where the first item at or above a key is, and whether it has that key.
func (n *node[T]) position(k store.Key) (int, bool) {
	i := sort.Search(len(n.items), func(i int) bool { return compareKeys(n.items[i].Key(), k) >= 0 })
	return i, i < len(n.items) && n.items[i].Key() == k
}

// way is the child in which a key is, if anywhere.
func (n *node[T]) way(k store.Key) int {
	return max(0, sort.Search(len(n.floors), func(i int) bool { return compareKeys(n.floors[i], k) > 0 })-1)
}

// leaf is where a key is, or would be; nil in an empty tree.
func (t Tree[T]) leaf(k store.Key) *node[T] {
	n := t.root
	for n != nil && n.children != nil {
		n = n.children[n.way(k)]
	}
	return n
}

// Get is the item of a key.
func (t Tree[T]) Get(k store.Key) (found T, ok bool) {
	n := t.leaf(k)
	if n == nil {
		return found, false
	}
	i, ok := n.position(k)
	if ok {
		found = n.items[i]
	}
	return found, ok
}

// From visits all items at or above a key, in order, until visit does not want more.
func (t Tree[T]) From(k store.Key, visit func(T) bool) {
	if t.root != nil {
		t.root.from(k, visit)
	}
}

func (n *node[T]) from(k store.Key, visit func(T) bool) bool {
	if n.children == nil {
		i, _ := n.position(k)
		for _, it := range n.items[i:] {
			if !visit(it) {
				return false
			}
		}
		return true
	}
	for _, child := range n.children[n.way(k):] {
		if !child.from(k, visit) {
			return false
		}
	}
	return true
}

// Gap is given when something comes to where a key is not, or goes or changes near it; nil in an empty tree.
func (t Tree[T]) Gap(k store.Key) *Signal {
	if n := t.leaf(k); n != nil {
		return &n.superseded
	}
	return nil
}

// Empty tells whether there is nothing in it.
func (t Tree[T]) Empty() bool { return t.root == nil }

// own is a node that the edit may change: itself, or a copy with room for one more.
func (n *node[T]) own(e *Edit) *node[T] {
	if n.owner == e {
		return n
	}
	c := &node[T]{owner: e}
	if n.children == nil {
		c.items = append(make([]T, 0, len(n.items)+1), n.items...)
		e.Superseded = append(e.Superseded, &n.superseded)
		return c
	}
	c.children = append(make([]*node[T], 0, len(n.children)+1), n.children...)
	c.floors = append(make([]store.Key, 0, len(n.floors)+1), n.floors...)
	return c
}

// With is the tree with an item, in place of the one that had its key.
func (t Tree[T]) With(e *Edit, it T) Tree[T] {
	if t.root == nil {
		return Tree[T]{&node[T]{owner: e, items: []T{it}}}
	}
	root := t.root.own(e)
	floor := root.floor()
	if right := root.put(e, it.Key(), it); right != nil {
		root = &node[T]{owner: e, children: []*node[T]{root, right}, floors: []store.Key{floor, right.floor()}}
	}
	return Tree[T]{root}
}

// floor is a key that nothing in the node is below.
func (n *node[T]) floor() store.Key {
	if n.children == nil {
		return n.items[0].Key()
	}
	return n.floors[0]
}

// put changes a node of the edit's own. When that becomes too large, its upper half becomes a node of its own.
func (n *node[T]) put(e *Edit, k store.Key, it T) (right *node[T]) {
	if n.children == nil {
		i, ok := n.position(k)
		if ok {
			n.items[i] = it
			return nil
		}
		n.items = slices.Insert(n.items, i, it)
		return n.split(e)
	}
	i := n.way(k)
	child := n.children[i].own(e)
	n.children[i] = child
	if grown := child.put(e, k, it); grown != nil {
		n.children = slices.Insert(n.children, i+1, grown)
		n.floors = slices.Insert(n.floors, i+1, grown.floor())
	}
	return n.split(e)
}

func (n *node[T]) split(e *Edit) *node[T] {
	if len(n.items) <= mostItems && len(n.children) <= mostItems {
		return nil
	}
	right := &node[T]{owner: e}
	if n.children == nil {
		half := len(n.items) / 2
		right.items = slices.Clone(n.items[half:])
		n.items = slices.Clone(n.items[:half])
		return right
	}
	half := len(n.children) / 2
	right.children, right.floors = slices.Clone(n.children[half:]), slices.Clone(n.floors[half:])
	n.children, n.floors = slices.Clone(n.children[:half]), slices.Clone(n.floors[:half])
	return right
}

// Without is the tree without the item of a key; it must have one.
func (t Tree[T]) Without(e *Edit, k store.Key) Tree[T] {
	root := t.root.own(e)
	root.remove(e, k)
	for len(root.children) == 1 {
		root = root.children[0]
	}
	if root.size() == 0 {
		return Tree[T]{}
	}
	return Tree[T]{root}
}

// remove changes a node of the edit's own.
func (n *node[T]) remove(e *Edit, k store.Key) {
	if n.children == nil {
		if i, ok := n.position(k); ok {
			n.items = slices.Delete(n.items, i, i+1)
		}
		return
	}
	i := n.way(k)
	n.children[i] = n.children[i].own(e)
	n.children[i].remove(e, k)
	switch size := n.children[i].size(); {
	case size == 0:
		n.drop(i)
	case size < fewItems:
		n.join(e, max(0, i-1))
	}
}

// drop takes out a child that has become empty. What was its own is the next one's, or the one's before.
func (n *node[T]) drop(i int) {
	floor := n.floors[0]
	n.children = slices.Delete(n.children, i, i+1)
	n.floors = slices.Delete(n.floors, i, i+1)
	if len(n.floors) > 0 {
		n.floors[0] = floor
	}
}

func (n *node[T]) size() int { return len(n.items) + len(n.children) }

// join puts the child at i and the next one together, if there is room and a next one.
func (n *node[T]) join(e *Edit, i int) {
	if i+1 >= len(n.children) || n.children[i].size()+n.children[i+1].size() > mostItems {
		return
	}
	left, right := n.children[i].own(e), n.children[i+1]
	if right.owner != e && right.children == nil {
		e.Superseded = append(e.Superseded, &right.superseded)
	}
	left.items = append(left.items, right.items...)
	if right.children != nil {
		left.children = append(left.children, right.children...)
		left.floors = append(append(left.floors, n.floors[i+1]), right.floors[1:]...)
	}
	n.children[i] = left
	n.children = slices.Delete(n.children, i+1, i+2)
	n.floors = slices.Delete(n.floors, i+1, i+2)
}
