package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"isthmus/fault"
	"isthmus/resource"
)

// Forms of output.
const (
	formTable = "table"
	formWide  = "wide"
	formJSON  = "json"
	formYAML  = "yaml"
)

// choice is a flag whose value is one of a few words.
type choice struct {
	value string
	of    []string
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return strings.Join(c.of, "|") }

func (c *choice) Set(value string) error {
	if !slices.Contains(c.of, value) {
		return fmt.Errorf("expected one of %s", strings.Join(c.of, ", "))
	}
	c.value = value
	return nil
}

// choiceFlag adds a flag that takes one of a few words; the first is the default.
func choiceFlag(cmd *cobra.Command, name, short, usage string, of ...string) *choice {
	c := &choice{value: of[0], of: of}
	cmd.Flags().VarP(c, name, short, usage)
	complete := func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return of, cobra.ShellCompDirectiveNoFileComp
	}
	if err := cmd.RegisterFlagCompletionFunc(name, complete); err != nil {
		panic(err) // the flag was added one line above
	}
	return c
}

// outputFlag adds -o.
func outputFlag(cmd *cobra.Command, forms ...string) *choice {
	return choiceFlag(cmd, "output", "o", "form of the output", forms...)
}

// messageJSON is a message as JSON in the order of its fields, kind (when it is a resource) first; the same on each run,
// which protojson alone does not promise. full also shows fields that have their zero value.
func messageJSON(m proto.Message, full bool) ([]byte, error) {
	raw, err := protojson.MarshalOptions{EmitDefaultValues: full}.Marshal(m)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "show %s", m.ProtoReflect().Descriptor().Name())
	}
	var out bytes.Buffer
	if o, ok := m.(resource.Object); ok {
		if kind, known := resource.KindNamed(string(o.ProtoReflect().Descriptor().Name())); known {
			fmt.Fprintf(&out, `{"kind":%q`, kind.Name)
			if trimmed := bytes.TrimSpace(raw); len(bytes.TrimSpace(trimmed[1:len(trimmed)-1])) > 0 {
				out.WriteByte(',')
			}
			raw = bytes.TrimSpace(raw)[1:]
		}
	}
	out.Write(raw)
	var compact bytes.Buffer
	if err := json.Compact(&compact, out.Bytes()); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "show %s", m.ProtoReflect().Descriptor().Name())
	}
	return compact.Bytes(), nil
}

// printJSON writes one message as indented JSON.
func (p Program) printJSON(m proto.Message) error {
	raw, err := messageJSON(m, true)
	if err != nil {
		return err
	}
	return p.writeIndented(raw)
}

// printJSONArray writes messages as an indented array, which is empty when there are none.
func printJSONArray[M proto.Message](p Program, messages []M) error {
	parts := make([][]byte, 0, len(messages))
	for _, m := range messages {
		raw, err := messageJSON(m, true)
		if err != nil {
			return err
		}
		parts = append(parts, raw)
	}
	return p.writeIndented(append(append([]byte("["), bytes.Join(parts, []byte(","))...), ']'))
}

func (p Program) writeIndented(raw []byte) error {
	text, err := indented(raw)
	if err != nil {
		return err
	}
	return p.write([]byte(text + "\n"))
}

// indented is JSON for people.
func indented(raw []byte) (string, error) {
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		return "", fault.Wrap(fault.Internal, err, "write JSON")
	}
	return out.String(), nil
}

// printYAML writes messages as YAML documents, without fields that have their zero value. Resources read like manifests
// with a status, and can be applied.
func printYAML[M proto.Message](p Program, messages ...M) error {
	for i, m := range messages {
		text, err := messageYAML(m, 0)
		if err != nil {
			return err
		}
		if i > 0 {
			text = append([]byte("---\n"), text...)
		}
		if err := p.write(text); err != nil {
			return err
		}
	}
	return nil
}

// messageYAML is a message as YAML in the order of its fields, indented.
func messageYAML(m proto.Message, indent int) ([]byte, error) {
	raw, err := messageJSON(m, false)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	node, err := yamlNode(decoder)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "show %s", m.ProtoReflect().Descriptor().Name())
	}
	if len(node.Content) == 0 {
		return nil, nil
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(node); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "show %s", m.ProtoReflect().Descriptor().Name())
	}
	if indent == 0 {
		return out.Bytes(), nil
	}
	margin := strings.Repeat(" ", indent)
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	return []byte(margin + strings.Join(lines, "\n"+margin) + "\n"), nil
}

// yamlNode reads a value of JSON as one of YAML. Reading it as YAML, which JSON nearly is, takes some times as long.
func yamlNode(decoder *json.Decoder) (*yaml.Node, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	node := &yaml.Node{Kind: yaml.ScalarNode}
	switch token := token.(type) {
	case json.Delim:
		node.Kind = yaml.SequenceNode
		if token == '{' {
			node.Kind = yaml.MappingNode // keys and values by turns, as tokens come
		}
	case string:
		node.Tag, node.Value = "!!str", token
		if first := strings.TrimLeft(token, "\n"); strings.Contains(token, "\n") && (first == "" || first[0] == ' ' || first[0] == '\t') {
			node.Style = yaml.DoubleQuotedStyle // yaml would write a block that it cannot read again
		}
		return node, nil
	case nil:
		node.Value = "null"
		return node, nil
	default: // a number or a truth value
		node.Value = fmt.Sprint(token)
		return node, nil
	}
	for decoder.More() {
		inner, err := yamlNode(decoder)
		if err != nil {
			return nil, err
		}
		node.Content = append(node.Content, inner)
	}
	_, err = decoder.Token()
	return node, err
}

// write writes to Out.
func (p Program) write(data []byte) error {
	if _, err := p.Out.Write(data); err != nil {
		return fault.Wrap(fault.Internal, err, "write the output")
	}
	return nil
}

func (p Program) printf(format string, args ...any) {
	fmt.Fprintf(p.Out, format, plainArgs(args)...)
}

// note tells people something beside the output.
func (p Program) note(format string, args ...any) {
	fmt.Fprintf(p.Err, format+"\n", plainArgs(args)...)
}
