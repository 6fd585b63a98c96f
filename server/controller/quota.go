package controller

import (
	"cmp"
	"container/heap"
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

// source is whose bound counts for a topic beside its own, if it is about a datacenter.
func (of topic) source() source {
	return source{datacenter: of.datacenter, transitions: of.action == resource.ActionTransition}
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
	// at is when it is looked at next.
	at time.Time
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
	// alarms are when there is something to tell of a topic, or nothing to keep of it or of a source: of a large fleet that has just come
	// there are tens of thousands, of which next to none is due with a tick. A topic may have some that are no longer its own.
	alarms alarms
	// rung counts them: what is due at the same time comes in the order in which it began to wait.
	rung uint64
}

// alarm is when something is to be looked at: a topic, or a source.
type alarm struct {
	at     time.Time
	rung   uint64
	topic  topic
	source source
}

// alarms are a heap, the next one first.
type alarms []alarm

// Len implements heap.Interface.
func (a alarms) Len() int { return len(a) }

// Less implements heap.Interface.
func (a alarms) Less(i, j int) bool {
	return cmp.Or(a[i].at.Compare(a[j].at), cmp.Compare(a[i].rung, a[j].rung)) < 0
}

// Swap implements heap.Interface.
func (a alarms) Swap(i, j int) { a[i], a[j] = a[j], a[i] }

// Push implements heap.Interface.
func (a *alarms) Push(x any) { *a = append(*a, x.(alarm)) } //nolint:forcetypeassert // of quota alone

// Pop implements heap.Interface.
func (a *alarms) Pop() any {
	last := len(*a) - 1
	out := (*a)[last]
	*a = slices.Delete(*a, last, last+1)
	return out
}

func newQuota() *quota { return &quota{topics: map[topic]*talk{}, agents: map[source]*rate.Limiter{}} }

// ring has something looked at when a limit has so many tokens, and never at once.
func (q *quota) ring(a alarm, limit *rate.Limiter, tokens float64, now time.Time) time.Time {
	lacks := max(0, tokens-limit.TokensAt(now)) / float64(limit.Limit())
	q.rung++
	a.at, a.rung = now.Add(max(time.Millisecond, time.Duration(lacks*float64(time.Second)))), q.rung
	heap.Push(&q.alarms, a)
	return a.at
}

// ringTopic has a topic looked at when what was left out may be told, or, with nothing left out, when nothing need be kept of it.
func (q *quota) ringTopic(of topic, t *talk, now time.Time) {
	switch agents := q.agents[of.source()]; {
	case t.more == 0:
		t.at = q.ring(alarm{topic: of}, t.limit, float64(t.limit.Burst()), now)
	case agents != nil && of.datacenter != "" && t.limit.TokensAt(now) >= 1:
		t.at = q.ring(alarm{topic: of}, agents, 1, now)
	default:
		t.at = q.ring(alarm{topic: of}, t.limit, 1, now)
	}
}

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
		defer q.ringTopic(of, t, now)
	}
	for i := range events {
		if t.more == 0 && q.allow(t, of, now) {
			continue
		}
		left := events[i:]
		first := t.more == 0
		t.more, t.about, t.last = t.more+len(left), o, left[len(left)-1]
		if first {
			t.since = now
			q.ringTopic(of, t, now)
		}
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
		from := of.source()
		agents := q.agents[from]
		if agents == nil {
			_, burst := bursts(of.action)
			agents = rate.NewLimiter(rate.Every(agentEvery), burst)
			q.agents[from] = agents
			defer q.ring(alarm{source: from}, agents, float64(burst), now)
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
	for len(q.alarms) > 0 && !q.alarms[0].at.After(now) {
		a, _ := heap.Pop(&q.alarms).(alarm)
		if a.source != (source{}) {
			q.dueSource(a.source, now)
			continue
		}
		t := q.topics[a.topic]
		if t == nil || !t.at.Equal(a.at) {
			continue
		}
		switch {
		case t.more > 0 && q.allow(t, a.topic, now):
			out = append(out, t.summary(now))
			t.more, t.about, t.last = 0, nil, nil
		case t.more == 0 && t.limit.TokensAt(now) >= float64(t.limit.Burst()):
			delete(q.topics, a.topic)
			continue
		}
		q.ringTopic(a.topic, t, now)
	}
	slices.SortFunc(out, func(a, b *isthmusv1.Event) int {
		one, other := a.GetSpec(), b.GetSpec()
		return cmp.Or(cmp.Compare(one.GetKind(), other.GetKind()), cmp.Compare(one.GetTarget(), other.GetTarget()), cmp.Compare(one.GetAction(), other.GetAction()))
	})
	return out
}

// dueSource forgets a source that has all it may have again.
func (q *quota) dueSource(from source, now time.Time) {
	agents := q.agents[from]
	if agents.TokensAt(now) >= float64(agents.Burst()) {
		delete(q.agents, from)
		return
	}
	q.ring(alarm{source: from}, agents, float64(agents.Burst()), now)
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
