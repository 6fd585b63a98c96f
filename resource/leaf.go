package resource

import (
	"cmp"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// leaf is one value of labels or spec: its path, and what it is as canonical JSON.
type leaf struct{ path, value string }

// pathSpec is where the leaves of a spec are.
const pathSpec = "spec"

// leafReader reads the leaves of an object without building its JSON: each write tells the audit log of them.
type leafReader struct {
	leaves []leaf
	buffer []byte
	// veiled: there is something that Masked may hide.
	veiled bool
}

// readLeaves are an object's leaves in order of their paths; none of nil. ok is false for what only leavesOf reads, and veiled tells whether Masked
// may hide something of it.
func readLeaves(o Object) (leaves []leaf, veiled, ok bool) {
	if o == nil {
		return nil, false, true
	}
	var r leafReader
	for key, value := range o.GetLabels() {
		if r.buffer, ok = appendText(r.buffer[:0], value); !ok {
			return nil, false, false
		}
		r.leaves = append(r.leaves, leaf{joinPath("labels", key), string(r.buffer)})
	}
	if !r.message(pathSpec, Spec(o).ProtoReflect()) {
		return nil, false, false
	}
	slices.SortFunc(r.leaves, func(a, b leaf) int { return cmp.Compare(a.path, b.path) })
	return r.leaves, r.veiled, true
}

// message reads the leaves of a message's fields.
func (r *leafReader) message(path string, m protoreflect.Message) bool {
	c := canonicalOf(m.Descriptor())
	if c.wellKnown {
		var ok bool
		r.buffer, ok = appendWellKnown(r.buffer[:0], m)
		return ok && r.add(path)
	}
	for _, f := range c.fields {
		if !m.Has(f.FieldDescriptor) {
			continue
		}
		at := f.ofSpec
		if path != pathSpec {
			at = joinPath(path, f.JSONName())
		}
		if !r.field(at, f.FieldDescriptor, m.Get(f.FieldDescriptor)) {
			return false
		}
	}
	return true
}

// field reads the leaves of a field, whose path is given.
func (r *leafReader) field(path string, f protoreflect.FieldDescriptor, value protoreflect.Value) (ok bool) {
	if f.IsMap() {
		return false
	}
	r.veiled = r.veiled || hides(f.JSONName())
	if f.Kind() == protoreflect.MessageKind && !f.IsList() {
		return r.message(path, value.Message())
	}
	if r.buffer, ok = appendField(r.buffer[:0], f, value); !ok {
		return false
	}
	return r.add(path)
}

// add adds what is in the buffer.
func (r *leafReader) add(path string) bool {
	value := string(r.buffer)
	if strings.HasPrefix(value, "[{") {
		for _, m := range masks() {
			r.veiled = r.veiled || strings.Contains(value, `"`+m.field+`":`)
		}
	}
	r.leaves = append(r.leaves, leaf{path, value})
	return true
}

// hides tells whether Masked hides something of a field.
func hides(field string) bool {
	for _, m := range masks() {
		if m.field == field {
			return true
		}
	}
	return false
}

// changesOf are the leaves that differ, in order of their paths.
func changesOf(was, is []leaf) []*isthmusv1.FieldChange {
	var out []*isthmusv1.FieldChange
	// Of what comes or goes as a whole all differ: there is room for them at once.
	var room []isthmusv1.FieldChange
	if n := len(was) + len(is); n > 0 && (len(was) == 0 || len(is) == 0) {
		room, out = make([]isthmusv1.FieldChange, n), make([]*isthmusv1.FieldChange, 0, n)
	}
	differs := func(path, before, after string) {
		if len(room) == 0 {
			room = make([]isthmusv1.FieldChange, 1)
		}
		c := &room[0]
		room = room[1:]
		c.Field, c.Before, c.After = path, before, after
		out = append(out, c)
	}
	for len(was)+len(is) > 0 {
		switch {
		case len(is) == 0 || len(was) > 0 && was[0].path < is[0].path:
			differs(was[0].path, was[0].value, "")
			was = was[1:]
		case len(was) == 0 || is[0].path < was[0].path:
			differs(is[0].path, "", is[0].value)
			is = is[1:]
		default:
			if was[0].value != is[0].value {
				differs(is[0].path, was[0].value, is[0].value)
			}
			was, is = was[1:], is[1:]
		}
	}
	return out
}
