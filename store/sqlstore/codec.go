package sqlstore

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	"isthmus/resource"
	"isthmus/store"
)

// timeFormat is how times are stored in both databases: exact, in order as text, and readable with psql.
const timeFormat = "2006-01-02T15:04:05.000000000Z"

// kind is a row of the registry, with what the codec needs of it.
type kind struct {
	resource.Kind
	labels, spec, status, index protoreflect.FieldDescriptor
	// shape is a digest of all fields that this binary knows of spec and status. A row with the same shape was written
	// by a binary that knows the same fields.
	shape string
}

// codec turns resources into rows and back.
type codec struct {
	kinds map[string]*kind
	// room for what is written and read again at once: buffers as *[]byte.
	room sync.Pool
}

func newCodec() *codec {
	c := &codec{kinds: map[string]*kind{}, room: sync.Pool{New: func() any { return new([]byte) }}}
	for _, k := range resource.Kinds() {
		fields := k.New().ProtoReflect().Descriptor().Fields()
		entry := &kind{Kind: k, labels: fields.ByName("labels"), spec: fields.ByName("spec"), status: fields.ByName("status"), index: fields.ByName("index")}
		entry.shape = shapeOf(entry.spec.Message(), entry.status.Message())
		c.kinds[k.Name] = entry
	}
	return c
}

// shapeOf lists every field that can be reached, and digests the list.
func shapeOf(messages ...protoreflect.MessageDescriptor) string {
	seen := map[protoreflect.FullName]bool{}
	var lines []string
	for len(messages) > 0 {
		m := messages[0]
		messages = messages[1:]
		if seen[m.FullName()] {
			continue
		}
		seen[m.FullName()] = true
		for i := range m.Fields().Len() {
			f := m.Fields().Get(i)
			lines = append(lines, fmt.Sprintf("%s %s %s", f.FullName(), f.Kind(), f.Cardinality()))
			if f.Message() != nil {
				messages = append(messages, f.Message())
			}
		}
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:8])
}

// put is a store.Put, encoded.
type put struct {
	key        store.Key
	part       store.Part
	uid        string
	labels     string
	generation int64
	// spec and status are JSON; nil where the object has none.
	spec, status any
	// Times are nil where they are unset.
	create, update, delete any
	shape                  string
	datacenters            []string
	relations
	// object is what is written, as a load gives it, and encoded its protobuf, with room for its index; nil for a part. The index comes with the
	// commit.
	object  resource.Object
	encoded []byte
}

// together is how many puts are worth another processor.
const together = 256

// encodeAll encodes in order; many of them on all processors.
func (c *codec) encodeAll(puts []store.Put) ([]*put, error) {
	out := make([]*put, len(puts))
	var group errgroup.Group
	group.SetLimit(max(1, runtime.GOMAXPROCS(0)))
	for start := 0; start < len(puts); start += together {
		some := func() (err error) {
			for i := start; i < min(start+together, len(puts)) && err == nil; i++ {
				out[i], err = c.encode(puts[i])
			}
			return err
		}
		if len(puts) <= together {
			return out, some()
		}
		group.Go(some)
	}
	return out, group.Wait()
}

func (c *codec) encode(p store.Put) (*put, error) {
	name := string(p.Object.ProtoReflect().Descriptor().Name())
	k, ok := c.kinds[name]
	if !ok {
		return nil, fault.New(fault.Internal, "%s is not a kind that can be stored", name)
	}
	o := p.Object
	out := &put{
		key: store.Key{Kind: name, Name: o.GetName()}, part: p.Part,
		uid: o.GetUid(), generation: int64(o.GetGeneration()), shape: k.shape,
		create: timeText(o.GetCreateTime()), delete: timeText(o.GetDeleteTime()),
	}
	if out.update = out.create; o.GetUpdateTime() != o.GetCreateTime() {
		out.update = timeText(o.GetUpdateTime())
	}
	var err error
	if out.object, out.encoded, err = c.kept(k, p); err != nil {
		return nil, err
	}
	if p.Part != store.PartStatus {
		if err = c.encodePart(o, k.spec, &out.spec); err != nil {
			return nil, err
		}
		out.labels = labelsText(o.GetLabels())
		out.scope(k, o)
	}
	if p.Part != store.PartSpec {
		if err = c.encodePart(o, k.status, &out.status); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// scope fills in what the kind says about an object's relations.
func (p *put) scope(k *kind, o resource.Object) {
	if k.Datacenters != nil {
		p.datacenters = sortedSet(k.Datacenters(o))
	}
	p.relations = k.relationsOf(o)
}

// labelsText is the column's.
func labelsText(labels map[string]string) string {
	if len(labels) == 0 {
		return "{}"
	}
	keys := make([]string, 0, len(labels))
	for key := range labels {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	out := []byte{'{'}
	for i, key := range keys {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendText(append(appendText(out, key), ':'), labels[key])
	}
	return string(append(out, '}'))
}

// maxRoom is how large a buffer may be that is kept: most messages are far smaller.
const maxRoom = 64 << 10

// use has do write into a buffer, which nobody keeps anything of.
func (c *codec) use(do func(room []byte) ([]byte, error)) error {
	room := c.room.Get().(*[]byte) //nolint:forcetypeassert // nothing else is put there
	used, err := do((*room)[:0])
	if cap(used) <= maxRoom {
		*room = used
	}
	c.room.Put(room)
	return err
}

// text is a message's canonical JSON.
func (c *codec) text(m proto.Message) (text string, err error) {
	err = c.use(func(room []byte) ([]byte, error) {
		form, err := resource.AppendCanonicalJSON(room, m)
		text = string(form)
		return form, err
	})
	return text, err
}

// encodePart sets a column to spec or status as JSON, if the object has it.
func (c *codec) encodePart(o resource.Object, field protoreflect.FieldDescriptor, into *any) error {
	r := o.ProtoReflect()
	if !r.Has(field) {
		return nil
	}
	text, err := c.text(r.Get(field).Message().Interface())
	if err != nil {
		return fault.Wrap(fault.Internal, err, "encoding the %s of %s %s", field.Name(), r.Descriptor().Name(), o.GetName())
	}
	if hasNUL(text) {
		return fault.Violated(fault.Violation{
			Field: string(field.Name()), Reason: "NulCharacter", Message: "text with a NUL character (U+0000) cannot be stored",
		})
	}
	*into = text
	return nil
}

// hasNUL tells whether a string in the JSON has U+0000, which PostgreSQL's jsonb refuses.
func hasNUL(text string) bool {
	for {
		at := strings.IndexByte(text, '\\')
		if at < 0 {
			return false
		}
		if text = text[at:]; strings.HasPrefix(text, `\u0000`) {
			return true
		}
		text = text[min(2, len(text)):] // what is escaped is not looked at: it may be a backslash
	}
}

// record is one row of resources as the database gives it.
type record struct {
	kind, name, uid        string
	labels, spec, status   []byte
	generation, index      int64
	create, update, delete *string
}

func (r *record) destinations() []any {
	return []any{&r.kind, &r.name, &r.uid, &r.labels, &r.generation, &r.index, &r.create, &r.update, &r.delete, &r.spec, &r.status}
}

// decode makes the resource. known is false for a kind that this binary does not have.
func (c *codec) decode(r *record) (o resource.Object, known bool, err error) {
	k, ok := c.kinds[r.kind]
	if !ok {
		return nil, false, nil
	}
	o = k.New()
	resource.SetName(o, r.name)
	m := resource.Metadata{UID: r.uid, Generation: int32(r.generation), Index: uint64(r.index)}
	for _, t := range []struct {
		text *string
		into **timestamppb.Timestamp
	}{{r.create, &m.CreateTime}, {r.update, &m.UpdateTime}, {r.delete, &m.DeleteTime}} {
		if err = parseTime(t.text, t.into); err != nil {
			return nil, true, fault.Wrap(fault.Internal, err, "reading the times of %s %s", r.kind, r.name)
		}
	}
	resource.SetMetadata(o, m)
	if string(r.labels) != "{}" {
		var labels map[string]string
		if err := json.Unmarshal(r.labels, &labels); err != nil {
			return nil, true, fault.Wrap(fault.Internal, err, "reading the labels of %s %s", r.kind, r.name)
		}
		resource.SetLabels(o, labels)
	}
	for field, text := range map[protoreflect.FieldDescriptor][]byte{k.spec: r.spec, k.status: r.status} {
		if _, err := decodePart(o, field, text); err != nil {
			return nil, true, fault.Wrap(fault.Internal, err, "reading the %s of %s %s", field.Name(), r.kind, r.name)
		}
	}
	return o, true, nil
}

// decodePart sets spec or status from JSON: strictly, then leniently. strict tells that nothing was left out.
func decodePart(o resource.Object, field protoreflect.FieldDescriptor, text []byte) (strict bool, err error) {
	if text == nil {
		return true, nil
	}
	r := o.ProtoReflect()
	value := r.NewField(field)
	if err := protojson.Unmarshal(text, value.Message().Interface()); err == nil {
		r.Set(field, value)
		return true, nil
	}
	value = r.NewField(field)
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(text, value.Message().Interface()); err != nil {
		return false, err
	}
	r.Set(field, value)
	return false, nil
}

// writable tells whether this binary knows every field of a row that another one wrote.
func (c *codec) writable(kindName string, spec, status []byte) bool {
	k, ok := c.kinds[kindName]
	if !ok {
		return false
	}
	for field, text := range map[protoreflect.FieldDescriptor][]byte{k.spec: spec, k.status: status} {
		if strict, err := decodePart(k.New(), field, text); err != nil || !strict {
			return false
		}
	}
	return true
}

func timeText(t *timestamppb.Timestamp) any {
	if t == nil {
		return nil
	}
	return formatTime(t.AsTime())
}

func formatTime(t time.Time) string { return t.UTC().Format(timeFormat) }

// parseTime sets a time from its column, if there is one.
func parseTime(text *string, into **timestamppb.Timestamp) error {
	if text == nil {
		return nil
	}
	t, err := time.Parse(timeFormat, *text)
	if err != nil {
		return err
	}
	*into = timestamppb.New(t)
	return nil
}

func sortedSet(names []string) []string {
	out := slices.Clone(names)
	slices.Sort(out)
	return slices.Compact(out)
}

func namesJSON(names []string) string {
	if len(names) == 0 {
		return "[]"
	}
	return string(appendTexts(nil, names...))
}

// columnTime is a time as its column gives it back.
func columnTime(t *timestamppb.Timestamp) *timestamppb.Timestamp {
	if t == nil || t.IsValid() {
		return t
	}
	return timestamppb.New(t.AsTime())
}

func parseNames(text []byte) ([]string, error) {
	if string(text) == "[]" {
		return nil, nil
	}
	var names []string
	if err := json.Unmarshal(text, &names); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "reading the names of datacenters")
	}
	return names, nil
}
