package main

import "testing"

func TestPlain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, text, cell string }{
		{"healthy", "healthy", "healthy"},
		{"Überraschung → 東京", "Überraschung → 東京", "Überraschung → 東京"},
		{"\x1b]0;pwned\x07\x1b[2J", `\x1b]0;pwned\x07\x1b[2J`, `\x1b]0;pwned\x07\x1b[2J`},
		{"one\nROW healthy\ttwo", "one\nROW healthy\ttwo", "one ROW healthy two"},
		{"a\rb\u009bc\u202ed\x7f", `a\x0db\x9bc\x202ed\x7f`, `a\x0db\x9bc\x202ed\x7f`},
	} {
		if got := plain(tt.in); got != tt.text {
			t.Errorf("plain(%q) = %q, want %q", tt.in, got, tt.text)
		}
		if got := plainCell(tt.in); got != tt.cell {
			t.Errorf("plainCell(%q) = %q, want %q", tt.in, got, tt.cell)
		}
	}
}
