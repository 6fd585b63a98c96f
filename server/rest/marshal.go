package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"isthmus/fault"
)

// marshaler is protojson that takes nothing it does not know, and says where the unknown stands and what would be known.
type marshaler struct {
	runtime.JSONPb
	transcoder transcoder
}

func newMarshaler() *marshaler {
	return &marshaler{JSONPb: runtime.JSONPb{
		MarshalOptions:   protojson.MarshalOptions{EmitDefaultValues: true},
		UnmarshalOptions: protojson.UnmarshalOptions{DiscardUnknown: false},
	}}
}

// Codec is for the connection from REST to the services. It leaves answers encoded, in a message that knows none of its fields: the marshaler
// makes JSON of them as they are.
type Codec struct{}

var _ encoding.CodecV2 = Codec{}

// Name implements encoding.CodecV2: what is sent is protobuf.
func (Codec) Name() string { return "proto" }

// Marshal implements encoding.CodecV2.
func (Codec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fault.New(fault.Internal, "%T is no message", v)
	}
	data, err := proto.Marshal(m)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "encoding a request")
	}
	return mem.BufferSlice{mem.SliceBuffer(data)}, nil
}

// Unmarshal implements encoding.CodecV2.
func (Codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return fault.New(fault.Internal, "%T is no message", v)
	}
	proto.Reset(m)
	m.ProtoReflect().SetUnknown(data.Materialize())
	return nil
}

// Marshal makes JSON of an answer.
func (m *marshaler) Marshal(v any) ([]byte, error) {
	if answer, ok := v.(proto.Message); ok {
		if raw := answer.ProtoReflect().GetUnknown(); len(raw) > 0 {
			// JSON is some times as long: names of fields, and of those that have no value, too.
			return m.transcoder.appendMessage(make([]byte, 0, 3*len(raw)+512), answer.ProtoReflect().Descriptor(), raw)
		}
	}
	return m.JSONPb.Marshal(v)
}

// NewDecoder decodes a body of exactly one JSON value; an empty one is io.EOF, which the gateway takes for an empty message.
func (m *marshaler) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		data, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(data)) == 0 {
			return io.EOF
		}
		if err := checkSyntax(data); err != nil {
			return carry(err)
		}
		if err := checkFields(data, descriptorOf(v)); err != nil {
			return carry(err)
		}
		if err := m.Unmarshal(data, v); err != nil {
			return carry(fault.New(fault.Invalid, "the body does not fit: %s", plain(err)))
		}
		return nil
	})
}

// checkSyntax tells in which line a body stops being JSON.
func checkSyntax(data []byte) error {
	err := json.Unmarshal(data, new(json.RawMessage)) // which looks at all of it, and builds nothing
	if err == nil {
		return nil
	}
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return fault.New(fault.Invalid, "the body is not JSON: %v", err)
	}
	line, column := position(data, syntax.Offset)
	return fault.New(fault.Invalid, "the body is not JSON (line %d, column %d: %v); POST /v1/apply also takes YAML, with Content-Type: application/yaml",
		line, column, syntax)
}

func position(data []byte, offset int64) (line, column int) {
	before := data[:min(int(offset), len(data))]
	return bytes.Count(before, []byte("\n")) + 1, max(1, len(before)-(bytes.LastIndexByte(before, '\n')+1))
}

// plain takes the package's name and its deliberately unstable spaces off an error of protojson.
func plain(err error) string {
	text := strings.ReplaceAll(err.Error(), "\u00a0", " ")
	return strings.TrimSpace(strings.TrimPrefix(text, "proto:"))
}

// descriptorOf is the message type that v, a message or a pointer to a field that holds one, decodes into; nil for others.
func descriptorOf(v any) protoreflect.MessageDescriptor {
	if m, ok := v.(proto.Message); ok {
		return m.ProtoReflect().Descriptor()
	}
	t := reflect.TypeOf(v)
	if t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Pointer {
		return nil
	}
	if m, ok := reflect.TypeAssert[proto.Message](reflect.New(t.Elem().Elem())); ok {
		return m.ProtoReflect().Descriptor()
	}
	return nil
}
