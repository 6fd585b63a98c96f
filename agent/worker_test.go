package agent_test

import (
	"context"
	"testing"
	"time"

	"isthmus/agent"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

func newWorker(now func() time.Time) (w *agent.Worker, sent *[]*isthmusv1.ReportRequest) {
	sent = new([]*isthmusv1.ReportRequest)
	return agent.NewWorker(now, func(_ context.Context, r *isthmusv1.ReportRequest) error {
		*sent = append(*sent, r)
		return nil
	}), sent
}

// A campaign that was held up by a hiccup of Consul and then loses to somebody else is held up no more.
func TestFollowerForgetsWhatHeldItUp(t *testing.T) {
	t.Parallel()
	w, _ := newWorker(time.Now)
	w.Leading(t.Context(), false)
	w.HeldUp(fault.New(fault.Unavailable, "Consul does not answer"))
	if w.Held() == nil {
		t.Fatal("nothing holds it up")
	}
	w.Leading(t.Context(), false)
	if err := w.Held(); err != nil {
		t.Fatalf("still held up: %v", err)
	}
	w.Leading(t.Context(), true)
	w.Leading(t.Context(), false) // as a campaign says before it fails
	w.HeldUp(fault.New(fault.Unavailable, "Consul does not answer"))
	if w.Held() == nil {
		t.Fatal("forgotten at once")
	}
}

// What a leader saw is not reported once it follows, nor in its next term.
func TestReportOfAnEndedTermIsDropped(t *testing.T) {
	t.Parallel()
	w, sent := newWorker(time.Now)
	w.Leading(t.Context(), true)
	term := w.Term()
	report := &isthmusv1.ReportRequest{Exports: &isthmusv1.ExportsReport{}}
	if !w.Say(term, report) {
		t.Fatal("a leader may not report")
	}
	w.Leading(t.Context(), false)
	if w.Say(term, report) {
		t.Fatal("a follower reports for the datacenter")
	}
	w.Leading(t.Context(), true)
	if w.Say(term, report) {
		t.Fatal("the report of another term counts")
	}
	need(t, w.Flush(t.Context()))
	if len(*sent) != 0 {
		t.Fatalf("sent: %v", *sent)
	}
}

// One peering that stays on its way for ever does not slow down the ones that come later.
func TestPaceAfterAPassThatDidSomething(t *testing.T) {
	t.Parallel()
	now := time.Now()
	w, _ := newWorker(func() time.Time { return now })
	first := w.Next(agent.Moved)
	slow := w.Next(agent.AtRest)
	if first >= slow {
		t.Fatalf("after a deed %s, at rest %s", first, slow)
	}
	for range 1000 {
		now = now.Add(w.Next(agent.UnderWay))
	}
	if p := w.Next(agent.UnderWay); p != slow {
		t.Fatalf("after ages of waiting it looks every %s", p)
	}
	if p := w.Next(agent.Moved); p != first {
		t.Fatalf("another peering: %s, and the first one %s", p, first)
	}
	before := time.Duration(0)
	for p := w.Next(agent.UnderWay); p != slow; p = w.Next(agent.UnderWay) {
		if p < before {
			t.Fatalf("%s after %s", p, before)
		}
		before, now = p, now.Add(p)
	}
}
