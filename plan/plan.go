package plan

import (
	"cmp"
	"slices"

	"isthmus/desired"
	"isthmus/federation"
	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Features are the types of items that this version's agents do.
func Features() []string {
	return []string{
		resource.ItemPeeringAcceptor, resource.ItemPeeringDialer, resource.ItemExportedServices, resource.ItemMesh,
		resource.ItemProxyDefaults, resource.ItemFederationPrimary, resource.ItemFederationSecondary, resource.ItemProbes,
		resource.ItemConfigEntries,
	}
}

// For is everything that one datacenter shall be. Items that need a feature outside of features are left out and
// returned by their ids: the agent is too old for them and keeps what exists. A datacenter that is not declared has
// nothing but an empty export list and no policies, so that what was written under an earlier declaration goes.
func For(r resource.Reader, datacenter string, features []string) (state *isthmusv1.DesiredState, omitted []string) {
	state = empty(r, datacenter)
	for _, item := range items(r, datacenter) {
		if slices.Contains(features, item.GetType()) {
			state.Items = append(state.Items, item)
		} else {
			omitted = append(omitted, item.GetId())
		}
	}
	return state, omitted
}

// ForGateway is what a gateway of a datacenter is told: the routes to others, and nothing else.
func ForGateway(r resource.Reader, datacenter string) *isthmusv1.DesiredState {
	state := empty(r, datacenter)
	state.Items = []*isthmusv1.DesiredItem{routes(federation.Routes(r, datacenter))}
	return state
}

func routes(r *isthmusv1.GatewayRoutes) *isthmusv1.DesiredItem {
	return &isthmusv1.DesiredItem{Id: resource.ItemGatewayRoutes, Type: resource.ItemGatewayRoutes, GatewayRoutes: r}
}

// empty is the state without items.
func empty(r resource.Reader, datacenter string) *isthmusv1.DesiredState {
	state := &isthmusv1.DesiredState{Datacenter: datacenter, ConsulDatacenter: datacenter, Drift: resource.DriftCorrect}
	if dc, ok := resource.Lookup[*isthmusv1.Datacenter](r, resource.KindDatacenter, datacenter); ok {
		state.ConsulDatacenter = cmp.Or(dc.GetSpec().GetConsulDatacenter(), datacenter)
		state.ConsulPartition = dc.GetSpec().GetConsulPartition()
		state.Drift = cmp.Or(dc.GetSpec().GetDrift(), resource.DriftCorrect)
		state.ConfirmedEpoch = dc.GetStatus().GetConfirmedEpoch()
	}
	return state
}

// Digest tells two desired states apart: see desired.Digest.
func Digest(state *isthmusv1.DesiredState) string { return desired.Digest(state) }

func items(r resource.Reader, datacenter string) []*isthmusv1.DesiredItem {
	var out []*isthmusv1.DesiredItem
	for p := range resource.AllTouching[*isthmusv1.Peering](r, resource.KindPeering, datacenter) {
		out = append(out, itemOf(r, p, datacenter))
	}
	// Of a secondary, all config entries are the primary's.
	memberships := resource.Memberships(r)
	if !follows(memberships[datacenter]) {
		out = append(out, entryItems(r, datacenter, meshOf(r, datacenter, memberships))...)
	}
	out = append(out, federation.Items(r, datacenter)...)
	slices.SortFunc(out, func(a, b *isthmusv1.DesiredItem) int { return cmp.Compare(a.GetId(), b.GetId()) })
	return out
}

// itemOf is what one of its ends has to do about a Peering.
func itemOf(r resource.Reader, p *isthmusv1.Peering, datacenter string) *isthmusv1.DesiredItem {
	if p.GetSpec().GetAcceptor() == datacenter {
		return &isthmusv1.DesiredItem{
			Id: resource.ItemPeeringAcceptor + "/" + p.GetUid(), Type: resource.ItemPeeringAcceptor, PeeringAcceptor: acceptor(r, p),
		}
	}
	return &isthmusv1.DesiredItem{
		Id: resource.ItemPeeringDialer + "/" + p.GetUid(), Type: resource.ItemPeeringDialer, PeeringDialer: dialer(r, p),
	}
}

// entryItems are what the datacenter's Consul shall have in its config entries.
func entryItems(r resource.Reader, datacenter string, mesh *isthmusv1.MeshSettings) []*isthmusv1.DesiredItem {
	out := []*isthmusv1.DesiredItem{exported(policy.Exports(r, datacenter)), configured(policy.Entries(r, datacenter))}
	if item := meshed(mesh); item != nil {
		out = append(out, item)
	}
	return out
}

func exported(e *isthmusv1.ExportedServices) *isthmusv1.DesiredItem {
	return &isthmusv1.DesiredItem{Id: resource.ItemExportedServices, Type: resource.ItemExportedServices, ExportedServices: e}
}

func configured(e *isthmusv1.ConfigEntries) *isthmusv1.DesiredItem {
	return &isthmusv1.DesiredItem{Id: resource.ItemConfigEntries, Type: resource.ItemConfigEntries, ConfigEntries: e}
}

// meshed is the item of the mesh entry; no mesh: nobody says anything of it, and there is none.
func meshed(mesh *isthmusv1.MeshSettings) *isthmusv1.DesiredItem {
	if mesh == nil {
		return nil
	}
	return &isthmusv1.DesiredItem{Id: resource.ItemMesh, Type: resource.ItemMesh, Mesh: mesh}
}

// follows tells whether a member's Consul is, or is about to be, a secondary.
func follows(m resource.Membership) bool {
	return m.Role == resource.RoleSecondary && resource.Federated(m.Member)
}

// MeshPeerings are the Peerings that say what a datacenter's mesh entry shall be, in order of their names. Of a secondary there are none: the
// primary's entry is the only one.
func MeshPeerings(r resource.Reader, datacenter string) []*isthmusv1.Peering {
	memberships := resource.Memberships(r)
	if follows(memberships[datacenter]) {
		return nil
	}
	return meshPeerings(r, datacenter, memberships)
}

func meshPeerings(r resource.Reader, datacenter string, memberships map[string]resource.Membership) []*isthmusv1.Peering {
	sharers := []string{datacenter}
	if own := memberships[datacenter]; own.Role == resource.RolePrimary {
		for name, m := range memberships {
			if m.Federation.GetName() == own.Federation.GetName() && follows(m) {
				sharers = append(sharers, name)
			}
		}
	}
	var out []*isthmusv1.Peering
	for _, name := range sharers {
		for p := range resource.AllTouching[*isthmusv1.Peering](r, resource.KindPeering, name) {
			if p.GetSpec().ThroughGateways != nil && p.GetDeleteTime() == nil {
				out = append(out, p)
			}
		}
	}
	slices.SortFunc(out, func(a, b *isthmusv1.Peering) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return slices.Compact(out)
}

// meshOf is what the peerings want of the mesh entry; nil: nothing. Consul has one switch for the whole datacenter, and for a federation
// one in the primary: one peering that needs the gateways turns it on for all.
func meshOf(r resource.Reader, datacenter string, memberships map[string]resource.Membership) *isthmusv1.MeshSettings {
	var mesh *isthmusv1.MeshSettings
	for _, p := range meshPeerings(r, datacenter, memberships) {
		mesh = &isthmusv1.MeshSettings{PeerThroughMeshGateways: mesh.GetPeerThroughMeshGateways() || p.GetSpec().GetThroughGateways()}
	}
	return mesh
}
