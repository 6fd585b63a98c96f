package policy

import (
	"cmp"
	"slices"
	"strings"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Exporting is what one datacenter exports, and goes on from view to view: of an added peering, or a changed other end, at the cost of that one.
// It is always as if it were made from nothing. Not for several goroutines at a time.
type Exporting struct {
	datacenter string
	// exports are those that choose the datacenter, in order of their names.
	exports []exportOf
	// choices are of all their consumers, by what chooses them.
	choices map[string]*consumerChoice
}

// exportOf is one export of the datacenter.
type exportOf struct {
	service serviceKey
	name    string
	adopt   bool
	// peers are the consumers that it names as they are called in the datacenter, choice is which others it chooses.
	peers  []string
	choice string
}

// consumerChoice are the consumers that names or a selector choose, in order of what the datacenter calls them.
type consumerChoice struct {
	chooses   func(*isthmusv1.Datacenter) bool
	consumers []consumer
}

// consumer is one by one peering.
type consumer struct{ name, peering string }

func (c consumer) compare(other consumer) int {
	return cmp.Or(cmp.Compare(c.name, other.name), cmp.Compare(c.peering, other.peering))
}

// NewExporting is a datacenter's before it has been looked at: it exports nothing.
func NewExporting(datacenter string) *Exporting { return &Exporting{datacenter: datacenter} }

// Look looks at which exports choose the datacenter. Consumers are looked for only where nobody has chosen alike before.
func (e *Exporting) Look(r resource.Reader) {
	before := e.choices
	e.exports, e.choices = nil, nil
	dc, ok := staying(r, e.datacenter)
	if _, excluded := secondaries(r)[e.datacenter]; !ok || excluded {
		return
	}
	for _, export := range resource.Choosing[*isthmusv1.ServiceExport](r, resource.KindServiceExport, dc) {
		if export.GetDeleteTime() != nil {
			continue
		}
		spec, to := export.GetSpec(), export.GetSpec().GetConsumers()
		choice := choiceKey(to)
		e.exports = append(e.exports, exportOf{
			service: keyOf(spec), name: export.GetName(), adopt: spec.GetAdopt(), peers: slices.Clone(to.GetPeers()), choice: choice,
		})
		if e.choices[choice] != nil {
			continue
		}
		if e.choices == nil {
			e.choices = map[string]*consumerChoice{}
		}
		if e.choices[choice] = before[choice]; before[choice] == nil {
			e.choices[choice] = newConsumerChoice(r, to, neighbours(r, e.datacenter))
		}
	}
}

// choiceKey is the same for all who choose alike: names of datacenters have no space, and selectors no line's end.
func choiceKey(to *isthmusv1.ExportConsumers) string {
	return strings.Join(to.GetDatacenters(), " ") + "\n" + to.GetSelector()
}

func newConsumerChoice(r resource.Reader, to *isthmusv1.ExportConsumers, among []neighbour) *consumerChoice {
	c := &consumerChoice{chooses: resource.ChoosesIn(r, to.GetDatacenters(), to.GetSelector())}
	for _, one := range among {
		if c.chooses(one.datacenter) {
			c.consumers = append(c.consumers, consumer{one.peerName, one.peering})
		}
	}
	slices.SortFunc(c.consumers, consumer.compare)
	return c
}

// LookAt looks at the other end of one peering, and tells whether anything else is exported because of it.
func (e *Exporting) LookAt(r resource.Reader, peering string) (changed bool) {
	if len(e.choices) == 0 {
		return false
	}
	p, _ := resource.Lookup[*isthmusv1.Peering](r, resource.KindPeering, peering)
	one, ok := neighbourBy(r, p, e.datacenter)
	for _, c := range e.choices {
		changed = c.put(peering, one.peerName, ok && c.chooses(one.datacenter)) || changed
	}
	return changed
}

// put has a peering's other end among the consumers, or not.
func (c *consumerChoice) put(peering, name string, chosen bool) (changed bool) {
	was := slices.IndexFunc(c.consumers, func(one consumer) bool { return one.peering == peering })
	switch {
	case was < 0 && !chosen, was >= 0 && chosen && c.consumers[was].name == name:
		return false
	case was >= 0:
		c.consumers = slices.Delete(c.consumers, was, was+1)
	}
	if chosen {
		now := consumer{name, peering}
		at, _ := slices.BinarySearchFunc(c.consumers, now, consumer.compare)
		c.consumers = slices.Insert(c.consumers, at, now)
	}
	return true
}

// consumers are the peers' names that one export goes to, sorted, each once.
func (e *Exporting) consumers(export string) []string {
	i, ok := slices.BinarySearchFunc(e.exports, export, func(one exportOf, name string) int { return cmp.Compare(one.name, name) })
	if !ok {
		return nil
	}
	return e.choices[e.exports[i].choice].names(e.exports[i].peers)
}

// consumersOf are those that a service goes to by any export.
func (e *Exporting) consumersOf(service serviceKey) []string {
	var out []string
	for _, export := range e.exports {
		if export.service == service {
			out = append(out, e.choices[export.choice].names(export.peers)...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// size is how many consumers are known, and one for the exporter.
func (e *Exporting) size() int {
	n := 1
	for _, c := range e.choices {
		n += len(c.consumers)
	}
	return n
}

// Services are what is exported: see Exports.
func (e *Exporting) Services() *isthmusv1.ExportedServices {
	out := &isthmusv1.ExportedServices{}
	services := map[serviceKey]*isthmusv1.ExportedService{}
	for _, export := range e.exports {
		names := e.choices[export.choice].names(export.peers)
		if len(names) == 0 {
			continue
		}
		service := services[export.service]
		if service == nil {
			service = &isthmusv1.ExportedService{Name: export.service.name, Namespace: export.service.namespace}
			services[export.service] = service
			out.Services = append(out.Services, service)
		}
		service.Peers = append(service.Peers, names...)
		service.Exports = append(service.Exports, export.name)
		service.Adopt = service.GetAdopt() || export.adopt
	}
	for _, service := range out.GetServices() {
		if len(service.GetExports()) > 1 {
			slices.Sort(service.Peers)
			service.Peers = slices.Compact(service.Peers)
		}
	}
	slices.SortFunc(out.Services, func(a, b *isthmusv1.ExportedService) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
	return out
}

// names are what the consumers are called, with some more, sorted and each once.
func (c *consumerChoice) names(more []string) []string {
	out := make([]string, 0, len(c.consumers)+len(more))
	for _, one := range c.consumers {
		out = append(out, one.name)
	}
	if len(more) > 0 {
		out = append(out, more...)
		slices.Sort(out)
	}
	return slices.Compact(out)
}
