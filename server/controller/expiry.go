package controller

import (
	"time"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store/snapshot"
)

// keepExpired is how long an expired join token is shown before it goes: long enough to see why an agent was refused.
const keepExpired = 24 * time.Hour

// expiry is when the next token's time is over, as long as there are no others.
type expiry struct {
	epoch        string
	joins, calls uint64
	next         time.Time
}

// by brings the next look forward to a time.
func (e *expiry) by(at time.Time) {
	if e.next.IsZero() || at.Before(e.next) {
		e.next = at
	}
}

// expiries says of tokens that their time is over. Nothing depends on it: who checks a token looks at its time.
func (l *leader) expiries(v *snapshot.View) []edit {
	now := l.now()
	seen := expiry{epoch: v.Revision().Epoch, joins: v.KindIndex(resource.KindJoinToken), calls: v.KindIndex(resource.KindAPIToken)}
	if last := l.expiry; last.epoch == seen.epoch && last.joins == seen.joins && last.calls == seen.calls && now.Before(last.next) {
		return nil
	}
	seen.by(now.Add(compactEvery)) // whatever this has wrong
	var out []edit
	for t := range resource.All[*isthmusv1.JoinToken](v, resource.KindJoinToken) {
		end := t.GetSpec().GetGrant().GetExpireTime().AsTime()
		switch active := t.GetStatus().GetState() == resource.TokenActive; {
		case now.After(end.Add(keepExpired)):
			out = append(out, removal(t, l.gone(t, "it expired a day ago")))
		case now.After(end) && active:
			next := resource.Clone(t)
			next.Status.State = resource.TokenExpired
			out = append(out, statusChange(next, l.moved(t, "active → expired", resource.FieldState, t.GetStatus().GetState(), resource.TokenExpired)))
		case active:
			seen.by(end)
		default:
			seen.by(end.Add(keepExpired))
		}
	}
	for t := range resource.All[*isthmusv1.APIToken](v, resource.KindAPIToken) {
		end := t.GetSpec().GetExpireTime()
		switch active := t.GetStatus().GetState() == resource.TokenActive; {
		case end == nil || !active:
		case now.After(end.AsTime()):
			next := resource.Clone(t)
			next.Status.State = resource.TokenExpired
			out = append(out, statusChange(next, l.moved(t, "active → expired", resource.FieldState, t.GetStatus().GetState(), resource.TokenExpired)))
		default:
			seen.by(end.AsTime())
		}
	}
	if len(out) > 0 {
		seen = expiry{} // they are looked at again until they are written
	}
	l.expiry = seen
	return out
}
