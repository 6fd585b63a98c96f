package controller

import (
	"cmp"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store/snapshot"
)

// peering brings one peering's status up to date, or its deletion to its end.
func (l *leader) peering(v *snapshot.View, name string) []edit {
	p, ok := resource.Lookup[*isthmusv1.Peering](v, resource.KindPeering, name)
	if !ok {
		delete(l.unsettled, name)
		return nil
	}
	seen, dialer := l.seen.Of(p)
	if peering.Gone(p, seen) {
		delete(l.unsettled, name)
		c := removal(p, l.gone(p, "both ends are gone"))
		c.secrets = peering.Spent(p.GetStatus().GetToken(), nil)
		return []edit{c}
	}
	now := l.now()
	next := resource.Clone(p)
	if next.Status == nil {
		next.Status = &isthmusv1.PeeringStatus{}
	}
	next.Status.Token = peering.Reported(p.GetStatus().GetToken(), seen.Dialer.Report, dialer, now)
	reported := next.GetStatus().GetToken() != p.GetStatus().GetToken()
	settled := next.GetStatus()
	l.bound(p, &seen)
	next.Status = peering.Next(next, seen, now)
	l.heals.Decided(p, next.GetStatus(), now)
	changed := next.GetStatus() != settled || reported
	l.remember(next, changed, peering.Settled(next, seen, now))
	if !changed {
		return nil
	}
	c := statusChange(next, l.peeringEvents(p, next)...)
	c.secrets = peering.Spent(p.GetStatus().GetToken(), next.GetStatus().GetToken())
	return []edit{c}
}

// bound has healing know what was decided in this round, and what no status shows any more. Statuses tell of what was decided before this term.
func (l *leader) bound(p *isthmusv1.Peering, seen *peering.Evidence) {
	shown := seen.LastTransfer
	seen.LastTransfer = func() time.Time {
		if last := l.heals.LastTransfer(p); !last.IsZero() {
			return last
		}
		return shown()
	}
	seen.Earliest = func(step string) time.Time { return l.heals.Earliest(p, step) }
}

// remember notes whether the peering's status may change by time alone. A settled one changes only by what agents say, or
// when they say nothing, which liveness sees.
func (l *leader) remember(p *isthmusv1.Peering, changed, settled bool) {
	if settled {
		delete(l.unsettled, p.GetName())
		return
	}
	if _, known := l.unsettled[p.GetName()]; changed || !known {
		l.unsettled[p.GetName()] = l.now()
	}
}

// recall marks the peerings and federations that are not settled, and the datacenters that are being removed: those that were quiet for long
// less often, so that a fleet that is cut off costs little.
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
	for _, name := range l.departing.due(l.ticks, l.now()) {
		d.datacenters[name] = true
	}
}

// peeringEvents tells the audit log of decisions and, as far as quota allows, of what became of the peering; not of every detail of a status.
func (l *leader) peeringEvents(before, after *isthmusv1.Peering) []*isthmusv1.Event {
	var out []*isthmusv1.Event
	was, is := before.GetStatus(), after.GetStatus()
	if was.GetVerdict() != is.GetVerdict() {
		text := fmt.Sprintf("%s → %s: %s: %s", orNew(was.GetVerdict()), is.GetVerdict(), is.GetReason(), is.GetMessage())
		moved := l.moved(after, text, resource.FieldVerdict, was.GetVerdict(), is.GetVerdict(), resource.FieldReason, was.GetReason(), is.GetReason(),
			resource.FieldMessage, was.GetMessage(), is.GetMessage(), resource.FieldState, was.GetState(), is.GetState(), resource.FieldBroken, was.GetBroken(), is.GetBroken())
		out = append(out, l.quota.pass(after, teller(before, after), []*isthmusv1.Event{moved}, l.now())...)
	}
	if g := is.GetToken().GetGeneration(); g > was.GetToken().GetGeneration() {
		out = append(out, l.event(resource.ActionRotate, after, fmt.Sprintf("token generation %d is wanted: %s", g, is.GetToken().GetReason())))
	}
	if was, is := was.GetHeal(), is.GetHeal(); is.GetState() != was.GetState() || is.GetTried() > was.GetTried() {
		switch is.GetState() {
		case peering.HealTrying, peering.HealHelped, peering.HealExhausted:
			out = append(out, l.event(resource.ActionHeal, after, fmt.Sprintf("%s, step %d (%s): %s", is.GetState(), is.GetTried(), is.GetStep(), is.GetMessage())))
		}
	}
	return out
}

// teller is the datacenter whose word made a peering's verdict another one: the end that is seen otherwise than before.
func teller(before, after *isthmusv1.Peering) string {
	was, is := before.GetStatus(), after.GetStatus()
	switch {
	case !proto.Equal(was.GetAcceptor(), is.GetAcceptor()):
		return after.GetSpec().GetAcceptor()
	case !proto.Equal(was.GetDialer(), is.GetDialer()):
		return after.GetSpec().GetDialer()
	}
	return cmp.Or(after.GetSpec().GetAcceptor(), after.GetSpec().GetDialer())
}

func orNew(verdict string) string {
	if verdict == "" {
		return "new"
	}
	return verdict
}
