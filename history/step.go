package history

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/peering"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// step is one change of state.
type step struct {
	at time.Time
	// member is the datacenter that it is about, of a Federation.
	member string
	// from is empty when there was nothing before, to when there is nothing after; they differ.
	from, to        string
	reason, message string
	// since is when from began, as the entry itself says; zero: it does not.
	since time.Time
}

// read is the step that an entry of the audit log tells of; false: it tells of none.
func read(kind string, e *isthmusv1.Event) (step, bool) {
	out := step{at: e.GetCreateTime().AsTime()}
	var ok bool
	switch kind {
	case resource.KindPeering:
		ok = out.peering(e.GetSpec())
	case resource.KindDatacenter:
		ok = out.datacenter(e.GetSpec())
	case resource.KindFederation:
		ok = out.federation(e.GetSpec())
	}
	return out, ok && out.from != out.to && e.GetCreateTime() != nil
}

func (s *step) peering(spec *isthmusv1.EventSpec) bool {
	s.said(spec.GetMessage())
	for _, c := range spec.GetChanges() {
		switch c.GetField() {
		case resource.FieldVerdict:
			s.from, s.to = text(c.GetBefore()), text(c.GetAfter())
		case resource.FieldReason:
			s.reason = text(c.GetAfter())
		}
	}
	return isVerdict(s.to) && (s.from == "" || isVerdict(s.from))
}

func isVerdict(word string) bool {
	return slices.Contains([]string{
		peering.VerdictDeleting, peering.VerdictUnknown, peering.VerdictFailing, peering.VerdictPending, peering.VerdictOneSided,
		peering.VerdictStale, peering.VerdictHealthy,
	}, word)
}

func (s *step) datacenter(spec *isthmusv1.EventSpec) bool {
	if message, ok := strings.CutPrefix(spec.GetMessage(), "agents "); ok {
		s.said(message)
	}
	for _, c := range spec.GetChanges() {
		switch c.GetField() {
		case resource.FieldAgent:
			s.from, s.to = text(c.GetBefore()), text(c.GetAfter())
		case resource.FieldAgentSince:
			s.since = timeOf(c.GetBefore())
			if at := timeOf(c.GetAfter()); !at.IsZero() && at.Before(s.at) {
				s.at = at // a silence began when something was heard last, before anybody could know of it
			}
		}
	}
	return isLiveness(s.to) && (s.from == "" || isLiveness(s.from))
}

func isLiveness(word string) bool {
	return slices.Contains([]string{resource.LivenessOnline, resource.LivenessOffline, resource.LivenessUnknown}, word)
}

func (s *step) federation(spec *isthmusv1.EventSpec) bool {
	member, message, _ := strings.Cut(spec.GetMessage(), ": ")
	s.said(message)
	for _, c := range spec.GetChanges() {
		of, field, ok := memberField(c.GetField())
		switch {
		case !ok:
		case field == "phase":
			member, s.from, s.to = of, text(c.GetBefore()), text(c.GetAfter())
		case field == "reason":
			s.reason = text(c.GetAfter())
		}
	}
	s.member = member
	return resource.ValidName(member) && isPhase(s.from) && isPhase(s.to)
}

// isPhase: what is not there has none.
func isPhase(word string) bool {
	return slices.Contains([]string{
		"", resource.PhaseBlocked, resource.PhaseWaiting, resource.PhaseTrusting, resource.PhaseBundling, resource.PhaseDelivering,
		resource.PhaseJoining, resource.PhaseJoined, resource.PhaseLeaving,
	}, word)
}

// memberField takes status.members["dc1"].phase apart: see resource.FieldOf.
func memberField(path string) (member, field string, ok bool) {
	rest, ok := strings.CutPrefix(path, "status.members[")
	if !ok {
		return "", "", false
	}
	quoted, err := strconv.QuotedPrefix(rest)
	if err != nil {
		return "", "", false
	}
	if member, err = strconv.Unquote(quoted); err != nil {
		return "", "", false
	}
	field, ok = strings.CutPrefix(rest[len(quoted):], "].")
	return member, field, ok
}

// What messages of transitions have always been like: "FROM → TO: REASON: MESSAGE", with words for nothing.
const (
	arrow   = " → "
	wordNew = "new"
	wordEnd = "gone"
)

// said reads a transition's message.
func (s *step) said(message string) {
	from, rest, ok := strings.Cut(message, arrow)
	if !ok {
		return
	}
	to, why, _ := strings.Cut(rest, ": ")
	if from == wordNew {
		from = ""
	}
	if to == wordEnd {
		to = ""
	}
	s.from, s.to = from, to
	s.reason, s.message, _ = strings.Cut(why, ": ")
}

// text is a value of the audit log; empty when it is none.
func text(value string) string {
	out, _ := resource.TextOf(value)
	return out
}

// timeOf is a time in the audit log; zero when it is none that can be said.
func timeOf(value string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, text(value))
	if err != nil || !timestamppb.New(at).IsValid() {
		return time.Time{}
	}
	return at
}
