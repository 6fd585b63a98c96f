package snapshot

import (
	"iter"
	"sync"

	"github.com/hashicorp/go-memdb"

	"isthmus/resource"
	"isthmus/store"
)

// Tables and indexes. Keys are made by hand, ended by NUL, so that a prefix is never a part of a name.
const (
	tableResources = "resources"
	tableKinds     = "kinds"
	tableRevision  = "revision"
	indexID        = "id"
	indexPlace     = "datacenter"
)

// entry is one resource in memory.
type entry struct {
	kind, name string
	object     resource.Object
	// datacenters as its Kind says, computed once.
	datacenters []string
}

// kindEntry is the index at which any resource of a kind changed last.
type kindEntry struct {
	kind  string
	index uint64
	// last is the name of what changed last; empty after all was loaded.
	last string
}

func key(parts ...string) []byte {
	n := 0
	for _, p := range parts {
		n += len(p) + 1
	}
	out := make([]byte, 0, n)
	for _, p := range parts {
		out = append(append(out, p...), 0)
	}
	return out
}

// fromArgs makes an index key out of strings; LowerBound gives a whole key, made before.
func fromArgs(args ...any) ([]byte, error) {
	if whole, ok := args[0].([]byte); ok {
		return whole, nil
	}
	parts := make([]string, len(args))
	for i, a := range args {
		parts[i] = a.(string)
	}
	return key(parts...), nil
}

// idIndex: kind, name.
type idIndex struct{}

func (idIndex) FromObject(o any) (bool, []byte, error) {
	e := o.(*entry)
	return true, key(e.kind, e.name), nil
}
func (idIndex) FromArgs(args ...any) ([]byte, error)       { return fromArgs(args...) }
func (idIndex) PrefixFromArgs(args ...any) ([]byte, error) { return fromArgs(args...) }

// placeIndex: datacenter, kind, name, for each datacenter of the resource.
type placeIndex struct{}

func (placeIndex) FromObject(o any) (bool, [][]byte, error) {
	e := o.(*entry)
	keys := make([][]byte, len(e.datacenters))
	for i, dc := range e.datacenters {
		keys[i] = key(dc, e.kind, e.name)
	}
	return len(keys) > 0, keys, nil
}
func (placeIndex) FromArgs(args ...any) ([]byte, error)       { return fromArgs(args...) }
func (placeIndex) PrefixFromArgs(args ...any) ([]byte, error) { return fromArgs(args...) }

type kindIndex struct{}

func (kindIndex) FromObject(o any) (bool, []byte, error) { return true, key(o.(*kindEntry).kind), nil }
func (kindIndex) FromArgs(args ...any) ([]byte, error)   { return fromArgs(args...) }

// revisionIndex is of the one revision, which is in the database so that it always fits the rest.
type revisionIndex struct{}

func (revisionIndex) FromObject(any) (bool, []byte, error) { return true, key(""), nil }
func (revisionIndex) FromArgs(...any) ([]byte, error)      { return key(""), nil }

func schema() *memdb.DBSchema {
	return &memdb.DBSchema{Tables: map[string]*memdb.TableSchema{
		tableResources: {Name: tableResources, Indexes: map[string]*memdb.IndexSchema{
			indexID:    {Name: indexID, Unique: true, Indexer: idIndex{}},
			indexPlace: {Name: indexPlace, Unique: true, AllowMissing: true, Indexer: placeIndex{}},
		}},
		tableRevision: {Name: tableRevision, Indexes: map[string]*memdb.IndexSchema{
			indexID: {Name: indexID, Unique: true, Indexer: revisionIndex{}},
		}},
		tableKinds: {Name: tableKinds, Indexes: map[string]*memdb.IndexSchema{
			indexID: {Name: indexID, Unique: true, Indexer: kindIndex{}},
		}},
	}}
}

// View is the fleet at one index. It never changes, can be held for as long as it is needed, and may be used by several
// goroutines. The objects that it gives are shared: Clone before changing one.
type View struct {
	db       *memdb.MemDB
	revision store.Revision

	// Each plan asks who is in which federation, of the same view a thousand times.
	find        sync.Once
	memberships map[string]resource.Membership
	// remembered are functions that give what was found once, by key.
	remembered sync.Map
}

var _ resource.MembershipReader = (*View)(nil)

// must unpacks what can only fail when the schema is wrong.
func must[T any](value T, err error) T {
	if err != nil {
		panic("snapshot: " + err.Error())
	}
	return value
}

// Revision is the view's place in the store's history.
func (v *View) Revision() store.Revision { return v.revision }

// Get implements resource.Reader.
func (v *View) Get(kind, name string) (resource.Object, bool) {
	e, ok := must(v.db.Txn(false).First(tableResources, indexID, kind, name)).(*entry)
	if !ok {
		return nil, false
	}
	return e.object, true
}

// List implements resource.Reader.
func (v *View) List(kind string) iter.Seq[resource.Object] {
	return v.each(indexID, kind)
}

// Touching implements resource.Reader.
func (v *View) Touching(kind, datacenter string) iter.Seq[resource.Object] {
	return v.each(indexPlace, datacenter, kind)
}

func (v *View) each(index string, prefix ...any) iter.Seq[resource.Object] {
	return func(yield func(resource.Object) bool) {
		found := must(v.db.Txn(false).Get(tableResources, index+"_prefix", prefix...))
		for o := found.Next(); o != nil; o = found.Next() {
			if !yield(o.(*entry).object) {
				return
			}
		}
	}
}

// Memberships implements resource.MembershipReader.
func (v *View) Memberships(find func() map[string]resource.Membership) map[string]resource.Membership {
	v.find.Do(func() { v.memberships = find() })
	return v.memberships
}

// Remember gives what find gave when it was called for the first time with this key. Callers with other keys do not wait for it.
func (v *View) Remember(key string, find func() any) any {
	found, _ := v.remembered.LoadOrStore(key, sync.OnceValue(find))
	return found.(func() any)()
}

// ListAfter is List from the first name after one.
func (v *View) ListAfter(kind, after string) iter.Seq[resource.Object] {
	return func(yield func(resource.Object) bool) {
		// Every key with that name itself is below name, NUL, NUL.
		found := must(v.db.Txn(false).LowerBound(tableResources, indexID, append(key(kind, after), 0)))
		for o := found.Next(); o != nil; o = found.Next() {
			e := o.(*entry)
			if e.kind != kind || !yield(e.object) {
				return
			}
		}
	}
}

// KindIndex is the index of the last change of any resource of the kind, deletions included. For store.KindEvent, that of
// the last event.
func (v *View) KindIndex(kind string) uint64 {
	k, ok := must(v.db.Txn(false).First(tableKinds, indexID, kind)).(*kindEntry)
	if !ok {
		return 0
	}
	return k.index
}

// LastEvent is the name of the audit log's last entry; empty when it is not known, as after everything was loaded.
func (v *View) LastEvent() string {
	k, ok := must(v.db.Txn(false).First(tableKinds, indexID, store.KindEvent)).(*kindEntry)
	if !ok {
		return ""
	}
	return k.last
}

// Watch gives a channel that is closed when KindIndex(kind) moves from what it is in this view; at once, if it has.
func (v *View) Watch(kind string) <-chan struct{} {
	changed, _, err := v.db.Txn(false).FirstWatch(tableKinds, indexID, kind)
	return must(changed, err)
}

// WatchName gives a channel that is closed when the resource changes, comes or goes.
func (v *View) WatchName(kind, name string) <-chan struct{} {
	changed, _, err := v.db.Txn(false).FirstWatch(tableResources, indexID, kind, name)
	return must(changed, err)
}

// WatchDatacenter gives a channel that is closed when a resource that touches the datacenter changes, comes or goes. It
// may be closed a few times too often.
func (v *View) WatchDatacenter(datacenter string) <-chan struct{} {
	return must(v.db.Txn(false).Get(tableResources, indexPlace+"_prefix", datacenter)).WatchCh()
}
