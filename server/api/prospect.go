package api

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"isthmus/resource"
	"isthmus/store/snapshot"
)

// prospect is the fleet as it would be after some edits: what checks and dry runs look at.
type prospect struct {
	view *snapshot.View
	// edited are the resources that the edits leave, by kind and name; nil where one goes.
	edited map[string]map[string]resource.Object
	// left are the resources that the edits leave, in order of their names, by kind (all of them), and by kind and datacenter; termed are the
	// same by kind and term; sorted are the kinds of which that is known.
	left, termed map[place][]resource.Object
	sorted       map[string]bool
	// holders of claims, by what touches the holder, once somebody has asked for them.
	holders map[place]map[resource.Claim][]string
	// memberships of all datacenters, once somebody has asked for them.
	memberships map[string]resource.Membership
	found       bool
	// remembered is what was found once.
	remembered map[string]any
}

var (
	_ resource.MembershipReader = (*prospect)(nil)
	_ resource.Rememberer       = (*prospect)(nil)
)

// place is a kind's resources, all of them or those that touch a datacenter or have a term.
type place struct{ kind, word string }

func newProspect(v *snapshot.View, edits []*edit) *prospect {
	p := &prospect{view: v, edited: map[string]map[string]resource.Object{}}
	for _, e := range edits {
		if p.edited[e.kind.Name] == nil {
			p.edited[e.kind.Name] = map[string]resource.Object{}
		}
		p.edited[e.kind.Name][e.name()] = e.after
	}
	return p
}

// remaining are what the edits leave of a kind, once somebody asks for it: most checks of most edits do not.
func (p *prospect) remaining(kind string) {
	if p.sorted[kind] {
		return
	}
	if p.sorted == nil {
		p.sorted, p.left, p.termed = map[string]bool{}, map[place][]resource.Object{}, map[place][]resource.Object{}
	}
	p.sorted[kind] = true
	edited := p.edited[kind]
	for _, name := range slices.Sorted(maps.Keys(edited)) {
		o := edited[name]
		if o == nil {
			continue
		}
		p.left[place{kind: kind}] = append(p.left[place{kind: kind}], o)
		k := resource.KindOf(o)
		for _, datacenter := range slices.Compact(slices.Sorted(slices.Values(k.Datacenters(o)))) {
			at := place{kind, datacenter}
			p.left[at] = append(p.left[at], o)
		}
		if k.Terms != nil {
			for _, term := range slices.Compact(slices.Sorted(slices.Values(k.Terms(o)))) {
				at := place{kind, term}
				p.termed[at] = append(p.termed[at], o)
			}
		}
	}
}

// claimed are the names of those who hold each claim, among the resources of a kind that touch a datacenter.
func (p *prospect) claimed(kind resource.Kind, datacenter string) map[resource.Claim][]string {
	at := place{kind.Name, datacenter}
	known, ok := p.holders[at]
	if !ok {
		known = map[resource.Claim][]string{}
		for o := range p.Touching(kind.Name, datacenter) {
			for _, c := range kind.Claims(o) {
				known[c] = append(known[c], o.GetName())
			}
		}
		if p.holders == nil {
			p.holders = map[place]map[resource.Claim][]string{}
		}
		p.holders[at] = known
	}
	return known
}

// Memberships implements resource.MembershipReader, for the one request whose prospect it is.
func (p *prospect) Memberships(find func() map[string]resource.Membership) map[string]resource.Membership {
	if !p.found {
		p.memberships, p.found = find(), true
	}
	return p.memberships
}

// Remember implements resource.Rememberer, for the one request whose prospect it is.
func (p *prospect) Remember(key string, find func() any) any {
	found, ok := p.remembered[key]
	if !ok {
		found = find()
		if p.remembered == nil {
			p.remembered = map[string]any{}
		}
		p.remembered[key] = found
	}
	return found
}

// Get implements resource.Reader.
func (p *prospect) Get(kind, name string) (resource.Object, bool) {
	if o, ok := p.edited[kind][name]; ok {
		return o, o != nil
	}
	return p.view.Get(kind, name)
}

// List implements resource.Reader.
func (p *prospect) List(kind string) iter.Seq[resource.Object] {
	return p.merge(p.view.List(kind), place{kind: kind}, false)
}

// Touching implements resource.Reader.
func (p *prospect) Touching(kind, datacenter string) iter.Seq[resource.Object] {
	return p.merge(p.view.Touching(kind, datacenter), place{kind, datacenter}, false)
}

// Having implements resource.Reader.
func (p *prospect) Having(kind, term string) iter.Seq[resource.Object] {
	return p.merge(p.view.Having(kind, term), place{kind, term}, true)
}

// Terms implements resource.Reader. Those that only what is edited had are among them.
func (p *prospect) Terms(kind, prefix string) iter.Seq[string] {
	return func(yield func(string) bool) {
		known := map[string]bool{}
		for term := range p.view.Terms(kind, prefix) {
			if known[term] = true; !yield(term) {
				return
			}
		}
		p.remaining(kind)
		for at := range p.termed {
			if at.kind == kind && strings.HasPrefix(at.word, prefix) && !known[at.word] && !yield(at.word) {
				return
			}
		}
	}
}

// merge is the view's resources without those that the edits touch, and those that the edits leave at a place, by name; termed: its word is a term.
func (p *prospect) merge(base iter.Seq[resource.Object], at place, termed bool) iter.Seq[resource.Object] {
	edited := p.edited[at.kind]
	if len(edited) == 0 {
		return base
	}
	p.remaining(at.kind)
	left := p.left[at]
	if termed {
		left = p.termed[at]
	}
	return func(yield func(resource.Object) bool) {
		next := 0
		for o := range base {
			for ; next < len(left) && left[next].GetName() < o.GetName(); next++ {
				if !yield(left[next]) {
					return
				}
			}
			if _, replaced := edited[o.GetName()]; !replaced && !yield(o) {
				return
			}
		}
		for ; next < len(left); next++ {
			if !yield(left[next]) {
				return
			}
		}
	}
}
