package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"sort"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"isthmus/fault"
)

// marshaler is protojson that takes nothing it does not know, and says where the unknown stands and what would be known.
type marshaler struct {
	runtime.JSONPb
}

func newMarshaler() *marshaler {
	return &marshaler{runtime.JSONPb{
		MarshalOptions:   protojson.MarshalOptions{EmitDefaultValues: true},
		UnmarshalOptions: protojson.UnmarshalOptions{DiscardUnknown: false},
	}}
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
		if violations := unknownFields(data, descriptorOf(v)); len(violations) > 0 {
			return carry(fault.Violated(violations...))
		}
		if err := m.Unmarshal(data, v); err != nil {
			return carry(fault.New(fault.Invalid, "the body does not fit: %s", plain(err)))
		}
		return nil
	})
}

// checkSyntax tells in which line a body stops being JSON.
func checkSyntax(data []byte) error {
	var value any
	err := json.Unmarshal(data, &value)
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

// fieldWalk goes through JSON and a message type side by side. The JSON is known to be valid.
type fieldWalk struct {
	data       []byte
	decoder    *json.Decoder
	violations []fault.Violation
}

func unknownFields(data []byte, d protoreflect.MessageDescriptor) []fault.Violation {
	w := &fieldWalk{data: data, decoder: json.NewDecoder(bytes.NewReader(data))}
	w.value("", d)
	return w.violations
}

// value walks one value; d is nil below what is free-form.
func (w *fieldWalk) value(path string, d protoreflect.MessageDescriptor) {
	token, err := w.decoder.Token()
	if err != nil {
		return
	}
	switch token {
	case json.Delim('{'):
		for w.decoder.More() {
			w.member(path, d)
		}
		_, _ = w.decoder.Token()
	case json.Delim('['):
		for i := 0; w.decoder.More(); i++ {
			w.value(fmt.Sprintf("%s[%d]", path, i), d)
		}
		_, _ = w.decoder.Token()
	}
}

func (w *fieldWalk) member(path string, d protoreflect.MessageDescriptor) {
	token, err := w.decoder.Token()
	if err != nil {
		return
	}
	key := fmt.Sprint(token)
	at := key
	if path != "" {
		at = path + "." + key
	}
	if d == nil {
		w.value(at, nil)
		return
	}
	field := d.Fields().ByJSONName(key)
	if field == nil {
		field = d.Fields().ByTextName(key)
	}
	if field == nil {
		line, _ := position(w.data, w.decoder.InputOffset())
		w.violations = append(w.violations, fault.Violation{
			Field: at, Reason: "UnknownField",
			Message: fmt.Sprintf("line %d: unknown field %q; expected one of %s", line, key, fieldNames(d)),
		})
		w.value(at, nil)
		return
	}
	if field.IsMap() || field.Message() == nil || strings.HasPrefix(string(field.Message().FullName()), "google.protobuf.") {
		w.value(at, nil)
		return
	}
	w.value(at, field.Message())
}

func fieldNames(d protoreflect.MessageDescriptor) string {
	var names []string
	for i := range d.Fields().Len() {
		names = append(names, d.Fields().Get(i).JSONName())
	}
	sort.Strings(names)
	return strings.Join(names, ", ")
}
