package policy

import (
	"cmp"
	"iter"
	"maps"
	"slices"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Exports is everything that isthmus wants exported in one datacenter: services and peers' names sorted, each service
// once however many ServiceExports want it. Only peerings that exist and are not being deleted count: Consul would keep
// an entry for a peer that is not there, and hand the service to whoever takes that name later. From and to a datacenter on its way out
// nothing is exported.
func Exports(r resource.Reader, datacenter string) *isthmusv1.ExportedServices {
	dc, ok := staying(r, datacenter)
	if _, excluded := secondaries(r)[datacenter]; !ok || excluded {
		return &isthmusv1.ExportedServices{}
	}
	peers := neighbours(r, datacenter)
	services := map[serviceKey]*merged{}
	for _, export := range resource.Choosing[*isthmusv1.ServiceExport](r, resource.KindServiceExport, dc) {
		names := consumers(r, export, dc, peers)
		if len(names) == 0 {
			continue
		}
		key := keyOf(export.GetSpec())
		if services[key] == nil {
			services[key] = &merged{peers: map[string]bool{}, exports: map[string]bool{}}
		}
		services[key].exports[export.GetName()] = true
		services[key].adopt = services[key].adopt || export.GetSpec().GetAdopt()
		for _, name := range names {
			services[key].peers[name] = true
		}
	}
	return &isthmusv1.ExportedServices{Services: list(services)}
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

type merged struct {
	peers   map[string]bool
	exports map[string]bool
	// adopt: one of the exports takes over what somebody else wrote.
	adopt bool
}

// neighbour is a datacenter at the other end of a peering, under the name that this end has for it.
type neighbour struct {
	datacenter *isthmusv1.Datacenter
	peerName   string
}

func neighbours(r resource.Reader, datacenter string) []neighbour {
	var out []neighbour
	for peering := range resource.AllTouching[*isthmusv1.Peering](r, resource.KindPeering, datacenter) {
		if peering.GetDeleteTime() != nil {
			continue
		}
		spec := peering.GetSpec()
		other, name := spec.GetDialer(), spec.GetAcceptorPeerName()
		if spec.GetDialer() == datacenter {
			other, name = spec.GetAcceptor(), spec.GetDialerPeerName()
		}
		if dc, ok := staying(r, other); ok {
			out = append(out, neighbour{datacenter: dc, peerName: name})
		}
	}
	return out
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

func list(services map[serviceKey]*merged) []*isthmusv1.ExportedService {
	out := make([]*isthmusv1.ExportedService, 0, len(services))
	for key, m := range services {
		out = append(out, &isthmusv1.ExportedService{
			Name: key.name, Namespace: key.namespace,
			Peers:   slices.Sorted(maps.Keys(m.peers)),
			Exports: slices.Sorted(maps.Keys(m.exports)),
			Adopt:   m.adopt,
		})
	}
	slices.SortFunc(out, func(a, b *isthmusv1.ExportedService) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
	return out
}
