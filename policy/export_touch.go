package policy

import (
	"iter"
	"slices"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// NearExports are the ServiceExports that choose a datacenter for an exporter: those whose status may be another there when its agent, or a peering
// of it, does something else. None, when it is not declared (any more).
func NearExports(r resource.Reader, datacenter string) []*isthmusv1.ServiceExport {
	dc, ok := resource.Lookup[*isthmusv1.Datacenter](r, resource.KindDatacenter, datacenter)
	if !ok {
		return nil
	}
	return resource.Choosing[*isthmusv1.ServiceExport](r, resource.KindServiceExport, dc)
}

// AffectedExports are the ServiceExports whose status a change may make another one, and the exporter with which it may, or nothing for all of
// them; some of it twice. Without an export it is a datacenter: all that are NearExports of it, in the fleet after the change; without both it is
// every export. What is given and left out is as with Affected.
//
//	ServiceExport  itself; those of the same service, with its exporters; nothing when only its status has changed
//	Datacenter     when it comes, goes, is on its way out or has other labels: those that choose it now and did not before, or the other way around,
//	               for an exporter; for a consumer, with those that are peered with it
//	Peering        its ends; nothing when only its status has changed
//	Federation     all, when it is wanted otherwise or has other members
func AffectedExports(before, after resource.Reader, was, is resource.Object, seen bool) iter.Seq2[*isthmusv1.ServiceExport, string] {
	return func(yield func(*isthmusv1.ServiceExport, string) bool) {
		if seen && !tells(was, is) {
			return
		}
		a := affectingExports{yield: yield, after: after}
		a.side(before, was, was, is)
		a.side(after, is, was, is)
	}
}

// affectingExports finds what is AffectedExports.
type affectingExports struct {
	yield func(*isthmusv1.ServiceExport, string) bool
	after resource.Reader
	done  bool
}

func (a *affectingExports) tell(export *isthmusv1.ServiceExport, home string) {
	a.done = a.done || !a.yield(export, home)
}

// side is what one side of a change affects in the fleet that it is of.
func (a *affectingExports) side(r resource.Reader, o, was, is resource.Object) {
	if o == nil || !o.ProtoReflect().IsValid() {
		return
	}
	switch o := o.(type) {
	case *isthmusv1.ServiceExport:
		a.tell(o, "")
		a.sharers(o)
	case *isthmusv1.Datacenter:
		a.datacenter(r, stayingVersion(was), stayingVersion(is))
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

// sharers are the other exports of the same service: which consumers nobody wants any more depends on all of them.
func (a *affectingExports) sharers(e *isthmusv1.ServiceExport) {
	for _, other := range sameService(a.after, e.GetSpec()) {
		if other.GetName() == e.GetName() {
			continue
		}
		for _, home := range e.GetSpec().GetDatacenters() {
			a.tell(other, home)
		}
		if len(e.GetSpec().GetDatacenters()) == 0 {
			a.tell(other, "")
		}
	}
}

// datacenter is what the way from one version of a datacenter to another affects; nil for one that is not there, or is on its way out.
func (a *affectingExports) datacenter(r resource.Reader, was, is *isthmusv1.Datacenter) {
	name := was.GetName()
	if is != nil {
		name = is.GetName()
	}
	a.with(r, resource.Rechoosing[*isthmusv1.ServiceExport](r, resource.KindServiceExport, was, is), map[string]bool{name: true})
	consumed := resource.RechoosingOther[*isthmusv1.ServiceExport](r, resource.KindServiceExport, was, is)
	if len(consumed) == 0 {
		return
	}
	ends := map[string]bool{}
	for p := range resource.AllTouching[*isthmusv1.Peering](r, resource.KindPeering, name) {
		ends[p.GetSpec().GetAcceptor()], ends[p.GetSpec().GetDialer()] = true, true
	}
	delete(ends, "")
	delete(ends, name)
	a.with(r, consumed, ends)
}

// with are some exports with some exporters, and those of the same services.
func (a *affectingExports) with(r resource.Reader, exports []*isthmusv1.ServiceExport, exporters map[string]bool) {
	shared := slices.ContainsFunc(exports, func(e *isthmusv1.ServiceExport) bool { return len(sameService(r, e.GetSpec())) > 1 })
	for home := range exporters {
		for _, e := range exports {
			a.tell(e, home)
		}
		if shared {
			a.tell(nil, home)
		}
	}
}

// stayingVersion is a version of a datacenter; nil for one that is not there, or on its way out.
func stayingVersion(o resource.Object) *isthmusv1.Datacenter {
	dc, _ := o.(*isthmusv1.Datacenter)
	if dc == nil || resource.Departing(dc) {
		return nil
	}
	return dc
}
