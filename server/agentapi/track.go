package agentapi

import (
	"slices"
	"sync"
	"time"

	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/store/snapshot"
)

const (
	// maxPast and maxPastChanges bound what is known of former states, from which a caller can be told the changes alone: agents ask again
	// within moments.
	maxPast        = 32
	maxPastChanges = 4096
	// A plan that becomes another is told at once. One that does so again and again, more than atOnce times with no more than calm between them,
	// is told after pauses, from minPace to maxPace, so that many changes are one answer.
	atOnce           = 10
	calm             = 250 * time.Millisecond
	minPace, maxPace = 10 * time.Millisecond, 160 * time.Millisecond
)

// track is one datacenter's plan for one audience, and how it came about.
type track struct {
	// touch is what has to be looked at since the plan was brought to its view, anew that it has to be made from nothing. They are the
	// Planner's, under its lock.
	touch plan.Touch
	anew  bool

	// mu is held while it is planned, and taken before the Planner's.
	mu   sync.Mutex
	plan *plan.Plan
	// past are the former states, the last one at the end, each with the changes that led on from it.
	past []past
	// last is when the plan became another, steps how often it did without a calm, pace the pause until it is told again.
	last  time.Time
	steps int
	pace  time.Duration
	// made is the last delta, which the other agents of the datacenter are told as well.
	made madeDelta
}

type past struct {
	digest  string
	changes []plan.Change
}

type madeDelta struct {
	base, digest string
	delta        *isthmusv1.StateDelta
}

// bring brings the plan to a view.
func (t *track) bring(v *snapshot.View, datacenter string, to audience, touch plan.Touch, anew bool) {
	switch {
	case t.plan == nil || anew:
		t.past, t.made = nil, madeDelta{}
		if to.gateway {
			t.plan = plan.NewForGateway(v, datacenter)
		} else {
			t.plan = plan.New(v, datacenter, to.list())
		}
	case !touch.Empty():
		before := t.plan.Digest()
		changes := t.plan.Update(v, touch)
		if t.plan.Digest() != before {
			t.past = append(t.past, past{before, changes})
			t.forget()
			t.step(time.Now())
		}
	}
}

// forget drops what is too long ago.
func (t *track) forget() {
	changes, from := 0, len(t.past)
	for from > 0 && len(t.past)-from < maxPast && changes+len(t.past[from-1].changes) <= maxPastChanges {
		from--
		changes += len(t.past[from].changes)
	}
	t.past = slices.Delete(t.past, 0, from)
}

// step notes that the plan became another.
func (t *track) step(now time.Time) {
	if now.Sub(t.last) > calm+t.pace {
		t.steps, t.pace = 0, 0
	}
	if t.steps++; t.steps > atOnce {
		t.pace = min(max(minPace, 2*t.pace), maxPace)
	}
	t.last = now
}

// response tells the plan, at the view that it is at: nothing to who has it, what has changed to who can take that, else the whole.
func (t *track) response(v *snapshot.View, r *isthmusv1.PullRequest) *isthmusv1.PullResponse {
	out := &isthmusv1.PullResponse{Epoch: v.Revision().Epoch, Index: v.Revision().Index, Digest: t.plan.Digest()}
	current := r.GetEpoch() == out.GetEpoch()
	if current && r.GetHave() == out.GetDigest() {
		return out
	}
	if current && r.GetDeltas() {
		out.Delta = t.delta(v, r.GetHave())
	}
	if out.GetDelta() == nil {
		out.State = t.plan.State(v)
	}
	return out
}

// delta is what leads from a former state to the one of now; nil when that state is not known any more, or the whole is less.
func (t *track) delta(v *snapshot.View, base string) *isthmusv1.StateDelta {
	if t.made.base == base && t.made.digest == t.plan.Digest() {
		return t.made.delta
	}
	var changes []plan.Change
	for _, p := range slices.Backward(t.past) {
		changes = append(changes, p.changes...)
		if p.digest != base {
			continue
		}
		if len(changes) > t.plan.Size() {
			return nil
		}
		t.made = madeDelta{base: base, digest: t.plan.Digest(), delta: t.plan.Delta(v, base, changes)}
		return t.made.delta
	}
	return nil
}

// list are the features of an audience.
func (a audience) list() []string {
	var out []string
	for i, feature := range plan.Features() {
		if a.features&(1<<i) != 0 {
			out = append(out, feature)
		}
	}
	return out
}
