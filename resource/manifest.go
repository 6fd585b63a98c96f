package resource

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"isthmus/fault"
)

// Limits of manifests. A document of a fleet is a few hundred bytes; these keep what a stranger sends from costing more
// memory than a server has to spare.
const (
	// MaxDocument is the most bytes of one document.
	MaxDocument = 1 << 20
	// MaxManifests is the most bytes of a set.
	MaxManifests = 8 << 20
	// maxProblems is how many violations an answer lists: more do not help, and have to fit into gRPC's trailers.
	maxProblems = 20
)

// Manifest is one resource out of a set of documents, and where it stands there.
type Manifest struct {
	// Document is its number in the set, from 1.
	Document int
	// Line is where it begins, from 1.
	Line int
	// Object has its defaults and is valid by itself.
	Object Object

	source string
	lines  map[string]int
}

// Locate puts where it stands before a violation's field: fleet.yaml: document 2, line 7: spec.dialer.
func (m Manifest) Locate(v fault.Violation) fault.Violation {
	v.Field = place(m.source, m.Document, m.lineOf(v.Field)) + ": " + v.Field
	return v
}

// lineOf is the line of a field, or of the nearest one around it that is written down.
func (m Manifest) lineOf(field string) int {
	for field != "" {
		if line, ok := m.lines[field]; ok {
			return line
		}
		field = field[:max(0, strings.LastIndexAny(field, ".["))]
	}
	return m.Line
}

func place(source string, document, line int) string {
	at := fmt.Sprintf("document %d, line %d", document, line)
	if source != "" {
		at = source + ": " + at
	}
	return at
}

// ParseManifests reads YAML documents (apart by ---) or JSON documents (one after the other). source is what errors call
// them: a file's name, or empty. The kinds' defaults are applied and every resource is valid by itself; what a resource
// refers to is not looked at. Output-only fields (uid, generation, index, times, status) are read over. Errors are
// *fault.Error: TooLarge, or Invalid with a violation for everything that is wrong, up to 20.
func ParseManifests(source string, data []byte) ([]Manifest, error) {
	if len(data) > MaxManifests {
		return nil, fault.New(fault.TooLarge, "%smanifests of %d bytes: at most %d bytes in all", prefix(source), len(data), MaxManifests)
	}
	p := parser{source: source, seen: map[string]int{}}
	for _, c := range chunks(bytes.TrimPrefix(data, []byte("\ufeff"))) {
		if len(c.text) > MaxDocument {
			return nil, fault.New(fault.TooLarge, "%s: %d bytes: at most %d bytes in one document",
				place(source, p.document+1, c.line), len(c.text), MaxDocument)
		}
		p.chunk(c)
	}
	if len(p.problems) > 0 {
		return nil, violated(p.problems)
	}
	if len(p.manifests) == 0 {
		return nil, fault.New(fault.Invalid, "%sno manifests: expected YAML or JSON documents with kind, name, labels and spec", prefix(source))
	}
	return p.manifests, nil
}

func prefix(source string) string {
	if source == "" {
		return ""
	}
	return source + ": "
}

func violated(problems []fault.Violation) error {
	if left := len(problems) - maxProblems; left > 0 {
		err := fault.Violated(problems[:maxProblems]...)
		err.Message = fmt.Sprintf("%s: %s (and %d more)", problems[0].Field, problems[0].Message, len(problems)-1)
		return err
	}
	return fault.Violated(problems...)
}

// chunk is the text of one document, and the line at which it begins.
type chunk struct {
	text []byte
	line int
}

// chunks splits at document markers. A line that begins with --- cannot be anything else, not even inside of a string, so
// a document that does not parse does not spoil the ones after it.
func chunks(data []byte) []chunk {
	var out []chunk
	start, startLine, line := 0, 1, 1
	cut := func(end int) {
		if len(bytes.TrimSpace(data[start:end])) > 0 {
			out = append(out, chunk{text: data[start:end], line: startLine})
		}
	}
	for at := 0; at < len(data); {
		end := len(data)
		if i := bytes.IndexByte(data[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		switch text := data[at:end]; {
		case marker(text, "---"):
			cut(at)
			start, startLine = at, line
		case marker(text, "..."):
			cut(at)
			start, startLine = end, line+1
		}
		at = end
		line++
	}
	cut(len(data))
	return out
}

func marker(line []byte, mark string) bool {
	rest, ok := bytes.CutPrefix(line, []byte(mark))
	return ok && (len(rest) == 0 || rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\n' || rest[0] == '\r')
}

// parser collects manifests and everything that is wrong with them.
type parser struct {
	source    string
	document  int
	manifests []Manifest
	problems  []fault.Violation
	// seen is the document of each kind and name.
	seen map[string]int
}

func (p *parser) problem(line int, reason, format string, args ...any) {
	p.problems = append(p.problems, fault.Violation{
		Field: place(p.source, p.document, line), Reason: reason, Message: fmt.Sprintf(format, args...),
	})
}

// chunk reads one YAML document, or the JSON documents that stand one after the other.
func (p *parser) chunk(c chunk) {
	if nodes, ok := jsonNodes(c.text, c.line); ok {
		for _, node := range nodes {
			p.document++
			p.manifest(node)
		}
		return
	}
	p.document++
	decoder := yaml.NewDecoder(bytes.NewReader(c.text))
	var node, more yaml.Node
	err := decoder.Decode(&node)
	if errors.Is(err, io.EOF) {
		// Nothing but comments.
		return
	}
	if err == nil {
		if err = decoder.Decode(&more); errors.Is(err, io.EOF) {
			err = nil
		} else if err == nil {
			err = errors.New("more than one document; put --- on a line of its own between them")
		}
	}
	if err != nil {
		line, message := yamlError(err, c.line)
		p.problem(line, ReasonInvalid, "is neither YAML nor JSON: %s", message)
		return
	}
	shift(&node, c.line-1)
	if len(node.Content) == 1 && node.Content[0].Tag != "!!null" {
		p.manifest(node.Content[0])
	}
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)

// yamlError takes the line out of an error of the YAML parser.
func yamlError(err error, first int) (int, string) {
	text := err.Error()
	found := yamlLine.FindStringSubmatch(text)
	line := first
	if n, err := strconv.Atoi(found[1]); err == nil {
		line = first + n - 1
	}
	return line, strings.TrimPrefix(text, found[0])
}

// shift moves a document's lines to where it stands in the set.
func shift(node *yaml.Node, by int) {
	node.Line += by
	for _, inner := range node.Content {
		shift(inner, by)
	}
}

// manifest reads one document.
func (p *parser) manifest(node *yaml.Node) {
	if node.Kind != yaml.MappingNode {
		p.problem(node.Line, ReasonInvalid, "expected a manifest with kind, name, labels and spec, got %s; a set is documents apart by ---", nodeName(node))
		return
	}
	kind, ok := p.kind(node)
	if !ok {
		return
	}
	m := Manifest{Document: p.document, Line: node.Line, Object: kind.New(), source: p.source, lines: map[string]int{}}
	d := decoder{lines: m.lines}
	d.manifest(node, m.Object)
	if len(d.problems) == 0 {
		Default(m.Object)
		d.problems = check(m.Object)
	}
	if name := m.Object.GetName(); name != "" {
		key := kind.Name + " " + name
		if first, twice := p.seen[key]; twice {
			d.problems = append(d.problems, fault.Violation{
				Field: "name", Reason: ReasonDuplicate, Message: fmt.Sprintf("%s is there twice: in document %d too", key, first),
			})
		} else {
			p.seen[key] = p.document
		}
	}
	for _, v := range d.problems {
		p.problems = append(p.problems, m.Locate(v))
	}
	p.manifests = append(p.manifests, m)
}

// kind finds the kind that a document says it is of.
func (p *parser) kind(node *yaml.Node) (Kind, bool) {
	var applied []string
	for _, k := range Kinds() {
		if k.Manifest {
			applied = append(applied, k.Name)
		}
	}
	choices := strings.Join(applied, ", ")
	value := child(node, "kind")
	if value == nil || value.Kind != yaml.ScalarNode || value.Value == "" {
		p.problem(node.Line, ReasonRequired, "kind: is required: one of %s", choices)
		return Kind{}, false
	}
	i := slices.IndexFunc(Kinds(), func(k Kind) bool { return k.Name == value.Value })
	if i < 0 {
		hint := ""
		if meant, ok := KindNamed(value.Value); ok {
			hint = ", did you mean " + meant.Name + "?"
		}
		p.problem(value.Line, ReasonUnknown, "kind: %s is not one of %s%s", quote(value.Value), choices, hint)
		return Kind{}, false
	}
	k := Kinds()[i]
	if !k.Manifest {
		p.problem(value.Line, ReasonInvalid, "kind: %s cannot be applied: %s; kinds that can: %s", k.Name, k.Origin, choices)
		return Kind{}, false
	}
	return k, true
}

// child is the value of a key; nil when it is not there.
func child(node *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}
