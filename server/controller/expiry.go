package controller

import (
	"time"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store/snapshot"
)

// keepExpired is how long an expired join token is shown before it goes: long enough to see why an agent was refused.
const keepExpired = 24 * time.Hour

// expiries says of tokens that their time is over. Nothing depends on it: who checks a token looks at its time.
func (l *leader) expiries(v *snapshot.View) []edit {
	var out []edit
	now := l.now()
	for t := range resource.All[*isthmusv1.JoinToken](v, resource.KindJoinToken) {
		end := t.GetSpec().GetGrant().GetExpireTime().AsTime()
		switch {
		case now.After(end.Add(keepExpired)):
			out = append(out, removal(t, l.gone(t, "it expired a day ago")))
		case now.After(end) && t.GetStatus().GetState() == resource.TokenActive:
			next := resource.Clone(t)
			next.Status.State = resource.TokenExpired
			out = append(out, statusChange(next, l.moved(t, "active → expired", resource.FieldState, t.GetStatus().GetState(), resource.TokenExpired)))
		}
	}
	for t := range resource.All[*isthmusv1.APIToken](v, resource.KindAPIToken) {
		end := t.GetSpec().GetExpireTime()
		if end != nil && now.After(end.AsTime()) && t.GetStatus().GetState() == resource.TokenActive {
			next := resource.Clone(t)
			next.Status.State = resource.TokenExpired
			out = append(out, statusChange(next, l.moved(t, "active → expired", resource.FieldState, t.GetStatus().GetState(), resource.TokenExpired)))
		}
	}
	return out
}
