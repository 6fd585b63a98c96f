package resource_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"isthmus/resource"
)

func TestCut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		most int
		want string
	}{
		{"", 3, ""},
		{"abc", 3, "abc"},
		{"abcd", 3, "abc…"},
		{"äöü", 6, "äöü"},
		{"äöü", 5, "äö…"},
		{"äöü", 1, "…"},
		{"a\xffb", 10, "a\uFFFDb"},
	} {
		if got := resource.Cut(tt.text, tt.most); got != tt.want {
			t.Errorf("%q at %d: %q, want %q", tt.text, tt.most, got, tt.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		text, most := string(rapid.SliceOf(rapid.Byte()).Draw(t, "text")), rapid.IntRange(0, 20).Draw(t, "most")
		got := resource.Cut(text, most)
		if !utf8.ValidString(got) || len(strings.TrimSuffix(got, "…")) > most {
			t.Fatalf("%q at %d: %q", text, most, got)
		}
	})
}

func TestNearest(t *testing.T) {
	t.Parallel()
	words := []string{"east", "west", strings.Repeat("e", 1<<20)}
	for word, want := range map[string]string{"eats": "", "weest": "west", "EAST": "east", "north": "", strings.Repeat("e", 1<<20): "", "": ""} {
		if got := resource.Nearest(word, words); got != want {
			t.Errorf("near %.10q is %.10q, want %q", word, got, want)
		}
	}
}
