package controller

import (
	"time"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// Quota bounds the entries of the audit log that agents cause.
type Quota struct{ q *quota }

// NewQuota makes one as a term does that begins.
func NewQuota() *Quota { return &Quota{newQuota()} }

// Pass gives those entries that may be written now.
func (q *Quota) Pass(o resource.Object, datacenter string, events []*isthmusv1.Event, now time.Time) []*isthmusv1.Event {
	return q.q.pass(o, datacenter, events, now)
}

// Due are entries on those that were left out.
func (q *Quota) Due(now time.Time) []*isthmusv1.Event { return q.q.due(now) }

// Size is how much is remembered.
func (q *Quota) Size() int { return len(q.q.topics) + len(q.q.agents) }
