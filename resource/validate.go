package resource

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"k8s.io/apimachinery/pkg/util/validation"

	"isthmus/fault"
)

// Reasons of violations: one CamelCase word each, for programs.
const (
	ReasonRequired  = "Required"
	ReasonInvalid   = "Invalid"
	ReasonUnknown   = "Unknown"
	ReasonDuplicate = "Duplicate"
	ReasonExclusive = "Exclusive"
	ReasonFixed     = "Fixed"
)

// MaxNameLength is what DNS allows for one label, and Consul for a peer's name.
const MaxNameLength = 63

var nameForm = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)

// nameRule says in words, for messages, what ValidName allows.
const nameRule = "lower-case letters, digits and '-', beginning and ending with a letter or digit, at most 63 characters"

// ValidName tells whether a string is a DNS label, as names of resources and of Consul's peers are.
func ValidName(s string) bool { return len(s) <= MaxNameLength && nameForm.MatchString(s) }

// Default fills in what the user left out. It is to be applied before Validate, and changes the object.
func Default(o Object) {
	if kind := KindOf(o); kind.Default != nil {
		kind.Default(o)
	}
}

// Validate checks a resource by itself: name, labels, the proto's rules for its spec, the kind's own rules. Metadata and
// status are not looked at. Defaults must be applied. The error is a *fault.Error of code Invalid with every violation.
func Validate(o Object) error {
	if violations := check(o); len(violations) > 0 {
		return fault.Violated(violations...)
	}
	return nil
}

// ValidateUpdate checks what Validate cannot: that a new version keeps the fields that are fixed at creation, and that the
// others change as the kind allows. The error is a *fault.Error of code Invalid with every violation.
func ValidateUpdate(before, after Object) error {
	kind := KindOf(after)
	var violations []fault.Violation
	for _, change := range Diff(before, after) {
		if slices.Contains(kind.Fixed, change.GetField()) {
			violations = append(violations, fault.Violation{
				Field: change.GetField(), Reason: ReasonFixed,
				Message: fmt.Sprintf("cannot change from %s to %s: delete %s %s and create another one",
					orNothing(change.GetBefore()), orNothing(change.GetAfter()), kind.Name, after.GetName()),
			})
		}
	}
	if kind.Update != nil {
		violations = append(violations, kind.Update(before, after)...)
	}
	if len(violations) > 0 {
		return fault.Violated(violations...)
	}
	return nil
}

func orNothing(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}

func check(o Object) []fault.Violation {
	var violations []fault.Violation
	switch name := o.GetName(); {
	case name == "":
		violations = append(violations, required("name", nameRule))
	case !ValidName(name):
		violations = append(violations, invalid("name", "%s is not a name: %s", quote(name), nameRule))
	}
	violations = append(violations, checkLabels(o.GetLabels())...)
	spec := Spec(o)
	if !spec.ProtoReflect().IsValid() {
		spec = spec.ProtoReflect().New().Interface()
	}
	content := checkContent("spec", spec.ProtoReflect())
	violations = append(violations, content...)
	if len(content) == 0 {
		violations = append(violations, checkRules(spec)...)
	}
	// The kind's rules read fields that the rules above have checked, so they come last and find only what is new.
	if kind := KindOf(o); kind.Validate != nil {
		for _, v := range kind.Validate(o) {
			if !slices.ContainsFunc(violations, func(known fault.Violation) bool { return known.Field == v.Field }) {
				violations = append(violations, v)
			}
		}
	}
	return violations
}

func checkLabels(labels map[string]string) []fault.Violation {
	var violations []fault.Violation
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		field := joinPath("labels", key)
		if problems := validation.IsQualifiedName(key); len(problems) > 0 {
			violations = append(violations, invalid(field, "%s is not a label key: %s", quote(key), problems[0]))
		}
		if problems := validation.IsValidLabelValue(labels[key]); len(problems) > 0 {
			violations = append(violations, invalid(field, "%s is not a label value: %s", quote(labels[key]), problems[0]))
		}
	}
	return violations
}

// checkRules applies the rules that the .proto files state, and says their violations in isthmus's words.
func checkRules(spec proto.Message) []fault.Violation {
	err := protovalidate.Validate(spec)
	if err == nil {
		return nil
	}
	var failed *protovalidate.ValidationError
	if !errors.As(err, &failed) {
		// A rule that does not compile: a bug in the .proto file, which the tests of every kind would show.
		return []fault.Violation{invalid("spec", "cannot be checked: %v", err)}
	}
	violations := make([]fault.Violation, 0, len(failed.Violations))
	for _, v := range failed.Violations {
		violations = append(violations, translate(v))
	}
	return violations
}

func translate(v *protovalidate.Violation) fault.Violation {
	field := fieldPath("spec", v.Proto.GetField())
	if v.RuleDescriptor == nil {
		return invalid(field, "%s", v.Proto.GetMessage())
	}
	switch rule := v.RuleDescriptor; rule.Name() {
	case "required":
		return required(field, "")
	case "in":
		choices := choicesOf(v.RuleValue)
		if v.FieldValue.IsValid() && v.FieldValue.String() == "" {
			return required(field, "one of "+choices)
		}
		return invalid(field, "%s is not one of %s", quote(v.FieldValue.String()), choices)
	case "gte", "lte":
		if strings.HasSuffix(v.Proto.GetRuleId(), ".gte_lte") { // both bounds in one rule, whose value is the lower one
			return invalid(field, "%s is not allowed: %s", v.FieldValue.String(), strings.TrimPrefix(v.Proto.GetMessage(), "value "))
		}
		return invalid(field, "%s is not allowed: must be %s %s", v.FieldValue.String(),
			map[protoreflect.Name]string{"gte": "at least", "lte": "at most"}[rule.Name()], v.RuleValue.String())
	}
	return invalid(field, "%s", v.Proto.GetMessage())
}

func choicesOf(rule protoreflect.Value) string {
	list := rule.List()
	choices := make([]string, list.Len())
	for i := range list.Len() {
		choices[i] = list.Get(i).String()
	}
	return strings.Join(choices, ", ")
}

// fieldPath is a path of protovalidate below another one, in lowerCamelCase.
func fieldPath(out string, path *validate.FieldPath) string {
	for _, element := range path.GetElements() {
		out = joinPath(out, lowerCamel(element.GetFieldName()))
		switch element.GetSubscript().(type) {
		case *validate.FieldPathElement_Index:
			out += "[" + strconv.FormatUint(element.GetIndex(), 10) + "]"
		case *validate.FieldPathElement_StringKey:
			out = joinPath(out, element.GetStringKey())
		}
	}
	return out
}

// lowerCamel is protobuf's JSON name of a field.
func lowerCamel(name string) string {
	words := strings.Split(name, "_")
	for i, word := range words[1:] {
		if word != "" {
			words[i+1] = strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return strings.Join(words, "")
}
