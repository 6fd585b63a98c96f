package sqlstore

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

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
	objects := map[store.Key]resource.Object{}
	for i := range st.output.changes {
		c := &st.output.changes[i]
		if c.Key.Kind == store.KindEvent {
			continue
		}
		o, known := objects[c.Key]
		if !known {
			o = s.codec.object(c.Key, st.cells[c.Key])
			objects[c.Key] = o
		}
		c.Object = o
	}
	s.told(store.Commit{Before: st.began.revision(), After: st.revision(), Changes: st.output.changes})
}

// object is a resource as the batch leaves it; nil when it is gone.
func (c *codec) object(key store.Key, cell *cell) resource.Object {
	if !cell.now.exists {
		return nil
	}
	k := c.kinds[key.Kind]
	if cell.whole != nil && cell.whole == cell.last && cell.spec == cell.last && cell.status == cell.last {
		return k.at(cell.whole.object, cell.now.index)
	}
	// Several puts, or one of a part: the rest is what the row had.
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
	return k.at(o, cell.now.index)
}

// at gives an object its index, which only the commit knows.
func (k *kind) at(o resource.Object, index uint64) resource.Object {
	o.ProtoReflect().Set(k.index, protoreflect.ValueOfUint64(index))
	return o
}

// copied is what a load will give of an object once part of it is written; it shares nothing that its writer may change.
// Parts that are not written are left out. It goes by way of the wire: fields that this binary does not know are not stored either.
func (c *codec) copied(k *kind, o resource.Object, part store.Part) (resource.Object, error) {
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
	out := k.New()
	err := c.use(func(room []byte) ([]byte, error) {
		wire, err := proto.MarshalOptions{}.MarshalAppend(room, whole)
		if err != nil {
			return nil, err
		}
		return wire, proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(wire, out)
	})
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "copying %s %s", k.Name, o.GetName())
	}
	return out, nil
}
