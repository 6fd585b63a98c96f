// Package resourcetest gives tests of the pure packages a fleet to read, without a store.
//
// Owns: Fleet, a resource.Reader over a map. Does not own: consistency, indexes, history (store/snapshot).
package resourcetest

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"
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
	having   map[[2]string][]resource.Object
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

// Having is every resource of a kind that has the term, in order of their names.
func (f *Fleet) Having(kind, term string) iter.Seq[resource.Object] {
	f.index()
	return slices.Values(f.having[[2]string{kind, term}])
}

// Terms are the terms of a kind that begin with a prefix, in order.
func (f *Fleet) Terms(kind, prefix string) iter.Seq[string] {
	f.index()
	var out []string
	for at := range f.having {
		if at[0] == kind && strings.HasPrefix(at[1], prefix) {
			out = append(out, at[1])
		}
	}
	slices.Sort(out)
	return slices.Values(out)
}

func (f *Fleet) index() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kinds != nil {
		return
	}
	f.kinds, f.touching, f.having = map[string][]resource.Object{}, map[[2]string][]resource.Object{}, map[[2]string][]resource.Object{}
	byName := func(a, b resource.Object) int { return cmp.Compare(a.GetName(), b.GetName()) }
	for _, o := range slices.SortedFunc(maps.Values(f.objects), byName) {
		kind := resource.KindOf(o)
		f.kinds[kind.Name] = append(f.kinds[kind.Name], o)
		for _, datacenter := range kind.Datacenters(o) {
			key := [2]string{kind.Name, datacenter}
			f.touching[key] = append(f.touching[key], o)
		}
		if kind.Terms == nil {
			continue
		}
		for _, term := range slices.Compact(slices.Sorted(slices.Values(kind.Terms(o)))) {
			key := [2]string{kind.Name, term}
			f.having[key] = append(f.having[key], o)
		}
	}
}
