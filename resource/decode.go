package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"

	"isthmus/fault"
)

// decoder fills a resource out of a document, and notes the line of every field. It is our own because an answer has to
// name each field as it is written in manifests, with its line, all at once, whatever bytes come.
type decoder struct {
	lines    map[string]int
	problems []fault.Violation
}

func (d *decoder) problem(v fault.Violation) { d.problems = append(d.problems, v) }

// The fields of a manifest, and those of a resource that only the server writes: what get and export show can be applied.
func manifestFields() []string { return []string{"kind", "name", "labels", "spec"} }

func outputFields() []string {
	return []string{"uid", "generation", "index", "createTime", "updateTime", "deleteTime", "status"}
}

func (d *decoder) manifest(node *yaml.Node, o Object) {
	m := o.ProtoReflect()
	fields := m.Descriptor().Fields()
	d.each("", node, func(key string, value *yaml.Node) {
		switch key {
		case "kind":
		case "name":
			d.field(key, value, m, fields.ByNumber(fieldName))
		case "labels":
			d.field(key, value, m, fields.ByNumber(fieldLabels))
		case "spec":
			d.field(key, value, m, fields.ByNumber(fieldSpec))
		default:
			if !slices.Contains(outputFields(), key) {
				d.unknown(key, key, manifestFields())
			}
		}
	})
}

// each visits the keys of a mapping, each once, and notes their lines.
func (d *decoder) each(path string, node *yaml.Node, visit func(key string, value *yaml.Node)) {
	seen := make(map[string]bool, len(node.Content)/2)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		at := joinPath(path, key.Value)
		switch {
		case key.Kind == yaml.AliasNode || key.Tag == "!!merge":
			d.alias(path, key)
			continue
		case key.Kind != yaml.ScalarNode:
			d.note(path, key)
			d.problem(invalid(orDocument(path), "a key must be text, not %s", nodeName(key)))
			continue
		}
		d.note(at, key)
		if seen[key.Value] {
			d.problem(fault.Violation{Field: at, Reason: ReasonDuplicate, Message: "is there twice"})
			continue
		}
		seen[key.Value] = true
		visit(key.Value, value)
	}
}

func orDocument(path string) string {
	if path == "" {
		return "manifest"
	}
	return path
}

func (d *decoder) note(path string, node *yaml.Node) {
	if _, known := d.lines[path]; !known && path != "" {
		d.lines[path] = node.Line
	}
}

func (d *decoder) alias(path string, node *yaml.Node) {
	d.note(path, node)
	d.problem(invalid(orDocument(path), "YAML aliases (*name) and merge keys (<<) are not accepted: write the value out"))
}

func (d *decoder) unknown(path, key string, expected []string) {
	message := fmt.Sprintf("unknown field; expected one of %s", strings.Join(expected, ", "))
	if meant := Nearest(key, expected); meant != "" {
		message = fmt.Sprintf("unknown field, did you mean %s? Expected one of %s", meant, strings.Join(expected, ", "))
	}
	d.problem(fault.Violation{Field: path, Reason: ReasonUnknown, Message: message})
}

// field sets one field of a message; null leaves it unset.
func (d *decoder) field(path string, node *yaml.Node, m protoreflect.Message, field protoreflect.FieldDescriptor) {
	if node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null" {
		return
	}
	switch {
	case field.IsMap():
		if !d.expect(path, node, yaml.MappingNode) {
			return
		}
		into := m.Mutable(field).Map()
		d.each(path, node, func(key string, value *yaml.Node) {
			if v, ok := d.scalar(joinPath(path, key), value, field.MapValue()); ok {
				into.Set(protoreflect.ValueOfString(key).MapKey(), v)
			}
		})
	case field.IsList():
		if !d.expect(path, node, yaml.SequenceNode) {
			return
		}
		into := m.Mutable(field).List()
		for i, item := range node.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			d.note(at, item)
			if field.Message() != nil {
				if d.expect(at, item, yaml.MappingNode) {
					d.message(at, item, into.AppendMutable().Message())
				}
				continue
			}
			if v, ok := d.scalar(at, item, field); ok {
				into.Append(v)
			}
		}
	case field.Message() != nil:
		if d.expect(path, node, yaml.MappingNode) {
			d.message(path, node, m.Mutable(field).Message())
		}
	default:
		if v, ok := d.scalar(path, node, field); ok {
			m.Set(field, v)
		}
	}
}

func (d *decoder) message(path string, node *yaml.Node, m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	d.each(path, node, func(key string, value *yaml.Node) {
		at := joinPath(path, key)
		if field := fields.ByJSONName(key); field != nil {
			d.field(at, value, m, field)
			return
		}
		expected := make([]string, fields.Len())
		for i := range fields.Len() {
			expected[i] = fields.Get(i).JSONName()
		}
		d.unknown(at, key, expected)
	})
}

func (d *decoder) expect(path string, node *yaml.Node, kind yaml.Kind) bool {
	if node.Kind == yaml.AliasNode {
		d.alias(path, node)
		return false
	}
	if node.Kind != kind {
		d.problem(invalid(path, "must be %s, not %s", nodeName(&yaml.Node{Kind: kind}), nodeName(node)))
		return false
	}
	return true
}

// scalar reads text, a truth value or a number. Text takes any scalar as it is written, so that version: 1.10 stays that.
func (d *decoder) scalar(path string, node *yaml.Node, field protoreflect.FieldDescriptor) (protoreflect.Value, bool) {
	if !d.expect(path, node, yaml.ScalarNode) {
		return protoreflect.Value{}, false
	}
	tag := node.ShortTag()
	switch kind := field.Kind(); kind {
	case protoreflect.StringKind:
		if tag == "!!null" {
			d.problem(invalid(path, "must be text, not null"))
			return protoreflect.Value{}, false
		}
		return protoreflect.ValueOfString(node.Value), true
	case protoreflect.BoolKind:
		if tag == "!!bool" && (node.Value == "true" || node.Value == "false") {
			return protoreflect.ValueOfBool(node.Value == "true"), true
		}
		d.problem(invalid(path, "%s is not true or false", quote(node.Value)))
	case protoreflect.Int32Kind:
		if n, err := strconv.ParseInt(node.Value, 10, 32); err == nil && tag == "!!int" {
			return protoreflect.ValueOfInt32(int32(n)), true
		}
		d.problem(invalid(path, "%s is not a whole number from -2147483648 to 2147483647", quote(node.Value)))
	case protoreflect.DoubleKind:
		if n, err := strconv.ParseFloat(node.Value, 64); err == nil && (tag == "!!int" || tag == "!!float") && !math.IsInf(n, 0) && !math.IsNaN(n) {
			return protoreflect.ValueOfFloat64(n), true
		}
		d.problem(invalid(path, "%s is not a number: for example 12.5", quote(node.Value)))
	default:
		d.problem(invalid(path, "is of a type (%s) that manifests do not have", kind))
	}
	return protoreflect.Value{}, false
}

func nodeName(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	case yaml.ScalarNode, yaml.DocumentNode:
	}
	if node.Value != "" {
		return "a single value (" + quote(node.Value) + ")"
	}
	return "a single value"
}

// maxNear is how long a word can be, in bytes, to be near another one: each is compared with it letter by letter.
const maxNear = 256

// Nearest is the word of some that was probably meant by another one: at most a third of its letters are wrong; empty: none of them, or the
// word is longer than any name.
func Nearest(word string, words []string) string {
	if len(word) > maxNear {
		return ""
	}
	best, least := "", 1+len(word)/3
	for _, candidate := range words {
		if len(candidate) > 2*maxNear {
			continue
		}
		if n := distance(strings.ToLower(word), strings.ToLower(candidate), least); n < least {
			best, least = candidate, n
		}
	}
	return best
}

// distance is Levenshtein's, or limit when it is not less.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return min(row[len(b)], limit)
}

// jsonNodes reads JSON documents that stand one after the other into the form that YAML is parsed to. Not ok: it is not
// JSON, so YAML has the say. JSON has a reader of its own because YAML's takes neither tabs nor escaped surrogates.
func jsonNodes(text []byte, line int) ([]*yaml.Node, bool) {
	if trimmed := bytes.TrimSpace(text); len(trimmed) == 0 || trimmed[0] != '{' {
		return nil, false
	}
	r := jsonReader{decoder: json.NewDecoder(bytes.NewReader(text)), text: text, line: line}
	r.decoder.UseNumber()
	var nodes []*yaml.Node
	for {
		node, err := r.value(0)
		if errors.Is(err, io.EOF) && len(nodes) > 0 {
			return nodes, true
		}
		if err != nil {
			return nil, false
		}
		nodes = append(nodes, node)
	}
}

type jsonReader struct {
	decoder *json.Decoder
	text    []byte
	// line of offset at.
	line int
	at   int64
}

// maxJSONDepth: manifests need 4.
const maxJSONDepth = 64

func (r *jsonReader) value(depth int) (*yaml.Node, error) {
	token, err := r.decoder.Token()
	if err != nil {
		return nil, err
	}
	if depth > maxJSONDepth {
		return nil, errors.New("nested too deep")
	}
	now := r.decoder.InputOffset()
	r.line += bytes.Count(r.text[r.at:now], []byte("\n"))
	r.at = now
	node := &yaml.Node{Kind: yaml.ScalarNode, Line: r.line}
	switch v := token.(type) {
	case json.Delim:
		return node, r.collection(node, v, depth)
	case string:
		node.Tag, node.Value = "!!str", v
	case json.Number:
		node.Tag, node.Value = "!!float", v.String()
		if !strings.ContainsAny(node.Value, ".eE") {
			node.Tag = "!!int"
		}
	case bool:
		node.Tag, node.Value = "!!bool", strconv.FormatBool(v)
	default:
		node.Tag, node.Value = "!!null", "null"
	}
	return node, nil
}

func (r *jsonReader) collection(node *yaml.Node, open json.Delim, depth int) error {
	node.Kind, node.Tag = yaml.MappingNode, "!!map"
	if open == '[' {
		node.Kind, node.Tag = yaml.SequenceNode, "!!seq"
	}
	for r.decoder.More() {
		inner, err := r.value(depth + 1)
		if err != nil {
			return cutShort(err)
		}
		node.Content = append(node.Content, inner)
	}
	_, err := r.decoder.Token()
	return cutShort(err)
}

// cutShort tells the end inside of a document from the end after the last one.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
