package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

// The events of a run with packages that pass, fail, skip, do not build and have no tests.
func run(t *testing.T, noSkips bool, events string) (string, bool) {
	t.Helper()
	var out bytes.Buffer
	r := newReport(&out)
	if err := r.follow(strings.NewReader(events), time.Hour); err != nil {
		t.Fatal(err)
	}
	ok := r.finish(noSkips)
	return out.String(), ok
}

func TestReport(t *testing.T) {
	t.Parallel()
	events, err := os.ReadFile("testdata/events.json")
	if err != nil {
		t.Fatal(err)
	}
	got, ok := run(t, false, string(events))
	if ok {
		t.Error("a run with a failed test is no success")
	}
	for _, line := range []string{
		"--- PASS: TestOne (0.00s)\n",
		"    a_test.go:4: needs PostgreSQL\n--- SKIP: TestSkip (0.00s)\n",
		"    b_test.go:4: boom\n--- FAIL: TestBad/x (0.00s)\n",
		"c/c_test.go:3:27: undefined: y\n",
		"FAIL\texample/c [build failed]\n",
		"ok  \texample/a\t",
		"?   \texample/d\t[no test files]\n",
		"\n4 passed, 2 failed, 2 skipped\n",
		"failed: example/c\n",
		"skipped: example/a TestSubs/y\n",
	} {
		if !strings.Contains(got, line) {
			t.Errorf("missing %q in:\n%s", line, got)
		}
	}
	if strings.Contains(got, "noise") {
		t.Errorf("the log of a test that passed is printed:\n%s", got)
	}
}

func TestWhatIsNoSuccess(t *testing.T) {
	t.Parallel()
	const (
		passed  = `{"Action":"pass","Package":"example/a","Test":"TestA"}` + "\n"
		skipped = `{"Action":"skip","Package":"example/a","Test":"TestB"}` + "\n"
		said    = `{"Action":"output","Package":"example/a","Test":"TestB","Output":"    a_test.go:4: only for the child\n"}` + "\n"
	)
	for _, c := range []struct {
		name    string
		events  string
		noSkips bool
		want    bool
	}{
		{"all passed", passed, true, true},
		{"a skip where it is allowed", passed + skipped, false, true},
		{"a skip where it is not", passed + skipped, true, false},
		{"a test for another place", passed + said + skipped, true, true},
		{"nothing ran", "", false, false},
		{"a package that failed outside of its tests", passed + `{"Action":"fail","Package":"example/a"}` + "\n", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if out, got := run(t, c.noSkips, c.events); got != c.want {
				t.Errorf("success: %v, expected %v\n%s", got, c.want, out)
			}
		})
	}
}
