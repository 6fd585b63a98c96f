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

// Due is quota.due.
func (q *Quota) Due(now time.Time) []*isthmusv1.Event { return q.due(now) }

// Login is quota.login.
func (q *Quota) Login(uid string, now time.Time) bool { return q.login(uid, now) }

// Known is of how many API tokens something is remembered.
func (q *Quota) Known() int { return len(q.tallies) }

// Remembered is how many ended sessions a Keeper knows.
func (k *Keeper) Remembered() int { return len(k.ended) }
