package resource

import (
	"bytes"
	"maps"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"

	"isthmus/fault"
)

// FormatManifests writes resources as YAML documents that ParseManifests reads back to the same names, labels and specs.
// Fields come in the order of the .proto files. Refused for a kind that cannot be applied.
func FormatManifests(objects ...Object) ([]byte, error) {
	var out bytes.Buffer
	for i, o := range objects {
		kind := KindOf(o)
		if !kind.Manifest {
			return nil, fault.New(fault.Refused, "%s %s cannot be written as a manifest: %s", kind.Name, o.GetName(), kind.Origin)
		}
		if i > 0 {
			out.WriteString("---\n")
		}
		document := mapping()
		add(document, "kind", text(kind.Name))
		add(document, "name", text(o.GetName()))
		if len(o.GetLabels()) > 0 {
			labels := o.ProtoReflect().Descriptor().Fields().ByNumber(fieldLabels)
			add(document, "labels", valueNode(labels, o.ProtoReflect().Get(labels)))
		}
		add(document, "spec", messageNode(Spec(o).ProtoReflect()))
		encoder := yaml.NewEncoder(&out)
		encoder.SetIndent(2)
		if err := encoder.Encode(document); err != nil {
			return nil, fault.Wrap(fault.Internal, err, "%s %s cannot be written as YAML", kind.Name, o.GetName())
		}
		if err := encoder.Close(); err != nil {
			return nil, fault.Wrap(fault.Internal, err, "%s %s cannot be written as YAML", kind.Name, o.GetName())
		}
	}
	return out.Bytes(), nil
}

func mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"} }

func add(node *yaml.Node, key string, value *yaml.Node) {
	node.Content = append(node.Content, text(key), value)
}

// text lets the YAML library choose the quotes that keep it text.
func text(s string) *yaml.Node {
	var node yaml.Node
	node.SetString(s)
	return &node
}

func messageNode(m protoreflect.Message) *yaml.Node {
	node := mapping()
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		if field := fields.Get(i); m.Has(field) {
			add(node, field.JSONName(), valueNode(field, m.Get(field)))
		}
	}
	return node
}

func valueNode(field protoreflect.FieldDescriptor, v protoreflect.Value) *yaml.Node {
	switch {
	case field.IsMap():
		items := map[string]protoreflect.Value{}
		v.Map().Range(func(key protoreflect.MapKey, item protoreflect.Value) bool {
			items[key.String()] = item
			return true
		})
		node := mapping()
		for _, key := range slices.Sorted(maps.Keys(items)) {
			add(node, key, itemNode(field.MapValue(), items[key]))
		}
		return node
	case field.IsList():
		node := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for i := range v.List().Len() {
			node.Content = append(node.Content, itemNode(field, v.List().Get(i)))
		}
		return node
	}
	return itemNode(field, v)
}

func itemNode(field protoreflect.FieldDescriptor, v protoreflect.Value) *yaml.Node {
	switch field.Kind() { //nolint:exhaustive // what specs have; a test looks at every kind
	case protoreflect.MessageKind:
		return messageNode(v.Message())
	case protoreflect.BoolKind:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(v.Bool())}
	case protoreflect.Int32Kind:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.FormatInt(v.Int(), 10)}
	case protoreflect.DoubleKind:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!float", Value: strconv.FormatFloat(v.Float(), 'f', -1, 64)}
	}
	return text(v.String())
}
