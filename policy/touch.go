package policy

import (
	"iter"
	"slices"

	"google.golang.org/protobuf/proto"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Look is in which homes of a policy its status may be another. The zero value is nowhere.
type Look struct {
	All   bool
	Homes map[string]bool
}

// Add adds what Affected and Near give: a home, or nothing for all of them.
func (l *Look) Add(home string) {
	switch {
	case l.All:
	case home == "":
		l.All, l.Homes = true, nil
	case l.Homes == nil:
		l.Homes = map[string]bool{home: true}
	default:
		l.Homes[home] = true
	}
}

// AddAll adds another one.
func (l *Look) AddAll(other Look) {
	if other.All {
		l.Add("")
	}
	for home := range other.Homes {
		l.Add(home)
	}
}

// Near are the Intentions and TrafficPolicies whose config entries count for a datacenter, each with the home of the realm that it is in: those whose
// status may be another when its agent, or a peering of it, does something else. Of a datacenter that is not declared (any more) they are those
// that name it.
func Near(r resource.Reader, datacenter string) iter.Seq2[resource.Object, string] {
	return func(yield func(policy resource.Object, home string) bool) {
		m, ok := realmOf(r, datacenter)
		members := slices.Concat(m.members, m.leaving)
		if !ok {
			members = append(members, &isthmusv1.Datacenter{Name: datacenter})
		}
		for _, i := range resource.Choosing[*isthmusv1.Intention](r, resource.KindIntention, members...) {
			if !yield(i, m.home) {
				return
			}
		}
		for _, p := range resource.Choosing[*isthmusv1.TrafficPolicy](r, resource.KindTrafficPolicy, members...) {
			if !yield(p, m.home) {
				return
			}
		}
	}
}

// Affected are the Intentions and TrafficPolicies whose status a change may make another one, and the home where it may, or nothing for all of
// them; some of it twice. Without a policy it is a datacenter: all that are Near it, in the fleet after the change; without both it is every policy.
// before and after are the fleet, and was and is what has changed in it: nil where it is not there. It may name too much, also what is no longer
// there, and never too little, but for what agents report (Near).
//
//	Intention      itself; those about the same service, in its homes; nothing when only its status has changed
//	TrafficPolicy  itself; those by which calls come to or from the same services; as above
//	ServiceExport  TrafficPolicies by which calls come to or from the service; as above
//	Datacenter     those that choose it for another side than their own; those of its realm, and of those that it is connected with; when only its
//	               status has changed, if it is on its way out or has another Consul; when only its labels have, if somebody chooses by them otherwise
//	Peering        its ends, of which a mesh has far fewer than policies; nothing when only its status has changed
//	Federation     all, when it is wanted otherwise or has other members
//
// seen tells that only the status has changed.
func Affected(before, after resource.Reader, was, is resource.Object, seen bool) iter.Seq2[resource.Object, string] {
	return func(yield func(resource.Object, string) bool) {
		if seen && !tells(was, is) || relabelledInVain(before, after, was, is) {
			return
		}
		a := affecting{yield: yield, before: before, after: after}
		a.side(before, was)
		a.side(after, is)
	}
}

// tells tells whether a change of nothing but a status has consequences for policies.
func tells(was, is resource.Object) bool {
	switch was := was.(type) {
	case *isthmusv1.Datacenter:
		is, _ := is.(*isthmusv1.Datacenter)
		a, b := was.GetStatus(), is.GetStatus()
		return a.GetRemoval() != nil || b.GetRemoval() != nil || a.GetConsulVersion() != b.GetConsulVersion()
	case *isthmusv1.Federation:
		is, _ := is.(*isthmusv1.Federation)
		return !resource.SameMembers(was, is)
	}
	return false
}

// relabelledInVain tells whether nothing of a datacenter has changed that tells but its labels, by which nobody chooses otherwise.
func relabelledInVain(before, after resource.Reader, was, is resource.Object) bool {
	old, _ := was.(*isthmusv1.Datacenter)
	now, _ := is.(*isthmusv1.Datacenter)
	if old == nil || now == nil || tells(old, now) || resource.Departing(old) != resource.Departing(now) || !proto.Equal(old.GetSpec(), now.GetSpec()) {
		return false
	}
	return !Distinguished(before, old, now) && !Distinguished(after, old, now)
}

// Distinguished tells whether something that policies and exports are made of chooses otherwise for one version of a datacenter than for another.
func Distinguished(r resource.Reader, was, is *isthmusv1.Datacenter) bool {
	return slices.ContainsFunc([]string{
		resource.KindServiceExport, resource.KindIntention, resource.KindTrafficPolicy, resource.KindFederation,
	}, func(kind string) bool { return resource.Distinguished(r, kind, was, is) })
}

// affecting finds what is Affected.
type affecting struct {
	yield         func(resource.Object, string) bool
	before, after resource.Reader
	done          bool
}

func (a *affecting) tell(policy resource.Object, home string) {
	a.done = a.done || !a.yield(policy, home)
}

// near tells of the policies of a datacenter's realm.
func (a *affecting) near(r resource.Reader, datacenter string) {
	if datacenter == "" {
		return
	}
	for o, home := range Near(r, datacenter) {
		a.tell(o, home)
	}
}

// side is what one side of a change affects in the fleet that it is of.
func (a *affecting) side(r resource.Reader, o resource.Object) {
	if o == nil || !o.ProtoReflect().IsValid() {
		return
	}
	switch o := o.(type) {
	case *isthmusv1.Intention:
		a.tell(o, "")
		a.sharers(r, o)
	case *isthmusv1.TrafficPolicy:
		a.tell(o, "")
		a.traffic(o)
	case *isthmusv1.ServiceExport:
		a.traffic(o)
	case *isthmusv1.Datacenter:
		a.datacenter(r, o)
	case *isthmusv1.Peering:
		for _, end := range []string{o.GetSpec().GetAcceptor(), o.GetSpec().GetDialer()} {
			if end != "" {
				a.tell(nil, end)
			}
		}
	case *isthmusv1.Federation:
		a.tell(nil, "")
	}
}

// sharers are the other Intentions that have parts of the same config entry in the same homes.
func (a *affecting) sharers(r resource.Reader, i *isthmusv1.Intention) {
	if len(i.GetSpec().GetDestination().GetDatacenters()) == 0 {
		same := sameDestination(a.after, i)
		if !slices.ContainsFunc(same, func(other *isthmusv1.Intention) bool { return other.GetName() != i.GetName() }) {
			return
		}
	}
	for _, home := range Homes(r, i) {
		for o, home := range Near(a.after, home) {
			if other, ok := o.(*isthmusv1.Intention); ok && other.GetName() != i.GetName() && shareEntry(i, other) {
				a.tell(other, home)
			}
		}
	}
}

// traffic are the TrafficPolicies that have to do with a service.
func (a *affecting) traffic(o resource.Object) {
	for _, r := range []resource.Reader{a.before, a.after} {
		for p := range trafficNear(r, o) {
			a.tell(p, "")
		}
	}
}

// datacenter is what a datacenter affects that comes, goes or has changed.
func (a *affecting) datacenter(r resource.Reader, dc *isthmusv1.Datacenter) {
	if !anyPolicy(r) {
		return
	}
	concerned := map[string]bool{dc.GetName(): true}
	m, _ := realmOf(r, dc.GetName())
	for _, member := range append(slices.Concat(m.members, m.leaving), dc) {
		for p := range resource.AllTouching[*isthmusv1.Peering](r, resource.KindPeering, member.GetName()) {
			concerned[p.GetSpec().GetAcceptor()] = true
			concerned[p.GetSpec().GetDialer()] = true
		}
	}
	for name := range concerned {
		a.near(r, name)
	}
	for _, kind := range []string{resource.KindIntention, resource.KindTrafficPolicy} {
		for _, o := range resource.ChoosingOther[resource.Object](r, kind, dc) {
			a.tell(o, "")
		}
	}
}

// anyPolicy tells whether there is any: most fleets begin without.
func anyPolicy(r resource.Reader) bool {
	for _, kind := range []string{resource.KindIntention, resource.KindTrafficPolicy} {
		for range r.List(kind) {
			return true
		}
	}
	return false
}

// choiceOf is how a policy chooses its own datacenters.
func choiceOf(o resource.Object) (datacenters []string, selector string) {
	switch o := o.(type) {
	case *isthmusv1.Intention:
		d := o.GetSpec().GetDestination()
		return d.GetDatacenters(), d.GetSelector()
	case *isthmusv1.TrafficPolicy:
		return o.GetSpec().GetDatacenters(), o.GetSpec().GetSelector()
	}
	return nil, ""
}

// ChooseAlike tells whether two versions of an Intention or TrafficPolicy choose the same datacenters for their own, in any fleet.
func ChooseAlike(a, b resource.Object) bool {
	if a == nil || b == nil {
		return false
	}
	names, selector := choiceOf(a)
	others, other := choiceOf(b)
	return slices.Equal(names, others) && selector == other
}

// servicesOf are the services that a policy or an export is about.
func servicesOf(o resource.Object) []string {
	switch o := o.(type) {
	case *isthmusv1.Intention:
		return []string{o.GetSpec().GetDestination().GetService()}
	case *isthmusv1.ServiceExport:
		return []string{o.GetSpec().GetService()}
	case *isthmusv1.TrafficPolicy:
		spec := o.GetSpec()
		out := []string{spec.GetService(), spec.GetRedirect().GetService()}
		for _, f := range spec.GetFailover() {
			out = append(out, f.GetService())
		}
		for _, s := range spec.GetSplit() {
			out = append(out, s.GetTarget().GetService())
		}
		for _, route := range spec.GetRoutes() {
			out = append(out, route.GetTarget().GetService())
		}
		return slices.DeleteFunc(out, func(name string) bool { return name == "" })
	}
	return nil
}
