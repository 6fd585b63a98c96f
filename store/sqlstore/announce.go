package sqlstore

import (
	"encoding/binary"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	"isthmus/resource"
	"isthmus/store"
)

// Announce implements store.Announcer.
func (s *Store) Announce(told func(store.Commit)) { s.told = told }

// announce tells of a commit. What it tells is what the feed would give, but made of what was written.
func (s *Store) announce(st *state) {
	if s.told == nil || st.index == st.began.index {
		return
	}
	type made struct {
		object  resource.Object
		encoded []byte
	}
	objects := make(map[store.Key]made, len(st.cells))
	for i := range st.output.changes {
		c := &st.output.changes[i]
		if c.Key.Kind == store.KindEvent {
			continue
		}
		m, known := objects[c.Key]
		if !known {
			m.object, m.encoded = s.codec.object(c.Key, st.cells[c.Key])
			objects[c.Key] = m
		}
		c.Object, c.Encoded = m.object, m.encoded
	}
	s.told(store.Commit{Before: st.began.revision(), After: st.revision(), Changes: st.output.changes})
}

// object is a resource as the batch leaves it, encoded too if that was done before; nil when it is gone.
func (c *codec) object(key store.Key, cell *cell) (o resource.Object, encoded []byte) {
	if !cell.now.exists {
		return nil, nil
	}
	k := c.kinds[key.Kind]
	if whole := cell.whole; whole != nil && whole == cell.last && whole == cell.spec && whole == cell.status {
		return k.at(whole.object, cell.now.index), k.encodedAt(whole.encoded, cell.now.index)
	}
	return k.at(c.joined(k, key, cell), cell.now.index), nil
}

// joined is a resource of several puts, or of one of a part: the rest is what the row had.
func (c *codec) joined(k *kind, key store.Key, cell *cell) resource.Object {
	base, spec, status := cell.kept, cell.spec, cell.status
	if cell.whole != nil {
		base = cell.whole.object
	}
	m := resource.MetadataOf(base)
	m.UID, m.UpdateTime = cell.now.uid, cell.last.object.GetUpdateTime()
	labels := base.GetLabels()
	if spec != nil {
		labels, m.Generation, m.DeleteTime = spec.object.GetLabels(), spec.object.GetGeneration(), spec.object.GetDeleteTime()
	}
	o := k.New()
	resource.SetName(o, key.Name)
	resource.SetMetadata(o, m)
	resource.SetLabels(o, labels)
	for _, part := range []struct {
		field protoreflect.FieldDescriptor
		put   *put
	}{{k.spec, spec}, {k.status, status}} {
		from := base
		if part.put != nil {
			from = part.put.object
		}
		if r := from.ProtoReflect(); r.Has(part.field) {
			o.ProtoReflect().Set(part.field, r.Get(part.field))
		}
	}
	return o
}

// at gives an object its index, which only the commit knows.
func (k *kind) at(o resource.Object, index uint64) resource.Object {
	o.ProtoReflect().Set(k.index, protoreflect.ValueOfUint64(index))
	return o
}

// encodedAt is at for an encoded object, in place: fields are in the order of their numbers. Nil for none.
func (k *kind) encodedAt(encoded []byte, index uint64) []byte {
	if encoded == nil {
		return nil
	}
	at := 0
	for at < len(encoded) {
		number, _, n := protowire.ConsumeField(encoded[at:])
		if n < 0 || number > k.index.Number() {
			break
		}
		at += n
	}
	var room [maxIndex]byte
	field := protowire.AppendVarint(protowire.AppendTag(room[:0], k.index.Number(), protowire.VarintType), index)
	return slices.Insert(encoded, at, field...)
}

// maxIndex is how long an encoded index is at most, with its tag: all kinds have it as one of their first fields.
const maxIndex = 1 + binary.MaxVarintLen64

// kept is what a load will give of a put object, which is the writer's no more.
func (c *codec) kept(k *kind, p store.Put) (out resource.Object, encoded []byte, err error) {
	if !p.Given || !plain(p.Object) {
		return c.copied(k, p.Object, p.Part)
	}
	if p.Part != store.PartAll {
		return p.Object, nil, nil // what is announced is put together of it and the rest: see joined
	}
	err = c.use(func(room []byte) ([]byte, error) {
		wire, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(room, p.Object)
		encoded = roomy(wire)
		return wire, err
	})
	if err != nil {
		return nil, nil, fault.Wrap(fault.Internal, err, "encoding %s %s", k.Name, p.Object.GetName())
	}
	return p.Object, encoded, nil
}

// roomy is a copy of an encoded object with room for its index.
func roomy(wire []byte) []byte { return append(make([]byte, 0, len(wire)+maxIndex), wire...) }

// plain tells whether an object is as a load gives it but for its index: it has none yet, and nothing in it that is not stored. Its spec may be
// what somebody sent; a status is what this binary made.
func plain(o resource.Object) bool {
	for _, t := range []*timestamppb.Timestamp{o.GetCreateTime(), o.GetUpdateTime(), o.GetDeleteTime()} {
		if t != nil && !t.IsValid() {
			return false
		}
	}
	return o.GetIndex() == 0 && len(o.ProtoReflect().GetUnknown()) == 0 && known(resource.Spec(o).ProtoReflect())
}

// known tells whether all that there is of a message are fields that this binary knows.
func known(m protoreflect.Message) bool {
	if len(m.GetUnknown()) > 0 {
		return false
	}
	all := true
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Message() == nil, field.IsMap() && field.MapValue().Message() == nil:
		case field.IsMap():
			all = false // nobody has looked
		case field.IsList():
			for i := 0; i < value.List().Len() && all; i++ {
				all = known(value.List().Get(i).Message())
			}
		default:
			all = known(value.Message())
		}
		return all
	})
	return all
}

// copied is what a load will give of an object once part of it is written; it shares nothing that its writer may change.
// Parts that are not written are left out. It goes by way of the wire, which comes along for the whole of one; fields that this binary does
// not know are not stored either.
func (c *codec) copied(k *kind, o resource.Object, part store.Part) (out resource.Object, encoded []byte, err error) {
	from, whole := o.ProtoReflect(), k.New()
	resource.SetName(whole, o.GetName())
	m := resource.MetadataOf(o)
	m.Index = 0
	m.CreateTime, m.UpdateTime, m.DeleteTime = columnTime(m.CreateTime), columnTime(m.UpdateTime), columnTime(m.DeleteTime)
	resource.SetMetadata(whole, m)
	shared := []protoreflect.FieldDescriptor{k.labels, k.spec, k.status}
	switch part {
	case store.PartAll:
	case store.PartSpec:
		shared = shared[:2]
	case store.PartStatus:
		shared = shared[2:]
	}
	for _, field := range shared {
		if from.Has(field) {
			whole.ProtoReflect().Set(field, from.Get(field))
		}
	}
	out = k.New()
	err = c.use(func(room []byte) ([]byte, error) {
		wire, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(room, whole)
		if err != nil {
			return nil, err
		}
		if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(wire, out); err != nil {
			return nil, err
		}
		if part == store.PartAll && proto.Size(out) == len(wire) { // else there were unknown fields
			encoded = roomy(wire)
		}
		return wire, nil
	})
	if err != nil {
		return nil, nil, fault.Wrap(fault.Internal, err, "copying %s %s", k.Name, o.GetName())
	}
	return out, encoded, nil
}
