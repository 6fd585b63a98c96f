// Command testreport reads what `go test -json` writes and prints it for people: a line for each test that passed, all
// output of what failed, why a test was skipped, and at the end how many of each there were.
//
// It fails when a test failed or when none ran, and with -no-skips (CI) also when one was skipped: a test that needs
// PostgreSQL or Consul and does not find it must not look like one that passed. Skips whose reason begins with "only for"
// are no such thing: they are about where a test belongs, not about what is missing.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

func main() {
	noSkips := flag.Bool("no-skips", false, "fail when a test was skipped")
	every := flag.Duration("every", 30*time.Second, "how often to tell which tests are running")
	flag.Parse()
	r := newReport(os.Stdout)
	if err := r.follow(os.Stdin, *every); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(2)
	}
	if !r.finish(*noSkips) {
		os.Exit(1)
	}
}

// event is one line of `go test -json`; see `go doc test2json`.
type event struct {
	Time        time.Time
	Action      string
	Package     string
	Test        string
	Output      string
	ImportPath  string
	FailedBuild string
}

// report collects events. Tests are known by their top-level name: the output of subtests belongs to it.
type report struct {
	out io.Writer
	// output is what has been written and not yet printed; the key with an empty test is the package's own.
	output map[key]*strings.Builder
	// order of the tests of a package that have output.
	order   map[string][]string
	running map[key]time.Time
	builds  map[string]*strings.Builder

	passed, failed, skipped int
	broken                  []string
	skips                   []string
}

type key struct{ pkg, test string }

func newReport(out io.Writer) *report {
	return &report{
		out: out, output: map[key]*strings.Builder{}, order: map[string][]string{},
		running: map[key]time.Time{}, builds: map[string]*strings.Builder{},
	}
}

// follow reads events until the end and tells now and then what is running.
func (r *report) follow(in io.Reader, every time.Duration) error {
	lines := make(chan []byte)
	failed := make(chan error, 1)
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(in)
		scanner.Buffer(nil, 16<<20) // one line of test output, at most
		for scanner.Scan() {
			lines <- append([]byte(nil), scanner.Bytes()...)
		}
		failed <- scanner.Err()
	}()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				return <-failed
			}
			var e event
			if err := json.Unmarshal(line, &e); err != nil {
				fmt.Fprintf(r.out, "%s\n", line) // go itself speaks, not a test
				continue
			}
			r.add(e)
		case now := <-ticker.C:
			r.tellRunning(now.Add(-every), now)
		}
	}
}

// tellRunning names the test of each package that runs longest, if it began before a time.
func (r *report) tellRunning(before, now time.Time) {
	longest := map[string]string{}
	for k, since := range r.running {
		if known, ok := longest[k.pkg]; since.Before(before) && (!ok || since.Before(r.running[key{k.pkg, known}])) {
			longest[k.pkg] = k.test
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(longest)) {
		since := r.running[key{pkg, longest[pkg]}]
		fmt.Fprintf(r.out, "... %s %s has been running for %d s\n", pkg, longest[pkg], int(now.Sub(since).Seconds()))
	}
}

func (r *report) add(e event) {
	top, _, _ := strings.Cut(e.Test, "/")
	k := key{e.Package, top}
	switch e.Action {
	case "build-output":
		builder(r.builds, e.ImportPath).WriteString(e.Output)
	case "run", "cont":
		if e.Test == top {
			r.running[k] = e.Time
		}
	case "pause": // it waits for its turn among parallel tests
		if e.Test == top {
			delete(r.running, k)
		}
	case "output":
		if _, ok := r.output[k]; !ok {
			r.order[e.Package] = append(r.order[e.Package], top)
		}
		builder(r.output, k).WriteString(e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(e)
			return
		}
		r.count(e)
		if e.Test == top {
			delete(r.running, k)
		}
	}
}

func builder[K comparable](m map[K]*strings.Builder, k K) *strings.Builder {
	if m[k] == nil {
		m[k] = &strings.Builder{}
	}
	return m[k]
}

func (r *report) count(e event) {
	switch e.Action {
	case "pass":
		r.passed++
	case "fail":
		r.failed++
	case "skip":
		top, _, _ := strings.Cut(e.Test, "/")
		if text := r.output[key{e.Package, top}]; text != nil && strings.Contains(text.String(), ": only for ") {
			return
		}
		r.skipped++
		r.skips = append(r.skips, e.Package+" "+e.Test)
	}
}

// endPackage prints what the tests of a package had to say.
func (r *report) endPackage(e event) {
	if text, ok := r.builds[e.FailedBuild]; ok {
		fmt.Fprint(r.out, text.String())
	}
	if e.Action == "fail" {
		r.broken = append(r.broken, e.Package)
	}
	for _, test := range r.order[e.Package] {
		if test != "" {
			r.print(key{e.Package, test})
		}
	}
	r.print(key{e.Package, ""})
	delete(r.order, e.Package)
}

// print shows everything of a test that failed (or never ended), and of others only how they ended.
func (r *report) print(k key) {
	text := r.output[k]
	if text == nil {
		return
	}
	delete(r.output, k)
	_, unfinished := r.running[k]
	delete(r.running, k)
	whole := unfinished || strings.HasPrefix(text.String(), "FAIL") ||
		strings.Contains(text.String(), "--- FAIL: ") || strings.Contains(text.String(), "\nFAIL")
	var said []string // by the test, since the last line about how one ended: why it skips
	for line := range strings.Lines(text.String()) {
		line = strings.TrimRight(line, "\n")
		ended, isEnd := strings.CutPrefix(strings.TrimLeft(line, " "), "--- ")
		switch {
		case strings.HasPrefix(line, "=== "):
			continue
		case whole, strings.HasPrefix(line, "ok  "), strings.HasPrefix(line, "?  "):
			fmt.Fprintln(r.out, line)
		case strings.HasPrefix(ended, "SKIP"):
			fmt.Fprintln(r.out, strings.Join(append(said, line), "\n"))
		case isEnd && !strings.Contains(ended, "/"):
			fmt.Fprintln(r.out, line)
		}
		if said = append(said, line); isEnd {
			said = nil
		}
	}
}

// finish prints the sum, and tells whether all is well.
func (r *report) finish(noSkips bool) bool {
	fmt.Fprintf(r.out, "\n%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	for _, pkg := range r.broken {
		fmt.Fprintf(r.out, "failed: %s\n", pkg)
	}
	for _, test := range r.skips {
		fmt.Fprintf(r.out, "skipped: %s\n", test)
	}
	if noSkips && r.skipped > 0 {
		fmt.Fprintln(r.out, "nothing may be skipped here: install what these tests need")
		return false
	}
	if r.passed == 0 && r.failed == 0 {
		fmt.Fprintln(r.out, "no test ran")
		return false
	}
	return r.failed == 0 && len(r.broken) == 0
}
