package agentapi

import (
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxText is the longest text that is taken from an agent: an error of Consul, not a book.
const maxText = 2048

// tidy makes the texts in what an agent sent fit to be stored: without NUL, which PostgreSQL's jsonb refuses, so that one
// agent's report cannot hold up everybody's; and not longer than statuses bear.
func tidy(m proto.Message) { tidyMessage(m.ProtoReflect()) }

func tidyMessage(m protoreflect.Message) {
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsMap():
			// No report has one.
		case field.Kind() == protoreflect.StringKind && field.IsList():
			for i := range value.List().Len() {
				value.List().Set(i, protoreflect.ValueOfString(tidyText(value.List().Get(i).String())))
			}
		case field.Kind() == protoreflect.StringKind:
			if text := tidyText(value.String()); text != value.String() {
				m.Set(field, protoreflect.ValueOfString(text))
			}
		case field.Kind() == protoreflect.MessageKind && field.IsList():
			for i := range value.List().Len() {
				tidyMessage(value.List().Get(i).Message())
			}
		case field.Kind() == protoreflect.MessageKind:
			tidyMessage(value.Message())
		}
		return true
	})
}

func tidyText(text string) string {
	text = strings.ReplaceAll(text, "\x00", "")
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return text
}

func tidyTexts(texts []string) []string {
	const most = 64 // features; there are a handful.
	out := make([]string, 0, min(len(texts), most))
	for _, text := range texts[:min(len(texts), most)] {
		out = append(out, tidyText(text))
	}
	return out
}
