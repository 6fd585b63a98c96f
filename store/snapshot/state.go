package snapshot

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/proto"

	"isthmus/resource"
	"isthmus/store"
	"isthmus/store/snapshot/tree"
)

// state is the fleet at one revision. It never changes.
type state struct {
	revision store.Revision
	// resources in order of kind and name.
	resources tree.Tree[*entry]
	// places are the datacenters that any resource has in its Kind.Datacenters.
	places tree.Tree[*place]
	// terms are where resources are found by their Kind.Terms.
	terms tree.Tree[*term]
	// kinds has those of which anything is known.
	kinds map[string]*kindState
	// recent is what was decoded last.
	recent *recent
	// superseded is given when there is a newer state.
	superseded tree.Signal
	// words are by kind what was found out of the words of its terms alone. Later states with the same words of a kind have the same. A kind that
	// has no words is missing.
	words map[string]*findings

	// federated is who is in which federation. Later states in which that is the same have the same.
	federated *federated
}

// federated are the memberships of a state, found when they are asked for first: each plan does, of the same state a thousand times.
type federated struct {
	find        sync.Once
	memberships map[string]resource.Membership
}

// findings are functions that give what was found once, by key. The zero value is empty.
type findings struct{ sync.Map }

// remember gives what find gave when it was called for the first time with this key. Callers with other keys do not wait for it.
func (f *findings) remember(key string, find func() any) any {
	found, ok := f.Load(key)
	if !ok {
		found, _ = f.LoadOrStore(key, sync.OnceValue(find))
	}
	return found.(func() any)()
}

// mostRecent is how many resources are kept decoded, whoever reads them: 20 MiB of peerings.
const mostRecent = 8 << 10

// recent are the resources that were decoded last. It holds them, so that they are not collected; nobody looks for one here.
type recent struct {
	next atomic.Uint32
	held [mostRecent]atomic.Pointer[resource.Object]
}

func (r *recent) hold(o resource.Object) { r.held[(r.next.Add(1)-1)%mostRecent].Store(&o) }

// entry is one resource, as it is from one change of it to the next. It is kept encoded, which takes a quarter of the memory and nothing of the
// garbage collector's time. Decoded it is kept for as long as it is among the recent ones or anybody holds it, and until the next collection.
type entry struct {
	kind *resource.Kind
	name string
	// encoded is the resource's protobuf: the same for equal resources.
	encoded []byte
	decoded atomic.Pointer[resource.Recall]
	// places are those of its Kind.Datacenters, terms those of its Kind.Terms, each once.
	places, terms []string
	// key is where terms have it, if there are any; the same one in all entries of a resource.
	key *key
	// superseded is given when the newest state has another entry in place of this one, or none.
	superseded tree.Signal
}

func (e *entry) Key() store.Key { return store.Key{Kind: e.kind.Name, Name: e.name} }

// object is the resource. All who have it at a time have the same.
func (e *entry) object(r *recent) resource.Object {
	for {
		kept := e.decoded.Load()
		if kept != nil {
			if o := (*kept)(); o != nil {
				return o
			}
		}
		o := e.kind.New()
		if err := proto.Unmarshal(e.encoded, o); err != nil {
			panic("snapshot: decoding what it encoded itself: " + err.Error())
		}
		recall := e.kind.Weak(o)
		if e.decoded.CompareAndSwap(kept, &recall) {
			r.hold(o)
			return o
		}
	}
}

// newEntry keeps a resource, which nobody changes any more. encoded is its protobuf, if somebody has made it.
func newEntry(kind *resource.Kind, o resource.Object, encoded []byte) *entry {
	if encoded == nil {
		var err error
		if encoded, err = (proto.MarshalOptions{Deterministic: true}).Marshal(o); err != nil {
			panic("snapshot: encoding what the store gave: " + err.Error())
		}
	}
	e := &entry{kind: kind, name: o.GetName(), encoded: encoded}
	if kind.Datacenters != nil {
		e.places = once(kind.Datacenters(o))
	}
	if kind.Terms != nil {
		e.terms = once(kind.Terms(o))
	}
	return e
}

// once are words, each once.
func once(words []string) (out []string) {
	for _, word := range words {
		if !slices.Contains(out, word) {
			out = append(out, word)
		}
	}
	return out
}

// term is a word by which resources of a kind are found. It holds their keys: one that changes and keeps its words stays where it is.
type term struct {
	kind, word string
	keys       tree.Tree[*key]
}

// key is a resource's, in a tree.
type key struct{ kind, name string }

func (k *key) Key() store.Key { return store.Key{Kind: k.kind, Name: k.name} }

func (t *term) Key() store.Key { return store.Key{Kind: t.kind, Name: t.word} }

// place is a datacenter, with the resources that touch it.
type place struct {
	name       string
	resources  tree.Tree[*entry]
	superseded tree.Signal
}

func (p *place) Key() store.Key { return placeKey(p.name) }

func placeKey(datacenter string) store.Key { return store.Key{Name: datacenter} }

// kindState is the index at which any resource of a kind changed last.
type kindState struct {
	index uint64
	// last is the name of what changed last; empty after all was loaded.
	last       string
	superseded tree.Signal
}

// draft is a state in the making.
type draft struct {
	*tree.Edit
	state *state
	// own are the places that the draft made, which it may change.
	own map[string]*place
}

// draftOf begins with what a state has.
func draftOf(from *state) *draft {
	next := &state{
		revision: from.revision, resources: from.resources, places: from.places, terms: from.terms, kinds: map[string]*kindState{}, recent: from.recent,
		words: from.words, federated: from.federated,
	}
	maps.Copy(next.kinds, from.kinds)
	return &draft{Edit: &tree.Edit{}, state: next, own: map[string]*place{}}
}

// remember keeps the decoded resource as well, as long as somebody else holds it.
func (e *entry) remember(o resource.Object) {
	recall := e.kind.Weak(o)
	e.decoded.Store(&recall)
}

// put stores a resource over the one that had its key, which it gives; nil for none.
func (d *draft) put(e *entry) (before *entry) {
	before, had := d.state.resources.Get(e.Key())
	d.state.resources = d.state.resources.With(d.Edit, e)
	if had {
		d.Superseded = append(d.Superseded, &before.superseded)
		for _, datacenter := range before.places {
			if !slices.Contains(e.places, datacenter) {
				d.leave(datacenter, e.Key())
			}
		}
	}
	d.reword(before, e)
	d.rejoin(before, e)
	for i, datacenter := range e.places {
		p := d.place(datacenter)
		p.resources = p.resources.With(d.Edit, e)
		e.places[i] = p.name // the same text for all, in memory once
	}
	return before
}

// remove takes a resource out, which it gives; nil when it is not there.
func (d *draft) remove(k store.Key) (before *entry) {
	before, had := d.state.resources.Get(k)
	if !had {
		return nil
	}
	d.state.resources = d.state.resources.Without(d.Edit, k)
	d.Superseded = append(d.Superseded, &before.superseded)
	for _, datacenter := range before.places {
		d.leave(datacenter, k)
	}
	d.reword(before, nil)
	d.rejoin(before, nil)
	return before
}

// reword has a resource found by the words that it has now, where it had others before; nil: there was, or is, none.
func (d *draft) reword(before, after *entry) {
	var old, now []string
	if before != nil {
		old = before.terms
	}
	if after != nil {
		now = after.terms
		if before != nil && before.key != nil {
			after.key = before.key
		} else if len(now) > 0 {
			after.key = &key{after.kind.Name, after.name}
		}
	}
	for _, word := range old {
		if !slices.Contains(now, word) {
			d.forget(before, word)
		}
	}
	for i, word := range now {
		if at := slices.Index(old, word); at >= 0 {
			now[i] = old[at]
		} else {
			now[i] = d.term(after, word)
		}
	}
}

// rejoin has memberships looked for anew where they may be others: with a federation, and with a datacenter that comes, goes or has other labels.
func (d *draft) rejoin(before, after *entry) {
	one := after
	if one == nil {
		one = before
	}
	switch one.kind.Name {
	case resource.KindFederation:
	case resource.KindDatacenter:
		if before != nil && after != nil && slices.Equal(before.terms, after.terms) {
			return
		}
	default:
		return
	}
	d.state.federated = &federated{}
}

// term has a resource found by a word, which it gives: the same text for all, in memory once.
func (d *draft) term(e *entry, word string) string {
	t := &term{kind: e.kind.Name, word: word}
	if before, had := d.state.terms.Get(t.Key()); had {
		t.word, t.keys = before.word, before.keys
	} else {
		d.renew(t.kind)
	}
	t.keys = t.keys.With(d.Edit, e.key)
	d.state.terms = d.state.terms.With(d.Edit, t)
	return t.word
}

// forget has a resource no longer found by a word.
func (d *draft) forget(e *entry, word string) {
	t := &term{kind: e.kind.Name, word: word}
	before, _ := d.state.terms.Get(t.Key())
	t.word, t.keys = before.word, before.keys.Without(d.Edit, e.Key())
	if t.keys.Empty() {
		d.state.terms = d.state.terms.Without(d.Edit, t.Key())
		d.renew(t.kind)
		return
	}
	d.state.terms = d.state.terms.With(d.Edit, t)
}

// renew forgets what was found out of the words of a kind.
func (d *draft) renew(kind string) {
	d.state.words = maps.Clone(d.state.words)
	if d.state.words == nil {
		d.state.words = map[string]*findings{}
	}
	d.state.words[kind] = &findings{}
}

// place is the draft's own copy of one, made if there is none.
func (d *draft) place(datacenter string) *place {
	if p, ok := d.own[datacenter]; ok {
		return p
	}
	p := &place{name: datacenter}
	if before, had := d.state.places.Get(placeKey(datacenter)); had {
		p.name, p.resources = before.name, before.resources
		d.Superseded = append(d.Superseded, &before.superseded)
	}
	d.own[p.name] = p
	d.state.places = d.state.places.With(d.Edit, p)
	return p
}

// leave takes a resource out of a place that has it, and the place away with its last one.
func (d *draft) leave(datacenter string, k store.Key) {
	p := d.place(datacenter)
	p.resources = p.resources.Without(d.Edit, k)
	if p.resources.Empty() {
		d.state.places = d.state.places.Without(d.Edit, placeKey(datacenter))
		delete(d.own, datacenter)
	}
}

// touch notes the last change of a kind.
func (d *draft) touch(kind string, index uint64, last string) {
	if before, had := d.state.kinds[kind]; had {
		d.Superseded = append(d.Superseded, &before.superseded)
	}
	d.state.kinds[kind] = &kindState{index: index, last: last}
}
