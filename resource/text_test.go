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

func TestShellWord(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"api": "api", "mesh-gateway": "mesh-gateway", "192.0.2.1:8443": "192.0.2.1:8443", "": "''", "-rf": "'-rf'", "*": "'*'", "a b": "'a b'",
		"a\nb": "'a b'", "$(x)": "'$(x)'", "x'; y": `'x'\''; y'`,
	} {
		if got := resource.ShellWord(text); got != want {
			t.Errorf("%q is %s in a shell, want %s", text, got, want)
		}
	}
}

func TestSome(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		names []string
		want  string
	}{
		{nil, ""},
		{[]string{"a", "b"}, "a, b"},
		{[]string{"a", "b", "c", "d"}, "a, b and 2 more"},
	} {
		if got := resource.Some(tt.names, 2); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.names, got, tt.want)
		}
	}
}
