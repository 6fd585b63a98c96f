package controller

import (
	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
	"isthmus/store/snapshot"
)

// dirty is what has to be looked at, by name.
type dirty struct {
	datacenters map[string]bool
	peerings    map[string]bool
	// groups are those whose peerings may be others; of counted ones only how their peerings fare has changed, which
	// is worth no more than a look with every tick: there may be thousands of them.
	groups  map[string]bool
	counted map[string]bool
	// exports are ServiceExports; exporters are datacenters whose exports have to be looked at.
	exports   looks
	exporters map[string]bool
	// reexported are exports, repoliced policies, that reports ask for, and that were looked at just before.
	reexported, repoliced looks
	federations           map[string]bool
	// federated are datacenters whose federations have to be looked at.
	federated map[string]bool
	// policies are Intentions and TrafficPolicies; policed are datacenters whose policies have to be looked at.
	policies looks
	policed  map[string]bool
	// most is how many datacenters, and how many peerings, are taken at a time.
	most int
}

// looks are in which homes each policy, or with which exporters each export, has to be looked at.
type looks map[store.Key]policy.Look

// add marks a home of a policy; with none, all of them.
func (l looks) add(of store.Key, home string) {
	look := l[of]
	look.Add(home)
	l[of] = look
}

// addAll marks all that somebody else has marked of a policy.
func (l looks) addAll(of store.Key, marked policy.Look) {
	look := l[of]
	look.AddAll(marked)
	l[of] = look
}

// every marks all of a kind, in all of their homes.
func (l looks) every(v *snapshot.View, kind string) {
	for o := range v.ListAfter(kind, "") {
		l.add(store.Key{Kind: kind, Name: o.Name()}, "")
	}
}

func newDirty() *dirty {
	return &dirty{
		datacenters: map[string]bool{}, peerings: map[string]bool{}, groups: map[string]bool{}, counted: map[string]bool{},
		exports: looks{}, exporters: map[string]bool{}, reexported: looks{}, repoliced: looks{},
		federations: map[string]bool{}, federated: map[string]bool{},
		policies: looks{}, policed: map[string]bool{}, most: maxTaken,
	}
}

// maxTaken is how many datacenters, and how many peerings, a round looks at: what it finds to write is in memory until it is written.
const maxTaken = 2000

// take gives what is dirty and begins anew: of datacenters and peerings, of which there may be a hundred thousand, with those that are too many.
func (d *dirty) take() *dirty {
	taken := *d
	*d = *newDirty()
	d.most = taken.most
	taken.datacenters, d.datacenters = some(taken.datacenters, d.most)
	taken.peerings, d.peerings = some(taken.peerings, d.most)
	return &taken
}

// left tells whether take has left something.
func (d *dirty) left() bool { return len(d.datacenters)+len(d.peerings) > 0 }

// some takes a number of names out of a set.
func some(set map[string]bool, most int) (taken, left map[string]bool) {
	if len(set) <= most {
		return set, map[string]bool{}
	}
	taken = make(map[string]bool, most)
	for name := range set {
		if len(taken) == most {
			break
		}
		taken[name] = true
		delete(set, name)
	}
	return taken, set
}

// all marks everything.
func (d *dirty) all(v *snapshot.View) {
	mark(d.datacenters, v, resource.KindDatacenter)
	mark(d.peerings, v, resource.KindPeering)
	d.selectors(v)
	d.everyPolicy(v)
}

// selectors marks all that chooses datacenters, but for policies.
func (d *dirty) selectors(v *snapshot.View) {
	mark(d.groups, v, resource.KindPeeringGroup)
	d.exports.every(v, resource.KindServiceExport)
	mark(d.federations, v, resource.KindFederation)
}

// everyPolicy marks all Intentions and TrafficPolicies.
func (d *dirty) everyPolicy(v *snapshot.View) {
	d.policies.every(v, resource.KindIntention)
	d.policies.every(v, resource.KindTrafficPolicy)
}

// touch marks the peerings of a datacenter.
func (d *dirty) touch(v *snapshot.View, datacenter string) {
	for p := range resource.AllTouching[*isthmusv1.Peering](v, resource.KindPeering, datacenter) {
		d.peerings[p.GetName()] = true
	}
}

func mark(set map[string]bool, v *snapshot.View, kind string) {
	for o := range v.ListAfter(kind, "") {
		set[o.Name()] = true
	}
}
