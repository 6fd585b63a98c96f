package resource

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// ScopeFederationMember is the scope of the claims that a Federation holds: a datacenter is in one federation.
const ScopeFederationMember = "federation-member"

// Modes of a Federation: how servers of different datacenters reach each other.
const (
	ModeMeshGateway = "mesh-gateway"
	ModeTraditional = "traditional"
)

// Roles of a member.
const (
	RolePrimary   = "primary"
	RoleSecondary = "secondary"
)

// Phases of a member, in the order in which it goes through them.
const (
	// PhaseBlocked: a rule stands against it, or an acceptance is missing.
	PhaseBlocked = "blocked"
	// PhaseWaiting: an agent has yet to say something.
	PhaseWaiting = "waiting"
	// PhaseTrusting: the primary and it are about to trust each other's CA.
	PhaseTrusting = "trusting"
	// PhaseBundling: the primary's agent makes its bundle.
	PhaseBundling = "bundling"
	// PhaseDelivering: its hosts write what they need, and restart Consul.
	PhaseDelivering = "delivering"
	// PhaseJoining: all is in place; reads in both directions are not proven yet.
	PhaseJoining = "joining"
	// PhaseJoined: reads are proven in both directions.
	PhaseJoined = "joined"
	// PhaseLeaving: its hosts go back, or its tokens are being revoked.
	PhaseLeaving = "leaving"
)

// States of what an agent delivers to its host.
const (
	DeliveryNone            = "none"
	DeliveryWritten         = "written"
	DeliveryWaitingTurn     = "waiting-turn"
	DeliveryRestarting      = "restarting"
	DeliveryRestartRequired = "restart-required"
	DeliveryApplied         = "applied"
	DeliveryRemoved         = "removed"
	DeliveryRefused         = "refused"
	DeliveryFailed          = "failed"
)

// Verdicts of a check, and of what is read or reached.
const (
	CheckPass    = "pass"
	CheckFail    = "fail"
	CheckUnknown = "unknown"

	ReadOK      = "ok"
	ReadFailed  = "failed"
	ReadUnknown = "unknown"
)

// GatewayRetired is the health of a gateway address that Consul no longer knows, and that is kept until nobody needs it.
const GatewayRetired = "retired"

// DefaultRetryIntervalWAN is Consul's retry_interval_wan in a federation. Consul's own default of 30 s is how long the first join
// takes, since the first attempt always comes before the gateways' addresses are known.
const DefaultRetryIntervalWAN = "2s"

func federationKind() Kind {
	return Kind{
		Name: KindFederation, Plural: "federations", Singular: "federation", Short: "fed",
		Manifest: true,
		New:      func() Object { return &isthmusv1.Federation{} },
		Weak:     weakly[*isthmusv1.Federation],
		Default: func(o Object) {
			if spec := o.(*isthmusv1.Federation).Spec; spec != nil {
				setDefault(&spec.Mode, ModeMeshGateway)
				setDefault(&spec.RetryIntervalWan, DefaultRetryIntervalWAN)
			}
		},
		Fixed:    []string{"spec.primary"},
		Validate: validateFederation,
		References: func(o Object) []Reference {
			spec := o.(*isthmusv1.Federation).GetSpec()
			return append([]Reference{{Kind: KindDatacenter, Name: spec.GetPrimary(), Field: "spec.primary"}},
				references("spec.secondaries", spec.GetSecondaries())...)
		},
		Claims: func(o Object) []Claim {
			spec := o.(*isthmusv1.Federation).GetSpec()
			var out []Claim
			for _, dc := range present(append([]string{spec.GetPrimary()}, spec.GetSecondaries()...)...) {
				out = append(out, Claim{Scope: ScopeFederationMember, Key: dc})
			}
			return out
		},
		Datacenters: func(o Object) []string {
			spec := o.(*isthmusv1.Federation).GetSpec()
			return present(append([]string{spec.GetPrimary()}, spec.GetSecondaries()...)...)
		},
		Terms: func(o Object) []string {
			spec := o.(*isthmusv1.Federation).GetSpec()
			return termsOfOwn(spec.GetSecondaries(), spec.GetSecondarySelector())
		},
		Columns: []Column{
			column("PRIMARY", func(f *isthmusv1.Federation) string { return f.GetSpec().GetPrimary() }),
			column("SECONDARIES", func(f *isthmusv1.Federation) string {
				return choice(f.GetSpec().GetSecondaries(), f.GetSpec().GetSecondarySelector())
			}),
			column("MODE", func(f *isthmusv1.Federation) string { return f.GetSpec().GetMode() }),
			column("JOINED", func(f *isthmusv1.Federation) string {
				return fmt.Sprintf("%d/%d", f.GetStatus().GetJoined(), f.GetStatus().GetSecondaries())
			}),
			column("READY", func(f *isthmusv1.Federation) string {
				return FindCondition(f.GetStatus().GetConditions(), ConditionReady).GetStatus()
			}),
			column("REASON", func(f *isthmusv1.Federation) string {
				return FindCondition(f.GetStatus().GetConditions(), ConditionReady).GetReason()
			}),
			column("KEYLESS", func(f *isthmusv1.Federation) string { return showYes(f.GetSpec().GetKeyless()) }).wide(),
			column("MESSAGE", func(f *isthmusv1.Federation) string {
				return FindCondition(f.GetStatus().GetConditions(), ConditionReady).GetMessage()
			}).wide(),
			labelsColumn(),
		},
	}
}

func validateFederation(o Object) []fault.Violation {
	spec := o.(*isthmusv1.Federation).GetSpec()
	var r rules
	r.name("spec.primary", spec.GetPrimary())
	if len(spec.GetSecondaries()) > 0 && spec.GetSecondarySelector() != "" {
		r.add(fault.Violation{
			Field: "spec.secondarySelector", Reason: ReasonExclusive,
			Message: "stands beside secondaries: at most one of secondaries (names) and secondarySelector (labels, for example env=prod)",
		})
	}
	r.names("spec.secondaries", spec.GetSecondaries())
	r.selector("spec.secondarySelector", spec.GetSecondarySelector())
	if i := slices.Index(spec.GetSecondaries(), spec.GetPrimary()); i >= 0 && spec.GetPrimary() != "" {
		r.add(invalid(fmt.Sprintf("spec.secondaries[%d]", i), "%s is the primary: it cannot be its own secondary", quote(spec.GetPrimary())))
	}
	if spec.GetMode() == ModeTraditional && spec.GetMeshGatewayMode() != "" {
		r.add(fault.Violation{Field: "spec.meshGatewayMode", Reason: ReasonExclusive, Message: "is only for mode: mesh-gateway"})
	}
	if text := spec.GetRetryIntervalWan(); text != "" {
		if d, err := time.ParseDuration(text); err != nil || d < time.Second || d > 10*time.Minute {
			r.add(invalid("spec.retryIntervalWAN", "%s is not a duration from 1s to 10m: for example 2s", quote(text)))
		}
	}
	seen := map[string]bool{}
	for i, a := range spec.GetAcceptDataLoss() {
		at := fmt.Sprintf("spec.acceptDataLoss[%d]", i)
		r.name(at+".datacenter", a.GetDatacenter())
		if seen[a.GetDatacenter()] {
			r.add(fault.Violation{Field: at + ".datacenter", Reason: ReasonDuplicate, Message: quote(a.GetDatacenter()) + " is there twice"})
		}
		seen[a.GetDatacenter()] = true
	}
	return r.violations
}

// Membership is what a datacenter is in a federation.
type Membership struct {
	Federation *isthmusv1.Federation
	// Role is RolePrimary or RoleSecondary.
	Role string
	// Leaving: it is no longer wanted in it, and not out of it yet.
	Leaving bool
	// Member is what the federation's status has of it; nil: nothing yet.
	Member *isthmusv1.FederationMember
}

// MembershipReader is a Reader that never changes, and so may find its memberships once. The map is shared: nobody writes to it.
type MembershipReader interface {
	Reader
	// Memberships gives what find gave when it was called for the first time.
	Memberships(find func() map[string]Membership) map[string]Membership
}

// SecondariesOf are the names of the datacenters that shall be a federation's secondaries, sorted. One that is being deleted, or that
// another federation has (see Memberships), is among them: what that means is for the federation's own status to say.
func SecondariesOf(r Reader, f *isthmusv1.Federation) []string {
	if f.GetDeleteTime() != nil {
		return nil
	}
	spec := f.GetSpec()
	if len(spec.GetSecondaries()) == 0 && spec.GetSecondarySelector() == "" {
		return nil
	}
	var out []string
	for dc := range Select(r, spec.GetSecondaries(), spec.GetSecondarySelector()) {
		if dc.GetName() != spec.GetPrimary() {
			out = append(out, dc.GetName())
		}
	}
	return out
}

// Memberships tells of each datacenter that is in a federation, or still on its way out of one, which. Where two want the same one, the
// primary of one is no secondary of another; who has begun to join stays where it is; else, as by selectors, the federation has it whose
// name comes first. The map is not the caller's to change.
func Memberships(r Reader) map[string]Membership {
	if known, ok := r.(MembershipReader); ok {
		return known.Memberships(func() map[string]Membership { return memberships(r) })
	}
	return memberships(r)
}

func memberships(r Reader) map[string]Membership {
	var all []*isthmusv1.Federation
	for f := range All[*isthmusv1.Federation](r, KindFederation) {
		all = append(all, f)
	}
	if len(all) == 0 {
		return nil
	}
	out := map[string]Membership{}
	rowOf := map[string]map[string]*isthmusv1.FederationMember{}
	enter := func(dc string, m Membership) {
		if _, taken := out[dc]; !taken && dc != "" {
			m.Member = rowOf[m.Federation.GetName()][dc]
			out[dc] = m
		}
	}
	wanted := map[string]map[string]bool{}
	for _, f := range all {
		rowOf[f.GetName()] = map[string]*isthmusv1.FederationMember{}
		for _, m := range f.GetStatus().GetMembers() {
			rowOf[f.GetName()][m.GetDatacenter()] = m
		}
		enter(f.GetSpec().GetPrimary(), Membership{Federation: f, Role: RolePrimary, Leaving: f.GetDeleteTime() != nil})
		wanted[f.GetName()] = map[string]bool{}
		for _, dc := range SecondariesOf(r, f) {
			wanted[f.GetName()][dc] = true
		}
	}
	rows := func(which func(*isthmusv1.FederationMember) bool) {
		for _, f := range all {
			for _, m := range f.GetStatus().GetMembers() {
				if m.GetRole() == RoleSecondary && which(m) {
					leaving := m.GetPhase() == PhaseLeaving || !wanted[f.GetName()][m.GetDatacenter()]
					enter(m.GetDatacenter(), Membership{Federation: f, Role: RoleSecondary, Leaving: leaving})
				}
			}
		}
	}
	rows(Engaged)
	for _, f := range all {
		for _, dc := range slices.Sorted(maps.Keys(wanted[f.GetName()])) {
			enter(dc, Membership{Federation: f, Role: RoleSecondary})
		}
	}
	return out
}

// Engaged tells whether a member is past all that an operator has to accept: something was, or is about to be, changed for it. Until then
// it can go as if it had never been there.
func Engaged(m *isthmusv1.FederationMember) bool {
	return m.GetPhase() == PhaseTrusting || m.GetPhase() == PhaseBundling || Federated(m) || m.GetBundle().GetGeneration() > 0
}

// SameMembers tells whether two versions of a federation have the same members, each in the same role and phase, and engaged or not.
func SameMembers(a, b *isthmusv1.Federation) bool {
	return slices.EqualFunc(a.GetStatus().GetMembers(), b.GetStatus().GetMembers(), func(a, b *isthmusv1.FederationMember) bool {
		return a.GetDatacenter() == b.GetDatacenter() && a.GetRole() == b.GetRole() && a.GetPhase() == b.GetPhase() && Engaged(a) == Engaged(b)
	})
}

// Federated tells whether a secondary's Consul is, is about to be or may still be one: its ACLs and config entries are the primary's.
func Federated(m *isthmusv1.FederationMember) bool {
	switch m.GetPhase() {
	case PhaseDelivering, PhaseJoining, PhaseJoined, PhaseLeaving:
		return true
	}
	return false
}

// MembershipOf is Memberships for one datacenter.
func MembershipOf(r Reader, datacenter string) (Membership, bool) {
	m, ok := Memberships(r)[datacenter]
	return m, ok
}

// MembersOf are the names of the datacenters that a federation has, wants or is losing; some of them twice.
func MembersOf(r Reader, f *isthmusv1.Federation) []string {
	out := append([]string{f.GetSpec().GetPrimary()}, SecondariesOf(r, f)...)
	for _, m := range f.GetStatus().GetMembers() {
		out = append(out, m.GetDatacenter())
	}
	return out
}

// FederationsOf are the federations that have, want or are losing one of some datacenters, with their MembersOf; wanted by name also where it is not
// declared.
func FederationsOf(r Reader, datacenters map[string]bool) iter.Seq2[*isthmusv1.Federation, []string] {
	return func(yield func(*isthmusv1.Federation, []string) bool) {
		if len(datacenters) == 0 {
			return
		}
		for f := range All[*isthmusv1.Federation](r, KindFederation) {
			if concerns(r, f, datacenters) && !yield(f, MembersOf(r, f)) {
				return
			}
		}
	}
}

// concerns tells whether one of some datacenters is among a federation's MembersOf, without a look at all of these. One that is wanted by name
// need not be declared.
func concerns(r Reader, f *isthmusv1.Federation, datacenters map[string]bool) bool {
	spec := f.GetSpec()
	if datacenters[spec.GetPrimary()] || slices.ContainsFunc(f.GetStatus().GetMembers(), func(m *isthmusv1.FederationMember) bool { return datacenters[m.GetDatacenter()] }) {
		return true
	}
	if f.GetDeleteTime() != nil {
		return false
	}
	if len(spec.GetSecondaries()) > 0 || spec.GetSecondarySelector() == "" {
		return slices.ContainsFunc(spec.GetSecondaries(), func(name string) bool { return datacenters[name] })
	}
	chooses := ChoosesIn(r, nil, spec.GetSecondarySelector())
	for name := range datacenters {
		if dc, ok := Lookup[*isthmusv1.Datacenter](r, KindDatacenter, name); ok && chooses(dc) {
			return true
		}
	}
	return false
}

// MemberOf is what a federation's status has of a datacenter; nil: nothing.
func MemberOf(f *isthmusv1.Federation, datacenter string) *isthmusv1.FederationMember {
	for _, m := range f.GetStatus().GetMembers() {
		if m.GetDatacenter() == datacenter {
			return m
		}
	}
	return nil
}
