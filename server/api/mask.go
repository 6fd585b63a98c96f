package api

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"isthmus/fault"
	"isthmus/resource"
)

// applyMask copies the fields that paths name from one resource to another of its kind. Paths are as in JSON
// (spec.dialerPeerName) or as in the .proto files. Fields that are output only are passed over, as in every write.
func applyMask(to, from resource.Object, paths []string) error {
	var violations []fault.Violation
	for _, path := range paths {
		names := strings.Split(path, ".")
		switch names[0] {
		case "*":
			resource.SetLabels(to, from.GetLabels())
			resource.SetSpec(to, resource.Spec(resource.Clone(from)))
			continue
		case "labels", "spec":
		default:
			if outputOnly(to, names[0]) {
				continue
			}
		}
		if known := copyField(to.ProtoReflect(), resource.Clone(from).ProtoReflect(), names); known != "" {
			violations = append(violations, fault.Violation{
				Field: "updateMask", Reason: "UnknownField",
				Message: fmt.Sprintf("%q names no field; expected %s", path, known),
			})
		}
	}
	if len(violations) > 0 {
		return fault.Violated(violations...)
	}
	return nil
}

// outputOnly tells whether a field of a resource is written by the server only. The name is not: it says which one.
func outputOnly(o resource.Object, name string) bool {
	field := fieldNamed(o.ProtoReflect().Descriptor(), name)
	return field != nil && !slices.Contains([]string{"labels", "spec"}, string(field.Name()))
}

func fieldNamed(d protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if field := d.Fields().ByJSONName(name); field != nil {
		return field
	}
	return d.Fields().ByTextName(name)
}

// copyField copies one field; what it returns is empty, or the names that a wrong path could have used.
func copyField(to, from protoreflect.Message, names []string) (known string) {
	field := fieldNamed(to.Descriptor(), names[0])
	if field == nil {
		return fieldNames(to.Descriptor())
	}
	switch {
	case len(names) > 1 && field.IsMap():
		key := protoreflect.ValueOfString(strings.Join(names[1:], ".")).MapKey()
		if value := from.Get(field).Map().Get(key); value.IsValid() {
			to.Mutable(field).Map().Set(key, value)
		} else if to.Has(field) {
			to.Mutable(field).Map().Clear(key)
		}
		return ""
	case len(names) > 1 && (field.Message() == nil || field.IsList()):
		return strings.Join(names[:1], ".") + " without anything after it"
	case len(names) > 1:
		return copyField(to.Mutable(field).Message(), from.Get(field).Message(), names[1:])
	case from.Has(field):
		to.Set(field, from.Get(field))
	default:
		to.Clear(field)
	}
	return ""
}

func fieldNames(d protoreflect.MessageDescriptor) string {
	names := make([]string, 0, d.Fields().Len())
	for i := range d.Fields().Len() {
		names = append(names, d.Fields().Get(i).JSONName())
	}
	slices.Sort(names)
	return "one of " + strings.Join(names, ", ")
}
