// Package resourcetest gives tests of the pure packages a fleet to read, without a store.
//
// Owns: Fleet, a resource.Reader over a map. Does not own: consistency, indexes, history (store/snapshot).
package resourcetest

import (
	"cmp"
	"iter"
	"slices"

	"isthmus/resource"
)

// Fleet is a set of resources. The zero value is empty. Not safe for concurrent use.
type Fleet struct {
	objects map[[2]string]resource.Object
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
}

// Delete takes a resource out.
func (f *Fleet) Delete(kind, name string) { delete(f.objects, [2]string{kind, name}) }

// Get is the resource of that name.
func (f *Fleet) Get(kind, name string) (resource.Object, bool) {
	o, ok := f.objects[[2]string{kind, name}]
	return o, ok
}

// List is every resource of a kind, in order of their names.
func (f *Fleet) List(kind string) iter.Seq[resource.Object] {
	return f.where(kind, func(resource.Object) bool { return true })
}

// Touching is every resource of a kind that names the datacenter, in order of their names.
func (f *Fleet) Touching(kind, datacenter string) iter.Seq[resource.Object] {
	return f.where(kind, func(o resource.Object) bool {
		named := resource.KindOf(o).Datacenters
		return named != nil && slices.Contains(named(o), datacenter)
	})
}

func (f *Fleet) where(kind string, keep func(resource.Object) bool) iter.Seq[resource.Object] {
	var out []resource.Object
	for key, o := range f.objects {
		if key[0] == kind && keep(o) {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b resource.Object) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return slices.Values(out)
}
