package policy

import (
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// maxConsumers is how many consumers of how many exporters are known from view to view: some 40 MiB. Those that are too many are looked for from
// nothing.
const maxConsumers = 1 << 20

// Exportings are what datacenters export, for who looks at the same ones again and again, in later views: each as NewExporting's is when it has been
// looked at. Not for several goroutines at a time.
type Exportings struct {
	of map[string]*Exporting
	// touched are the peerings of an exporter whose other ends may be others than when it was looked at.
	touched map[string]map[string]bool
	// size is that of all, most what it may be.
	size, most int
}

// NewExportings are none yet.
func NewExportings() *Exportings {
	return &Exportings{of: map[string]*Exporting{}, touched: map[string]map[string]bool{}, most: maxConsumers}
}

// Note notes a change between two views; all of those between the views in which somebody looks have to be. What is given is as with Affected.
func (x *Exportings) Note(before, after resource.Reader, was, is resource.Object, seen bool) {
	if seen {
		return
	}
	for _, o := range []resource.Object{was, is} {
		if p, ok := o.(*isthmusv1.Peering); ok && p != nil {
			x.touch(p)
		}
	}
	if e, ok := was.(*isthmusv1.ServiceExport); ok && e != nil {
		x.unchoose(after, e.GetSpec().GetConsumers().GetSelector())
	}
	old, now := stayingVersion(was), stayingVersion(is)
	if old == nil && now == nil || old != nil && now != nil && !resource.Distinguished(before, resource.KindServiceExport, old, now) &&
		!resource.Distinguished(after, resource.KindServiceExport, old, now) {
		return
	}
	name := old.GetName()
	if now != nil {
		name = now.GetName()
	} else {
		x.drop(name)
	}
	for _, r := range []resource.Reader{before, after} {
		for p := range resource.AllTouching[*isthmusv1.Peering](r, resource.KindPeering, name) {
			x.touch(p)
		}
	}
}

// touch notes that a peering, or one of its ends, may be another.
func (x *Exportings) touch(p *isthmusv1.Peering) {
	for _, end := range []string{p.GetSpec().GetAcceptor(), p.GetSpec().GetDialer()} {
		if x.of[end] == nil {
			continue
		}
		if x.touched[end] == nil {
			x.touched[end] = map[string]bool{}
		}
		x.touched[end][p.GetName()] = true
	}
}

// unchoose forgets whom a selector chooses when no export has it any more: of labels that only it tells apart nothing is noted from then on.
func (x *Exportings) unchoose(r resource.Reader, selector string) {
	if selector == "" || resource.ChoosesOther(r, resource.KindServiceExport, selector) {
		return
	}
	for _, e := range x.of {
		x.size -= e.size()
		delete(e.choices, choiceKey(&isthmusv1.ExportConsumers{Selector: selector}))
		x.size += e.size()
	}
}

// at is what a datacenter exports in a view.
func (x *Exportings) at(r resource.Reader, datacenter string) *Exporting {
	e := x.of[datacenter]
	if e == nil {
		e = NewExporting(datacenter)
	} else {
		x.size -= e.size()
	}
	x.of[datacenter] = e
	for peering := range x.touched[datacenter] {
		e.LookAt(r, peering)
	}
	delete(x.touched, datacenter)
	e.Look(r)
	x.size += e.size()
	for other := range x.of {
		if x.size <= x.most {
			break
		}
		if other != datacenter {
			x.drop(other)
		}
	}
	return e
}

// drop forgets an exporter.
func (x *Exportings) drop(datacenter string) {
	if e := x.of[datacenter]; e != nil {
		x.size -= e.size()
		delete(x.of, datacenter)
		delete(x.touched, datacenter)
	}
}
