package controller

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"golang.org/x/time/rate"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/change"
	"isthmus/store"
)

// What agents say of config entries, and of what states they see, goes into the audit log, which is kept for ever: an agent that lies, or two
// tools that fight over an entry, must not be able to fill it.
const (
	// topicBurst are the entries of one topic that come at once; after them one a minute.
	topicBurst = 5
	topicEvery = time.Minute
	// agentBurst are those out of one datacenter's reports, whoever of its agents sent them; after them one in six seconds.
	agentBurst = 100
	agentEvery = 6 * time.Second
	// Transitions are told of more freely, since histories are made of them: a hub may lose a thousand peerings, and get them back. What goes
	// on is bounded alike.
	transitionBurst      = 20
	agentTransitionBurst = 2000
)

// topic is what is bounded together: what was done to one resource in one datacenter, or, with none, to the whole of it.
type topic struct {
	of                 store.Key
	action, datacenter string
}

// bursts are how many entries on a topic of an action come at once, and out of one datacenter's reports.
func bursts(action string) (topic, datacenter int) {
	if action == resource.ActionTransition {
		return transitionBurst, agentTransitionBurst
	}
	return topicBurst, agentBurst
}

// source is whose reports are bounded together: a datacenter's, transitions apart from all else.
type source struct {
	datacenter  string
	transitions bool
}

// talk is what is said of a topic.
type talk struct {
	limit *rate.Limiter
	// more are the entries that were left out since a time; the last of them is told with their number.
	more  int
	since time.Time
	about resource.Object
	last  *isthmusv1.Event
}

// quota bounds the entries of the audit log that agents cause. It lives as long as the term: the next leader begins anew.
type quota struct {
	topics map[topic]*talk
	agents map[source]*rate.Limiter
}

func newQuota() *quota { return &quota{topics: map[topic]*talk{}, agents: map[source]*rate.Limiter{}} }

// pass gives those of some entries on a resource, all of one action and the oldest first, that may be written now. The others are counted.
func (q *quota) pass(o resource.Object, datacenter string, events []*isthmusv1.Event, now time.Time) []*isthmusv1.Event {
	if len(events) == 0 {
		return nil
	}
	of := topic{of: keyOf(o), action: events[0].GetSpec().GetAction(), datacenter: datacenter}
	t := q.topics[of]
	if t == nil {
		burst, _ := bursts(of.action)
		t = &talk{limit: rate.NewLimiter(rate.Every(topicEvery), burst)}
		q.topics[of] = t
	}
	for i := range events {
		if t.more == 0 && q.allow(t, of, now) {
			continue
		}
		if t.more == 0 {
			t.since = now
		}
		left := events[i:]
		t.more, t.about, t.last = t.more+len(left), o, left[len(left)-1]
		return slices.Clip(events[:i])
	}
	return events
}

// allow takes one entry out of the topic's bound and the datacenter's, or none.
func (q *quota) allow(t *talk, of topic, now time.Time) bool {
	if t.limit.TokensAt(now) < 1 {
		return false
	}
	if of.datacenter != "" {
		from := source{datacenter: of.datacenter, transitions: of.action == resource.ActionTransition}
		agents := q.agents[from]
		if agents == nil {
			_, burst := bursts(of.action)
			agents = rate.NewLimiter(rate.Every(agentEvery), burst)
			q.agents[from] = agents
		}
		if !agents.AllowN(now, 1) {
			return false
		}
	}
	return t.limit.AllowN(now, 1)
}

// due are entries that tell of those that were left out, as far as one may be written again: the last one, and how many more there were.
func (q *quota) due(now time.Time) []*isthmusv1.Event {
	var out []*isthmusv1.Event
	for of, t := range q.topics {
		switch {
		case t.more > 0 && q.allow(t, of, now):
			out = append(out, t.summary(now))
			t.more, t.about, t.last = 0, nil, nil
		case t.more == 0 && t.limit.TokensAt(now) >= float64(t.limit.Burst()):
			delete(q.topics, of)
		}
	}
	for from, agents := range q.agents {
		if agents.TokensAt(now) >= float64(agents.Burst()) {
			delete(q.agents, from)
		}
	}
	slices.SortFunc(out, func(a, b *isthmusv1.Event) int {
		return cmp.Or(cmp.Compare(a.GetSpec().GetKind(), b.GetSpec().GetKind()), cmp.Compare(a.GetSpec().GetTarget(), b.GetSpec().GetTarget()))
	})
	return out
}

func (t *talk) summary(now time.Time) *isthmusv1.Event {
	spec := t.last.GetSpec()
	message := spec.GetMessage()
	if t.more > 1 {
		message = fmt.Sprintf("and %d more since %s, which are not listed; the last: %s", t.more, t.since.UTC().Format(time.RFC3339), message)
	}
	e := change.Author{Actor: spec.GetActor(), Role: spec.GetRole()}.Event(spec.GetAction(), t.about, message, now)
	e.Spec.Changes = spec.GetChanges()
	return e
}
