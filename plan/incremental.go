package plan

import (
	"maps"
	"slices"

	"isthmus/desired"
	"isthmus/federation"
	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Plan is what one datacenter shall be, at one view of the fleet, and goes on to later views at the cost of what changed: of its items it holds
// their sums, and what of other datacenters goes into the large ones. It is always as if it were made from nothing. Not for several goroutines at
// a time.
type Plan struct {
	datacenter string
	gateway    bool
	// features are the types of items that count; of a gateway's plan, all do.
	features []string
	header   desired.Sum
	items    desired.Tree
	// peerings are where the items of Peerings are, by name; rest are the ids of all other items, by the part that they are of.
	peerings map[string]place
	rest     map[Parts][]string
	// exports are what it exports, peers the gateways of its peers.
	exports *policy.Exporting
	peers   *federation.Peers
	// told are the Peerings that say how control traffic goes, through those of them that want it to go through gateways.
	told, through int
	digest        string
}

// place is the item of a Peering.
type place struct {
	id            string
	told, through bool
}

// Change is an item that became another, came or went.
type Change struct {
	ID string
	// Peering is the name of the one that it is of; empty: it is of another part.
	Peering string
	of      Parts
}

// New is the plan of a datacenter's agents that do these features.
func New(r resource.Reader, datacenter string, features []string) *Plan {
	p := &Plan{datacenter: datacenter, features: slices.Clip(slices.Clone(features)), peerings: map[string]place{}}
	for o := range resource.AllTouching[*isthmusv1.Peering](r, resource.KindPeering, datacenter) {
		p.peering(r, o.GetName())
	}
	p.exports = policy.NewExporting(datacenter)
	p.begin(r)
	return p
}

// NewForGateway is the plan of a datacenter's gateways.
func NewForGateway(r resource.Reader, datacenter string) *Plan {
	p := &Plan{datacenter: datacenter, gateway: true}
	p.begin(r)
	return p
}

// begin makes all items that are not of one Peering.
func (p *Plan) begin(r resource.Reader) {
	p.rest = map[Parts][]string{}
	p.peers = federation.NewPeers(r, p.datacenter)
	p.others(r, all)
	p.sum(r)
}

// Digest is that of the whole state.
func (p *Plan) Digest() string { return p.digest }

// Size is how many items the state has.
func (p *Plan) Size() int { return p.items.Size() }

// Update brings the plan to a later view, in which t is what may be another, and not Spoilt. The changes name items once; the state may be another
// without any, by what is not an item.
func (p *Plan) Update(r resource.Reader, t Touch) []Change {
	var out []Change
	rest := t.rest
	for _, name := range slices.Sorted(maps.Keys(t.peerings)) {
		if t.peerings[name]&item != 0 && !p.gateway {
			out = append(out, p.peering(r, name)...)
		}
		if t.peerings[name]&end != 0 {
			rest |= p.otherEnd(r, name)
		}
	}
	out = append(out, p.others(r, rest)...)
	p.sum(r)
	return out
}

// otherEnd looks at the other end of a Peering, and gives the parts that are others because of it.
func (p *Plan) otherEnd(r resource.Reader, peering string) (changed Parts) {
	if p.peers.LookAt(r, peering) {
		changed |= gateways
	}
	if p.exports != nil && p.exports.LookAt(r, peering) {
		changed |= consumers
	}
	return changed
}

// State is the whole state, at the view that the plan is at.
func (p *Plan) State(r resource.Reader) *isthmusv1.DesiredState {
	if p.gateway {
		return ForGateway(r, p.datacenter)
	}
	state, _ := For(r, p.datacenter, p.features)
	return state
}

// Delta is what leads to the state at the view that the plan is at, from the one with the digest base: changes are all that Update gave since.
func (p *Plan) Delta(r resource.Reader, base string, changes []Change) *isthmusv1.StateDelta {
	out := &isthmusv1.StateDelta{Base: base, State: empty(r, p.datacenter)}
	rest := map[Parts][]*isthmusv1.DesiredItem{}
	seen := make(map[string]bool, len(changes))
	for _, c := range changes {
		if seen[c.ID] {
			continue
		}
		seen[c.ID] = true
		switch {
		case !p.items.Has(c.ID):
			out.Removed = append(out.Removed, c.ID)
		case c.Peering != "":
			out.Items = append(out.Items, p.peeringItem(r, c.Peering))
		default:
			if rest[c.of] == nil {
				rest[c.of] = p.itemsOf(r, c.of)
			}
			i := slices.IndexFunc(rest[c.of], func(one *isthmusv1.DesiredItem) bool { return one.GetId() == c.ID })
			out.Items = append(out.Items, rest[c.of][i])
		}
	}
	return out
}

func (p *Plan) sum(r resource.Reader) {
	p.header = desired.SumOf(empty(r, p.datacenter))
	p.digest = desired.DigestOf(p.header, &p.items)
}

// peering looks at the item of one Peering.
func (p *Plan) peering(r resource.Reader, name string) []Change {
	var out []Change
	item := p.peeringItem(r, name)
	had := p.peerings[name]
	if had.id != item.GetId() && p.items.Delete(had.id) {
		out = append(out, Change{ID: had.id, Peering: name})
	}
	p.count(had, -1)
	if item == nil {
		delete(p.peerings, name)
		return out
	}
	o, _ := resource.Lookup[*isthmusv1.Peering](r, resource.KindPeering, name)
	told := o.GetSpec().ThroughGateways != nil && o.GetDeleteTime() == nil
	now := place{id: item.GetId(), told: told, through: told && o.GetSpec().GetThroughGateways()}
	p.count(now, 1)
	p.peerings[name] = now
	if slices.Contains(p.features, item.GetType()) && p.items.Put(item.GetId(), desired.SumOf(item)) {
		out = append(out, Change{ID: item.GetId(), Peering: name})
	}
	return out
}

func (p *Plan) count(at place, n int) {
	if at.told {
		p.told += n
	}
	if at.through {
		p.through += n
	}
}

// peeringItem is the datacenter's item of a Peering; nil: there is none.
func (p *Plan) peeringItem(r resource.Reader, name string) *isthmusv1.DesiredItem {
	o, ok := resource.Lookup[*isthmusv1.Peering](r, resource.KindPeering, name)
	if !ok || o.GetSpec().GetAcceptor() != p.datacenter && o.GetSpec().GetDialer() != p.datacenter {
		return nil
	}
	return itemOf(r, o, p.datacenter)
}

// others looks at some parts, or all of them, that are not of one Peering.
func (p *Plan) others(r resource.Reader, parts Parts) []Change {
	if parts&exports != 0 && p.exports != nil {
		p.exports.Look(r)
		parts |= consumers
	}
	var out []Change
	for _, part := range p.parts() {
		if parts&part == 0 {
			continue
		}
		var ids []string
		for _, item := range p.itemsOf(r, part) {
			ids = append(ids, item.GetId())
			if p.items.Put(item.GetId(), desired.SumOf(item)) {
				out = append(out, Change{ID: item.GetId(), of: part})
			}
		}
		for _, id := range p.rest[part] {
			if !slices.Contains(ids, id) && p.items.Delete(id) {
				out = append(out, Change{ID: id, of: part})
			}
		}
		p.rest[part] = ids
	}
	return out
}

// parts are those of which the plan has items, beside those of Peerings.
func (p *Plan) parts() []Parts {
	if p.gateway {
		return []Parts{gateways}
	}
	return []Parts{consumers, entries, mesh, membership, gateways}
}

// itemsOf are the items of one part, as far as their features count.
func (p *Plan) itemsOf(r resource.Reader, part Parts) []*isthmusv1.DesiredItem {
	if p.gateway {
		return []*isthmusv1.DesiredItem{routes(p.peers.Routes(r))}
	}
	memberships := resource.Memberships(r)
	var out []*isthmusv1.DesiredItem
	switch follower := follows(memberships[p.datacenter]); {
	case part == membership:
		out = federation.MemberItems(r, p.datacenter)
	case part == gateways:
		out = []*isthmusv1.DesiredItem{p.peers.Probes(r)}
	case follower: // of a secondary, all config entries are the primary's
	case part == consumers:
		out = []*isthmusv1.DesiredItem{exported(p.exports.Services())}
	case part == entries:
		out = []*isthmusv1.DesiredItem{configured(policy.Entries(r, p.datacenter))}
	case part == mesh:
		out = []*isthmusv1.DesiredItem{meshed(p.mesh(r, memberships))}
	}
	return slices.DeleteFunc(out, func(item *isthmusv1.DesiredItem) bool {
		return item == nil || !slices.Contains(p.features, item.GetType())
	})
}

// mesh is meshOf out of what is known of the datacenter's own Peerings.
func (p *Plan) mesh(r resource.Reader, memberships map[string]resource.Membership) *isthmusv1.MeshSettings {
	if memberships[p.datacenter].Role == resource.RolePrimary {
		return meshOf(r, p.datacenter, memberships)
	}
	if p.told == 0 {
		return nil
	}
	return &isthmusv1.MeshSettings{PeerThroughMeshGateways: p.through > 0}
}
