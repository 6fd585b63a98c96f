package plan

import (
	"cmp"
	"slices"

	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Features are the types of items that this version's agents do.
func Features() []string {
	return []string{resource.ItemPeeringAcceptor, resource.ItemPeeringDialer, resource.ItemExportedServices, resource.ItemMesh}
}

// For is everything that one datacenter shall be. Items that need a feature outside of features are left out and
// returned by their ids: the agent is too old for them and keeps what exists. A datacenter that is not declared has
// nothing but an empty export list, so that what was exported under an earlier declaration goes.
func For(r resource.Reader, datacenter string, features []string) (state *isthmusv1.DesiredState, omitted []string) {
	state = &isthmusv1.DesiredState{Datacenter: datacenter, ConsulDatacenter: datacenter, Drift: resource.DriftCorrect}
	if dc, ok := resource.Lookup[*isthmusv1.Datacenter](r, resource.KindDatacenter, datacenter); ok {
		state.ConsulDatacenter = cmp.Or(dc.GetSpec().GetConsulDatacenter(), datacenter)
		state.ConsulPartition = dc.GetSpec().GetConsulPartition()
		state.Drift = cmp.Or(dc.GetSpec().GetDrift(), resource.DriftCorrect)
		state.ConfirmedEpoch = dc.GetStatus().GetConfirmedEpoch()
	}
	for _, item := range items(r, datacenter) {
		if slices.Contains(features, item.GetType()) {
			state.Items = append(state.Items, item)
		} else {
			omitted = append(omitted, item.GetId())
		}
	}
	return state, omitted
}

// Digest tells two desired states apart.
func Digest(state *isthmusv1.DesiredState) string { return resource.Digest(state) }

func items(r resource.Reader, datacenter string) []*isthmusv1.DesiredItem {
	var (
		out  []*isthmusv1.DesiredItem
		mesh *isthmusv1.MeshSettings
	)
	for p := range resource.AllTouching[*isthmusv1.Peering](r, resource.KindPeering, datacenter) {
		if p.GetSpec().GetAcceptor() == datacenter {
			out = append(out, &isthmusv1.DesiredItem{
				Id: resource.ItemPeeringAcceptor + "/" + p.GetUid(), Type: resource.ItemPeeringAcceptor, PeeringAcceptor: acceptor(r, p),
			})
		} else {
			out = append(out, &isthmusv1.DesiredItem{
				Id: resource.ItemPeeringDialer + "/" + p.GetUid(), Type: resource.ItemPeeringDialer, PeeringDialer: dialer(r, p),
			})
		}
		// Consul has one switch for the whole datacenter: one peering that needs the gateways turns it on for all.
		if through := p.GetSpec().ThroughGateways; through != nil && p.GetDeleteTime() == nil {
			mesh = &isthmusv1.MeshSettings{PeerThroughMeshGateways: mesh.GetPeerThroughMeshGateways() || *through}
		}
	}
	out = append(out, &isthmusv1.DesiredItem{
		Id: resource.ItemExportedServices, Type: resource.ItemExportedServices, ExportedServices: policy.Exports(r, datacenter),
	})
	if mesh != nil {
		out = append(out, &isthmusv1.DesiredItem{Id: resource.ItemMesh, Type: resource.ItemMesh, Mesh: mesh})
	}
	slices.SortFunc(out, func(a, b *isthmusv1.DesiredItem) int { return cmp.Compare(a.GetId(), b.GetId()) })
	return out
}
