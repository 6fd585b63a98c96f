package policy

import (
	"iter"
	"slices"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Exports is everything that isthmus wants exported in one datacenter: services and peers' names sorted, each service
// once however many ServiceExports want it. Only peerings that exist and are not being deleted count: Consul would keep
// an entry for a peer that is not there, and hand the service to whoever takes that name later. From and to a datacenter on its way out
// nothing is exported.
func Exports(r resource.Reader, datacenter string) *isthmusv1.ExportedServices {
	e := NewExporting(datacenter)
	e.Look(r)
	return e.Services()
}

// Exporters are the datacenters that an export chooses, in order of their names. Names that do not exist are left out, and so are
// secondaries of federations: Consul refuses exported-services there, and deleting it from there removes the primary's.
func Exporters(r resource.Reader, export *isthmusv1.ServiceExport) iter.Seq[*isthmusv1.Datacenter] {
	excluded := secondaries(r)
	return func(yield func(*isthmusv1.Datacenter) bool) {
		for dc := range chosen(r, export) {
			if _, out := excluded[dc.GetName()]; !out && !yield(dc) {
				return
			}
		}
	}
}

// chosen are the datacenters that an export chooses, those on their way out left out.
func chosen(r resource.Reader, export *isthmusv1.ServiceExport) iter.Seq[*isthmusv1.Datacenter] {
	return func(yield func(*isthmusv1.Datacenter) bool) {
		for dc := range resource.Select(r, export.GetSpec().GetDatacenters(), export.GetSpec().GetSelector()) {
			if !resource.Departing(dc) && !yield(dc) {
				return
			}
		}
	}
}

// secondaries are the datacenters that are, or are about to be, secondaries of a federation, with its name.
func secondaries(r resource.Reader) map[string]string {
	if known, ok := r.(resource.Rememberer); ok {
		return known.Remember("secondaries", func() any { return findSecondaries(r) }).(map[string]string)
	}
	return findSecondaries(r)
}

func findSecondaries(r resource.Reader) map[string]string {
	out := map[string]string{}
	for dc, m := range resource.Memberships(r) {
		if m.Role == resource.RoleSecondary && resource.Engaged(m.Member) {
			out[dc] = m.Federation.GetName()
		}
	}
	return out
}

type serviceKey struct{ namespace, name string }

func keyOf(spec *isthmusv1.ServiceExportSpec) serviceKey {
	return serviceKey{namespace: spec.GetNamespace(), name: spec.GetService()}
}

// neighbour is a datacenter at the other end of a peering, under the name that this end has for it.
type neighbour struct {
	datacenter        *isthmusv1.Datacenter
	peerName, peering string
}

// neighbours are those of a datacenter that count; found once in each view, shared, and never changed.
func neighbours(r resource.Reader, datacenter string) []neighbour {
	known, ok := r.(resource.Rememberer)
	if !ok {
		return findNeighbours(r, datacenter)
	}
	return known.Remember("neighbours of "+datacenter, func() any { return findNeighbours(r, datacenter) }).([]neighbour)
}

func findNeighbours(r resource.Reader, datacenter string) []neighbour {
	var out []neighbour
	for p := range resource.AllTouching[*isthmusv1.Peering](r, resource.KindPeering, datacenter) {
		if one, ok := neighbourBy(r, p, datacenter); ok {
			out = append(out, one)
		}
	}
	return out
}

// neighbourBy is a datacenter's neighbour by one peering; false when it is none that counts.
func neighbourBy(r resource.Reader, p *isthmusv1.Peering, datacenter string) (neighbour, bool) {
	spec := p.GetSpec()
	other, name := spec.GetDialer(), spec.GetAcceptorPeerName()
	switch {
	case p.GetDeleteTime() != nil:
		return neighbour{}, false
	case spec.GetDialer() == datacenter:
		other, name = spec.GetAcceptor(), spec.GetDialerPeerName()
	case spec.GetAcceptor() != datacenter:
		return neighbour{}, false
	}
	dc, ok := staying(r, other)
	return neighbour{datacenter: dc, peerName: name, peering: p.GetName()}, ok
}

// consumers are the peers' names that an export goes to from a datacenter, sorted, each once; none when it does not choose the
// datacenter. External peers are taken as they are named: isthmus cannot see whether the other operator is there.
func consumers(r resource.Reader, export *isthmusv1.ServiceExport, from *isthmusv1.Datacenter, peers []neighbour) []string {
	spec := export.GetSpec()
	if export.GetDeleteTime() != nil || !resource.ChoosesIn(r, spec.GetDatacenters(), spec.GetSelector())(from) {
		return nil
	}
	names := slices.Clone(spec.GetConsumers().GetPeers())
	chooses := resource.ChoosesIn(r, spec.GetConsumers().GetDatacenters(), spec.GetConsumers().GetSelector())
	for _, peer := range peers {
		if chooses(peer.datacenter) {
			names = append(names, peer.peerName)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
