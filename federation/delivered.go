package federation

import (
	"cmp"
	"strings"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// deliveryOf is what the hosts of a member have still to do; nothing: all who are heard of run with what they shall.
func (j *judge) deliveryOf(m *isthmusv1.FederationMember) problem {
	worst, at := problem{}, -1
	online := j.heard(m)
	heard := 0
	for _, h := range m.GetHosts() {
		if !online[h.GetAgent()] {
			continue
		}
		heard++
		if p, rank := j.deliveryAt(m, h); rank > at {
			worst, at = p, rank
		}
	}
	if heard == 0 && m.GetRole() == resource.RoleSecondary {
		return because(ReasonAgentSilent, "its agents are silent, and its hosts may have still to take the bundle")
	}
	return worst
}

// heard are the agents of a member that are heard of.
func (j *judge) heard(m *isthmusv1.FederationMember) map[string]bool {
	out := map[string]bool{}
	for _, d := range j.seen[m.GetDatacenter()].Deliveries {
		out[d.Agent] = d.Online
	}
	return out
}

// deliveryAt is what one host has still to do, and how much that is for a person to look at; -1: nothing.
func (j *judge) deliveryAt(m *isthmusv1.FederationMember, h *isthmusv1.FederationHost) (problem, int) {
	where := cmp.Or(h.GetHost(), h.GetAgent())
	say := func(reason, what string) problem {
		if h.GetMessage() != "" {
			what = h.GetMessage()
		}
		return because(cmp.Or(h.GetReason(), reason), "on %s: %s", where, what)
	}
	primary := m.GetRole() == resource.RolePrimary
	switch h.GetState() {
	case resource.DeliveryFailed:
		return say("DeliveryFailed", "the agent failed"), 6
	case resource.DeliveryRefused:
		return say("DeliveryRefused", "the agent refuses"), 5
	case resource.DeliveryRestartRequired:
		p := say(ReasonRestartRequired, "restart its Consul server: all is written that it needs")
		p.reason = ReasonRestartRequired
		return p, 4
	case resource.DeliveryRestarting:
		return because(ReasonDelivering, "on %s: Consul restarts", where), 3
	case resource.DeliveryApplied:
		if primary || h.GetApplied() == m.GetBundle().GetGeneration() && h.GetApplied() > 0 {
			return problem{}, -1
		}
	case resource.DeliveryNone, resource.DeliveryRemoved, "":
		if primary {
			return problem{}, -1
		}
	}
	p := because(ReasonDelivering, "on %s: it has still to take what it is given", where)
	if h.GetMessage() != "" {
		p.message = "on " + where + ": " + h.GetMessage()
	}
	return p, 1
}

func anyHost(s Seen, which func(*isthmusv1.DeliveryReport) bool) bool {
	for _, d := range s.Deliveries {
		if d.Online && which(d.Report) {
			return true
		}
	}
	return false
}

// allHosts: all agents that are heard of, and at least one.
func allHosts(s Seen, which func(*isthmusv1.DeliveryReport) bool) bool {
	return anyHost(s, which) && hostsNot(s, which) == ""
}

// hostsNot names the hosts whose agents say no.
func hostsNot(s Seen, which func(*isthmusv1.DeliveryReport) bool) string {
	var names []string
	for _, d := range s.Deliveries {
		if d.Online && !which(d.Report) {
			names = append(names, cmp.Or(d.Report.GetHost().GetHost(), d.Agent))
		}
	}
	return strings.Join(names, ", ")
}
