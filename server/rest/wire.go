package rest

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"isthmus/fault"
)

// transcoder makes JSON of encoded messages without decoding them, as protojson does with EmitDefaultValues: most of what a list costs would be
// building messages that nobody looks into.
type transcoder struct {
	// shapes by the descriptors of messages.
	shapes sync.Map
}

// shape is what there is to know of a message type.
type shape struct {
	descriptor protoreflect.MessageDescriptor
	// fields in the order in which JSON has them.
	fields []field
	// byNumber is where in fields each number is; -1 for none.
	byNumber []int
	// rare: it has fields of a kind that is left to protojson; time: it is a time.
	rare, time bool
}

// field is one field of a message, or the key or value of a map.
type field struct {
	number protowire.Number
	kind   protoreflect.Kind
	// name is the JSON name as a key: with quotes and colon.
	name []byte
	list bool
	// entry is the shape of a map's entries: key and value.
	entry *shape
	// message is the type of a message field, found when it is first met: types contain themselves.
	message protoreflect.MessageDescriptor
	// absent is what stands for a field that is not there; nil: nothing.
	absent []byte
}

func (t *transcoder) shapeOf(d protoreflect.MessageDescriptor) *shape {
	if known, ok := t.shapes.Load(d); ok {
		return known.(*shape) //nolint:forcetypeassert // nothing else is stored.
	}
	s := &shape{
		descriptor: d, rare: strings.HasPrefix(string(d.FullName()), "google."), time: d.FullName() == "google.protobuf.Timestamp",
	}
	for i := range d.Fields().Len() {
		s.add(t, d.Fields().Get(i))
	}
	known, _ := t.shapes.LoadOrStore(d, s)
	return known.(*shape) //nolint:forcetypeassert // nothing else is stored.
}

func (s *shape) add(t *transcoder, d protoreflect.FieldDescriptor) {
	f := field{
		number: d.Number(), kind: d.Kind(), list: d.IsList(), message: d.Message(),
		name: append(strconv.AppendQuote(nil, d.JSONName()), ':'),
	}
	switch {
	case d.IsMap():
		f.entry = t.shapeOf(d.Message())
		f.absent = []byte("{}")
	case d.IsList():
		f.absent = []byte("[]")
	case !d.HasPresence():
		f.absent = absent(d.Kind())
	}
	s.rare = s.rare || f.entry != nil && (f.entry.rare || f.entry.fields[0].kind != protoreflect.StringKind) || f.message == nil && absent(f.kind) == nil
	for len(s.byNumber) <= int(f.number) {
		s.byNumber = append(s.byNumber, -1)
	}
	s.byNumber[f.number] = len(s.fields)
	s.fields = append(s.fields, f)
}

// absent is the default of a scalar; nil for a kind that our messages do not have.
func absent(kind protoreflect.Kind) []byte {
	switch kind {
	case protoreflect.StringKind, protoreflect.BytesKind:
		return []byte(`""`)
	case protoreflect.BoolKind:
		return []byte("false")
	case protoreflect.Int32Kind:
		return []byte("0")
	case protoreflect.Uint64Kind:
		return []byte(`"0"`)
	default:
		return nil
	}
}

// spot is where the first occurrence of a field begins, and the last one's value is.
type spot struct {
	first, value, end int
	kind              protowire.Type
}

// writer makes the JSON of one message and all that is in it.
type writer struct {
	*transcoder
	// spots is room for those of the messages that are being written, the outermost first.
	spots []spot
}

// room gives a message room for its spots, until leave.
func (w *writer) room(n int) []spot {
	at := len(w.spots)
	w.spots = slices.Grow(w.spots, n)[:at+n]
	spots := w.spots[at:]
	clear(spots)
	return spots
}

func (w *writer) leave(n int) { w.spots = w.spots[:len(w.spots)-n] }

// errWire: what was encoded in this process is not what its type says.
func errWire(s *shape) error {
	return fault.New(fault.Internal, "an encoded %s cannot be read", s.descriptor.FullName())
}

// appendMessage appends the JSON of an encoded message.
func (t *transcoder) appendMessage(out []byte, d protoreflect.MessageDescriptor, raw []byte) ([]byte, error) {
	w := &writer{transcoder: t}
	return w.appendMessage(out, t.shapeOf(d), raw)
}

func (w *writer) appendMessage(out []byte, s *shape, raw []byte) ([]byte, error) {
	if s.time {
		if out, ok := appendTime(out, raw); ok {
			return out, nil
		}
	}
	if s.rare {
		return appendRare(out, s.descriptor, raw)
	}
	spots := w.room(len(s.fields))
	defer w.leave(len(s.fields))
	if err := s.find(raw, spots); err != nil {
		return nil, err
	}
	out = append(out, '{')
	empty := true
	for i := range s.fields {
		f, at := &s.fields[i], spots[i]
		if at.end == 0 && f.absent == nil {
			continue
		}
		if !empty {
			out = append(out, ',')
		}
		empty = false
		out = append(out, f.name...)
		var err error
		if out, err = w.appendField(out, s, f, at, raw); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

// find notes where each field of a message is.
func (s *shape) find(raw []byte, spots []spot) error {
	for at := 0; at < len(raw); {
		number, kind, n := protowire.ConsumeTag(raw[at:])
		if n < 0 {
			return errWire(s)
		}
		size := protowire.ConsumeFieldValue(number, kind, raw[at+n:])
		if size < 0 {
			return errWire(s)
		}
		if int(number) < len(s.byNumber) && s.byNumber[number] >= 0 {
			was := &spots[s.byNumber[number]]
			if was.end == 0 {
				was.first = at
			}
			was.value, was.end, was.kind = at+n, at+n+size, kind
		}
		at += n + size
	}
	return nil
}

func (w *writer) appendField(out []byte, s *shape, f *field, at spot, raw []byte) ([]byte, error) {
	switch {
	case at.end == 0:
		return append(out, f.absent...), nil
	case f.entry != nil:
		return w.appendMap(out, s, f, raw[at.first:at.end])
	case f.list:
		return w.appendList(out, s, f, raw[at.first:at.end])
	}
	out, _, err := w.appendValue(out, s, f, at.kind, raw[at.value:at.end])
	return out, err
}

// each visits the values of all occurrences of a field.
func (s *shape) each(f *field, raw []byte, visit func(kind protowire.Type, value []byte) error) error {
	for len(raw) > 0 {
		number, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return errWire(s)
		}
		size := protowire.ConsumeFieldValue(number, kind, raw[n:])
		if size < 0 {
			return errWire(s)
		}
		if number == f.number {
			if err := visit(kind, raw[n:n+size]); err != nil {
				return err
			}
		}
		raw = raw[n+size:]
	}
	return nil
}

func (w *writer) appendList(out []byte, s *shape, f *field, raw []byte) ([]byte, error) {
	out = append(out, '[')
	empty := true
	err := s.each(f, raw, func(kind protowire.Type, value []byte) error {
		packed := kind == protowire.BytesType && f.kind != protoreflect.StringKind && f.kind != protoreflect.BytesKind && f.kind != protoreflect.MessageKind
		if packed {
			value, _ = protowire.ConsumeBytes(value)
			kind = protowire.VarintType
		}
		for first := true; first || packed && len(value) > 0; first = false {
			if packed && len(value) == 0 {
				break
			}
			if !empty {
				out = append(out, ',')
			}
			empty = false
			var err error
			var n int
			if out, n, err = w.appendValue(out, s, f, kind, value); err != nil {
				return err
			}
			value = value[n:]
		}
		return nil
	})
	return append(out, ']'), err
}

// appendMap appends a map in the order of its keys. When one comes twice, the last counts.
func (w *writer) appendMap(out []byte, s *shape, f *field, raw []byte) ([]byte, error) {
	type pair struct {
		key   string
		value []byte
	}
	var pairs []pair
	err := s.each(f, raw, func(_ protowire.Type, value []byte) error {
		entry, _ := protowire.ConsumeBytes(value)
		var spots [2]spot
		if err := f.entry.find(entry, spots[:]); err != nil {
			return err
		}
		var key []byte
		if spots[0].end > 0 {
			if key, _ = protowire.ConsumeBytes(entry[spots[0].value:spots[0].end]); !utf8.Valid(key) {
				return errWire(s)
			}
		}
		text := w.absentValue(&f.entry.fields[1], spots[1])
		if text == nil {
			var err error
			if text, err = w.appendField(nil, f.entry, &f.entry.fields[1], spots[1], entry); err != nil {
				return err
			}
		}
		pairs = append(pairs, pair{string(key), text})
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return strings.Compare(a.key, b.key) })
	out = append(out, '{')
	empty := true
	for i, p := range pairs {
		if i+1 < len(pairs) && pairs[i+1].key == p.key {
			continue
		}
		if !empty {
			out = append(out, ',')
		}
		empty = false
		out = append(append(appendText(out, p.key), ':'), p.value...)
	}
	return append(out, '}'), nil
}

// absentValue is an empty message, for a map's value that is not there; nil for what is there, or has a default.
func (w *writer) absentValue(f *field, at spot) []byte {
	if at.end != 0 || f.message == nil {
		return nil
	}
	text, err := w.appendMessage(nil, w.shapeOf(f.message), nil)
	if err != nil {
		return nil
	}
	return text
}

// appendValue appends one value, and tells how long it was.
func (w *writer) appendValue(out []byte, s *shape, f *field, kind protowire.Type, value []byte) ([]byte, int, error) {
	switch kind { //nolint:exhaustive // groups are not in our messages.
	case protowire.VarintType:
		v, n := protowire.ConsumeVarint(value)
		if n < 0 {
			return nil, 0, errWire(s)
		}
		return appendVarint(out, f, v), n, nil
	case protowire.BytesType:
		v, n := protowire.ConsumeBytes(value)
		if n < 0 {
			return nil, 0, errWire(s)
		}
		switch f.kind { //nolint:exhaustive // no others are encoded so.
		case protoreflect.StringKind:
			if !utf8.Valid(v) {
				return nil, 0, errWire(s)
			}
			return appendText(out, v), n, nil
		case protoreflect.BytesKind:
			out = append(out, '"')
			return append(base64.StdEncoding.AppendEncode(out, v), '"'), n, nil
		case protoreflect.MessageKind:
			out, err := w.appendMessage(out, w.shapeOf(f.message), v)
			return out, n, err
		}
	}
	return nil, 0, errWire(s)
}

func appendVarint(out []byte, f *field, v uint64) []byte {
	switch f.kind {
	case protoreflect.BoolKind:
		return strconv.AppendBool(out, protowire.DecodeBool(v))
	case protoreflect.Int32Kind:
		return strconv.AppendInt(out, int64(int32(v)), 10)
	default: // 64 bits, which JSON has as text
		return append(strconv.AppendUint(append(out, '"'), v, 10), '"')
	}
}

// appendText appends a string as JSON.
func appendText[T string | []byte](out []byte, text T) []byte {
	const digits = "0123456789abcdef"
	out = append(out, '"')
	plain := 0
	for i := range len(text) {
		c := text[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		out = append(out, text[plain:i]...)
		plain = i + 1
		switch c {
		case '"', '\\':
			out = append(out, '\\', c)
		case '\b':
			out = append(out, '\\', 'b')
		case '\f':
			out = append(out, '\\', 'f')
		case '\n':
			out = append(out, '\\', 'n')
		case '\r':
			out = append(out, '\\', 'r')
		case '\t':
			out = append(out, '\\', 't')
		default:
			out = append(out, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	return append(append(out, text[plain:]...), '"')
}

// appendRare has protojson do it.
func appendRare(out []byte, d protoreflect.MessageDescriptor, raw []byte) ([]byte, error) {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "encoding a %s", d.FullName())
	}
	m := kind.New().Interface()
	if err := proto.Unmarshal(raw, m); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "encoding a %s", d.FullName())
	}
	return protojson.MarshalOptions{EmitDefaultValues: true}.MarshalAppend(out, m)
}

// appendTime appends a time with none, three, six or nine digits of a second's fraction.
func appendTime(out, raw []byte) ([]byte, bool) {
	var seconds, nanos int64
	for len(raw) > 0 {
		number, kind, n := protowire.ConsumeTag(raw)
		if n < 0 || kind != protowire.VarintType {
			return nil, false
		}
		v, size := protowire.ConsumeVarint(raw[n:])
		if size < 0 {
			return nil, false
		}
		switch number { //nolint:exhaustive // two fields, of all numbers that there may be.
		case 1:
			seconds = int64(v)
		case 2:
			nanos = int64(int32(v))
		}
		raw = raw[n+size:]
	}
	if nanos < 0 || nanos > 999_999_999 || seconds < firstSecond || seconds > lastSecond {
		return nil, false
	}
	year, month, day := time.Unix(seconds, 0).UTC().Date()
	ofDay := (seconds - firstSecond) % secondsPerDay
	out = appendDigits(append(out, '"'), int64(year), 4)
	out = appendDigits(append(out, '-'), int64(month), 2)
	out = appendDigits(append(out, '-'), int64(day), 2)
	out = appendDigits(append(out, 'T'), ofDay/3600, 2)
	out = appendDigits(append(out, ':'), ofDay/60%60, 2)
	out = appendDigits(append(out, ':'), ofDay%60, 2)
	switch {
	case nanos == 0:
	case nanos%1_000_000 == 0:
		out = appendDigits(append(out, '.'), nanos/1_000_000, 3)
	case nanos%1_000 == 0:
		out = appendDigits(append(out, '.'), nanos/1_000, 6)
	default:
		out = appendDigits(append(out, '.'), nanos, 9)
	}
	return append(out, 'Z', '"'), true
}

// JSON has times from the year 1 to 9999: their first and last seconds, since 1970. The first is midnight.
const (
	firstSecond, lastSecond = -62_135_596_800, 253_402_300_799
	secondsPerDay           = 24 * 3600
)

// appendDigits appends a number with as many digits as are asked for.
func appendDigits(out []byte, number int64, digits int) []byte {
	out = append(out, "000000000"[:digits]...)
	for i := len(out) - 1; number > 0; i-- {
		out[i] = byte('0' + number%10)
		number /= 10
	}
	return out
}
