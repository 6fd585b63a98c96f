package peering

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// maxSkipped is how many pairs a group's status tells of.
const maxSkipped = 8

// Expansion is what a group stands for, against what is there.
type Expansion struct {
	Group *isthmusv1.PeeringGroup
	// Members are the names of its datacenters, sorted.
	Members []string
	// Owned are the peerings of the group that are there and stay, Update's old versions among them.
	Owned []*isthmusv1.Peering
	// Create are to be created: with defaults, owned by the group, without uid.
	Create []*isthmusv1.Peering
	// Update are new versions of owned ones.
	Update []*isthmusv1.Peering
	// Delete are owned and no longer wanted. Those whose deletion is under way are not among them.
	Delete []*isthmusv1.Peering
	// Federated is how many of Delete, the last ones, connect members of one federation. An operator wants these joined, so that no limit
	// stands against it.
	Federated int
	// Leaving is how many owned ones are being deleted already.
	Leaving int
	// Skipped are the pairs that cannot be the group's, with the reason.
	Skipped []*isthmusv1.SkippedPair
}

// pair is two datacenters, and who accepts.
type pair struct{ acceptor, dialer string }

func (p pair) unordered() pair {
	if p.dialer < p.acceptor {
		return pair{p.dialer, p.acceptor}
	}
	return p
}

// Expand tells which peerings a group stands for, and what is to be done about it. Of two members the one whose name
// comes first accepts, and a hub accepts a spoke: a rule that nobody's coming or going changes. A pair that has a peering
// keeps it as it is, whoever accepts. A group that is being deleted stands for none.
func Expand(r resource.Reader, group *isthmusv1.PeeringGroup) Expansion {
	var all []pair
	var members []string
	if group.GetDeleteTime() == nil {
		var hubs map[string]bool
		members, hubs = membersOf(r, group)
		all = pairs(members, hubs)
	}
	x := newExpander(r, group, len(all))
	x.Members = members
	wanted := make(map[pair]bool, len(all))
	for _, w := range all {
		wanted[w.unordered()] = x.want(w)
	}
	var federated []*isthmusv1.Peering
	for _, p := range x.mine {
		switch {
		case p.GetDeleteTime() != nil:
			x.Leaving++
		case !wanted[pairOf(p).unordered()]:
			if x.federation(pairOf(p)) != nil {
				federated = append(federated, p)
				continue
			}
			x.Delete = append(x.Delete, p)
		default:
			x.Owned = append(x.Owned, p)
		}
	}
	x.Delete, x.Federated = append(x.Delete, federated...), len(federated)
	return x.Expansion
}

// Wish is what a group makes of two datacenters: the Peering that it is about to create, or why it leaves them out. Both are nil where it
// does not stand for them, or where its Peering is there.
func Wish(r resource.Reader, group *isthmusv1.PeeringGroup, a, b string) (create *isthmusv1.Peering, skipped *isthmusv1.SkippedPair) {
	members, hubs := membersOf(r, group)
	if group.GetDeleteTime() != nil || a == b || !slices.Contains(members, a) || !slices.Contains(members, b) {
		return nil, nil
	}
	x := newExpander(r, group, 1)
	for _, w := range pairs([]string{min(a, b), max(a, b)}, hubs) {
		x.want(w)
	}
	if len(x.Create) > 0 {
		create = x.Create[0]
	}
	if len(x.Skipped) > 0 {
		skipped = x.Skipped[0]
	}
	return create, skipped
}

// membersOf are the names of a group's datacenters, sorted, and of those the hubs; nil hubs: everybody is the same.
func membersOf(r resource.Reader, group *isthmusv1.PeeringGroup) ([]string, map[string]bool) {
	spec := group.GetSpec()
	hub, err := resource.ParseSelector(spec.GetHub())
	var hubs map[string]bool
	if spec.GetShape() == resource.ShapeHubAndSpoke && err == nil {
		hubs = map[string]bool{}
	}
	var members []string
	for dc := range resource.Select(r, spec.GetDatacenters(), spec.GetSelector()) {
		if resource.Departed(dc, resource.StepPeerings) {
			// Its peerings have to go before it can.
			continue
		}
		members = append(members, dc.GetName())
		if hubs != nil && hub.Matches(dc.GetLabels()) {
			hubs[dc.GetName()] = true
		}
	}
	return members, hubs
}

// pairs are those of a shape, in order.
func pairs(members []string, hubs map[string]bool) []pair {
	var out []pair
	for i, a := range members {
		for _, b := range members[i+1:] {
			switch {
			case hubs == nil, hubs[a]:
				out = append(out, pair{a, b})
			case hubs[b]:
				out = append(out, pair{b, a})
			}
		}
	}
	return out
}

func pairOf(p *isthmusv1.Peering) pair {
	return pair{p.GetSpec().GetAcceptor(), p.GetSpec().GetDialer()}
}

// expander is an Expansion in the making.
type expander struct {
	Expansion
	memberships map[string]resource.Membership
	// mine are the group's peerings; pairs, names and peerNames tell what is taken.
	mine  []*isthmusv1.Peering
	pairs map[pair]*isthmusv1.Peering
	names map[string]bool
	// peerNames: datacenter and peer's name → the peering that has it.
	peerNames map[[2]string]string
}

// newExpander knows all peerings that there are, and makes room for some more.
func newExpander(r resource.Reader, group *isthmusv1.PeeringGroup, more int) *expander {
	x := &expander{
		Expansion: Expansion{Group: group}, memberships: resource.Memberships(r),
		pairs:     make(map[pair]*isthmusv1.Peering, more),
		names:     make(map[string]bool, more),
		peerNames: make(map[[2]string]string, 2*more),
	}
	for p := range resource.All[*isthmusv1.Peering](r, resource.KindPeering) {
		x.know(p)
	}
	return x
}

func (x *expander) know(p *isthmusv1.Peering) {
	if Owner(p) == x.Group.GetName() {
		x.mine = append(x.mine, p)
	}
	x.take(p)
}

func (x *expander) take(p *isthmusv1.Peering) {
	spec := p.GetSpec()
	x.names[p.GetName()] = true
	if spec.GetAcceptor() != "" && spec.GetDialer() != "" {
		x.pairs[pairOf(p).unordered()] = p
	}
	x.peerNames[[2]string{spec.GetAcceptor(), spec.GetAcceptorPeerName()}] = p.GetName()
	x.peerNames[[2]string{spec.GetDialer(), spec.GetDialerPeerName()}] = p.GetName()
}

// want decides about one pair that the group stands for. It gives false when the pair is not to have a peering.
func (x *expander) want(w pair) bool {
	there, taken := x.pairs[w.unordered()]
	if f := x.federation(w); f != nil {
		mine := taken && Owner(there) == x.Group.GetName() && there.GetDeleteTime() == nil
		if joining := x.joining(f, w); mine && !joining {
			x.skip(w, "both are to be in Federation %s: Peering %s goes when they join", f.GetName(), there.GetName())
			return true
		}
		x.skip(w, "both are in Federation %s, whose members see each other without a peering", f.GetName())
		return false
	}
	switch {
	case taken && Owner(there) != x.Group.GetName():
		owner := "written by hand"
		if other := Owner(there); other != "" {
			owner = "of PeeringGroup " + other
		}
		x.skip(w, "Peering %s, %s, connects them", there.GetName(), owner)
		return true
	case taken && there.GetDeleteTime() != nil:
		x.skip(w, "Peering %s is being deleted: it comes back when that is done", there.GetName())
		return true
	case taken:
		x.compare(there)
		return true
	}
	for _, end := range [][2]string{{w.acceptor, w.dialer}, {w.dialer, w.acceptor}} {
		if other, used := x.peerNames[end]; used {
			x.skip(w, "Peering %s uses the peer name %s in %s", other, end[1], end[0])
			return true
		}
	}
	p := &isthmusv1.Peering{
		Name: x.nameOf(w),
		Spec: &isthmusv1.PeeringSpec{
			Acceptor: w.acceptor, Dialer: w.dialer, ThroughGateways: x.Group.GetSpec().ThroughGateways, Heal: x.Group.GetSpec().GetHeal(),
		},
		Status: &isthmusv1.PeeringStatus{Group: x.Group.GetName()},
	}
	resource.Default(p)
	x.take(p)
	x.Create = append(x.Create, p)
	return true
}

// federation is the one that both datacenters of a pair are in; nil: none.
func (x *expander) federation(w pair) *isthmusv1.Federation {
	a, okA := x.memberships[w.acceptor]
	b, okB := x.memberships[w.dialer]
	if !okA || !okB || a.Federation.GetName() != b.Federation.GetName() {
		return nil
	}
	return a.Federation
}

// joining: whoever of a pair is a secondary has begun to join. Before that, which may wait for an operator's word for long, nothing is
// taken from it.
func (x *expander) joining(f *isthmusv1.Federation, w pair) bool {
	for _, dc := range []string{w.acceptor, w.dialer} {
		if x.memberships[dc].Role == resource.RoleSecondary && !resource.Engaged(resource.MemberOf(f, dc)) {
			return false
		}
	}
	return true
}

func (x *expander) skip(w pair, format string, args ...any) {
	x.Skipped = append(x.Skipped, &isthmusv1.SkippedPair{Acceptor: w.acceptor, Dialer: w.dialer, Reason: fmt.Sprintf(format, args...)})
}

// compare updates an owned peering to what the group's spec says of all of them.
func (x *expander) compare(p *isthmusv1.Peering) {
	through := x.Group.GetSpec().ThroughGateways
	have := p.GetSpec().ThroughGateways
	if (through == nil) == (have == nil) && p.GetSpec().GetThroughGateways() == x.Group.GetSpec().GetThroughGateways() &&
		p.GetSpec().GetHeal() == x.Group.GetSpec().GetHeal() {
		return
	}
	next := resource.Clone(p)
	next.Spec.ThroughGateways, next.Spec.Heal = nil, x.Group.GetSpec().GetHeal()
	if through != nil {
		next.Spec.ThroughGateways = new(*through)
	}
	x.Update = append(x.Update, next)
}

// nameOf is a pair's peering's name: the group's and both datacenters', which tells people what it is. When that is too
// long or somebody else's (a-b and c make the same as a and b-c), a digest makes it short and its own.
func (x *expander) nameOf(w pair) string {
	name := x.Group.GetName() + "-" + w.acceptor + "-" + w.dialer
	if len(name) <= resource.MaxNameLength && !x.names[name] {
		return name
	}
	sum := sha256.Sum256([]byte(x.Group.GetName() + "/" + w.acceptor + "/" + w.dialer))
	suffix := "-" + hex.EncodeToString(sum[:4])
	return strings.TrimRight(name[:min(len(name), resource.MaxNameLength-len(suffix))], "-") + suffix
}

// Limit is how many of its peerings one change may delete without force: what the spec says, else a quarter of those that
// are there, at least 1.
func (x Expansion) Limit() int {
	if most := x.Group.GetSpec().MaxDeletions; most != nil {
		return int(*most)
	}
	return max(1, (len(x.Owned)+len(x.Delete))/4)
}

// Check refuses an expansion that deletes more than its limit. allowed is how many more an operator has allowed, with force.
// The error is a *fault.Error of code Refused.
func (x Expansion) Check(allowed int) error {
	n, limit := len(x.Delete)-x.Federated, x.Limit()
	if n <= max(limit, allowed) {
		return nil
	}
	names := make([]string, 0, 4)
	for _, p := range x.Delete[:min(n, 3)] {
		names = append(names, p.GetName())
	}
	if n > 3 {
		names = append(names, "…")
	}
	return fault.New(fault.Refused, "PeeringGroup %s would lose %d of its %d peerings (%s): at most %d at once without force (spec.maxDeletions)",
		x.Group.GetName(), n, len(x.Owned)+n, strings.Join(names, ", "), limit)
}

// GroupStatus is the next status of a group, out of its expansion. It is the present one, the same pointer, when nothing changes.
func GroupStatus(x Expansion, now time.Time) *isthmusv1.PeeringGroupStatus {
	old := x.Group.GetStatus()
	next := &isthmusv1.PeeringGroupStatus{
		Datacenters: int32(len(x.Members)),
		Peerings:    int32(len(x.Owned)),
		Skipped:     x.Skipped[:min(len(x.Skipped), maxSkipped)],
	}
	for _, p := range x.Owned {
		if p.GetStatus().GetVerdict() == VerdictHealthy {
			next.Healthy++
		}
	}
	if len(x.Delete) > 0 {
		next.AllowedDeletions = old.GetAllowedDeletions()
	}
	next.Conditions = resource.SetCondition(x.Group, old.GetConditions(), x.condition(next), now)
	if old != nil && proto.Equal(old, next) {
		return old
	}
	return next
}

func (x Expansion) condition(s *isthmusv1.PeeringGroupStatus) *isthmusv1.Condition {
	c := &isthmusv1.Condition{
		Type: resource.ConditionReady, Status: resource.ConditionFalse,
		Message: fmt.Sprintf("%d of %d peerings healthy", s.GetHealthy(), s.GetPeerings()),
	}
	unknown := func(p *isthmusv1.Peering) bool { return p.GetStatus().GetVerdict() == VerdictUnknown }
	blocked := x.Check(int(s.GetAllowedDeletions()))
	switch {
	case x.Group.GetDeleteTime() != nil && blocked == nil:
		c.Reason = ReasonDeleting
	case blocked != nil:
		c.Reason, c.Message = "DeletionLimit", blocked.Error()
	case len(x.Create) > 0 || len(x.Update) > 0 || len(x.Delete) > 0 || x.Leaving > 0:
		c.Reason, c.Message = "Changing", fmt.Sprintf("%s; %d to create, %d to delete", c.GetMessage(), len(x.Create), len(x.Delete)+x.Leaving)
	case s.GetHealthy() == s.GetPeerings() && len(x.Members) < 2:
		c.Status, c.Reason, c.Message = resource.ConditionTrue, "NothingToConnect", fmt.Sprintf("%d datacenters are chosen", len(x.Members))
	case s.GetHealthy() == s.GetPeerings():
		c.Status, c.Reason = resource.ConditionTrue, ReasonHealthy
	case slices.ContainsFunc(x.Owned, unknown):
		c.Status, c.Reason = resource.ConditionUnknown, "Unknown"
	default:
		c.Reason = "NotHealthy"
	}
	if n := len(x.Skipped); n > 0 {
		first := x.Skipped[0]
		c.Message += fmt.Sprintf("; %d pairs left out, the first %s and %s: %s", n, first.GetAcceptor(), first.GetDialer(), first.GetReason())
	}
	return c
}

// Owner is the group that a peering belongs to, which alone may change it; empty when it was written by hand.
func Owner(p *isthmusv1.Peering) string { return p.GetStatus().GetGroup() }

// Choosers tells of changes whose groups they may concern, without a look at each selector anew. It is for one view.
type Choosers struct {
	r   resource.Reader
	all []chooser
}

type chooser struct {
	group   *isthmusv1.PeeringGroup
	chooses func(*isthmusv1.Datacenter) bool
	hub     resource.Selector
}

// ChoosersOf are all groups of a view.
func ChoosersOf(r resource.Reader) Choosers {
	out := Choosers{r: r}
	for g := range resource.All[*isthmusv1.PeeringGroup](r, resource.KindPeeringGroup) {
		one := chooser{group: g, chooses: resource.ChoosesIn(r, g.GetSpec().GetDatacenters(), g.GetSpec().GetSelector())}
		if hub, err := resource.ParseSelector(g.GetSpec().GetHub()); err == nil {
			one.hub = hub
		}
		out.all = append(out.all, one)
	}
	return out
}

// Concerned are the groups whose expansion a change of an object may alter: of a datacenter, all in which it is another than before, as member or
// hub; of a peering, all that choose one of its datacenters, by name or by labels; of a group, itself. In order of their names.
func (c Choosers) Concerned(before, after resource.Object) []*isthmusv1.PeeringGroup {
	var out []*isthmusv1.PeeringGroup
	for _, one := range c.all {
		if c.concerns(one, before, after) {
			out = append(out, one.group)
		}
	}
	return out
}

func (c Choosers) concerns(one chooser, before, after resource.Object) bool {
	was, _ := before.(*isthmusv1.Datacenter)
	is, _ := after.(*isthmusv1.Datacenter)
	return one.part(was) != one.part(is) || c.touches(one, before) || c.touches(one, after)
}

// part is what a datacenter is in a group.
type part struct{ member, hub bool }

func (one chooser) part(dc *isthmusv1.Datacenter) part {
	if dc == nil || resource.Departed(dc, resource.StepPeerings) || !one.chooses(dc) {
		return part{}
	}
	return part{member: true, hub: one.hub.Matches(dc.GetLabels())}
}

// touches tells whether a group is the object, or a peering of a pair that it may want.
func (c Choosers) touches(one chooser, o resource.Object) bool {
	switch o := o.(type) {
	case *isthmusv1.PeeringGroup:
		return o.GetName() == one.group.GetName()
	case *isthmusv1.Peering:
		if Owner(o) == one.group.GetName() {
			return true
		}
		for _, name := range []string{o.GetSpec().GetAcceptor(), o.GetSpec().GetDialer()} {
			if dc, ok := resource.Lookup[*isthmusv1.Datacenter](c.r, resource.KindDatacenter, name); ok && one.chooses(dc) {
				return true
			}
		}
	}
	return false
}
