package snapshot

import (
	"iter"
	"strings"

	"isthmus/resource"
	"isthmus/store"
	"isthmus/store/snapshot/tree"
)

// View is the fleet at one index. It never changes, can be held for as long as it is needed, and may be used by several
// goroutines. The objects that it gives are shared: Clone before changing one. An object that is asked for again is the same one only for who
// still holds the first.
type View struct {
	state      *state
	remembered findings
}

var (
	_ resource.MembershipReader = (*View)(nil)
	_ resource.TermsRememberer  = (*View)(nil)
)

// Revision is the view's place in the store's history.
func (v *View) Revision() store.Revision { return v.state.revision }

// Get implements resource.Reader.
func (v *View) Get(kind, name string) (resource.Object, bool) {
	e, ok := v.state.resources.Get(store.Key{Kind: kind, Name: name})
	if !ok {
		return nil, false
	}
	return e.object(v.state.recent), true
}

// List implements resource.Reader.
func (v *View) List(kind string) iter.Seq[resource.Object] {
	return v.objects(v.state.resources, store.Key{Kind: kind})
}

// Touching implements resource.Reader.
func (v *View) Touching(kind, datacenter string) iter.Seq[resource.Object] {
	p, ok := v.state.places.Get(placeKey(datacenter))
	if !ok {
		return func(func(resource.Object) bool) {}
	}
	return v.objects(p.resources, store.Key{Kind: kind})
}

// Having implements resource.Reader.
func (v *View) Having(kind, word string) iter.Seq[resource.Object] {
	t, ok := v.state.terms.Get(store.Key{Kind: kind, Name: word})
	if !ok {
		return func(func(resource.Object) bool) {}
	}
	return func(yield func(resource.Object) bool) {
		t.keys.From(store.Key{}, func(k *key) bool {
			o, ok := v.Get(k.kind, k.name)
			return !ok || yield(o)
		})
	}
}

// Terms implements resource.Reader.
func (v *View) Terms(kind, prefix string) iter.Seq[string] {
	return func(yield func(string) bool) {
		v.state.terms.From(store.Key{Kind: kind, Name: prefix}, func(t *term) bool {
			return t.kind == kind && strings.HasPrefix(t.word, prefix) && yield(t.word)
		})
	}
}

// Kept is one resource of a view, decoded when it is asked for. Two that are equal are the same version of the same resource, and two of the
// same version are equal, unless everything was loaded again in between.
type Kept struct {
	entry  *entry
	recent *recent
}

// Name is the resource's name.
func (k Kept) Name() string { return k.entry.name }

// Object is the resource; shared, as all that a view gives.
func (k Kept) Object() resource.Object { return k.entry.object(k.recent) }

// Encoded is the resource's protobuf; shared as well: nobody changes it.
func (k Kept) Encoded() []byte { return k.entry.encoded }

// ListAfter is every resource of a kind from the first name after one, in order of their names.
func (v *View) ListAfter(kind, after string) iter.Seq[Kept] {
	from := store.Key{Kind: kind, Name: after}
	if after != "" {
		from.Name += "\x00" // the first name after it
	}
	return func(yield func(Kept) bool) {
		v.state.resources.From(from, func(e *entry) bool { return e.kind.Name == kind && yield(Kept{e, v.state.recent}) })
	}
}

// objects are those of a key's kind, from the key on.
func (v *View) objects(t tree.Tree[*entry], from store.Key) iter.Seq[resource.Object] {
	return func(yield func(resource.Object) bool) {
		t.From(from, func(e *entry) bool { return e.kind.Name == from.Kind && yield(e.object(v.state.recent)) })
	}
}

// Memberships implements resource.MembershipReader.
func (v *View) Memberships(find func() map[string]resource.Membership) map[string]resource.Membership {
	v.state.federated.find.Do(func() { v.state.federated.memberships = find() })
	return v.state.federated.memberships
}

// Remember gives what find gave when it was called for the first time with this key. Callers with other keys do not wait for it.
func (v *View) Remember(key string, find func() any) any { return v.remembered.remember(key, find) }

// RememberTerms implements resource.TermsRememberer. What find gives must not hold on to the view.
func (v *View) RememberTerms(kind, key string, find func() any) any {
	if words, ok := v.state.words[kind]; ok {
		return words.remember(key, find)
	}
	return v.Remember(kind+" by "+key, find)
}

// KindIndex is the index of the last change of any resource of the kind, deletions included. For store.KindEvent, that of
// the last event.
func (v *View) KindIndex(kind string) uint64 {
	if k, ok := v.state.kinds[kind]; ok {
		return k.index
	}
	return 0
}

// LastEvent is the name of the audit log's last entry; empty when it is not known, as after everything was loaded.
func (v *View) LastEvent() string {
	if k, ok := v.state.kinds[store.KindEvent]; ok {
		return k.last
	}
	return ""
}

// Watch gives a channel that is closed when KindIndex(kind) moves from what it is in this view; at once, if it has.
func (v *View) Watch(kind string) <-chan struct{} {
	if k, ok := v.state.kinds[kind]; ok {
		return k.superseded.Given()
	}
	return v.state.superseded.Given()
}

// WatchName gives a channel that is closed when the resource changes, comes or goes; at once, if it has. For one that is not there it may be
// closed without that.
func (v *View) WatchName(kind, name string) <-chan struct{} {
	k := store.Key{Kind: kind, Name: name}
	if e, ok := v.state.resources.Get(k); ok {
		return e.superseded.Given()
	}
	return v.gap(v.state.resources.Gap(k))
}

// WatchDatacenter gives a channel that is closed when a resource that touches the datacenter changes, comes or goes; at once, if it has. It
// may be closed a few times too often.
func (v *View) WatchDatacenter(datacenter string) <-chan struct{} {
	k := placeKey(datacenter)
	if p, ok := v.state.places.Get(k); ok {
		return p.superseded.Given()
	}
	return v.gap(v.state.places.Gap(k))
}

// gap is where something is not: in a tree, or where there is none at all.
func (v *View) gap(near *tree.Signal) <-chan struct{} {
	if near == nil {
		near = &v.state.superseded
	}
	return near.Given()
}
