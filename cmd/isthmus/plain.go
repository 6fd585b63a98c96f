package main

import (
	"fmt"
	"strings"
	"unicode"
)

// plain makes text that came from elsewhere (an agent says what its Consul says) safe to show on a terminal: what could
// move the cursor, change a title or turn the direction of writing is shown as its code. Line breaks and tabs stay.
func plain(text string) string {
	if !strings.ContainsFunc(text, unsafeToShow) {
		return text
	}
	var out strings.Builder
	for _, r := range text {
		if unsafeToShow(r) {
			fmt.Fprintf(&out, "\\x%02x", r)
		} else {
			out.WriteRune(r)
		}
	}
	return out.String()
}

// plainCell is plain for a cell of a table: a line break would add a row that nobody wrote.
func plainCell(text string) string {
	if strings.ContainsAny(text, "\n\t") {
		text = strings.NewReplacer("\r\n", " ", "\n", " ", "\t", " ").Replace(text)
	}
	return plain(text)
}

// unsafeToShow are the control characters of ASCII and of Latin-1 and those that turn the direction of writing.
func unsafeToShow(r rune) bool {
	return r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r))
}

// plainArgs are arguments of a format with their texts made plain.
func plainArgs(args []any) []any {
	out := make([]any, len(args))
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			arg = plain(text)
		}
		out[i] = arg
	}
	return out
}
