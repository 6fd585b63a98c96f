package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"isthmus/fault"
)

const (
	// maxDepth of values in values: the deepest request of the API has six.
	maxDepth = 64
	// maxViolations is how many unknown fields are told of; more help nobody.
	maxViolations = 20
	// maxShown is how much of a key an answer repeats.
	maxShown = 64
)

// errEnough ends a walk that has nothing more to tell.
var errEnough = errors.New("enough violations")

// fieldWalk goes through JSON and a message type side by side. The JSON is known to be valid. What it keeps grows with the
// depth only: most bodies have no fault, and the rest may be meant to cost.
type fieldWalk struct {
	data    []byte
	decoder *json.Decoder
	// path has a step for each value that the present one is in.
	path       []step
	violations []fault.Violation
	// line is the one at which counted, an offset, stands.
	line, counted int
}

// step is the key of a member, or the index of an element when there is no key.
type step struct {
	key   string
	index int
	named bool
}

// checkFields refuses a body that has fields unknown to a message type, or is nested too deeply.
func checkFields(data []byte, d protoreflect.MessageDescriptor) error {
	w := &fieldWalk{data: data, decoder: json.NewDecoder(bytes.NewReader(data)), line: 1}
	if err := w.value(d); err != nil && !errors.Is(err, errEnough) {
		return err
	}
	if len(w.violations) > 0 {
		return fault.Violated(w.violations...)
	}
	return nil
}

// value walks one value; d is nil below what is free-form.
func (w *fieldWalk) value(d protoreflect.MessageDescriptor) error {
	token, err := w.decoder.Token()
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "the body is not JSON")
	}
	open, nested := token.(json.Delim)
	if !nested {
		return nil
	}
	if len(w.path) == maxDepth {
		return fault.New(fault.Invalid, "line %d: values are nested more than %d deep", w.lineHere(), maxDepth)
	}
	for i := 0; w.decoder.More(); i++ {
		if open == '{' {
			err = w.member(d)
		} else {
			err = w.within(step{index: i}, d)
		}
		if err != nil {
			return err
		}
	}
	_, err = w.decoder.Token()
	return err
}

// within walks the value that a step leads to.
func (w *fieldWalk) within(s step, d protoreflect.MessageDescriptor) error {
	w.path = append(w.path, s)
	err := w.value(d)
	w.path = w.path[:len(w.path)-1]
	return err
}

func (w *fieldWalk) member(d protoreflect.MessageDescriptor) error {
	token, err := w.decoder.Token()
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "the body is not JSON")
	}
	at := step{key: fmt.Sprint(token), named: true}
	if d == nil {
		return w.within(at, nil)
	}
	field := d.Fields().ByJSONName(at.key)
	if field == nil {
		field = d.Fields().ByTextName(at.key)
	}
	if field == nil {
		w.violations = append(w.violations, fault.Violation{
			Field: w.pathTo(at), Reason: "UnknownField",
			Message: fmt.Sprintf("line %d: unknown field %q; expected one of %s", w.lineHere(), short(at.key), fieldNames(d)),
		})
		if len(w.violations) == maxViolations {
			return errEnough
		}
		return w.within(at, nil)
	}
	if field.IsMap() || field.Message() == nil || strings.HasPrefix(string(field.Message().FullName()), "google.protobuf.") {
		return w.within(at, nil)
	}
	return w.within(at, field.Message())
}

// lineHere is the line in which the decoder stands. Each byte of the body is counted once, however often it is asked.
func (w *fieldWalk) lineHere() int {
	here := min(int(w.decoder.InputOffset()), len(w.data))
	w.line += bytes.Count(w.data[w.counted:here], []byte("\n"))
	w.counted = here
	return w.line
}

func (w *fieldWalk) pathTo(last step) string {
	var out strings.Builder
	for _, s := range append(slices.Clip(w.path), last) {
		switch {
		case !s.named:
			fmt.Fprintf(&out, "[%d]", s.index)
			continue
		case out.Len() > 0:
			out.WriteByte('.')
		}
		out.WriteString(short(s.key))
	}
	return out.String()
}

func short(key string) string {
	if len(key) <= maxShown {
		return key
	}
	return strings.ToValidUTF8(key[:maxShown], "") + "…"
}

func fieldNames(d protoreflect.MessageDescriptor) string {
	var names []string
	for i := range d.Fields().Len() {
		names = append(names, d.Fields().Get(i).JSONName())
	}
	sort.Strings(names)
	return strings.Join(names, ", ")
}
