package policy

import (
	"iter"
	"slices"
	"strings"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Touching are the Intentions and TrafficPolicies whose config entries count for one of some datacenters, or for one that is in a federation
// with it: those whose status may be another when something of it changes. Each once.
func Touching(r resource.Reader, datacenters map[string]bool) iter.Seq[resource.Object] {
	return func(yield func(resource.Object) bool) {
		if len(datacenters) == 0 {
			return
		}
		members := map[string]*isthmusv1.Datacenter{}
		for name := range datacenters {
			m, _ := realmOf(r, name)
			for _, dc := range m.members {
				members[dc.GetName()] = dc
			}
		}
		for _, kind := range []string{resource.KindIntention, resource.KindTrafficPolicy} {
			for o := range r.List(kind) {
				if choosesOne(o, datacenters, members) && !yield(o) {
					return
				}
			}
		}
	}
}

// choosesOne tells whether a policy chooses one of some datacenters; by name also one that is not declared (any more).
func choosesOne(o resource.Object, names map[string]bool, declared map[string]*isthmusv1.Datacenter) bool {
	by, selector := choiceOf(o)
	if slices.ContainsFunc(by, func(name string) bool { return names[name] || declared[name] != nil }) {
		return true
	}
	if len(by) > 0 {
		return false
	}
	chooses := resource.Chooses(nil, selector)
	for _, dc := range declared {
		if chooses(dc) {
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

// Choosing are the Intentions and TrafficPolicies that choose a datacenter, by name or by selector, as their own or as another side of calls: those
// whose status may be another when it comes or goes. When its labels change, those are concerned that choose it as it was, and as it is.
func Choosing(r resource.Reader, dc *isthmusv1.Datacenter) iter.Seq[resource.Object] {
	return func(yield func(resource.Object) bool) {
		for _, kind := range []string{resource.KindIntention, resource.KindTrafficPolicy} {
			for o := range r.List(kind) {
				chosen := func(c choice) bool { return resource.Chooses(c.datacenters, c.selector)(dc) }
				if slices.ContainsFunc(choicesOf(o), chosen) && !yield(o) {
					return
				}
			}
		}
	}
}

// choice is how datacenters are chosen: by one of both, or not at all.
type choice struct {
	datacenters []string
	selector    string
}

// choicesOf are all choices of datacenters in a policy.
func choicesOf(o resource.Object) []choice {
	names, selector := choiceOf(o)
	out := []choice{{names, selector}}
	named := func(name string) {
		if name != "" {
			out = append(out, choice{datacenters: []string{name}})
		}
	}
	switch o := o.(type) {
	case *isthmusv1.Intention:
		for _, s := range o.GetSpec().GetSources() {
			out = append(out, choice{s.GetDatacenters(), s.GetSelector()})
		}
	case *isthmusv1.TrafficPolicy:
		spec := o.GetSpec()
		for _, f := range spec.GetFailover() {
			out = append(out, choice{f.GetDatacenters(), f.GetSelector()})
		}
		named(spec.GetRedirect().GetDatacenter())
		for _, s := range spec.GetSplit() {
			named(s.GetTarget().GetDatacenter())
		}
		for _, route := range spec.GetRoutes() {
			named(route.GetTarget().GetDatacenter())
		}
	}
	return slices.DeleteFunc(out, func(c choice) bool { return len(c.datacenters) == 0 && c.selector == "" })
}

// Related are the Intentions and TrafficPolicies whose status depends on another policy's spec, or on a ServiceExport's, since they are
// about the same service: they share config entries, may contradict each other, or need the export. The policy itself is among them.
func Related(r resource.Reader, o resource.Object) iter.Seq[resource.Object] {
	return func(yield func(resource.Object) bool) {
		services := servicesOf(o)
		kinds := []string{resource.KindTrafficPolicy}
		if _, ok := o.(*isthmusv1.Intention); ok {
			kinds = []string{resource.KindIntention}
		}
		for _, kind := range kinds {
			for other := range r.List(kind) {
				if meet(services, servicesOf(other)) && !yield(other) {
					return
				}
			}
		}
	}
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

// meet tells whether two lists of services have one in common; * is every service. Consul has one config entry for names that differ in
// capitals only.
func meet(a, b []string) bool {
	return slices.ContainsFunc(a, func(name string) bool {
		return name == resource.AnyService || slices.ContainsFunc(b, func(other string) bool { return strings.EqualFold(name, other) })
	})
}
