package controller

import (
	"fmt"
	"time"

	"isthmus/peering"
	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/observation"
	"isthmus/store/snapshot"
)

// peering brings one peering's status up to date, or its deletion to its end.
func (l *leader) peering(v *snapshot.View, name string) []edit {
	p, ok := resource.Lookup[*isthmusv1.Peering](v, resource.KindPeering, name)
	if !ok {
		delete(l.unsettled, name)
		return nil
	}
	evidence, dialer := l.evidence(v, p)
	if peering.Gone(p, evidence) {
		delete(l.unsettled, name)
		c := removal(p, l.event(resource.ActionDelete, p, "both ends are gone"))
		c.secrets = peering.Spent(p.GetStatus().GetToken(), nil)
		return []edit{c}
	}
	now := l.now()
	next := resource.Clone(p)
	if next.Status == nil {
		next.Status = &isthmusv1.PeeringStatus{}
	}
	next.Status.Token = peering.Reported(p.GetStatus().GetToken(), evidence.Dialer.Report, dialer, now)
	reported := next.GetStatus().GetToken() != p.GetStatus().GetToken()
	settled := next.GetStatus()
	next.Status = peering.Next(next, evidence, now)
	changed := next.GetStatus() != settled || reported
	l.remember(next, changed)
	if !changed {
		return nil
	}
	c := statusChange(next, l.peeringEvents(p, next)...)
	c.secrets = peering.Spent(p.GetStatus().GetToken(), next.GetStatus().GetToken())
	return []edit{c}
}

// remember notes whether the peering's status may change by time alone. A healthy one changes only by what agents say, or
// when they say nothing, which liveness sees.
func (l *leader) remember(p *isthmusv1.Peering, changed bool) {
	token := p.GetStatus().GetToken()
	if p.GetStatus().GetVerdict() == peering.VerdictHealthy && token.GetRaises() == 0 {
		delete(l.unsettled, p.GetName())
		return
	}
	if _, known := l.unsettled[p.GetName()]; changed || !known {
		l.unsettled[p.GetName()] = l.now()
	}
}

// recall marks the peerings and federations that are not settled: those that were quiet for long less often, so that a fleet that is
// cut off costs little.
func (l *leader) recall(d *dirty) {
	l.ticks++
	for name, last := range l.unsettled {
		if l.ticks%sleepyTick == 0 || l.now().Sub(last) <= lively {
			d.peerings[name] = true
		}
	}
	for name, last := range l.unfederated {
		if l.ticks%sleepyTick == 0 || l.now().Sub(last) <= lively {
			d.federations[name] = true
		}
	}
}

// evidence is what is known of both ends, and the agent that speaks for the dialer.
func (l *leader) evidence(v *snapshot.View, p *isthmusv1.Peering) (_ peering.Evidence, dialer string) {
	acceptor, _ := l.end(v, p, p.GetSpec().GetAcceptor(), plan.Trusted(v, p.GetSpec().GetAcceptor()))
	dialing, agent := l.end(v, p, p.GetSpec().GetDialer(), plan.Recipients(v, p))
	return peering.Evidence{Acceptor: acceptor, Dialer: dialing}, agent
}

// end is what is known of one end; recipients are its agents that take part in handing over tokens.
func (l *leader) end(v *snapshot.View, p *isthmusv1.Peering, datacenter string, recipients []*isthmusv1.TrustedAgent) (peering.End, string) {
	if datacenter == "" {
		return peering.End{}, ""
	}
	var end peering.End
	for _, t := range recipients {
		end.Recipients = append(end.Recipients, t.GetAttestation().GetAgeRecipient())
	}
	seen, heard := l.observe(datacenter, observation.PartPeerings)
	end.HeardTime = heard
	if heard.IsZero() {
		end.HeardTime = l.heardOfAny(v, datacenter)
	}
	for _, o := range seen.Peerings.GetPeerings() {
		if o.GetUid() == p.GetUid() {
			end.Report = o
			break
		}
	}
	return end, seen.Agent
}

// heardOfAny is when any agent of a datacenter that is believed was last heard of.
func (l *leader) heardOfAny(v *snapshot.View, datacenter string) time.Time {
	var last time.Time
	for _, a := range plan.Trusted(v, datacenter) {
		if heard := l.Observations.HeardOf(datacenter, a.GetAttestation().GetAgent()); heard.After(last) {
			last = heard
		}
	}
	return last
}

// peeringEvents tells the audit log of decisions and of what became of the peering; not of every detail of a status.
func (l *leader) peeringEvents(before, after *isthmusv1.Peering) []*isthmusv1.Event {
	var out []*isthmusv1.Event
	was, is := before.GetStatus(), after.GetStatus()
	if was.GetVerdict() != is.GetVerdict() {
		out = append(out, l.event(resource.ActionTransition, after, fmt.Sprintf("%s → %s: %s: %s", orNew(was.GetVerdict()), is.GetVerdict(), is.GetReason(), is.GetMessage())))
	}
	if g := is.GetToken().GetGeneration(); g > was.GetToken().GetGeneration() {
		out = append(out, l.event(resource.ActionRotate, after, fmt.Sprintf("token generation %d is wanted: %s", g, is.GetToken().GetReason())))
	}
	return out
}

func orNew(verdict string) string {
	if verdict == "" {
		return "new"
	}
	return verdict
}
