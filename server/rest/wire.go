package rest

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

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
	mu sync.RWMutex
	// shapes by the descriptors of messages.
	shapes map[protoreflect.MessageDescriptor]*shape
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
	// inner is the shape of a message, or of a map's entries: key and value. Nil for others.
	inner *shape
	// entries: it is a map.
	entries bool
	// absent is what stands for a field that is not there; nil: nothing.
	absent []byte
}

func (t *transcoder) shapeOf(d protoreflect.MessageDescriptor) *shape {
	t.mu.RLock()
	s := t.shapes[d]
	t.mu.RUnlock()
	if s != nil {
		return s
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shapes == nil {
		t.shapes = map[protoreflect.MessageDescriptor]*shape{}
	}
	return t.learn(d)
}

// learn makes the shape of a message and of all that may be in it. Types contain themselves: one that is being learned is there already.
func (t *transcoder) learn(d protoreflect.MessageDescriptor) *shape {
	if known := t.shapes[d]; known != nil {
		return known
	}
	s := &shape{
		descriptor: d, rare: strings.HasPrefix(string(d.FullName()), "google."), time: d.FullName() == "google.protobuf.Timestamp",
	}
	t.shapes[d] = s
	for i := range d.Fields().Len() {
		s.add(t, d.Fields().Get(i))
	}
	return s
}

func (s *shape) add(t *transcoder, d protoreflect.FieldDescriptor) {
	f := field{
		number: d.Number(), kind: d.Kind(), list: d.IsList(), entries: d.IsMap(),
		name: append(strconv.AppendQuote(nil, d.JSONName()), ':'),
	}
	if d.Message() != nil {
		f.inner = t.learn(d.Message())
	}
	switch {
	case d.IsMap():
		f.absent = []byte("{}")
	case d.IsList():
		f.absent = []byte("[]")
	case !d.HasPresence():
		f.absent = absent(d.Kind())
	}
	switch {
	case f.entries && (f.inner.rare || f.inner.fields[0].kind != protoreflect.StringKind), f.inner == nil && absent(f.kind) == nil:
		s.rare = true
	}
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

// spot is where a field is: where its first occurrence begins, and the value of its last one, without its length, begins and ends.
type spot struct {
	first, value, end int
	kind              protowire.Type
}

// next reads the field that begins at a place: its number, where its value is, and in which form. Most tags and lengths are of one byte.
func (s *shape) next(raw []byte, at int) (protowire.Number, spot, error) {
	if at+1 < len(raw) && raw[at] < 0x80 && raw[at+1] < 0x80 {
		number, kind, size := protowire.Number(raw[at]>>3), protowire.Type(raw[at]&7), int(raw[at+1])
		switch {
		case number == 0:
		case kind == protowire.VarintType:
			return number, spot{at, at + 1, at + 2, kind}, nil
		case kind == protowire.BytesType && at+2+size <= len(raw):
			return number, spot{at, at + 2, at + 2 + size, kind}, nil
		}
	}
	number, kind, n := protowire.ConsumeTag(raw[at:])
	if n < 0 {
		return 0, spot{}, errWire(s)
	}
	size := protowire.ConsumeFieldValue(number, kind, raw[at+n:])
	if size < 0 {
		return 0, spot{}, errWire(s)
	}
	value, end := at+n, at+n+size
	if kind == protowire.BytesType {
		text, _ := protowire.ConsumeBytes(raw[value:end])
		value = end - len(text)
	}
	return number, spot{at, value, end, kind}, nil
}

// writer makes the JSON of one message and all that is in it.
type writer struct {
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
	return new(writer).appendMessage(out, t.shapeOf(d), raw)
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
		number, found, err := s.next(raw, at)
		if err != nil {
			return err
		}
		at = found.end
		if int(number) >= len(s.byNumber) || s.byNumber[number] < 0 {
			continue
		}
		known := &spots[s.byNumber[number]]
		if known.end > 0 {
			found.first = known.first
		}
		*known = found
	}
	return nil
}

func (w *writer) appendField(out []byte, s *shape, f *field, at spot, raw []byte) ([]byte, error) {
	switch {
	case at.end == 0:
		return append(out, f.absent...), nil
	case f.entries:
		return w.appendMap(out, s, f, raw[at.first:at.end])
	case f.list:
		return w.appendList(out, s, f, raw[at.first:at.end])
	}
	return w.appendValue(out, s, f, at.kind, raw[at.value:at.end])
}

// appendList appends the values of all occurrences of a field.
func (w *writer) appendList(out []byte, s *shape, f *field, raw []byte) ([]byte, error) {
	begin := len(out)
	for at := 0; at < len(raw); {
		number, found, err := s.next(raw, at)
		if err != nil {
			return nil, err
		}
		at = found.end
		if number != f.number {
			continue
		}
		value := raw[found.value:found.end]
		if found.kind == protowire.BytesType && f.numeric() {
			out, err = appendPacked(out, s, f, value)
		} else {
			out, err = w.appendValue(append(out, ','), s, f, found.kind, value)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(out) == begin { // packed, and none in it
		out = append(out, ',')
	}
	out[begin] = '['
	return append(out, ']'), nil
}

// appendMap appends a map in the order of its keys. When one comes twice, the last counts.
func (w *writer) appendMap(out []byte, s *shape, f *field, raw []byte) ([]byte, error) {
	type pair struct {
		key   []byte
		entry []byte
		value spot
	}
	var room [8]pair
	pairs := room[:0]
	for at := 0; at < len(raw); {
		number, found, err := s.next(raw, at)
		if err != nil {
			return nil, err
		}
		at = found.end
		if number != f.number {
			continue
		}
		if found.kind != protowire.BytesType {
			return nil, errWire(s)
		}
		entry := raw[found.value:found.end]
		var spots [2]spot
		if err := f.inner.find(entry, spots[:]); err != nil {
			return nil, err
		}
		if spots[0].end > 0 && spots[0].kind != protowire.BytesType {
			return nil, errWire(s)
		}
		pairs = append(pairs, pair{entry[spots[0].value:spots[0].end], entry, spots[1]})
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return bytes.Compare(a.key, b.key) })
	out = append(out, '{')
	begin := len(out)
	for i, p := range pairs {
		if i+1 < len(pairs) && bytes.Equal(pairs[i+1].key, p.key) {
			continue
		}
		if len(out) > begin {
			out = append(out, ',')
		}
		var err error
		if out, err = appendText(out, s, p.key); err != nil {
			return nil, err
		}
		if out, err = w.appendEntry(append(out, ':'), f.inner, p.value, p.entry); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

// appendEntry appends the value of a map's entry. One that is not there is an empty message, or its kind's default.
func (w *writer) appendEntry(out []byte, s *shape, at spot, entry []byte) ([]byte, error) {
	f := &s.fields[1]
	if at.end == 0 && f.inner != nil {
		return w.appendMessage(out, f.inner, nil)
	}
	return w.appendField(out, s, f, at, entry)
}

// appendValue appends one value.
func (w *writer) appendValue(out []byte, s *shape, f *field, kind protowire.Type, value []byte) ([]byte, error) {
	switch {
	case kind == protowire.VarintType && f.numeric():
		v, n := protowire.ConsumeVarint(value)
		if n < 0 {
			return nil, errWire(s)
		}
		return appendVarint(out, f, v), nil
	case kind != protowire.BytesType || f.numeric():
		return nil, errWire(s)
	case f.kind == protoreflect.StringKind:
		return appendText(out, s, value)
	case f.kind == protoreflect.BytesKind:
		out = append(out, '"')
		return append(base64.StdEncoding.AppendEncode(out, value), '"'), nil
	}
	return w.appendMessage(out, f.inner, value)
}

// numeric tells whether a field is encoded as a number: all kinds that a shape has, but for texts, bytes and messages.
func (f *field) numeric() bool {
	return f.kind != protoreflect.StringKind && f.kind != protoreflect.BytesKind && f.kind != protoreflect.MessageKind
}

// appendPacked appends numbers that are encoded as one value, each after a comma.
func appendPacked(out []byte, s *shape, f *field, raw []byte) ([]byte, error) {
	for len(raw) > 0 {
		v, n := protowire.ConsumeVarint(raw)
		if n < 0 {
			return nil, errWire(s)
		}
		out = appendVarint(append(out, ','), f, v)
		raw = raw[n:]
	}
	return out, nil
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
	ofDay := int((seconds - firstSecond) % secondsPerDay)
	out = appendTwo(appendTwo(append(out, '"'), year/100), year%100)
	out = appendTwo(append(out, '-'), int(month))
	out = appendTwo(append(out, '-'), day)
	out = appendTwo(append(out, 'T'), ofDay/3600)
	out = appendTwo(append(out, ':'), ofDay/60%60)
	out = appendTwo(append(out, ':'), ofDay%60)
	switch {
	case nanos == 0:
	case nanos%1_000_000 == 0:
		out = appendFraction(out, nanos/1_000_000, 3)
	case nanos%1_000 == 0:
		out = appendFraction(out, nanos/1_000, 6)
	default:
		out = appendFraction(out, nanos, 9)
	}
	return append(out, 'Z', '"'), true
}

// JSON has times from the year 1 to 9999: their first and last seconds, since 1970. The first is midnight.
const (
	firstSecond, lastSecond = -62_135_596_800, 253_402_300_799
	secondsPerDay           = 24 * 3600
)

// appendTwo appends a number below 100 with two digits.
func appendTwo(out []byte, number int) []byte {
	return append(out, byte('0'+number/10), byte('0'+number%10))
}

// appendFraction appends a point, and a number with as many digits as are asked for.
func appendFraction(out []byte, number int64, digits int) []byte {
	text := [10]byte{'.'}
	for i := digits; i > 0; i-- {
		text[i] = byte('0' + number%10)
		number /= 10
	}
	return append(out, text[:digits+1]...)
}
