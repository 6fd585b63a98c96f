package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jedib0t/go-pretty/v6/text"
)

func TestTable(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		header []string
		rows   [][]string
		want   []string
	}{
		"nothing":           {},
		"header alone":      {header: []string{"NAME", "STATE"}, want: []string{"NAME   STATE"}},
		"without header":    {rows: [][]string{{"a", "b"}}, want: []string{"a   b"}},
		"columns":           {header: []string{"NAME", "A"}, rows: [][]string{{"dc1", "online"}, {"d", ""}}, want: []string{"NAME   A", "dc1    online", "d"}},
		"rows that differ":  {header: []string{"A", "B", "C"}, rows: [][]string{{"a"}, {"", "b", "c"}}, want: []string{"A   B   C", "a", "    b   c"}},
		"characters":        {header: []string{"A", "B"}, rows: [][]string{{"grün", "x"}, {"東京", "x"}, {"e\u0301", "x"}}, want: []string{"A      B", "grün   x", "東京   x", "e\u0301      x"}},
		"spaces in a cell":  {rows: [][]string{{"  a b ", "c"}}, want: []string{"  a b    c"}},
		"what is not plain": {rows: [][]string{{"a\nb\x1b[1m", "c"}, {"d", "e"}}, want: []string{`a b\x1b[1m   c`, "d            e"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			p := Program{Out: &out, Env: func(string) (string, bool) { return "", false }}
			if err := p.table(test.header, test.rows); err != nil {
				t.Fatal(err)
			}
			want := strings.Join(append(test.want, ""), "\n")
			if diff := cmp.Diff(want, out.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A colour takes no place.
func TestColoursInATable(t *testing.T) {
	t.Parallel()
	row := []string{"online", "x"}
	w := widths{8, 1}
	got, want := string(w.appendRow(nil, row, true)), text.FgGreen.Sprint("online")+"     x\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
