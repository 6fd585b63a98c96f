package resource

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Cut is at most so many bytes of a text, and a sign that there was more. What it gives is valid UTF-8, whatever it was given: a message with
// half a letter in it cannot be stored, and stops whatever is stored with it.
func Cut(text string, most int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "…"
}

// Some lists the first names, and how many more there are: no more than one reads.
func Some(names []string, most int) string {
	text := strings.Join(names[:min(len(names), most)], ", ")
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
