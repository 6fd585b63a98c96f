package resource_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// The canonical form is protojson's, with its keys sorted and without its spaces: property, over messages of all kinds.
func TestCanonicalJSONIsProtojsons(t *testing.T) {
	t.Parallel()
	kinds := []proto.Message{
		&isthmusv1.Datacenter{}, &isthmusv1.Peering{}, &isthmusv1.Federation{}, &isthmusv1.Agent{}, &isthmusv1.TrafficPolicy{}, &isthmusv1.Intention{},
		&isthmusv1.DesiredState{}, &isthmusv1.ReportRequest{}, &isthmusv1.Fleet{}, &isthmusv1.Event{}, &isthmusv1.UpdatePeeringRequest{},
	}
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.SampledFrom(kinds).Draw(t, "kind").ProtoReflect().New()
		strew(t, m, 4)
		want, wantErr := viaProtojson(m.Interface())
		got, err := resource.CanonicalJSON(m.Interface())
		if (err != nil) != (wantErr != nil) || !bytes.Equal(got, want) {
			t.Fatalf("%s, %v; protojson: %s, %v", got, err, want, wantErr)
		}
	})
}

func viaProtojson(m proto.Message) ([]byte, error) {
	raw, err := protojson.Marshal(m)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// strew draws fields of a message, down to a depth.
func strew(t *rapid.T, m protoreflect.Message, depth int) {
	if at, ok := m.Interface().(*timestamppb.Timestamp); ok {
		at.Seconds = rapid.SampledFrom([]int64{0, 1, -62135596800, 253402300799, 253402300800}).Draw(t, "seconds")
		at.Nanos = rapid.SampledFrom([]int32{0, 1, 120_000_000, 123_456_000, 999_999_999, -1}).Draw(t, "nanos")
		return
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if rapid.IntRange(0, 2).Draw(t, string(f.Name())) != 0 || depth == 0 && f.Kind() == protoreflect.MessageKind {
			continue
		}
		switch {
		case f.IsMap():
			for range rapid.IntRange(0, 3).Draw(t, "entries") {
				m.Mutable(f).Map().Set(protoreflect.ValueOfString(anyText(t)).MapKey(), grain(t, f.MapValue(), m.Mutable(f).Map().NewValue, depth))
			}
		case f.IsList():
			for range rapid.IntRange(0, 2).Draw(t, "items") {
				m.Mutable(f).List().Append(grain(t, f, m.Mutable(f).List().NewElement, depth))
			}
		default:
			m.Set(f, grain(t, f, func() protoreflect.Value { return m.NewField(f) }, depth))
		}
	}
}

func grain(t *rapid.T, f protoreflect.FieldDescriptor, empty func() protoreflect.Value, depth int) protoreflect.Value {
	switch f.Kind() { //nolint:exhaustive // our messages have no others
	case protoreflect.MessageKind:
		value := empty()
		strew(t, value.Message(), depth-1)
		return value
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(anyText(t))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "bytes"))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(rapid.Bool().Draw(t, "bool"))
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(rapid.Int32().Draw(t, "int32"))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(rapid.Int64().Draw(t, "int64"))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(rapid.Uint32().Draw(t, "uint32"))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(rapid.Uint64().Draw(t, "uint64"))
	}
	return empty()
}

func anyText(t *rapid.T) string {
	return rapid.OneOf(
		rapid.String(), rapid.StringMatching("[a-z]{0,8}"), rapid.StringMatching(`["\\a-c]{0,8}`), rapid.SampledFrom([]string{"\u2028", "<&>", "\"", "\\", "\x00", "\x7f", "\b\f\n", "\xff", "日本"}),
	).Draw(t, "text")
}
