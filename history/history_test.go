package history_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"isthmus/history"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// at is so many minutes past noon.
func at(minutes int) *timestamppb.Timestamp {
	return timestamppb.New(time.Date(2026, 11, 21, 12, minutes, 0, 0, time.UTC))
}

func event(minutes int, message string, fields ...string) *isthmusv1.Event {
	return &isthmusv1.Event{CreateTime: at(minutes), Spec: &isthmusv1.EventSpec{
		Action: resource.ActionTransition, TargetUid: "u1", Message: message, Changes: resource.Moved(fields...),
	}}
}

// lines are spans in one line each: state, from and to in minutes past noon, reason, message, datacenter.
func lines(h *isthmusv1.History) string {
	var out []string
	for _, s := range h.GetSpans() {
		end := "now"
		if s.GetEnd() != nil {
			end = fmt.Sprint(s.GetEnd().AsTime().Sub(at(0).AsTime()).Minutes())
		}
		line := fmt.Sprintf("%s %v-%s %s %s %s", s.GetState(), s.GetStart().AsTime().Sub(at(0).AsTime()).Minutes(), end, s.GetReason(), s.GetMessage(), s.GetDatacenter())
		out = append(out, strings.TrimSpace(strings.Join(strings.Fields(line), " ")))
	}
	return strings.Join(out, "\n")
}

func TestPeering(t *testing.T) {
	t.Parallel()
	now := func(verdict, reason string, since int) *isthmusv1.Peering {
		return &isthmusv1.Peering{Name: "p", Uid: "u1", Status: &isthmusv1.PeeringStatus{Verdict: verdict, Reason: reason, VerdictSince: at(since)}}
	}
	other := event(1, "new → stale: x: y", resource.FieldVerdict, "", "stale")
	other.Spec.TargetUid = "u0"
	for _, tt := range []struct {
		name   string
		o      *isthmusv1.Peering
		events []*isthmusv1.Event
		want   string
	}{
		{"with fields", now("failing", "NotConnected", 30), []*isthmusv1.Event{
			other,
			event(10, "new → pending: Connecting: ", resource.FieldVerdict, "", "pending", resource.FieldReason, "", "Connecting"),
			event(20, "…", resource.FieldVerdict, "pending", "healthy", resource.FieldReason, "Connecting", "Healthy"),
			event(30, "healthy → failing: NotConnected: why: so", resource.FieldVerdict, "healthy", "failing", resource.FieldReason, "Healthy", "NotConnected"),
		}, "pending 10-20 Connecting\nhealthy 20-30 Healthy\nfailing 30-now NotConnected why: so"},
		{"of before there were fields", now("healthy", "Healthy", 20), []*isthmusv1.Event{
			event(10, "new → pending: Connecting: on its way"), event(20, "pending → healthy: Healthy: "),
		}, "pending 10-20 Connecting on its way\nhealthy 20-now Healthy"},
		{"the beginning is missing", now("healthy", "Healthy", 20), []*isthmusv1.Event{event(20, "pending → healthy: Healthy: ")}, "healthy 20-now Healthy"},
		{"some are missing", now("healthy", "Healthy", 30), []*isthmusv1.Event{
			event(5, "new → pending: Connecting: "), event(10, "pending → healthy: Healthy: "), event(30, "failing → healthy: Healthy: "),
		}, "pending 5-10 Connecting\nhealthy 30-now Healthy"},
		{"the last is missing", now("stale", "HeartbeatMissing", 40), []*isthmusv1.Event{
			event(5, "new → pending: Connecting: "), event(10, "pending → healthy: Healthy: "),
		}, "pending 5-10 Connecting\nstale 40-now HeartbeatMissing"},
		{"something else", now("healthy", "Healthy", 20), []*isthmusv1.Event{
			event(5, "made up → by → hand: x: y"), event(6, ""), event(7, "new → wonderful: x: y"), event(20, "pending → healthy: Healthy: "),
		}, "healthy 20-now Healthy"},
		{"a clock that went back", now("healthy", "Healthy", 10), []*isthmusv1.Event{
			event(20, "new → pending: Connecting: "), event(10, "pending → healthy: Healthy: "),
		}, "pending 20-20 Connecting\nhealthy 20-now Healthy"},
		{"nothing is known", &isthmusv1.Peering{Uid: "u1"}, nil, ""},
		{"no transition", now("pending", "Connecting", 3), nil, "pending 3-now Connecting"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := lines(history.Of(tt.o, tt.events)); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestDatacenter(t *testing.T) {
	t.Parallel()
	since := func(minutes int) string { return at(minutes).AsTime().Format(time.RFC3339Nano) }
	dc := &isthmusv1.Datacenter{Name: "dc1", Uid: "u1", Status: &isthmusv1.DatacenterStatus{Agent: "online", AgentSince: at(30)}}
	events := []*isthmusv1.Event{
		event(20, "agents online → offline", resource.FieldAgent, "online", "offline", resource.FieldAgentSince, since(5), since(19)),
		event(25, "removal, Agents: waiting → doing: x", resource.FieldOf("removal.steps", "Agents", "state"), "waiting", "doing"),
		event(30, "agents offline → online", resource.FieldAgent, "offline", "online", resource.FieldAgentSince, since(19), since(30)),
	}
	if got, want := lines(history.Of(dc, events)), "online 5-19\noffline 19-30\nonline 30-now"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if history.Tells(resource.KindDatacenter, events[1]) || !history.Tells(resource.KindDatacenter, events[0]) {
		t.Error("a step of a removal says nothing of agents")
	}
	old := []*isthmusv1.Event{event(20, "agents online → offline"), event(30, "agents offline → online")}
	if got, want := lines(history.Of(dc, old)), "offline 20-30\nonline 30-now"; got != want {
		t.Errorf("of before there were fields: got\n%s\nwant\n%s", got, want)
	}
}

func TestFederation(t *testing.T) {
	t.Parallel()
	f := &isthmusv1.Federation{Name: "global", Uid: "u1", Status: &isthmusv1.FederationStatus{Members: []*isthmusv1.FederationMember{
		{Datacenter: "dc1", Phase: "joined", PhaseSince: at(2), Reason: "Joined"},
		{Datacenter: "dc2", Phase: "joining", PhaseSince: at(9), Reason: "Connecting", Message: "now"},
	}}}
	phase := func(dc string) string { return resource.FieldOf("members", dc, "phase") }
	events := []*isthmusv1.Event{
		event(1, "dc1: new → waiting: AgentSilent: x", phase("dc1"), "", "waiting"),
		event(2, "dc1: waiting → joined: Joined: ", phase("dc1"), "waiting", "joined"),
		event(3, "dc2: new → blocked: LossNotAccepted: accept it"),
		event(4, "dc3: new → blocked: x: y", phase("dc3"), "", "blocked"),
		event(5, "dc3: blocked → gone", phase("dc3"), "blocked", ""),
		event(6, "dc2: blocked → blocked: x: another role", resource.FieldOf("members", "dc2", "role"), "secondary", "primary"),
		event(7, "dc4: new → waiting: x: y", phase("dc4"), "", "waiting"),
		event(8, "dc4: waiting → joined: Joined: ", phase("dc4"), "waiting", "joined"),
		event(9, "dc2: blocked → joining: Connecting: ", phase("dc2"), "blocked", "joining", resource.FieldOf("members", "dc2", "reason"), "x", "Connecting"),
	}
	want := "waiting 1-2 AgentSilent x dc1\njoined 2-now Joined dc1\nblocked 3-9 LossNotAccepted accept it dc2\nblocked 4-5 x y dc3\nwaiting 7-8 x y dc4\njoining 9-now Connecting now dc2"
	if got := lines(history.Of(f, events)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// However long a log is, only the last spans are given; they never overlap, and the last of them is what is so now.
func TestSpansAreInOrder(t *testing.T) {
	t.Parallel()
	verdicts := rapid.SampledFrom([]string{"", "pending", "healthy", "failing", "unknown", "nonsense"})
	rapid.Check(t, func(t *rapid.T) {
		var events []*isthmusv1.Event
		minutes := 0
		for i := range rapid.IntRange(0, 700).Draw(t, "events") {
			minutes += rapid.IntRange(-1, 3).Draw(t, "minutes")
			from, to := verdicts.Draw(t, "from"), verdicts.Draw(t, "to")
			if rapid.Bool().Draw(t, "old") {
				events = append(events, event(minutes, fmt.Sprintf("%s → %s: R: %d", from, to, i)))
			} else {
				events = append(events, event(minutes, "", resource.FieldVerdict, from, to))
			}
		}
		p := &isthmusv1.Peering{Uid: "u1", Status: &isthmusv1.PeeringStatus{Verdict: "healthy", VerdictSince: at(minutes)}}
		spans := history.Of(p, events).GetSpans()
		if len(spans) == 0 || len(spans) > history.MaxSpans {
			t.Fatalf("%d spans", len(spans))
		}
		for i, s := range spans {
			if last := i == len(spans)-1; last != (s.GetEnd() == nil) || last && s.GetState() != "healthy" {
				t.Fatalf("%d of %d: %v", i, len(spans), s)
			}
			if i > 0 && s.GetStart().AsTime().Before(spans[i-1].GetEnd().AsTime()) || s.GetEnd() != nil && s.GetEnd().AsTime().Before(s.GetStart().AsTime()) {
				t.Fatalf("%v after %v", s, spans[max(0, i-1)])
			}
		}
	})
}
