package desired

import (
	"cmp"
	"crypto/sha256"
	"hash/fnv"
	"slices"
)

// Tree is the sums of a state's items by their ids, and one sum of all of them: a Merkle tree whose shape depends on the ids alone, so that
// the sum is the same however it came about, and a change costs what the way from a leaf to the root does. The zero value is empty.
//
//	leaf    up to maxLeaf items, in order of their ids       SHA-256 of 0, and for each item the length of its id, its id and its sum
//	branch  16 trees, by the next four bits of the id's hash SHA-256 of 1 and their sums
type Tree struct {
	size int
	// rows are a leaf's; nil in a branch.
	rows []row
	// below is a branch's; nil in a leaf.
	below *[fan]Tree
	// sum is the last one; it counts while it is fresh.
	sum   Sum
	fresh bool
}

const (
	// maxLeaf is what a leaf has at most: the states of most datacenters are one.
	maxLeaf = 32
	// fan is how many trees a branch has; depths is for how many of them an id's hash of 64 bits lasts.
	fan, fanBits, depths = 16, 4, 16
)

type row struct {
	id  string
	sum Sum
}

// Put gives an item a sum, and tells whether it had none, or another one.
func (t *Tree) Put(id string, sum Sum) bool { return t.put(row{id, sum}, hashOf(id), 0) }

func (t *Tree) put(r row, hash uint64, depth int) bool {
	if t.below != nil {
		below := &t.below[hash%fan]
		before := below.size
		changed := below.put(r, hash>>fanBits, depth+1)
		t.size += below.size - before
		t.fresh = t.fresh && !changed
		return changed
	}
	i, known := t.find(r.id)
	switch {
	case known && t.rows[i].sum == r.sum:
		return false
	case known:
		t.rows[i] = r
	default:
		t.rows = slices.Insert(t.rows, i, r)
		t.size++
	}
	t.fresh = false
	if t.size > maxLeaf && depth < depths {
		t.split(depth)
	}
	return true
}

// Delete takes an item out, and tells whether it was there.
func (t *Tree) Delete(id string) bool { return t.remove(id, hashOf(id), 0) }

func (t *Tree) remove(id string, hash uint64, depth int) bool {
	if t.below == nil {
		i, known := t.find(id)
		if !known {
			return false
		}
		t.rows = slices.Delete(t.rows, i, i+1)
	} else if !t.below[hash%fan].remove(id, hash>>fanBits, depth+1) {
		return false
	}
	t.size--
	t.fresh = false
	if t.below != nil && t.size <= maxLeaf {
		t.rows = t.collect(make([]row, 0, t.size))
		slices.SortFunc(t.rows, func(a, b row) int { return cmp.Compare(a.id, b.id) })
		t.below = nil
	}
	return true
}

// Has tells whether an item is there.
func (t *Tree) Has(id string) bool {
	at := t
	for hash := hashOf(id); at.below != nil; hash >>= fanBits {
		at = &at.below[hash%fan]
	}
	_, known := at.find(id)
	return known
}

// Size is how many items there are.
func (t *Tree) Size() int { return t.size }

// Sum is of all items.
func (t *Tree) Sum() Sum {
	if t.fresh {
		return t.sum
	}
	var form []byte
	if t.below != nil {
		form = make([]byte, 1, 1+fan*len(t.sum))
		form[0] = 1
		for i := range t.below {
			sum := t.below[i].Sum()
			form = append(form, sum[:]...)
		}
	} else {
		form = make([]byte, 1, 1+len(t.rows)*(2*len(t.sum)+len("peering-acceptor/")))
		for _, r := range t.rows {
			form = append(form, byte(len(r.id)>>8), byte(len(r.id)))
			form = append(form, r.id...)
			form = append(form, r.sum[:]...)
		}
	}
	t.sum, t.fresh = sha256.Sum256(form), true
	return t.sum
}

// find is where an item's row is, or belongs.
func (t *Tree) find(id string) (int, bool) {
	return slices.BinarySearchFunc(t.rows, id, func(r row, id string) int { return cmp.Compare(r.id, id) })
}

// split makes a branch of a leaf.
func (t *Tree) split(depth int) {
	rows := t.rows
	t.rows, t.below = nil, new([fan]Tree)
	for _, r := range rows {
		hash := hashOf(r.id) >> (fanBits * depth)
		t.below[hash%fan].put(r, hash>>fanBits, depth+1)
	}
}

func (t *Tree) collect(into []row) []row {
	if t.below == nil {
		return append(into, t.rows...)
	}
	for i := range t.below {
		into = t.below[i].collect(into)
	}
	return into
}

// hashOf puts ids into trees. It need not be a secret's: whoever can choose many ids makes a tree deep, and no sum another.
func hashOf(id string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(id))
	return h.Sum64()
}
