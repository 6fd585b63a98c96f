package history

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// MaxSpans is how many spans are given; the last ones.
const MaxSpans = 500

// Kinds are those that have a history.
func Kinds() []string {
	return []string{resource.KindPeering, resource.KindDatacenter, resource.KindFederation}
}

// Tells tells whether an entry of the audit log is about the state of a resource of a kind.
func Tells(kind string, e *isthmusv1.Event) bool {
	_, ok := read(kind, e)
	return ok
}

// Of is what a resource was, in turn, out of the entries of the audit log about it, oldest first, and of what it is now. The entries may begin
// anywhere.
func Of(o resource.Object, events []*isthmusv1.Event) *isthmusv1.History {
	kind := resource.KindOf(o).Name
	tracks := map[string]*track{}
	of := func(member string) *track {
		if tracks[member] == nil {
			tracks[member] = &track{member: member}
		}
		return tracks[member]
	}
	for _, e := range events {
		if e.GetSpec().GetTargetUid() != o.GetUid() {
			continue // of another one that had the name before
		}
		if s, ok := read(kind, e); ok {
			of(s.member).take(s)
		}
	}
	is := map[string]bool{}
	for _, s := range present(o) {
		of(s.member).settle(s)
		is[s.member] = true
	}
	for member, t := range tracks {
		if !is[member] {
			t.drop() // its end was not told: the log leaves out some of what changes very often.
		}
	}
	out := &isthmusv1.History{}
	for _, member := range slices.Sorted(maps.Keys(tracks)) {
		out.Spans = append(out.Spans, tracks[member].spans...)
	}
	slices.SortStableFunc(out.Spans, func(a, b *isthmusv1.HistorySpan) int {
		return a.GetStart().AsTime().Compare(b.GetStart().AsTime())
	})
	out.Spans = out.Spans[max(0, len(out.Spans)-MaxSpans):]
	return out
}

// present is what a resource is now, of each of its members: steps from whatever was before.
func present(o resource.Object) []step {
	switch o := o.(type) {
	case *isthmusv1.Peering:
		s := o.GetStatus()
		return []step{{at: s.GetVerdictSince().AsTime(), to: s.GetVerdict(), reason: s.GetReason(), message: s.GetMessage()}}
	case *isthmusv1.Datacenter:
		s := o.GetStatus()
		return []step{{at: s.GetAgentSince().AsTime(), to: s.GetAgent()}}
	case *isthmusv1.Federation:
		var out []step
		for _, m := range o.GetStatus().GetMembers() {
			out = append(out, step{member: m.GetDatacenter(), at: m.GetPhaseSince().AsTime(), to: m.GetPhase(), reason: m.GetReason(), message: m.GetMessage()})
		}
		return out
	}
	return nil
}

// track is what one thing was; the last span has no end.
type track struct {
	member string
	spans  []*isthmusv1.HistorySpan
}

// last is the span that has no end yet; nil: there is none.
func (t *track) last() *isthmusv1.HistorySpan {
	if len(t.spans) == 0 || t.spans[len(t.spans)-1].GetEnd() != nil {
		return nil
	}
	return t.spans[len(t.spans)-1]
}

// take goes one step on.
func (t *track) take(s step) {
	if last := t.last(); last != nil && last.GetState() == s.from {
		t.end(s.at)
		t.begin(s)
		return
	}
	t.drop()
	if s.from != "" && s.since.Before(s.at) && s.since.After(t.until()) {
		t.begin(step{at: s.since, to: s.from})
		t.end(s.at)
	}
	t.begin(s)
}

// settle ends with what is so now.
func (t *track) settle(s step) {
	last := t.last()
	if last != nil && last.GetState() == s.to {
		last.Reason, last.Message = cmp.Or(s.reason, last.GetReason()), cmp.Or(s.message, last.GetMessage())
		return
	}
	t.drop()
	if s.to != "" && s.at.Unix() > 0 {
		t.begin(s)
	}
}

// drop takes out a span whose end nobody told.
func (t *track) drop() {
	if t.last() != nil {
		t.spans = t.spans[:len(t.spans)-1]
	}
}

// until is the end of what is known.
func (t *track) until() time.Time {
	if len(t.spans) == 0 {
		return time.Time{}
	}
	return t.spans[len(t.spans)-1].GetEnd().AsTime()
}

// begin opens a span; not before the one before it ended, whatever clocks say.
func (t *track) begin(s step) {
	if s.to == "" {
		return
	}
	if end := t.until(); s.at.Before(end) {
		s.at = end
	}
	t.spans = append(t.spans, &isthmusv1.HistorySpan{
		State: s.to, Start: timestamppb.New(s.at), Reason: s.reason, Message: s.message, Datacenter: t.member,
	})
}

// end closes the last span; not before it began.
func (t *track) end(at time.Time) {
	last := t.last()
	if start := last.GetStart().AsTime(); at.Before(start) {
		at = start
	}
	last.End = timestamppb.New(at)
}
