package resource

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// CanonicalJSON is a message's one form as JSON: lowerCamelCase, keys sorted, no spaces, unset fields left out. Digests,
// columns of the store and golden files use it, because protojson's own spacing differs between builds. It fails for what
// CheckMessage refuses, strings that are not UTF-8 and times that are none, and for nothing else.
func CanonicalJSON(m proto.Message) ([]byte, error) {
	return AppendCanonicalJSON(nil, m)
}

// AppendCanonicalJSON appends a message's CanonicalJSON.
func AppendCanonicalJSON(out []byte, m proto.Message) ([]byte, error) {
	if form, ok := appendMessage(out, m.ProtoReflect()); ok {
		return form, nil
	}
	form, err := canonicalise(m)
	if err != nil {
		return nil, err
	}
	return append(out, form...), nil
}

// canonicalise is CanonicalJSON by way of protojson: of what appendMessage does not do, and why there is none.
func canonicalise(m proto.Message) ([]byte, error) {
	raw, err := protojson.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding %s as JSON: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	value, err := decodeJSON(raw)
	if err != nil {
		return nil, fmt.Errorf("reading %s back from JSON: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	return encodeJSON(value)
}

// Digest is the SHA-256 (hex) of a message's canonical JSON. It panics for a message that has none, so the message must have
// passed CheckMessage, or Validate for a spec; or be made of what has.
func Digest(m proto.Message) string {
	canonical, err := CanonicalJSON(m)
	if err != nil {
		panic("resource: digest: " + err.Error())
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])
}

// SpecDigest is the digest of an object's spec: what the audit log says of before and after.
func SpecDigest(o Object) string { return Digest(Spec(o)) }

// Diff lists the fields of labels and spec that differ between two versions of an object, in order of their paths, with
// their values as JSON. Both must have passed Validate, as for Digest. Nil stands for an object that is not there. A list is compared as a whole.
func Diff(before, after Object) []*isthmusv1.FieldChange {
	old, _, known := readLeaves(before)
	now, _, knowable := readLeaves(after)
	if known && knowable {
		return changesOf(old, now)
	}
	was, is := leaves(before), leaves(after)
	var changes []*isthmusv1.FieldChange
	for field, value := range was {
		if is[field] != value {
			changes = append(changes, &isthmusv1.FieldChange{Field: field, Before: value, After: is[field]})
		}
	}
	for field, value := range is {
		if _, both := was[field]; !both {
			changes = append(changes, &isthmusv1.FieldChange{Field: field, After: value})
		}
	}
	slices.SortFunc(changes, func(a, b *isthmusv1.FieldChange) int { return cmp.Compare(a.GetField(), b.GetField()) })
	return changes
}

// leaves are the values of labels and spec by their paths.
func leaves(o Object) map[string]string {
	return leavesOf(o, func(spec any) any { return spec })
}

// leavesOf are leaves of the spec that show makes of it.
func leavesOf(o Object, show func(spec any) any) map[string]string {
	out := map[string]string{}
	if o == nil {
		return out
	}
	for key, value := range o.GetLabels() {
		out[joinPath("labels", key)] = mustJSON(value)
	}
	canonical, err := CanonicalJSON(Spec(o))
	if err != nil {
		panic("resource: diff: " + err.Error())
	}
	value, err := decodeJSON(canonical)
	if err != nil {
		panic("resource: diff: " + err.Error())
	}
	collectLeaves("spec", show(value), out)
	return out
}

func collectLeaves(path string, value any, out map[string]string) {
	fields, ok := value.(map[string]any)
	if !ok {
		out[path] = mustJSON(value)
		return
	}
	for key, inner := range fields {
		collectLeaves(joinPath(path, key), inner, out)
	}
}

// joinPath appends a key; one that would read as several goes into brackets: labels["example.com/tier"].
func joinPath(path, key string) string {
	switch {
	case strings.ContainsAny(key, "./[]\""):
		return fmt.Sprintf("%s[%q]", path, key)
	case path == "":
		return key
	}
	return path + "." + key
}

func decodeJSON(raw []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	return value, nil
}

// encodeJSON is json.Marshal without its escapes for HTML, which would make people read \u003c.
func encodeJSON(value any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// mustJSON encodes what came out of JSON, or a string: neither can fail.
func mustJSON(value any) string {
	out, err := encodeJSON(value)
	if err != nil {
		panic("resource: encoding a value: " + err.Error())
	}
	return string(out)
}
