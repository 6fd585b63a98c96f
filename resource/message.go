package resource

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
)

// CheckMessage refuses a message that has no JSON, or none that the stores keep: gRPC lets times in that are none, and text
// with NUL. What a stranger says must pass it before CanonicalJSON or Digest sees it; Validate looks at specs in the same
// way. The error is a *fault.Error of code Invalid with every violation; fields are paths from the message.
func CheckMessage(m proto.Message) error {
	if violations := checkContent("", m.ProtoReflect()); len(violations) > 0 {
		return fault.Violated(violations[:min(len(violations), maxProblems)]...)
	}
	return nil
}

// checkContent finds strings and times that cannot be kept: jsonb knows no NUL, JSON nothing but UTF-8, and protobuf's JSON
// no time before the year 1 or after 9999.
func checkContent(path string, m protoreflect.Message) []fault.Violation {
	if t, ok := m.Interface().(*timestamppb.Timestamp); ok {
		if m.IsValid() && t.CheckValid() != nil {
			return []fault.Violation{invalid(path, "is not a time between the years 1 and 9999")}
		}
		return nil
	}
	var violations []fault.Violation
	look := func(path, text string) {
		if strings.ContainsRune(text, 0) || !utf8.ValidString(text) {
			violations = append(violations, invalid(path, "must be UTF-8 text without NUL"))
		}
	}
	value := func(path string, field protoreflect.FieldDescriptor, v protoreflect.Value) {
		switch field.Kind() { //nolint:exhaustive // only these kinds hold text and times
		case protoreflect.StringKind:
			look(path, v.String())
		case protoreflect.MessageKind:
			violations = append(violations, checkContent(path, v.Message())...)
		}
	}
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		path := joinPath(path, field.JSONName())
		switch {
		case field.IsMap():
			v.Map().Range(func(key protoreflect.MapKey, item protoreflect.Value) bool {
				look(path, key.String())
				value(joinPath(path, key.String()), field.MapValue(), item)
				return true
			})
		case field.IsList():
			for i := range v.List().Len() {
				value(fmt.Sprintf("%s[%d]", path, i), field, v.List().Get(i))
			}
		default:
			value(path, field, v)
		}
		return true
	})
	// Fields come in no order.
	slices.SortStableFunc(violations, func(a, b fault.Violation) int { return cmp.Compare(a.Field, b.Field) })
	return violations
}
