package resource

import "iter"

// Reader is what the pure packages see the fleet through: a consistent set of resources, which nobody changes while it is
// read. What it returns is shared: Clone before changing.
type Reader interface {
	// Get is the resource of that name.
	Get(kind, name string) (Object, bool)
	// List is every resource of a kind, in order of their names.
	List(kind string) iter.Seq[Object]
	// Touching is every resource of a kind whose Kind.Datacenters has this datacenter, in order of their names, at a cost
	// that does not grow with the others.
	Touching(kind, datacenter string) iter.Seq[Object]
	// Having is every resource of a kind whose Kind.Terms has the term, in order of their names, at such a cost as well.
	Having(kind, term string) iter.Seq[Object]
	// Terms are the terms of a kind that begin with a prefix, each once. There may be one that nothing has.
	Terms(kind, prefix string) iter.Seq[string]
}

// Rememberer is a Reader that never changes, and so may find things once.
type Rememberer interface {
	Reader
	// Remember gives what find gave when it was called for the first time with this key.
	Remember(key string, find func() any) any
}

// TermsRememberer is a Rememberer that keeps what depends on nothing but which Terms a kind has for as long as those stay.
type TermsRememberer interface {
	Rememberer
	// RememberTerms gives what find gave when it was called for the first time with this kind and key, in this fleet or an earlier one in which the
	// kind had the same Terms.
	RememberTerms(kind, key string, find func() any) any
}

// Lookup is Reader.Get with the kind's own type.
func Lookup[T Object](r Reader, kind, name string) (T, bool) {
	o, ok := r.Get(kind, name)
	if !ok {
		var none T
		return none, false
	}
	typed, ok := o.(T)
	return typed, ok
}

// All is Reader.List with the kind's own type.
func All[T Object](r Reader, kind string) iter.Seq[T] { return typed[T](r.List(kind)) }

// AllTouching is Reader.Touching with the kind's own type.
func AllTouching[T Object](r Reader, kind, datacenter string) iter.Seq[T] {
	return typed[T](r.Touching(kind, datacenter))
}

func typed[T Object](objects iter.Seq[Object]) iter.Seq[T] {
	return func(yield func(T) bool) {
		for o := range objects {
			if t, ok := o.(T); ok && !yield(t) {
				return
			}
		}
	}
}
