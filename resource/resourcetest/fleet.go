// Package resourcetest gives tests of the pure packages a fleet to read, without a store.
//
// Owns: Fleet, a resource.Reader over a map. Does not own: consistency, indexes, history (store/snapshot).
package resourcetest

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"sync"

	"isthmus/resource"
)

// Fleet is a set of resources. The zero value is empty. It may be read concurrently, as long as nobody changes it.
type Fleet struct {
	objects map[[2]string]resource.Object

	// What List and Touching give, made when it is first asked for after a change.
	mu       sync.Mutex
	kinds    map[string][]resource.Object
	touching map[[2]string][]resource.Object
}

var _ resource.Reader = (*Fleet)(nil)

// New is a fleet of these resources.
func New(objects ...resource.Object) *Fleet {
	f := &Fleet{}
	f.Put(objects...)
	return f
}

// Put adds resources, in place of those of the same kind and name, and fills in their defaults.
func (f *Fleet) Put(objects ...resource.Object) {
	if f.objects == nil {
		f.objects = map[[2]string]resource.Object{}
	}
	for _, o := range objects {
		resource.Default(o)
		f.objects[[2]string{resource.KindOf(o).Name, o.GetName()}] = o
	}
	f.kinds = nil
}

// Delete takes a resource out.
func (f *Fleet) Delete(kind, name string) {
	delete(f.objects, [2]string{kind, name})
	f.kinds = nil
}

// Get is the resource of that name.
func (f *Fleet) Get(kind, name string) (resource.Object, bool) {
	o, ok := f.objects[[2]string{kind, name}]
	return o, ok
}

// List is every resource of a kind, in order of their names.
func (f *Fleet) List(kind string) iter.Seq[resource.Object] {
	f.index()
	return slices.Values(f.kinds[kind])
}

// Touching is every resource of a kind that names the datacenter, in order of their names.
func (f *Fleet) Touching(kind, datacenter string) iter.Seq[resource.Object] {
	f.index()
	return slices.Values(f.touching[[2]string{kind, datacenter}])
}

func (f *Fleet) index() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kinds != nil {
		return
	}
	f.kinds, f.touching = map[string][]resource.Object{}, map[[2]string][]resource.Object{}
	byName := func(a, b resource.Object) int { return cmp.Compare(a.GetName(), b.GetName()) }
	for _, o := range slices.SortedFunc(maps.Values(f.objects), byName) {
		kind := resource.KindOf(o)
		f.kinds[kind.Name] = append(f.kinds[kind.Name], o)
		for _, datacenter := range kind.Datacenters(o) {
			key := [2]string{kind.Name, datacenter}
			f.touching[key] = append(f.touching[key], o)
		}
	}
}
