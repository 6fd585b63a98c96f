package plan

import (
	"maps"
	"slices"

	"isthmus/desired"
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Plan is what one datacenter shall be, at one view of the fleet, and goes on to later views at the cost of what changed: of its items it holds
// their sums. It is always as if it were made from nothing. Not for several goroutines at a time.
type Plan struct {
	datacenter string
	// features are the types of items that count; nil for a gateway's plan.
	features []string
	header   desired.Sum
	items    desired.Tree
	// peerings are where the items of Peerings are, by name; rest are the ids of all other items.
	peerings map[string]place
	rest     []string
	// told are the Peerings that say how control traffic goes, through those of them that want it to go through gateways.
	told, through int
	digest        string
}

// place is the item of a Peering.
type place struct {
	id            string
	told, through bool
}

// Touch is what of a datacenter's plan may be another: the items of Peerings, by name, and all that is made of more than one resource. The
// zero value is ready.
type Touch struct {
	Peerings map[string]bool
	Rest     bool
}

// Add adds what Touched gives.
func (t *Touch) Add(peering string) {
	if peering == "" {
		t.Rest = true
		return
	}
	if t.Peerings == nil {
		t.Peerings = map[string]bool{}
	}
	t.Peerings[peering] = true
}

// Empty tells that there is nothing to look at.
func (t *Touch) Empty() bool { return !t.Rest && len(t.Peerings) == 0 }

// Change is an item that became another, came or went.
type Change struct {
	ID string
	// Peering is the name of the one that it is of; empty: of all other items.
	Peering string
}

// New is the plan of a datacenter's agents that do these features.
func New(r resource.Reader, datacenter string, features []string) *Plan {
	p := &Plan{datacenter: datacenter, features: slices.Clip(slices.Clone(features)), peerings: map[string]place{}}
	for o := range resource.AllTouching[*isthmusv1.Peering](r, resource.KindPeering, datacenter) {
		p.peering(r, o.GetName())
	}
	p.others(r)
	p.sum(r)
	return p
}

// NewForGateway is the plan of a datacenter's gateways.
func NewForGateway(r resource.Reader, datacenter string) *Plan {
	p := &Plan{datacenter: datacenter}
	p.others(r)
	p.sum(r)
	return p
}

// Digest is that of the whole state.
func (p *Plan) Digest() string { return p.digest }

// Size is how many items the state has.
func (p *Plan) Size() int { return p.items.Size() }

// Update brings the plan to a later view, in which t is what may be another. The changes name items once; the state may be another without
// any, by what is not an item.
func (p *Plan) Update(r resource.Reader, t Touch) []Change {
	var out []Change
	if !p.forGateway() {
		for _, name := range slices.Sorted(maps.Keys(t.Peerings)) {
			out = append(out, p.peering(r, name)...)
		}
	}
	if t.Rest {
		out = append(out, p.others(r)...)
	}
	p.sum(r)
	return out
}

// State is the whole state, at the view that the plan is at.
func (p *Plan) State(r resource.Reader) *isthmusv1.DesiredState {
	if p.forGateway() {
		return ForGateway(r, p.datacenter)
	}
	state, _ := For(r, p.datacenter, p.features)
	return state
}

// Delta is what leads to the state at the view that the plan is at, from the one with the digest base: changes are all that Update gave since.
func (p *Plan) Delta(r resource.Reader, base string, changes []Change) *isthmusv1.StateDelta {
	out := &isthmusv1.StateDelta{Base: base, State: empty(r, p.datacenter)}
	var rest map[string]*isthmusv1.DesiredItem
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
			if rest == nil {
				rest = map[string]*isthmusv1.DesiredItem{}
				for _, item := range p.otherItems(r) {
					rest[item.GetId()] = item
				}
			}
			out.Items = append(out.Items, rest[c.ID])
		}
	}
	return out
}

func (p *Plan) forGateway() bool { return p.peerings == nil }

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

// others looks at all items that are not of one Peering.
func (p *Plan) others(r resource.Reader) []Change {
	var out []Change
	var ids []string
	for _, item := range p.otherItems(r) {
		if !p.forGateway() && !slices.Contains(p.features, item.GetType()) {
			continue
		}
		ids = append(ids, item.GetId())
		if p.items.Put(item.GetId(), desired.SumOf(item)) {
			out = append(out, Change{ID: item.GetId()})
		}
	}
	for _, id := range p.rest {
		if !slices.Contains(ids, id) && p.items.Delete(id) {
			out = append(out, Change{ID: id})
		}
	}
	p.rest = ids
	return out
}

func (p *Plan) otherItems(r resource.Reader) []*isthmusv1.DesiredItem {
	if p.forGateway() {
		return ForGateway(r, p.datacenter).GetItems()
	}
	memberships := resource.Memberships(r)
	var out []*isthmusv1.DesiredItem
	if !follows(memberships[p.datacenter]) {
		out = entryItems(r, p.datacenter, p.mesh(r, memberships))
	}
	return append(out, federation.Items(r, p.datacenter)...)
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
