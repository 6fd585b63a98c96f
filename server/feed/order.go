package feed

import (
	"container/list"

	"isthmus/store"
)

// Change is what became of one resource. Of the audit log the kind is store.KindEvent and the name its last entry's.
type Change struct {
	Key     store.Key
	Deleted bool
	// Index is that of the change.
	Index uint64
}

// entry is the last change of a resource, or the last news of a datacenter, which has no kind.
type entry struct {
	Change
	place store.Key
	// seq counts changes; at is the store's index of the batch that brought it. Both grow from entry to entry of resources.
	seq, at uint64
}

// order is the last changes, the newest last, each resource and each datacenter once. It is bounded: what is dropped leaves its mark.
type order struct {
	limit   int
	entries *list.List
	where   map[store.Key]*list.Element
	// seq is that of the newest entry that ever was. Everything after forgotten is here, and of resources everything after the index known.
	seq, forgotten, known uint64
}

// newOrder begins at an index of the store.
func newOrder(limit int, index uint64) *order {
	return &order{limit: limit, entries: list.New(), where: map[store.Key]*list.Element{}, known: index}
}

// add takes in a change, instead of the one before of the same place: that of a resource, of a datacenter, or of the audit log.
func (o *order) add(place store.Key, c Change, at uint64) {
	o.seq++
	if old, ok := o.where[place]; ok {
		o.entries.Remove(old)
	}
	o.where[place] = o.entries.PushBack(entry{Change: c, place: place, seq: o.seq, at: at})
	for o.entries.Len() > o.limit {
		oldest := o.entries.Remove(o.entries.Front()).(entry) //nolint:forcetypeassert // the list has nothing else.
		delete(o.where, oldest.place)
		o.forgotten = oldest.seq
		if oldest.Key.Kind != "" {
			o.known = oldest.at
		}
	}
}

// after gives what came after a count, the oldest first, of resources what came after an index, too.
func (o *order) after(seq, index uint64) (changes []Change, observed []string) {
	first := o.entries.Back()
	for e := first; e != nil && e.Value.(entry).seq > seq; e = e.Prev() {
		first = e
	}
	for e := first; e != nil; e = e.Next() {
		switch x := e.Value.(entry); {
		case x.seq <= seq:
		case x.Key.Kind == "":
			observed = append(observed, x.Key.Name)
		case x.at > index:
			changes = append(changes, x.Change)
		}
	}
	return changes, observed
}

// afterIndex gives the resources that changed after an index.
func (o *order) afterIndex(index uint64) []Change {
	changes, _ := o.after(o.before(index), index)
	return changes
}

// before is a count at or before which nothing of what changed after an index came.
func (o *order) before(index uint64) uint64 {
	for e := o.entries.Back(); e != nil; e = e.Prev() {
		if x := e.Value.(entry); x.Key.Kind != "" && x.at <= index {
			return x.seq
		}
	}
	return o.forgotten
}
