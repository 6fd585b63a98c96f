package removal

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/federation"
	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Evidence is what is known of the fleet beside its resources.
type Evidence struct {
	// Of is what the agents of a datacenter said last; the zero value when they said nothing.
	Of func(datacenter string) Seen
}

// Seen is what the agents of one datacenter said last.
type Seen struct {
	// Reported: they have told something of what is in their Consul at some time; before, isthmus has written nothing there.
	Reported bool
	// Online: they are heard of.
	Online bool
	// Applied tells whether the leading agent has applied what is wanted of its datacenter now; nil: it has not. Problem is what keeps it.
	Applied func() bool
	Problem string
	// The leading agent's last reports; nil: none yet.
	Peerings   *isthmusv1.PeeringsReport
	Exports    *isthmusv1.ExportsReport
	Policy     *isthmusv1.PolicyReport
	Entries    *isthmusv1.EntriesReport
	Services   *isthmusv1.ServicesReport
	Federation *isthmusv1.FederationReport
}

// Progress is how far a removal is, and what is to be done now.
type Progress struct {
	// Removal is the next status: the present one, the same pointer, when nothing changes.
	Removal *isthmusv1.DatacenterRemoval
	// Edits are to be done now.
	Edits []Edit
	// Gone: all steps are done, and the Datacenter can go.
	Gone bool
	// Witnesses are the other datacenters whose reports it waits for, sorted.
	Witnesses []string
}

// maxMessage bounds what a step says, which agents have a part in, in bytes.
const maxMessage = 2 << 10

// Next is how far the removal of a datacenter is at a time: see the package's comment. It has begun: dc.Status.Removal is set.
func Next(r resource.Reader, dc *isthmusv1.Datacenter, e Evidence, now time.Time) Progress {
	old := dc.GetStatus().GetRemoval()
	edits, blocked := Edits(r, dc)
	j := &judge{about: aboutOf(dc, old), r: r, dc: dc, e: e, now: now, edits: edits, blocked: blocked, seen: map[string]Seen{}, lacking: map[string]string{}}
	next := proto.CloneOf(old)
	next.Blocked = blocked
	j.learn(next)
	open, out := true, Progress{Witnesses: j.witnesses(r)}
	for _, s := range next.GetSteps() {
		begun := open || s.GetState() == resource.StepDoing || s.GetState() == resource.StepDone
		v := verdict{state: s.GetState(), message: s.GetMessage()}
		if begun || j.skips(s.GetId()) {
			v = j.step(s.GetId())
		}
		if v.state != resource.StepSkipped && !begun {
			v = verdict{state: resource.StepWaiting, message: s.GetMessage()}
		}
		if s.GetState() != v.state || s.GetSince() == nil {
			s.State, s.Since = v.state, timestamppb.New(now)
		}
		s.Message = resource.Cut(v.message, maxMessage)
		if begun {
			out.Edits = append(out.Edits, j.due(s.GetId())...)
		}
		open = open && (v.state == resource.StepDone || v.state == resource.StepSkipped)
	}
	out.Gone = open && len(out.Edits)+len(blocked) == 0
	out.Removal = old
	if !proto.Equal(old, next) {
		out.Removal = next
	}
	return out
}

// verdict is how a step stands.
type verdict struct{ state, message string }

func doing(format string, args ...any) verdict {
	return verdict{resource.StepDoing, fmt.Sprintf(format, args...)}
}

func done(format string, args ...any) verdict {
	return verdict{resource.StepDone, fmt.Sprintf(format, args...)}
}

// judge is one removal while its next status is worked out.
type judge struct {
	about
	r     resource.Reader
	dc    *isthmusv1.Datacenter
	e     Evidence
	now   time.Time
	edits []Edit
	// blocked are sentences on what cannot be left without it.
	blocked []string
	// seen is Evidence, asked for once; lacking remembers what unapplied found.
	seen    map[string]Seen
	lacking map[string]string
}

func (j *judge) of(datacenter string) Seen {
	s, ok := j.seen[datacenter]
	if !ok && j.e.Of != nil {
		s = j.e.Of(datacenter)
		j.seen[datacenter] = s
	}
	return s
}

// learn adds the peerings that came after the plan was confirmed, as a group's may: they are deleted with the others, and looked for in the
// end.
func (j *judge) learn(next *isthmusv1.DatacenterRemoval) {
	for _, e := range j.edits {
		if e.Step != resource.StepPeerings || slices.ContainsFunc(next.GetChanges(), isAbout(e.Before)) {
			continue
		}
		next.Changes = append(next.Changes, changeOf(e))
	}
	j.about = aboutOf(j.dc, next)
}

// due is what is to be done about a step's resources.
func (j *judge) due(step string) []Edit {
	if step == resource.StepAgents && j.unapplied(j.name) != "" {
		return nil // they have still to take out what isthmus wrote in their own Consul
	}
	var out []Edit
	for _, e := range j.edits {
		if e.Step == step {
			out = append(out, e)
		}
	}
	return out
}

// named are the resources that still name it in a step.
func (j *judge) named(step string) string {
	var out []string
	for _, e := range j.edits {
		if e.Step == step {
			out = append(out, resource.KindOf(e.Before).Name+" "+e.Before.GetName())
		}
	}
	return enumerate(out)
}

func (j *judge) step(id string) verdict {
	switch id {
	case resource.StepPolicies:
		return j.drained(id, j.leftParts, sameEntries)
	case resource.StepExports:
		return j.drained(id, func(dc string) string { return j.of(dc).Exports.GetError() }, sameExports)
	case resource.StepPeerings:
		return j.unpeered()
	case resource.StepFederation:
		return j.left()
	case resource.StepTokens:
		return j.revoked()
	case resource.StepWANPool:
		return j.pool()
	case resource.StepAgents:
		return j.agents()
	case resource.StepScan:
		return j.scan()
	}
	return verdict{state: resource.StepSkipped} // a step of a later version
}

// drained: nothing names it, and all who are connected with it, and itself, have applied that. problem is what keeps an agent from it; same
// tells whether what it reports is just what is wanted now, which what comes after it in the agent's desired state does not alter.
func (j *judge) drained(step string, problem func(datacenter string) string, same func(resource.Reader, string, Seen) bool) verdict {
	if len(j.blocked) > 0 {
		return doing("%s", list(j.blocked))
	}
	if names := j.named(step); names != "" {
		return doing("still named by %s", names)
	}
	var waits, asked []string
	for _, dc := range append(j.witnesses(j.r), j.name) {
		if dc != j.name || !j.lost {
			asked = append(asked, dc)
		}
		if why := j.silent(dc); why != "" {
			waits = append(waits, why)
		} else if why := problem(dc); why != "" && j.speaks(dc) {
			waits = append(waits, fmt.Sprintf("the agent of %s cannot take it out: %s", dc, why))
		} else if !same(j.r, dc, j.of(dc)) {
			if why := j.unapplied(dc); why != "" {
				waits = append(waits, why)
			}
		}
	}
	switch {
	case len(waits) > 0:
		return doing("%s", list(waits))
	case len(asked) == 0:
		return done("nobody was connected with it")
	}
	return done("applied in %s", enumerate(asked))
}

// sameEntries tells whether an agent reports of just the config entries that are wanted.
func sameEntries(r resource.Reader, datacenter string, s Seen) bool {
	if s.Policy == nil {
		return false
	}
	wanted := map[string]bool{}
	for _, e := range policy.Entries(r, datacenter).GetEntries() {
		wanted[resource.Digest(e)] = true
	}
	for _, e := range s.Policy.GetEntries() {
		if !wanted[e.GetWantedDigest()] {
			return false
		}
		delete(wanted, e.GetWantedDigest())
	}
	return len(wanted) == 0
}

// sameExports tells whether an agent reports of just the exports that are wanted.
func sameExports(r resource.Reader, datacenter string, s Seen) bool {
	if s.Exports == nil {
		return false
	}
	wanted := map[string][]string{}
	for _, e := range policy.Exports(r, datacenter).GetServices() {
		wanted[e.GetNamespace()+"/"+e.GetName()] = e.GetPeers()
	}
	for _, e := range s.Exports.GetExports() {
		peers, ok := wanted[e.GetNamespace()+"/"+e.GetName()]
		if !ok || slices.ContainsFunc(e.GetPeers(), func(peer string) bool { return !slices.Contains(peers, peer) }) {
			return false
		}
		delete(wanted, e.GetNamespace()+"/"+e.GetName())
	}
	return len(wanted) == 0
}

// speaks tells whether anything is awaited of a datacenter's agents: not of who never wrote anything, of the datacenter itself when it is
// lost, or when its agents were deleted at last.
func (j *judge) speaks(datacenter string) bool {
	switch {
	case !j.of(datacenter).Reported:
		return false
	case datacenter == j.name:
		agents := slices.ContainsFunc(j.edits, func(e Edit) bool { return resource.KindOf(e.Before).Name == resource.KindAgent })
		return !j.lost && (agents || !resource.Departed(j.dc, resource.StepAgents))
	}
	return true
}

// unapplied is why it is not known that a datacenter's agent has applied what is wanted now; empty: it has, or nobody waits for it.
func (j *judge) unapplied(datacenter string) string {
	if known, ok := j.lacking[datacenter]; ok {
		return known
	}
	why := j.lacks(datacenter)
	j.lacking[datacenter] = why
	return why
}

func (j *judge) lacks(datacenter string) string {
	if why := j.silent(datacenter); why != "" || !j.speaks(datacenter) {
		return why
	}
	s := j.of(datacenter)
	switch {
	case s.Applied != nil && s.Applied():
		return ""
	case s.Problem != "":
		return fmt.Sprintf("the agent of %s cannot apply it: %s", datacenter, s.Problem)
	}
	return fmt.Sprintf("the agent of %s has not applied it yet", datacenter)
}

// silent is why nothing is heard of a datacenter of which something is awaited; empty: it is, or nobody waits for it.
func (j *judge) silent(datacenter string) string {
	switch {
	case !j.speaks(datacenter), j.of(datacenter).Online:
		return ""
	case datacenter == j.name:
		return fmt.Sprintf("the agents of %s are silent: start them, or isthmus datacenter remove %s --lost when its Consul is gone for good", datacenter, datacenter)
	}
	return fmt.Sprintf("the agents of %s are silent", datacenter)
}

// leftParts is what an agent could not take out of config entries; empty: nothing is left.
func (j *judge) leftParts(datacenter string) string {
	r := j.of(datacenter).Policy
	if r.GetError() != "" {
		return r.GetError()
	}
	for _, e := range r.GetEntries() {
		if e.GetWantedDigest() == "" || e.GetState() == resource.PolicyFailed && j.mayName(datacenter, e) {
			return fmt.Sprintf("%s/%s: %s", e.GetKind(), e.GetName(), e.GetMessage())
		}
	}
	return ""
}

// mayName tells whether a config entry that could not be written names the datacenter as it stands: it does for all that is known when nobody
// can say. In its own Consul everything that was not written counts.
func (j *judge) mayName(in string, e *isthmusv1.ObservedEntry) bool {
	seen := j.of(in).Entries
	if in == j.name || seen == nil || seen.GetError() != "" || seen.GetTruncated() {
		return true
	}
	var peers []string
	for other, name := range peerNames(j.r, j.dc) {
		if m, ok := resource.MembershipOf(j.r, other); other == in || ok && m.Federation.GetSpec().GetPrimary() == in {
			peers = append(peers, name)
		}
	}
	for _, there := range seen.GetEntries() {
		if there.GetKind() != e.GetKind() || !strings.EqualFold(there.GetName(), e.GetName()) || there.GetNamespace() != e.GetNamespace() {
			continue
		}
		_, found := placesIn(there, func(at place) bool {
			return at.field == fieldPeer && slices.Contains(peers, at.value) || at.field != fieldPeer && at.value == j.consul
		})
		if len(found) > 0 {
			return true
		}
	}
	return false
}

// unpeered: no Peering is left, which says that both ends are gone.
func (j *judge) unpeered() verdict {
	var waits []string
	for p := range resource.AllTouching[*isthmusv1.Peering](j.r, resource.KindPeering, j.name) {
		waits = append(waits, p.GetName()+": "+j.endsOf(p))
	}
	if names := j.named(resource.StepPeerings); len(waits) == 0 && names != "" {
		return doing("still named by %s", names)
	}
	switch {
	case len(waits) > 0:
		return doing("%s", list(waits))
	case j.skips(resource.StepPeerings):
		return verdict{state: resource.StepSkipped}
	case len(j.peerings) == 0:
		return done("no group has it any more")
	}
	return done("gone at both ends: %s", enumerate(j.peerings))
}

// endsOf says what a peering that is being deleted waits for.
func (j *judge) endsOf(p *isthmusv1.Peering) string {
	if p.GetDeleteTime() == nil {
		return "to be deleted"
	}
	var waits []string
	ends := []*isthmusv1.PeeringEnd{p.GetStatus().GetAcceptor(), p.GetStatus().GetDialer()}
	for i, dc := range []string{p.GetSpec().GetAcceptor(), p.GetSpec().GetDialer()} {
		if dc == "" || dc == j.name && j.lost {
			continue
		}
		s := j.of(dc)
		gone := slices.ContainsFunc(s.Peerings.GetPeerings(), func(o *isthmusv1.ObservedPeering) bool { return o.GetUid() == p.GetUid() && o.GetDeleted() })
		switch {
		case gone:
		case !s.Online:
			waits = append(waits, "the agents of "+dc+" are silent")
		default:
			waits = append(waits, cmp.Or(resource.StuckDeletion(dc, ends[i], j.now), "the end in "+dc+" is still there"))
		}
	}
	if len(waits) == 0 {
		return "both ends are gone"
	}
	return strings.Join(waits, ", ")
}

// left: its hosts are of a datacenter of its own again, as the federation's status says.
func (j *judge) left() verdict {
	if names := j.named(resource.StepFederation); names != "" {
		return doing("still named by %s", names)
	}
	m, ok := resource.MembershipOf(j.r, j.name)
	switch {
	case !ok && j.skips(resource.StepFederation):
		return verdict{state: resource.StepSkipped}
	case !ok:
		return done("it is in no federation any more")
	case m.Member.GetPhase() == resource.PhaseLeaving && m.Member.GetReason() == federation.ReasonRevoking:
		return done("its hosts have gone back, or are lost")
	}
	text := "it is about to leave"
	if m.Member.GetPhase() == resource.PhaseLeaving {
		text = m.Member.GetMessage()
	}
	return doing("Federation %s: %s", m.Federation.GetName(), text)
}

// revoked: the primary's agent has revoked what it was given.
func (j *judge) revoked() verdict {
	m, ok := resource.MembershipOf(j.r, j.name)
	switch {
	case j.skips(resource.StepTokens):
		return verdict{state: resource.StepSkipped}
	case !ok:
		return done("revoked by the primary")
	case m.Member.GetRevoked():
		return done("revoked by %s", m.Federation.GetSpec().GetPrimary())
	}
	return doing("Federation %s: %s", m.Federation.GetName(), m.Member.GetMessage())
}

// pool: nobody of the federation sees a server of it in the WAN.
func (j *judge) pool() verdict {
	if j.skips(resource.StepWANPool) {
		return verdict{state: resource.StepSkipped}
	}
	var waits []string
	members := j.members(j.r)
	for _, dc := range members {
		s := j.of(dc)
		switch {
		case !s.Reported:
		case !s.Online:
			waits = append(waits, fmt.Sprintf("the agents of %s are silent", dc))
		default:
			waits = append(waits, wanLeft(dc, j.consul, s)...)
		}
	}
	if len(waits) > 0 {
		return doing("%s", list(waits))
	}
	return done("not seen in the WAN by %s", enumerate(members))
}

// agents: none is left, nor what could let one in.
func (j *judge) agents() verdict {
	if why := j.unapplied(j.name); why != "" {
		return doing("what isthmus wrote in its own Consul is taken out first: %s", why)
	}
	if names := j.named(resource.StepAgents); names != "" {
		return doing("to be deleted: %s", names)
	}
	return done("none is enrolled, and no join token is left")
}
