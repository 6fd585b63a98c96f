package resource

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Object is what all kinds have in common: the flat metadata fields 1 to 8, spec (10) and status (11). The generated
// messages of proto/isthmus/v1 implement it.
type Object interface {
	proto.Message
	GetName() string
	GetLabels() map[string]string
	GetUid() string
	GetGeneration() int32
	GetIndex() uint64
	GetCreateTime() *timestamppb.Timestamp
	GetUpdateTime() *timestamppb.Timestamp
	GetDeleteTime() *timestamppb.Timestamp
}

// Metadata is the settable form of what Object's getters read. Labels, name, spec and status are not in it: they are
// the kind's own.
type Metadata struct {
	UID        string
	Generation int32
	Index      uint64
	CreateTime *timestamppb.Timestamp
	UpdateTime *timestamppb.Timestamp
	DeleteTime *timestamppb.Timestamp
}

// Field numbers that every kind shares; a test checks them.
const (
	fieldName       = 1
	fieldLabels     = 2
	fieldUID        = 3
	fieldGeneration = 4
	fieldIndex      = 5
	fieldCreateTime = 6
	fieldUpdateTime = 7
	fieldDeleteTime = 8
	fieldSpec       = 10
	fieldStatus     = 11
)

// MetadataOf reads an object's metadata.
func MetadataOf(o Object) Metadata {
	return Metadata{
		UID: o.GetUid(), Generation: o.GetGeneration(), Index: o.GetIndex(),
		CreateTime: o.GetCreateTime(), UpdateTime: o.GetUpdateTime(), DeleteTime: o.GetDeleteTime(),
	}
}

// SetMetadata overwrites an object's metadata. The object must not be shared: take a Clone of one that a snapshot gave.
func SetMetadata(o Object, m Metadata) {
	r := o.ProtoReflect()
	set := func(number protoreflect.FieldNumber, value protoreflect.Value, present bool) {
		field := r.Descriptor().Fields().ByNumber(number)
		if present {
			r.Set(field, value)
		} else {
			r.Clear(field)
		}
	}
	setTime := func(number protoreflect.FieldNumber, t *timestamppb.Timestamp) {
		if t == nil {
			set(number, protoreflect.Value{}, false)
			return
		}
		set(number, protoreflect.ValueOfMessage(t.ProtoReflect()), true)
	}
	set(fieldUID, protoreflect.ValueOfString(m.UID), m.UID != "")
	set(fieldGeneration, protoreflect.ValueOfInt32(m.Generation), m.Generation != 0)
	set(fieldIndex, protoreflect.ValueOfUint64(m.Index), m.Index != 0)
	setTime(fieldCreateTime, m.CreateTime)
	setTime(fieldUpdateTime, m.UpdateTime)
	setTime(fieldDeleteTime, m.DeleteTime)
}

// Spec is the object's spec message, read-only and empty when unset.
func Spec(o Object) proto.Message { return part(o, fieldSpec) }

// Status is the object's status message, read-only and empty when unset.
func Status(o Object) proto.Message { return part(o, fieldStatus) }

func part(o Object, number protoreflect.FieldNumber) proto.Message {
	r := o.ProtoReflect()
	return r.Get(r.Descriptor().Fields().ByNumber(number)).Message().Interface()
}

// SetSpec replaces the spec; nil clears it.
func SetSpec(o Object, spec proto.Message) { setPart(o, fieldSpec, spec) }

// SetStatus replaces the status; nil clears it.
func SetStatus(o Object, status proto.Message) { setPart(o, fieldStatus, status) }

func setPart(o Object, number protoreflect.FieldNumber, value proto.Message) {
	r := o.ProtoReflect()
	field := r.Descriptor().Fields().ByNumber(number)
	if value == nil || !value.ProtoReflect().IsValid() {
		r.Clear(field)
		return
	}
	r.Set(field, protoreflect.ValueOfMessage(value.ProtoReflect()))
}

// SetLabels replaces the labels.
func SetLabels(o Object, labels map[string]string) {
	r := o.ProtoReflect()
	field := r.Descriptor().Fields().ByNumber(fieldLabels)
	r.Clear(field)
	if len(labels) == 0 {
		return
	}
	m := r.Mutable(field).Map()
	for k, v := range labels {
		m.Set(protoreflect.ValueOfString(k).MapKey(), protoreflect.ValueOfString(v))
	}
}

// SetName sets the name.
func SetName(o Object, name string) {
	r := o.ProtoReflect()
	r.Set(r.Descriptor().Fields().ByNumber(fieldName), protoreflect.ValueOfString(name))
}

// Clone is a deep copy.
func Clone[T Object](o T) T { return proto.CloneOf(o) }
