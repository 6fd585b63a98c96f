package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const document = `# Text

<!-- bench:growth -->
Measured.

| | 100 connected | 1000 connected | 100000 stored |
|---|---|---|---|
| memory of the server at rest, MiB | 50 | 120 | 700 |
| a label changed → acknowledged, p50, ms | 1.5 | – | 0 |

| aim | | ratio | |
|---|---|---|---|
| memory | ≤ 1 | 0.5 | met |
<!-- /bench -->
`

func TestRead(t *testing.T) {
	t.Parallel()
	got, err := read(document)
	if err != nil {
		t.Fatal(err)
	}
	want := []line{
		{"memory of the server at rest, MiB", []point{{100, 50}, {1000, 120}, {100000, 700}}},
		{"a label changed → acknowledged, p50, ms", []point{{100, 1.5}, {100000, 0}}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(line{}, point{})); diff != "" {
		t.Error(diff)
	}
	if _, err := read("# Text\n"); err == nil {
		t.Error("a document without the table was read")
	}
}

func TestDrawIsXMLWithTheFigures(t *testing.T) {
	t.Parallel()
	lines, err := read(document)
	if err != nil {
		t.Fatal(err)
	}
	picture := draw(lines)
	decoder := xml.NewDecoder(strings.NewReader(picture))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{">120<", ">100,000<", "prefers-color-scheme: dark"} {
		if !strings.Contains(picture, want) {
			t.Errorf("the picture has no %s", want)
		}
	}
	if strings.Contains(picture, "NaN") || strings.Contains(picture, "Inf") {
		t.Error("a figure has no place")
	}
}

func TestFiguresGoOnInAStraightLine(t *testing.T) {
	t.Parallel()
	l := line{"memory", []point{{100, 50}, {1000, 140}}}
	for n, want := range map[float64]float64{10: 5, 100: 50, 550: 95, 1000: 140, 2000: 240} {
		if got := l.at(n); got != want {
			t.Errorf("at %g datacenters: %g, expected %g", n, got, want)
		}
	}
}

func TestSizesStandInTheirPlace(t *testing.T) {
	t.Parallel()
	connected := []point{{100, 50}, {1000, 200}, {10000, 1500}}
	var lines []line
	for _, work := range []string{memory, starting, startingStore, resting, restingStore, database} {
		lines = append(lines, line{work + ", of a unit", connected})
	}
	page, err := withSizes("# Page\n\n<!-- sizes -->\nold\n<!-- /sizes -->\n\nEnd.\n", lines)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(page, "old") || !strings.Contains(page, "| 10,000 | 2 |") || !strings.HasSuffix(page, "<!-- /sizes -->\n\nEnd.\n") {
		t.Errorf("unexpected page:\n%s", page)
	}
	if _, err := withSizes(page, lines[1:]); err == nil {
		t.Error("sizes were worked out without the server's memory")
	}
}
