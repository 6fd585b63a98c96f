package api

import (
	"cmp"
	"iter"
	"slices"

	"isthmus/resource"
	"isthmus/store/snapshot"
)

// prospect is the fleet as it would be after some edits: what checks and dry runs look at.
type prospect struct {
	view *snapshot.View
	// edited are the resources that the edits leave, by kind and name; nil where one goes.
	edited map[string]map[string]resource.Object
	// memberships of all datacenters, once somebody has asked for them.
	memberships map[string]resource.Membership
	found       bool
}

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

// Memberships implements resource.MembershipReader, for the one request whose prospect it is.
func (p *prospect) Memberships(find func() map[string]resource.Membership) map[string]resource.Membership {
	if !p.found {
		p.memberships, p.found = find(), true
	}
	return p.memberships
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
	return p.merge(kind, p.view.List(kind), func(resource.Object) bool { return true })
}

// Touching implements resource.Reader.
func (p *prospect) Touching(kind, datacenter string) iter.Seq[resource.Object] {
	return p.merge(kind, p.view.Touching(kind, datacenter), func(o resource.Object) bool {
		return slices.Contains(resource.KindOf(o).Datacenters(o), datacenter)
	})
}

// merge is the view's resources without those that the edits touch, and the edited ones that belong, by name.
func (p *prospect) merge(kind string, base iter.Seq[resource.Object], belongs func(resource.Object) bool) iter.Seq[resource.Object] {
	edited := p.edited[kind]
	if len(edited) == 0 {
		return base
	}
	added := make([]resource.Object, 0, len(edited))
	for _, o := range edited {
		if o != nil && belongs(o) {
			added = append(added, o)
		}
	}
	slices.SortFunc(added, func(a, b resource.Object) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return func(yield func(resource.Object) bool) {
		next := 0
		for o := range base {
			for ; next < len(added) && added[next].GetName() < o.GetName(); next++ {
				if !yield(added[next]) {
					return
				}
			}
			if _, replaced := edited[o.GetName()]; !replaced && !yield(o) {
				return
			}
		}
		for ; next < len(added); next++ {
			if !yield(added[next]) {
				return
			}
		}
	}
}
