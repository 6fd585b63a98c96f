package bench_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// benchmarks is the document that comparisons are written to.
const benchmarks = "../docs/benchmarks.md"

// comparison is a table of one run: a line for each work, a column for each subject that did it, and under it the aims, each a
// ratio of two of its figures. Its name is that of its place in the document: between <!-- bench:NAME --> and <!-- /bench -->.
type comparison struct {
	name string
	by   *testing.B

	mu              sync.Mutex
	works, subjects []string
	beside          []string
	figures         map[place]figure
	aims            []aim
}

type place struct{ work, subject string }

type figure struct {
	value float64
	text  string
}

// aim is a bound for the ratio of a figure to another's, or to a limit.
type aim struct {
	of, than place
	// least tells that the ratio must not be below factor; else it must not be above it.
	least  bool
	factor float64
	// limit, in the work's unit, stands in place of another's figure.
	limit float64
}

// comparisons are the tables of this run, in the order in which they were begun.
var comparisons struct {
	sync.Mutex
	tables []*comparison
}

// compare gives the table of a name, which one benchmark makes: it is written only when that benchmark has passed.
func compare(b *testing.B, name string) *comparison {
	b.Helper()
	comparisons.Lock()
	defer comparisons.Unlock()
	if i := slices.IndexFunc(comparisons.tables, func(c *comparison) bool { return c.name == name }); i >= 0 {
		comparisons.tables[i].by = b
		return comparisons.tables[i]
	}
	c := &comparison{name: name, by: b, figures: map[place]figure{}}
	comparisons.tables = append(comparisons.tables, c)
	return c
}

// ran notes what took part, with its version.
func (c *comparison) ran(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.beside, what) {
		c.beside = append(c.beside, what)
	}
}

// record takes a figure: work says what was done and its unit, format how the value is written. The last one for a place counts.
func (c *comparison) record(work, subject string, value float64, format string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.works, work) {
		c.works = append(c.works, work)
	}
	if !slices.Contains(c.subjects, subject) {
		c.subjects = append(c.subjects, subject)
	}
	c.figures[place{work, subject}] = figure{value, fmt.Sprintf(format, value)}
}

// atLeast is the aim that subject's figure is at least factor times the other's; atMost, that it is at most that.
func (c *comparison) atLeast(work, subject string, factor float64, other string) {
	c.judge(aim{of: place{work, subject}, than: place{work, other}, least: true, factor: factor})
}

func (c *comparison) atMost(work, subject string, factor float64, other string) {
	c.judge(aim{of: place{work, subject}, than: place{work, other}, factor: factor})
}

// below is the aim that subject's figure is at most limit, in the work's unit.
func (c *comparison) below(work, subject string, limit float64) {
	c.judge(aim{of: place{work, subject}, factor: 1, limit: limit})
}

// judge takes an aim between any two figures of the table.
func (c *comparison) judge(a aim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.aims, a) {
		c.aims = append(c.aims, a)
	}
}

// verdict is an aim's line: what was aimed at, what is, and whether that is met.
func (c *comparison) verdict(a aim) string {
	sign := "≤"
	if a.least {
		sign = "≥"
	}
	var wanted string
	switch {
	case a.limit != 0:
		wanted = fmt.Sprintf("%s %g", sign, a.limit)
	case a.than.work != a.of.work:
		wanted = fmt.Sprintf("%s %g × %s of %s", sign, a.factor, a.than.work, a.than.subject)
	default:
		wanted = fmt.Sprintf("%s %g × %s", sign, a.factor, a.than.subject)
	}
	is, met := "not measured", ""
	mine, ok := c.figures[a.of]
	other, measured := c.figures[a.than]
	if a.limit != 0 {
		other.value, measured = a.limit, true
	}
	if ok && measured && other.value != 0 {
		ratio := mine.value / other.value
		is, met = fmt.Sprintf("%.2f", ratio), "met"
		if a.least && ratio < a.factor || !a.least && ratio > a.factor {
			met = "**not met**"
		}
	}
	return fmt.Sprintf("| %s: %s | %s | %s | %s |", a.of.work, a.of.subject, wanted, is, met)
}

// markdown is what stands between the markers.
func (c *comparison) markdown(where []string, date string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "`make bench ARGS=\"-bench %s\"`, %s: %s.\n\n", strings.TrimPrefix(c.by.Name(), "Benchmark"), date,
		strings.Join(slices.Concat(where, c.beside), "; "))
	fmt.Fprintf(&out, "| | %s |\n|---%s|\n", strings.Join(c.subjects, " | "), strings.Repeat("|---", len(c.subjects)))
	for _, work := range c.works {
		fmt.Fprintf(&out, "| %s |", work)
		for _, subject := range c.subjects {
			fmt.Fprintf(&out, " %s |", cmp.Or(c.figures[place{work, subject}].text, "–"))
		}
		out.WriteByte('\n')
	}
	if len(c.aims) > 0 {
		out.WriteString("\n| aim | | ratio | |\n|---|---|---|---|\n")
		for _, a := range c.aims {
			fmt.Fprintln(&out, c.verdict(a))
		}
	}
	return out.String()
}

// publish prints the tables of this run, and with write puts each in its place in the document. Tables that this run did not make
// stay as they are.
//
// busy is how busy the machine was before the run.
func publish(ctx context.Context, busy string, write bool) error {
	document, err := os.ReadFile(benchmarks)
	if err != nil {
		return err
	}
	text, errs := string(document), []error(nil)
	where, date := []string{machine(ctx), busy}, time.Now().Format("2 January 2006")
	for _, c := range comparisons.tables {
		if c.by.Failed() || len(c.works) == 0 {
			continue
		}
		table := c.markdown(where, date)
		fmt.Printf("\n%s: %s\n", c.name, table)
		var err error
		if text, err = placed(text, c.name, table); err != nil {
			errs = append(errs, err)
		}
	}
	if write && text != string(document) {
		errs = append(errs, replaceFile(benchmarks, text))
	}
	return errors.Join(errs...)
}

// placed is the document with a table in its place.
func placed(text, name, table string) (string, error) {
	begin, end := "<!-- bench:"+name+" -->\n", "<!-- /bench -->"
	before, rest, found := strings.Cut(text, begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return text, fmt.Errorf("%s has no place for the table %s: add the lines %s and %s", filepath.Base(benchmarks), name, strings.TrimSpace(begin), end)
	}
	return before + begin + table + end + after, nil
}

// replaceFile writes a file whole or not at all.
func replaceFile(path, text string) error {
	next := path + ".next"
	if err := os.WriteFile(next, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(next, path)
}
