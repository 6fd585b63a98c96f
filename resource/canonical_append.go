package resource

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// canonical is what there is to know of a message type to write its canonical JSON.
type canonical struct {
	// wellKnown: it is one of protobuf's own, which JSON has forms of their own for.
	wellKnown bool
	// fields in the order in which canonical JSON has them.
	fields []canonicalField
}

// canonicalField is a field; key is its JSON name, with quotes and colon.
type canonicalField struct {
	protoreflect.FieldDescriptor
	key []byte
	// ofSpec is its path as a field of a spec.
	ofSpec string
}

// canonicals are of the message types that were met, by their descriptors.
//
//nolint:gochecknoglobals // it follows from the types alone: what is found once stays so, for everybody
var canonicals sync.Map

func canonicalOf(d protoreflect.MessageDescriptor) *canonical {
	if known, ok := canonicals.Load(d); ok {
		return known.(*canonical) //nolint:forcetypeassert // nothing else is stored
	}
	c := &canonical{wellKnown: strings.HasPrefix(string(d.FullName()), "google.")}
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		c.fields = append(c.fields, canonicalField{f, append(strconv.AppendQuote(nil, f.JSONName()), ':'), joinPath(pathSpec, f.JSONName())})
	}
	slices.SortFunc(c.fields, func(a, b canonicalField) int { return cmp.Compare(a.JSONName(), b.JSONName()) })
	known, _ := canonicals.LoadOrStore(d, c)
	return known.(*canonical) //nolint:forcetypeassert // as above
}

// appendMessage appends a message's canonical JSON without building anything else: plans and reports have one made all the time. It does what
// our messages are made of; false: this one has something else in it, or has no form, and out is worth nothing.
func appendMessage(out []byte, m protoreflect.Message) ([]byte, bool) {
	c := canonicalOf(m.Descriptor())
	if c.wellKnown {
		return appendWellKnown(out, m)
	}
	out = append(out, '{')
	before := len(out)
	for _, f := range c.fields {
		if !m.Has(f.FieldDescriptor) {
			continue
		}
		if len(out) > before {
			out = append(out, ',')
		}
		var ok bool
		if out, ok = appendField(append(out, f.key...), f.FieldDescriptor, m.Get(f.FieldDescriptor)); !ok {
			return nil, false
		}
	}
	return append(out, '}'), true
}

// appendWellKnown does times, as protojson does them: with none, three, six or nine digits of a second's fraction.
func appendWellKnown(out []byte, m protoreflect.Message) ([]byte, bool) {
	t, ok := m.Interface().(*timestamppb.Timestamp)
	if !ok || !t.IsValid() {
		return nil, false
	}
	out = t.AsTime().AppendFormat(append(out, '"'), "2006-01-02T15:04:05.000000000")
	for range 3 {
		out = bytes.TrimSuffix(out, []byte("000"))
	}
	return append(bytes.TrimSuffix(out, []byte{'.'}), 'Z', '"'), true
}

func appendField(out []byte, f protoreflect.FieldDescriptor, value protoreflect.Value) ([]byte, bool) {
	switch {
	case f.IsMap():
		return appendMap(out, f, value.Map())
	case f.IsList():
		return appendList(out, f, value.List())
	}
	return appendValue(out, f, value)
}

func appendList(out []byte, f protoreflect.FieldDescriptor, list protoreflect.List) ([]byte, bool) {
	out = append(out, '[')
	for i := range list.Len() {
		if i > 0 {
			out = append(out, ',')
		}
		var ok bool
		if out, ok = appendValue(out, f, list.Get(i)); !ok {
			return nil, false
		}
	}
	return append(out, ']'), true
}

func appendMap(out []byte, f protoreflect.FieldDescriptor, values protoreflect.Map) ([]byte, bool) {
	if f.MapKey().Kind() != protoreflect.StringKind {
		return nil, false
	}
	var keys []string
	values.Range(func(key protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, key.String())
		return true
	})
	slices.Sort(keys)
	out = append(out, '{')
	for i, key := range keys {
		if i > 0 {
			out = append(out, ',')
		}
		var ok bool
		if out, ok = appendText(out, key); !ok {
			return nil, false
		}
		out = append(out, ':')
		if out, ok = appendValue(out, f.MapValue(), values.Get(protoreflect.ValueOfString(key).MapKey())); !ok {
			return nil, false
		}
	}
	return append(out, '}'), true
}

func appendValue(out []byte, f protoreflect.FieldDescriptor, value protoreflect.Value) ([]byte, bool) {
	switch f.Kind() { //nolint:exhaustive // protojson does the others
	case protoreflect.BoolKind:
		return strconv.AppendBool(out, value.Bool()), true
	case protoreflect.Int32Kind:
		return strconv.AppendInt(out, value.Int(), 10), true
	case protoreflect.Int64Kind: // 64 bits are more than JavaScript's numbers hold: a string
		return append(strconv.AppendInt(append(out, '"'), value.Int(), 10), '"'), true
	case protoreflect.Uint32Kind:
		return strconv.AppendUint(out, value.Uint(), 10), true
	case protoreflect.Uint64Kind:
		return append(strconv.AppendUint(append(out, '"'), value.Uint(), 10), '"'), true
	case protoreflect.StringKind:
		return appendText(out, value.String())
	case protoreflect.BytesKind:
		return append(base64.StdEncoding.AppendEncode(append(out, '"'), value.Bytes()), '"'), true
	case protoreflect.MessageKind:
		return appendMessage(out, value.Message())
	}
	return nil, false
}

// appendText appends a string; encoding/json knows how what is not plain is escaped, but for quotes, which JSON in a text is full of.
func appendText(out []byte, text string) ([]byte, bool) {
	if allBytes(text, func(r byte) bool { return r >= ' ' && r < utf8.RuneSelf }) {
		out = append(out, '"')
		for {
			at := strings.IndexAny(text, `"\`)
			if at < 0 {
				return append(append(out, text...), '"'), true
			}
			out = append(append(out, text[:at]...), '\\', text[at])
			text = text[at+1:]
		}
	}
	if !utf8.ValidString(text) {
		return nil, false
	}
	form, err := encodeJSON(text)
	return append(out, form...), err == nil
}

func allBytes(text string, are func(byte) bool) bool {
	for i := range len(text) {
		if !are(text[i]) {
			return false
		}
	}
	return true
}
