package federation

import (
	"cmp"
	"slices"
	"strings"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// leave brings a member out, and drops its row when nothing of it is left.
func (j *judge) leave(m *isthmusv1.FederationMember) {
	dc := m.GetDatacenter()
	back := len(m.GetHosts()) > 0 && every(m.GetHosts(), removed)
	// Its hosts learn of it only now: what they said before is of an earlier time.
	back = back && m.GetPhase() == resource.PhaseLeaving
	lost := !back && j.lost(dc)
	revoking := m.GetPhase() == resource.PhaseLeaving && m.GetReason() == ReasonRevoking
	if revoking {
		for _, o := range j.seen[j.primary()].Federation.GetBundles() {
			m.Revoked = m.GetRevoked() || o.GetDatacenter() == dc && o.GetRecipient() == "" && o.GetRevoked()
		}
	}
	switch {
	case m.GetRevoked() && (back || lost):
		j.dropped[dc] = true
	case back:
		j.set(m, resource.PhaseLeaving, j.revoking(dc, "its hosts have gone back"))
	case lost:
		j.set(m, resource.PhaseLeaving, j.revoking(dc, "its agents are deleted, or have been silent for an hour (or since it was deleted): it is taken for lost"))
	default:
		p := because(ReasonLeaving, "its hosts go back to be of a datacenter of its own")
		if why := j.stuck(m, removed); !why.none() {
			p = why
		} else if !j.seen[dc].Online && len(m.GetHosts()) == 0 {
			p = because(ReasonAgentSilent, "its hosts have to go back, and its agents are silent").
				fixed("start them, or delete them (isthmus delete agent) when the datacenter is lost: it is taken for lost after an hour of silence")
		}
		j.set(m, resource.PhaseLeaving, p)
	}
	m.OwnCa = nil
	m.PlanDigest, m.Accepted = "", false
}

// stuck is why its hosts do not go back by themselves: what their agents say, or else that they say nothing. The host of an agent that is
// deleted is nobody's to wait for.
func (j *judge) stuck(m *isthmusv1.FederationMember, back func(*isthmusv1.FederationHost) bool) problem {
	online := j.heard(m)
	worst, at := problem{}, 3
	var hosts, agents []string
	for _, h := range m.GetHosts() {
		if back(h) {
			continue
		}
		if !online[h.GetAgent()] {
			hosts, agents = append(hosts, cmp.Or(h.GetHost(), h.GetAgent())), append(agents, h.GetAgent())
		} else if p, rank := j.deliveryAt(m, h); rank > at {
			worst, at = p, rank
		}
	}
	switch {
	case !worst.none() || len(hosts) == 0:
		return worst
	case len(hosts) == 1:
		return because(ReasonAgentSilent, "on %s: its agent is silent", hosts[0]).fixed("start it, or isthmus delete agent %s when the host is lost", agents[0])
	}
	return because(ReasonAgentSilent, "on %s: their agents are silent", strings.Join(hosts, ", ")).
		fixed("start them, or isthmus delete agent %s when the hosts are lost", strings.Join(agents, " "))
}

func every(hosts []*isthmusv1.FederationHost, which func(*isthmusv1.FederationHost) bool) bool {
	return !slices.ContainsFunc(hosts, func(h *isthmusv1.FederationHost) bool { return !which(h) })
}

// removed: a host has gone back, as its agent says.
func removed(h *isthmusv1.FederationHost) bool { return h.GetState() == resource.DeliveryRemoved }

func (j *judge) revoking(datacenter, why string) problem {
	for _, o := range j.seen[j.primary()].Federation.GetBundles() {
		if o.GetDatacenter() == datacenter && o.GetRecipient() == "" && o.GetErrorReason() != "" {
			return because(ReasonRevoking, "%s; the agent of %s cannot revoke its tokens yet: %s", why, j.primary(), o.GetError())
		}
	}
	if !j.seen[j.primary()].Online {
		return because(ReasonRevoking, "%s; its tokens are to be revoked by an agent of %s, and these are silent", why, j.primary())
	}
	return because(ReasonRevoking, "%s; the agent of %s revokes its tokens and clears the WAN pool", why, j.primary())
}

// lost: nobody will tell that it went back.
func (j *judge) lost(datacenter string) bool {
	if len(resource.TrustedAgents(j.r, datacenter)) == 0 {
		return true
	}
	dc, ok := resource.Lookup[*isthmusv1.Datacenter](j.r, resource.KindDatacenter, datacenter)
	if !ok {
		return !j.seen[datacenter].Online
	}
	// Of one that is being removed the operator has said whether it is lost.
	deleted := resource.Departing(dc) && dc.GetStatus().GetRemoval() == nil
	return resource.Lost(dc) || !j.seen[datacenter].Online && dc.GetStatus().GetAgent() == resource.LivenessOffline &&
		(deleted || j.now.Sub(dc.GetStatus().GetAgentSince().AsTime()) > lostAfter)
}

// dissolve is the primary's part in the deletion of its federation: it goes back last.
func (j *judge) dissolve() {
	m := j.primaryRow
	if m == nil {
		return
	}
	if n := len(j.secondaryRows()); n > 0 {
		j.set(m, resource.PhaseLeaving, because(ReasonLeaving, "%d secondaries have to leave before", n))
		return
	}
	undoing := m.GetPhase() == resource.PhaseLeaving && m.GetReason() == ReasonUndoing
	back := func(h *isthmusv1.FederationHost) bool { return removed(h) || h.GetState() == resource.DeliveryNone }
	if undoing && every(m.GetHosts(), back) || j.lost(j.primary()) {
		j.next.Members = nil
		return
	}
	p := because(ReasonUndoing, "its hosts go back to be of a datacenter of its own")
	if why := j.stuck(m, back); !why.none() {
		p.message = why.message
	}
	j.set(m, resource.PhaseLeaving, p)
}
