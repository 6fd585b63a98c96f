package federation

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Reasons of a member's phase, beside those of the rules and those that agents give.
const (
	ReasonAgentSilent       = "AgentSilent"
	ReasonNoTrustedAgent    = "NoTrustedAgent"
	ReasonNotReported       = "NotReported"
	ReasonPrimaryNotReady   = "PrimaryNotReady"
	ReasonJoinNotAllowed    = "JoinNotAllowed"
	ReasonNotWritable       = "NoConfigDir"
	ReasonLossUnknown       = "LossUnknown"
	ReasonLossNotAccepted   = "LossNotAccepted"
	ReasonCAUnknown         = "CAUnknown"
	ReasonTrust             = "TrustNotProven"
	ReasonPeeringInside     = "PeeringInside"
	ReasonBundle            = "BundleNotMade"
	ReasonAnotherJoins      = "AnotherJoins"
	ReasonDelivering        = "Delivering"
	ReasonRestartRequired   = "RestartRequired"
	ReasonChangingMode      = "ChangingMode"
	ReasonConnecting        = "Connecting"
	ReasonReadsFailed       = "ReadsFailed"
	ReasonReplicating       = "Replicating"
	ReasonReplicationFailed = "ACLReplicationFailed"
	ReasonUpdating          = "Updating"
	ReasonOneWay            = "OneDirectionSeen"
	ReasonJoined            = "Joined"
	ReasonLeaving           = "Leaving"
	// ReasonRevoking: the hosts of a leaving member have gone back, or are lost, and the primary's agent revokes what it was given. The plan
	// goes by this word.
	ReasonRevoking = "Revoking"
	// ReasonUndoing: all secondaries have left a federation that is being deleted, and the primary's hosts go back.
	ReasonUndoing = "Undoing"
)

// problem is what keeps a member where it is, or what it is at: a word, a sentence, and what to do.
type problem struct{ reason, message, fix string }

func because(reason, format string, args ...any) problem {
	return problem{reason: reason, message: fmt.Sprintf(format, args...)}
}

func (p problem) fixed(format string, args ...any) problem {
	p.fix = fmt.Sprintf(format, args...)
	p.message = strings.TrimSuffix(p.message, ".") + ": " + p.fix
	return p
}

func (p problem) none() bool { return p.reason == "" }

// decidePrimary moves the primary on. Once it is what it shall be it stays, whatever is silent or breaks later, until another mode is
// wanted.
func (j *judge) decidePrimary() {
	m, s := j.primaryRow, j.seen[j.primary()]
	settled := m.GetPhase() == resource.PhaseJoined
	if settled && j.runsAsPrimary(m) != no {
		j.set(m, resource.PhaseJoined, j.settledPrimary(m, s))
		return
	}
	if p := j.broken(m); !p.none() {
		j.set(m, resource.PhaseBlocked, p)
		return
	}
	if p := j.awaited(m, s); !p.none() {
		j.set(m, resource.PhaseWaiting, p)
		return
	}
	runs := j.runsAsPrimary(m)
	if runs != yes && !anyHost(s, (*isthmusv1.DeliveryReport).GetCanWrite) {
		j.set(m, resource.PhaseBlocked, j.notWritable(m))
		return
	}
	// The leading agent's server may run as it shall while others have still to restart.
	if p := j.deliveryOf(m); !p.none() {
		j.set(m, resource.PhaseDelivering, p)
		return
	}
	if runs != yes {
		j.set(m, resource.PhaseDelivering, because(ReasonDelivering, "its servers are about to run as the primary of %s", j.GetName()))
		return
	}
	j.set(m, resource.PhaseJoined, j.settledPrimary(m, s))
}

func (j *judge) settledPrimary(m *isthmusv1.FederationMember, s Seen) problem {
	if !s.Online {
		return because(ReasonAgentSilent, "it was ready when its agents were heard of last: they are silent")
	}
	if p := j.deliveryOf(m); p.reason == ReasonRestartRequired {
		return p
	}
	return because(ReasonJoined, "its servers run as the primary")
}

// answer is what can be told of a fact.
type answer int

const (
	unknown answer = iota
	yes
	no
)

func answerOf(known, value bool) answer {
	switch {
	case !known:
		return unknown
	case value:
		return yes
	}
	return no
}

// runsAsPrimary: its Consul says so itself.
func (j *judge) runsAsPrimary(m *isthmusv1.FederationMember) answer {
	i := j.seen[m.GetDatacenter()].Inventory
	if i == nil || i.WanFederationEnabled == nil {
		return unknown
	}
	own := i.GetPrimaryDatacenter() == "" || i.GetPrimaryDatacenter() == m.GetConsulDatacenter()
	return answerOf(true, own && i.GetWanFederationEnabled() == (j.GetSpec().GetMode() == resource.ModeMeshGateway))
}

// follows: its Consul says itself that it is a secondary of this primary.
func (j *judge) follows(m *isthmusv1.FederationMember) bool {
	return j.seen[m.GetDatacenter()].Inventory.GetPrimaryDatacenter() == consulName(j.r, j.primary())
}

// otherMode: it is a member, and not in the mode that is wanted.
func (j *judge) otherMode(m *isthmusv1.FederationMember) bool {
	i := j.seen[m.GetDatacenter()].Inventory
	return j.follows(m) && i.WanFederationEnabled != nil && i.GetWanFederationEnabled() != (j.GetSpec().GetMode() == resource.ModeMeshGateway)
}

// awaited is what has to be heard of a datacenter before anything can be judged.
func (j *judge) awaited(m *isthmusv1.FederationMember, s Seen) problem {
	dc := m.GetDatacenter()
	if len(resource.TrustedAgents(j.r, dc)) == 0 {
		p := because(ReasonNoTrustedAgent, "no agent of %s can be trusted yet", dc)
		byHand := ""
		if m.GetRole() == resource.RoleSecondary {
			byHand = fmt.Sprintf("; or do without one: isthmus federation bundle %s --datacenter %s", j.GetName(), dc)
		}
		return p.fixed("isthmus join-token create --datacenter %s, or isthmus agent approve%s", dc, byHand)
	}
	switch {
	case !s.Online:
		return because(ReasonAgentSilent, "the agents of %s are silent", dc).fixed("see why isthmus agent does not run there, or does not reach the server")
	case m.GetRole() == resource.RolePrimary && s.Inventory == nil:
		return because(ReasonNotReported, "the agents of %s have not told anything of their Consul yet", dc).
			fixed("when this lasts, see the Ready condition of Datacenter %s", dc)
	case len(s.Deliveries) == 0:
		return because(ReasonNotReported, "no agent of %s has told anything of its host yet", dc).
			fixed("when this lasts, its agents are too old for federations: upgrade them")
	}
	return problem{}
}

// fresh: its Consul does not exist yet.
func (j *judge) fresh(m *isthmusv1.FederationMember) bool {
	return j.seen[m.GetDatacenter()].Inventory == nil
}

// decideSecondary moves a secondary on, through as many phases as it can.
func (j *judge) decideSecondary(m *isthmusv1.FederationMember) {
	switch {
	case m.GetPhase() == resource.PhaseLeaving, !j.wanted[m.GetDatacenter()]:
		j.leave(m)
		return
	case delivers(m) && !j.void(m):
		j.carryOn(m)
		return
	}
	phase, p := j.prepare(m)
	if phase != "" {
		j.set(m, phase, p)
		return
	}
	if phase, p = j.engage(m); phase != "" {
		j.set(m, phase, p)
		return
	}
	j.set(m, resource.PhaseDelivering, because(ReasonDelivering, "its hosts are given the bundle"))
	j.carryOn(m)
}

// void: none of its servers runs with the bundle yet, and what would be lost is no longer what was accepted.
func (j *judge) void(m *isthmusv1.FederationMember) bool {
	if m.GetPhase() != resource.PhaseDelivering || m.GetWasJoined() || j.follows(m) {
		return false
	}
	for _, h := range m.GetHosts() {
		if h.GetApplied() > 0 || h.GetState() == resource.DeliveryRestarting {
			return false
		}
	}
	digest, known := j.lossDigest(m)
	if !known || digest == "" {
		return false
	}
	if !j.accepts(m.GetDatacenter(), digest) {
		return true
	}
	m.PlanDigest, m.Accepted = digest, true // what its agents compare with, when another list is accepted than the one before
	return false
}

// prepare is everything that can be without anything being changed; no phase: nothing is in the way.
func (j *judge) prepare(m *isthmusv1.FederationMember) (string, problem) {
	s := j.seen[m.GetDatacenter()]
	m.PlanDigest, m.Accepted = "", false
	if p := j.misplaced(m); !p.none() {
		return resource.PhaseBlocked, p
	}
	if len(resource.TrustedAgents(j.r, m.GetDatacenter())) == 0 && j.byHand(m.GetDatacenter()) {
		return j.withoutAgent(m)
	}
	if p := j.awaited(m, s); !p.none() {
		return resource.PhaseWaiting, p
	}
	if p := j.broken(m); !p.none() {
		return resource.PhaseBlocked, p
	}
	switch j.primaryRow.GetPhase() {
	case resource.PhaseBlocked:
		return resource.PhaseBlocked, because(ReasonPrimaryNotReady, "the primary %s is blocked (%s): %s", j.primary(), j.primaryRow.GetReason(), j.primaryRow.GetMessage())
	case resource.PhaseWaiting:
		return resource.PhaseWaiting, because(ReasonPrimaryNotReady, "the primary %s is not ready (%s): %s", j.primary(), j.primaryRow.GetReason(), j.primaryRow.GetMessage())
	}
	if j.follows(m) && !j.forbidden(m, s).none() {
		// Somebody made it a member by hand, and keeps it so by hand.
		return j.connect(m)
	}
	if p := j.forbidden(m, s); !p.none() {
		return resource.PhaseBlocked, p
	}
	return j.lossOf(m)
}

// withoutAgent is the phase of a datacenter that was given a bundle by hand, and has no agent that could tell what came of it.
func (j *judge) withoutAgent(m *isthmusv1.FederationMember) (string, problem) {
	if m.GetReadByPrimary() == resource.ReadOK {
		m.WasJoined = true
		return resource.PhaseJoined, because(ReasonOneWay, "%s reads it; it has no agent that could tell whether it reads %s", j.primary(), j.primary())
	}
	return resource.PhaseJoining, because(ReasonConnecting, "a bundle was made by hand: waiting until %s reads it", j.primary())
}

// forbidden is what the flags of its agents do not allow.
func (j *judge) forbidden(m *isthmusv1.FederationMember, s Seen) problem {
	switch {
	case !allHosts(s, (*isthmusv1.DeliveryReport).GetCanWrite):
		return j.notWritable(m)
	case !allHosts(s, (*isthmusv1.DeliveryReport).GetAllowJoin):
		return because(ReasonJoinNotAllowed, "the agent of %s on %s does not allow it to join a federation of %s, which takes its ACLs and config entries from it",
			m.GetDatacenter(), hostsNot(s, (*isthmusv1.DeliveryReport).GetAllowJoin), j.primary()).fixed("start it with --allow-join=%s", j.primary())
	}
	return problem{}
}

func (j *judge) notWritable(m *isthmusv1.FederationMember) problem {
	return because(ReasonNotWritable, "the agent of %s on %s may not write what its Consul server needs", m.GetDatacenter(),
		hostsNot(j.seen[m.GetDatacenter()], (*isthmusv1.DeliveryReport).GetCanWrite)).
		fixed("start it with --consul-config-dir and the directory that Consul reads its configuration from, or, on Kubernetes, let it write the Secret")
}

// lossOf is whether what joining destroys is known and accepted.
func (j *judge) lossOf(m *isthmusv1.FederationMember) (string, problem) {
	digest, known := j.lossDigest(m)
	if !known {
		return resource.PhaseWaiting, because(ReasonLossUnknown, "the agent of %s has not told yet what joining would destroy there", m.GetDatacenter())
	}
	m.PlanDigest, m.Accepted = digest, digest != "" && j.accepts(m.GetDatacenter(), digest)
	if digest == "" || m.GetAccepted() {
		return "", problem{}
	}
	n := j.seen[m.GetDatacenter()].Federation.GetLoss().GetCount()
	return resource.PhaseBlocked, because(ReasonLossNotAccepted, "joining destroys %d things in %s, and nobody has accepted that", n, m.GetDatacenter()).
		fixed("isthmus federation plan %s lists them; to go on, put acceptDataLoss: [{datacenter: %s, planDigest: %s}] into the spec", j.GetName(), m.GetDatacenter(), digest)
}

// lossDigest is the digest of the plan to join, empty when nothing is lost.
func (j *judge) lossDigest(m *isthmusv1.FederationMember) (digest string, known bool) {
	if j.fresh(m) || j.follows(m) {
		return "", true
	}
	loss := j.seen[m.GetDatacenter()].Federation.GetLoss()
	if loss == nil {
		return "", false
	}
	return PlanDigest(j.GetUid(), m.GetDatacenter(), ActionJoin, loss.GetDigest()), true
}

func (j *judge) accepts(datacenter, digest string) bool {
	return accepts(j.Federation, datacenter, digest)
}

func accepts(f *isthmusv1.Federation, datacenter, digest string) bool {
	for _, a := range f.GetSpec().GetAcceptDataLoss() {
		if a.GetDatacenter() == datacenter && a.GetPlanDigest() == digest {
			return digest != ""
		}
	}
	return false
}

// engage is what is made ready once all is accepted; no phase: it is.
func (j *judge) engage(m *isthmusv1.FederationMember) (string, problem) {
	if p := j.untrusted(m); !p.none() {
		phase := resource.PhaseTrusting
		if p.reason == ReasonCAUnknown {
			phase = resource.PhaseWaiting
		}
		return phase, p
	}
	if name := j.peeringInside(m, func(*isthmusv1.Peering) bool { return true }); name != "" {
		return resource.PhaseTrusting, because(ReasonPeeringInside, "Peering %s connects it to another member, and goes before it joins", name)
	}
	if p := j.unbundled(m); !p.none() {
		return resource.PhaseBundling, p
	}
	if j.primaryRow.GetPhase() != resource.PhaseJoined && (!j.fresh(m) || !j.underWay()) {
		return resource.PhaseBundling, because(ReasonPrimaryNotReady, "its bundle is made; the primary %s is not ready (%s): %s", j.primary(),
			j.primaryRow.GetReason(), j.primaryRow.GetMessage())
	}
	if other := j.ahead(m); other != "" {
		return resource.PhaseBundling, because(ReasonAnotherJoins, "its bundle is made; %s joins now, and it is next", other)
	}
	return "", problem{}
}

// underWay: the primary's servers are being restarted. A datacenter that has nothing to lose starts meanwhile: Consul takes some seconds
// until it looks for the primary.
func (j *judge) underWay() bool {
	p := j.primaryRow
	return p.GetPhase() == resource.PhaseDelivering && p.GetReason() != ReasonRestartRequired && anyHost(j.seen[j.primary()], (*isthmusv1.DeliveryReport).GetCanRestart)
}

// unbundled is why there is no bundle that its agents could open.
func (j *judge) unbundled(m *isthmusv1.FederationMember) problem {
	made := m.GetBundle().GetSecretDigest() != ""
	for _, t := range resource.Recipients(j.r, j.primary(), m.GetDatacenter()) {
		made = made && slices.Contains(m.GetBundle().GetRecipients(), t.GetAttestation().GetAgeRecipient())
	}
	if j.GetSpec().GetKeyless() {
		for _, h := range m.GetHosts() {
			made = made && (len(h.GetCsr()) == 0 || slices.Contains(m.GetBundle().GetCertificates(), h.GetAgent()))
		}
	}
	if made {
		return problem{}
	}
	if p := j.bundleFailed(m); !p.none() {
		return p
	}
	if !j.seen[j.primary()].Online {
		return because(ReasonAgentSilent, "its bundle is to be made by an agent of %s, and these are silent", j.primary())
	}
	return because(ReasonBundle, "the agent of %s makes its bundle", j.primary())
}

// bundleFailed is why the primary's agent cannot make a member's bundle, or make it anew.
func (j *judge) bundleFailed(m *isthmusv1.FederationMember) problem {
	for _, o := range j.seen[j.primary()].Federation.GetBundles() {
		if o.GetDatacenter() == m.GetDatacenter() && o.GetRecipient() == "" && o.GetErrorReason() != "" {
			return because(o.GetErrorReason(), "the agent of %s cannot make its bundle: %s", j.primary(), o.GetError())
		}
	}
	return problem{}
}

// changing is what a member is at that goes over to another mode.
func (j *judge) changing(m *isthmusv1.FederationMember) problem {
	for _, one := range []*isthmusv1.FederationMember{j.primaryRow, m} {
		if a, p := j.gatewayPresent(one); a == no {
			return p
		}
	}
	if p := j.bundleFailed(m); !p.none() {
		return p
	}
	if p := j.deliveryOf(m); !p.none() && p.reason != ReasonDelivering {
		return p
	}
	return because(ReasonChangingMode, "its servers go over to mode %s", j.GetSpec().GetMode())
}

// carryOn moves a member on whose hosts have the bundle.
func (j *judge) carryOn(m *isthmusv1.FederationMember) {
	if len(resource.TrustedAgents(j.r, m.GetDatacenter())) == 0 {
		if j.byHand(m.GetDatacenter()) {
			phase, p := j.withoutAgent(m)
			j.set(m, phase, p)
			return
		}
		j.set(m, m.GetPhase(), j.awaited(m, Seen{}))
		return
	}
	if j.otherMode(m) {
		j.set(m, resource.PhaseDelivering, j.changing(m))
		return
	}
	if m.GetPhase() == resource.PhaseDelivering {
		if p := j.deliveryOf(m); !p.none() {
			j.set(m, resource.PhaseDelivering, p)
			return
		}
	}
	phase, p := j.connect(m)
	j.set(m, phase, p)
}

// connect is the phase of a member whose servers run as they shall: whether they see one another is proven by reads.
func (j *judge) connect(m *isthmusv1.FederationMember) (string, problem) {
	joined := m.GetReadsPrimary() == resource.ReadOK && m.GetReadByPrimary() == resource.ReadOK
	failed := m.GetReadsPrimary() == resource.ReadFailed || m.GetReadByPrimary() == resource.ReadFailed
	switch {
	case joined:
		m.WasJoined = true
		return resource.PhaseJoined, j.settled(m)
	case m.GetPhase() == resource.PhaseJoined && !failed:
		// Nobody has seen it otherwise.
		return resource.PhaseJoined, because(ReasonAgentSilent, "reads were proven both ways when all agents were heard of last: %s", j.silence(m))
	case failed && (m.GetWasJoined() || m.GetPhase() == resource.PhaseJoining && j.in(m, connecting)):
		return resource.PhaseJoining, j.cause(m)
	}
	return resource.PhaseJoining, because(ReasonConnecting, "its servers are looking for those of %s", j.primary())
}

// silence says whose word is missing.
func (j *judge) silence(m *isthmusv1.FederationMember) string {
	var names []string
	for _, dc := range []string{m.GetDatacenter(), j.primary()} {
		if !j.seen[dc].Online {
			names = append(names, dc)
		}
	}
	if len(names) == 0 {
		return "the proof is being made anew"
	}
	return "the agents of " + strings.Join(names, " and ") + " are silent"
}

// settled is what there is to say of a member whose reads are proven.
func (j *judge) settled(m *isthmusv1.FederationMember) problem {
	replication := j.seen[m.GetDatacenter()].Inventory.GetAclReplication()
	if replication.GetEnabled() && !replication.GetHealthy() {
		if replication.GetLastSuccessTime() == nil && (m.GetPhase() != resource.PhaseJoined || !j.in(m, replicating)) {
			return because(ReasonReplicating, "reads are proven both ways; the ACLs of %s are being replicated", j.primary())
		}
		return j.replicationFailed(replication)
	}
	if p := j.bundleFailed(m); !p.none() {
		return p
	}
	if p := j.deliveryOf(m); !p.none() {
		if p.reason == ReasonDelivering {
			p.reason = ReasonUpdating
		}
		return p
	}
	return because(ReasonJoined, "reads are proven in both directions")
}

func (j *judge) replicationFailed(r *isthmusv1.AclReplication) problem {
	since := ""
	if t := r.GetLastSuccessTime(); t != nil {
		since = " since " + t.AsTime().UTC().Format("2006-01-02 15:04:05 MST")
	}
	text := cmp.Or(r.GetError(), "Consul does not say why")
	return because(ReasonReplicationFailed, "ACLs are not replicated from %s%s: %s", j.primary(), since, text).
		fixed("when the replication token was revoked in %s, or its policy, isthmus makes it anew with the next bundle", j.primary())
}
