package peering_test

import (
	"strings"
	"testing"
	"time"

	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// An end that Consul does not come to the end of deleting is told, with what helps, and only then.
func TestStuckDeletion(t *testing.T) {
	t.Parallel()
	p := established()
	p.DeleteTime = at(later)
	deleting := active()
	deleting.State, deleting.Heartbeat = "DELETING", ""
	e := evidence(deleting, &isthmusv1.ObservedPeering{Uid: "u", Deleted: true})
	look := func(after time.Duration, silent bool) string {
		now := start.Add(later + after)
		if !silent {
			e.Acceptor.HeardTime, e.Dialer.HeardTime = now, now
		}
		p.Status = peering.Next(p, e, now)
		return p.GetStatus().GetMessage()
	}
	const helps = "consul operator raft transfer-leader"
	for _, after := range []time.Duration{0, 30 * time.Second, time.Minute} {
		if got := look(after, false); strings.Contains(got, helps) {
			t.Errorf("after %s: %s", after, got)
		}
	}
	want := "is DELETING since " + start.Add(later).UTC().Format(time.RFC3339)
	if got := look(61*time.Second, false); !strings.Contains(got, helps) || !strings.Contains(got, want) {
		t.Errorf("after a minute: %s", got)
	}
	if first := look(2*time.Minute, false); first != look(3*time.Minute, false) {
		t.Errorf("the message changes all the time: %s", first)
	}
	if got := look(time.Hour, true); strings.Contains(got, helps) {
		t.Errorf("nobody knows, as its agent is silent: %s", got)
	}
	e.Acceptor.Report = &isthmusv1.ObservedPeering{Uid: "u", Deleted: true}
	if got := look(2*time.Hour, false); strings.Contains(got, helps) {
		t.Errorf("when it is gone: %s", got)
	}
}
