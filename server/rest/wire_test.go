package rest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/server/rest"
)

// answers are all messages that services answer with.
func answers() []protoreflect.MessageDescriptor {
	var out []protoreflect.MessageDescriptor
	protoregistry.GlobalFiles.RangeFilesByPackage("isthmus.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			for j := range file.Services().Get(i).Methods().Len() {
				out = append(out, file.Services().Get(i).Methods().Get(j).Output())
			}
		}
		return true
	})
	return out
}

// text has all that JSON writes differently.
func text() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{"", "", "a", "dc1", "a \"b\" \\ /", "line\nbreak\ttab\x00\x1f\x7f", "grün ☃ 🙂", "<&> \u2028"})
}

// fill sets some fields of a message at random.
func fill(t *rapid.T, m protoreflect.Message, depth int) {
	if at, ok := m.Interface().(*timestamppb.Timestamp); ok {
		at.Seconds = rapid.Int64Range(-62_135_596_800, 253_402_300_799).Draw(t, "seconds")
		at.Nanos = rapid.SampledFrom([]int32{0, 0, 1, 120, 5_000, 120_000, 7_000_000, 999_999_999}).Draw(t, "nanos")
		return
	}
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		if depth == 0 && f.Message() != nil || rapid.Bool().Draw(t, "skip") {
			continue
		}
		switch {
		case f.IsMap():
			for range rapid.IntRange(0, 3).Draw(t, "entries") {
				m.Mutable(f).Map().Set(scalar(t, f.MapKey()).MapKey(), single(t, m.Mutable(f).Map().NewValue, f.MapValue(), depth))
			}
		case f.IsList():
			for range rapid.IntRange(0, 3).Draw(t, "elements") {
				m.Mutable(f).List().Append(single(t, m.Mutable(f).List().NewElement, f, depth))
			}
		default:
			m.Set(f, single(t, func() protoreflect.Value { return m.NewField(f) }, f, depth))
		}
	}
}

func single(t *rapid.T, fresh func() protoreflect.Value, f protoreflect.FieldDescriptor, depth int) protoreflect.Value {
	if f.Message() == nil {
		return scalar(t, f)
	}
	value := fresh()
	fill(t, value.Message(), depth-1)
	return value
}

func scalar(t *rapid.T, f protoreflect.FieldDescriptor) protoreflect.Value {
	switch f.Kind() { //nolint:exhaustive // the test fails when there is another one.
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(text().Draw(t, "text"))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "bytes"))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(rapid.Bool().Draw(t, "bool"))
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(rapid.Int32().Draw(t, "number"))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(rapid.Int64().Draw(t, "number"))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(rapid.Uint64().Draw(t, "number"))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(rapid.Float64Range(-1e30, 1e30).Draw(t, "number"))
	}
	t.Fatalf("%s is of kind %s: the test makes none", f.FullName(), f.Kind())
	return protoreflect.Value{}
}

// JSON of an answer that nobody decoded is what protojson makes of it.
func TestEncodedAnswers(t *testing.T) {
	t.Parallel()
	kinds := answers()
	if len(kinds) < 50 {
		t.Fatalf("only %d RPCs", len(kinds))
	}
	rapid.Check(t, func(t *rapid.T) {
		kind, err := protoregistry.GlobalTypes.FindMessageByName(rapid.SampledFrom(kinds).Draw(t, "answer").FullName())
		if err != nil {
			t.Fatal(err)
		}
		m := kind.New()
		fill(t, m, 4)
		compareJSON(t, m.Interface())
	})
}

// Texts are looked at in parts: what has to be written differently may stand anywhere in them.
func TestEncodedTexts(t *testing.T) {
	t.Parallel()
	plain := rapid.RuneFrom([]rune("abz ~!#/[]^_09\u007f"))
	special := rapid.RuneFrom([]rune("\"\\\x00\x01\b\t\n\f\r\x1f\u0080\u00ff☃🙂\u2028"))
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringOfN(rapid.OneOf(plain, plain, plain, plain, plain, plain, plain, special), 0, 40, -1).Draw(t, "text")
		compareJSON(t, &isthmusv1.Datacenter{Name: name, Labels: map[string]string{name: name, "a" + name: "b"}})
	})
	for at := range 24 {
		for c := range rune(0x100) {
			text := []rune("abcdefghijklmnopqrstuvwx")
			text[at] = c
			compareJSON(t, &isthmusv1.Datacenter{Name: string(text)})
		}
	}
}

func compareJSON(t interface{ Fatalf(string, ...any) }, m proto.Message) {
	want, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		t.Fatalf("protojson: %v", err)
	}
	wire, err := proto.Marshal(m)
	if err != nil {
		t.Fatalf("%v", err)
	}
	left := m.ProtoReflect().New().Interface()
	if err := (rest.Codec{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer(wire)}, left); err != nil {
		t.Fatalf("%v", err)
	}
	got, err := rest.Marshal(left)
	if err != nil {
		t.Fatalf("%v", err)
	}
	// The order of members is the same as well; protojson adds spaces at random.
	var tight, ours bytes.Buffer
	if err := errors.Join(json.Compact(&tight, want), json.Compact(&ours, got)); err != nil {
		t.Fatalf("%v", err)
	}
	if d := cmp.Diff(tight.String(), ours.String()); d != "" {
		t.Fatalf("%s (-protojson +here):\n%s", m.ProtoReflect().Descriptor().FullName(), d)
	}
}

// FuzzEncodedAnswer: whatever bytes are taken for an answer, they make valid JSON or an error.
func FuzzEncodedAnswer(f *testing.F) {
	seed, err := proto.Marshal(&isthmusv1.ListPeeringsResponse{Peerings: []*isthmusv1.Peering{{
		Name: "a-b", Labels: map[string]string{"env": "prod"}, Index: 7, CreateTime: &timestamppb.Timestamp{Seconds: 1},
		Spec: &isthmusv1.PeeringSpec{ServerExternalAddresses: []string{"a:1"}},
	}}, NextPageToken: "next"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, wire []byte) {
		m := &isthmusv1.ListPeeringsResponse{}
		if err := (rest.Codec{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer(wire)}, m); err != nil {
			t.Fatal(err)
		}
		if got, err := rest.Marshal(m); err == nil && !json.Valid(got) {
			t.Fatalf("%x gives %s", wire, got)
		}
	})
}

// BenchmarkAnswer makes JSON of a list of 1,000 datacenters, as it comes from the services.
func BenchmarkAnswer(b *testing.B) {
	list := &isthmusv1.ListDatacentersResponse{}
	for range 1000 {
		at := timestamppb.New(time.Date(2026, 1, 2, 3, 4, 5, 678_901_234, time.UTC))
		list.Datacenters = append(list.Datacenters, &isthmusv1.Datacenter{
			Name: "dc", Labels: map[string]string{"env": "prod"}, Uid: "8f0c1d2e-0000-4000-8000-000000000000", Generation: 1, Index: 7,
			CreateTime: at, UpdateTime: at, Spec: &isthmusv1.DatacenterSpec{Runtime: "vm", ConsulDatacenter: "dc", ConsulPartition: "default"},
			Status: &isthmusv1.DatacenterStatus{Agent: "online", AgentSince: at, ConsulVersion: "1.20.6", Servers: 3, Conditions: slices.Repeat([]*isthmusv1.Condition{{
				Type: "Ready", Status: "true", Reason: "Current", Message: "its agents know everything that is wanted of them", LastTransitionTime: at, ObservedGeneration: 1,
			}}, 4)},
		})
	}
	wire, err := proto.Marshal(list)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		left := &isthmusv1.ListDatacentersResponse{}
		if err := (rest.Codec{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer(wire)}, left); err != nil {
			b.Fatal(err)
		}
		if _, err := rest.Marshal(left); err != nil {
			b.Fatal(err)
		}
	}
}
