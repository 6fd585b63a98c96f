// Command growth draws how what a fleet costs grows with it, and works out what fleets need, from the table that the benchmark of
// growth has written:
//
//	go run ./tools/growth docs/benchmarks.md docs/images/growth.svg docs/sizing.md
//
// Owns: the picture, and the table of sizes. Does not own: the figures (bench/growth_test.go). Start reading at main; picture.go draws,
// sizing.go works out.
package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "growth:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 3 {
		return errors.New("usage: growth FIGURES PICTURE SIZING")
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	lines, err := read(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	if err := os.WriteFile(args[1], []byte(draw(lines)), 0o644); err != nil {
		return err
	}
	page, err := os.ReadFile(args[2])
	if err != nil {
		return err
	}
	sized, err := withSizes(string(page), lines)
	if err != nil {
		return fmt.Errorf("%s: %w", args[2], err)
	}
	return os.WriteFile(args[2], []byte(sized), 0o644)
}

// line is one row of the table: what was measured, for each size of fleet that has a figure.
type line struct {
	work   string
	points []point
}

// point is a figure at a number of datacenters.
type point struct{ datacenters, figure float64 }

// read finds the table of growth.
func read(document string) ([]line, error) {
	_, rest, found := strings.Cut(document, "<!-- bench:growth -->")
	table, _, closed := strings.Cut(rest, "<!-- /bench -->")
	if !found || !closed {
		return nil, errors.New("there is no table between <!-- bench:growth --> and <!-- /bench -->")
	}
	var sizes []float64
	var out []line
	for row := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(row), "|"), "|")
		if !strings.HasPrefix(row, "|") || strings.HasPrefix(row, "|---") {
			if len(out) > 0 {
				break // the aims follow
			}
			continue
		}
		if sizes == nil {
			for _, cell := range cells[1:] {
				number, _, _ := strings.Cut(strings.TrimSpace(cell), " ")
				size, err := strconv.ParseFloat(number, 64)
				if err != nil {
					return nil, fmt.Errorf("the column %q does not begin with a number of datacenters", cell)
				}
				sizes = append(sizes, size)
			}
			continue
		}
		l := line{work: strings.TrimSpace(cells[0])}
		for i, cell := range cells[1:] {
			figure, err := strconv.ParseFloat(strings.TrimSpace(cell), 64)
			if err == nil && i < len(sizes) { // a dash where nothing was measured
				l.points = append(l.points, point{sizes[i], figure})
			}
		}
		out = append(out, l)
	}
	if len(out) == 0 {
		return nil, errors.New("the table of growth is empty: run make bench ARGS=\"-bench Growth\"")
	}
	return out, nil
}
