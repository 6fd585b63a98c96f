package resource

import (
	"fmt"
	"strconv"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// What bounds the fields in one entry of the audit log, which is kept for ever.
const (
	maxEventChanges = 32
	maxEventValue   = 1 << 10
)

// moreFields is the field that stands for all that are too many.
const moreFields = "…"

// Fields of statuses that the audit log tells of in transitions. Part of what is stored: they never change their meaning.
const (
	FieldVerdict    = "status.verdict"
	FieldState      = "status.state"
	FieldReason     = "status.reason"
	FieldMessage    = "status.message"
	FieldBroken     = "status.broken"
	FieldAgent      = "status.agent"
	FieldAgentSince = "status.agentSince"
	FieldLiveness   = "status.liveness"
)

// FieldOf is a field of one entry of a list in a status, by the entry's key: status.members["dc1"].phase.
func FieldOf(list, key, field string) string {
	return "status." + list + "[" + strconv.Quote(key) + "]." + field
}

// EventChanges is Diff for the audit log: masked, and bounded.
func EventChanges(before, after Object) []*isthmusv1.FieldChange {
	old, veiled, known := readLeaves(before)
	now, veils, knowable := readLeaves(after)
	if known && knowable && !veiled && !veils {
		return bounded(changesOf(old, now))
	}
	changes := Diff(before, after)
	was, is := leavesOf(before, Masked), leavesOf(after, Masked)
	for _, c := range changes {
		c.Before, c.After = was[c.GetField()], is[c.GetField()]
	}
	return bounded(changes)
}

// Moved are fields of a status that became others: field, before and after in turn. Those that did not are left out.
func Moved(fields ...string) []*isthmusv1.FieldChange {
	var out []*isthmusv1.FieldChange
	for ; len(fields) >= 3; fields = fields[3:] {
		if fields[1] != fields[2] {
			out = append(out, &isthmusv1.FieldChange{Field: fields[0], Before: textJSON(fields[1]), After: textJSON(fields[2])})
		}
	}
	return bounded(out)
}

// textJSON is a text as JSON; nothing for nothing.
func textJSON(text string) string {
	if text == "" {
		return ""
	}
	return mustJSON(text)
}

func bounded(changes []*isthmusv1.FieldChange) []*isthmusv1.FieldChange {
	if more := len(changes) - maxEventChanges; more > 0 {
		rest := &isthmusv1.FieldChange{Field: moreFields, After: mustJSON(fmt.Sprintf("and %d more fields", more+1))}
		changes = append(changes[:maxEventChanges-1:maxEventChanges-1], rest)
	}
	for _, c := range changes {
		c.Field, c.Before, c.After = Cut(c.GetField(), maxEventValue), cutValue(c.GetBefore()), cutValue(c.GetAfter())
	}
	return changes
}

// cutValue is JSON of no more than may be stored: a text that is too long stays one.
func cutValue(value string) string {
	if len(value) <= maxEventValue {
		return value
	}
	if text, ok := TextOf(value); ok {
		for most := maxEventValue - 8; most > 0; most /= 2 {
			if cut := mustJSON(Cut(text, most)); len(cut) <= maxEventValue {
				return cut
			}
		}
	}
	return Cut(value, maxEventValue-len("…"))
}

// TextOf is what a value in the audit log says, when it is a text; false: it is something else.
func TextOf(value string) (string, bool) {
	if value == "" {
		return "", true
	}
	decoded, err := decodeJSON([]byte(value))
	text, ok := decoded.(string)
	return text, ok && err == nil
}
