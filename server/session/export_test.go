package session

import (
	"time"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Quota is the bound of what the audit log hears of logins.
type Quota struct{ quota }

// Refusal is quota.refusal.
func (q *Quota) Refusal(uid string, e *isthmusv1.Event, now time.Time) bool {
	return q.refusal(uid, e, now)
}

// Due is quota.due; what it gives is taken for told, or not.
func (q *Quota) Due(now time.Time, told bool) (events []*isthmusv1.Event) {
	notices := q.due(now)
	for _, n := range notices {
		events = append(events, n.event)
	}
	if told {
		q.told(notices)
	}
	return events
}

// Missed is quota.missed.
func (q *Quota) Missed(uid string, e *isthmusv1.Event, now time.Time) { q.missed(uid, e, now) }

// Login is quota.login.
func (q *Quota) Login(uid string, now time.Time) bool { return q.login(uid, now) }

// Known is of how many API tokens something is remembered.
func (q *Quota) Known() int { return len(q.tallies) }

// Remembered is how many ended sessions a Keeper knows.
func (k *Keeper) Remembered() int { return len(k.ended) }

// EndElsewhere is what a Keeper hears of a session that was logged out at another replica.
func (k *Keeper) EndElsewhere(mark string, end time.Time) { k.endMark(mark, end) }

// Waiting is for how many sessions a Keeper remembers calls under way.
func (k *Keeper) Waiting() int { return len(k.calls) }
