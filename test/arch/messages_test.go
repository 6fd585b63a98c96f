package arch_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// metadata are the fields that every kind has, with these numbers: resource.Object is their getters.
func metadata() map[protoreflect.FieldNumber]string {
	return map[protoreflect.FieldNumber]string{
		1: "name string",
		2: "labels map",
		3: "uid string",
		4: "generation int32",
		5: "index uint64",
		6: "create_time google.protobuf.Timestamp",
		7: "update_time google.protobuf.Timestamp",
		8: "delete_time google.protobuf.Timestamp",
	}
}

func TestKindsHaveTheSameMetadata(t *testing.T) {
	t.Parallel()
	messages := []protoreflect.Message{(&isthmusv1.Event{}).ProtoReflect()}
	for _, kind := range resource.Kinds() {
		messages = append(messages, kind.New().ProtoReflect())
	}
	for _, message := range messages {
		descriptor := message.Descriptor()
		want := metadata()
		want[10] = "spec isthmus.v1." + string(descriptor.Name()) + "Spec"
		want[11] = "status isthmus.v1." + string(descriptor.Name()) + "Status"
		switch descriptor.Name() {
		case resource.KindIntention, resource.KindTrafficPolicy: // what stands in Consul's config entries is told of in one way
			want[11] = "status isthmus.v1.PolicyStatus"
		}
		for i := range descriptor.Fields().Len() {
			field := descriptor.Fields().Get(i)
			if got := fmt.Sprintf("%s %s", field.Name(), typeOf(field)); got != want[field.Number()] {
				t.Errorf("%s: field %d is %q, expected %q", descriptor.Name(), field.Number(), got, want[field.Number()])
			}
			delete(want, field.Number())
		}
		for number, missing := range want {
			t.Errorf("%s: field %d (%s) is missing", descriptor.Name(), number, missing)
		}
	}
}

func typeOf(field protoreflect.FieldDescriptor) string {
	switch {
	case field.IsMap():
		return "map"
	case field.Message() != nil:
		return string(field.Message().FullName())
	default:
		return field.Kind().String()
	}
}

// JSON has no 64-bit integers (protojson makes them strings) and no oneof: what people and other languages read has neither.
// The agents' own protocol is gRPC only and may.
func TestPublicMessagesAreEasyInJSON(t *testing.T) {
	t.Parallel()
	wide := []protoreflect.Kind{
		protoreflect.Int64Kind, protoreflect.Uint64Kind, protoreflect.Sint64Kind, protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind,
	}
	protoregistry.GlobalFiles.RangeFilesByPackage("isthmus.v1", func(file protoreflect.FileDescriptor) bool {
		if file.Path() == "isthmus/v1/sync.proto" {
			return true
		}
		for i := range file.Messages().Len() {
			message := file.Messages().Get(i)
			for j := range message.Oneofs().Len() {
				if oneof := message.Oneofs().Get(j); !oneof.IsSynthetic() {
					t.Errorf("%s is a oneof", oneof.FullName())
				}
			}
			for j := range message.Fields().Len() {
				field := message.Fields().Get(j)
				index := field.Name() == "index" || strings.HasSuffix(string(field.Name()), "_index") // isthmus's, or Consul's
				if slices.Contains(wide, field.Kind()) && !index {
					t.Errorf("%s is a 64-bit integer, and not an index", field.FullName())
				}
			}
		}
		return true
	})
}
