package dashboard_test

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"isthmus/demo"
	"isthmus/test/browser"
	"isthmus/test/consultest"
)

// screenshots is where pictures of all pages go.
var screenshots = flag.String("screenshots", "", "write pictures of all pages to this directory")

// chromium is the browser that all tests here use.
var chromium browser.Browser

// fleet is the demo that tests look at.
var fleet shared

// program is isthmus, for tests that run it.
var program executable

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	chromium.Close()
	for _, one := range []*shared{&fleet, &cut} {
		if err := one.end(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if err := os.RemoveAll(program.dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// executable is isthmus as it is released: without the race detector, which would make a fleet's work many times as long.
type executable struct {
	once sync.Once
	dir  string
	path string
	err  error
}

// build builds it, once.
func (e *executable) build() (string, error) {
	e.once.Do(func() {
		if e.dir, e.err = os.MkdirTemp("", "isthmus-dashboard-"); e.err != nil {
			return
		}
		e.path = filepath.Join(e.dir, "isthmus")
		build := exec.CommandContext(context.Background(), "go", "build", "-buildvcs=false", "-o", e.path, "isthmus/cmd/isthmus")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			e.err = fmt.Errorf("building isthmus: %w\n%s", err, out)
		}
	})
	return e.path, e.err
}

// needsDashboard skips the test without a built dashboard, and fails it in CI.
func needsDashboard(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("../../web/dist/app/index.html"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("the dashboard is needed in CI: make web")
		}
		t.Skip("the dashboard is not built: make web")
	}
}

// demoPatience is how long a demo may take to become healthy on a machine that does other things as well.
const demoPatience = 5 * time.Minute

// shared is a demo that starts with the first test that needs it, and that tests only look at.
type shared struct {
	// datacenters is how many it has; 0: as many as a demo has by itself.
	datacenters int
	// way is how one of them is broken when breakNow is closed; empty: none is.
	way string

	once   sync.Once
	cancel context.CancelFunc
	done   chan error
	// breakNow is closed when it shall be broken.
	breakNow chan struct{}

	result demo.Result
	token  string
	err    error
}

// get gives the demo, healthy, and nothing of it broken yet. Without Consul or a built dashboard the test is skipped, in CI it fails.
func (s *shared) get(t *testing.T) (demo.Result, string) {
	t.Helper()
	consultest.Binary(t)
	needsDashboard(t)
	s.once.Do(s.start)
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.result, s.token
}

func (s *shared) start() {
	var binary string
	if binary, s.err = program.build(); s.err != nil {
		return
	}
	s.breakNow = make(chan struct{})
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	ready := make(chan demo.Result, 1)
	s.done = make(chan error, 1)
	go func() {
		s.done <- demo.Run(ctx, demo.Config{
			Executable: binary, HTTPAddr: "127.0.0.1:0", GRPCAddr: "127.0.0.1:0", Datacenters: cmp.Or(s.datacenters, demo.DefaultDatacenters), Break: s.way,
			Progress: func(string, string, string, bool) {},
			Healthy: func(r demo.Result) error {
				ready <- r
				if s.way == "" {
					return nil
				}
				select {
				case <-s.breakNow:
				case <-ctx.Done():
				}
				return nil
			},
			Ready: func(demo.Result) error { return nil },
			Log:   hclog.NewNullLogger(), Now: time.Now,
		})
	}()
	timer := time.NewTimer(demoPatience)
	defer timer.Stop()
	select {
	case s.result = <-ready:
	case err := <-s.done:
		s.err = fmt.Errorf("the demo ended: %w", err)
		s.done <- nil
		return
	case <-timer.C:
		s.err = fmt.Errorf("the demo is not healthy after %v", demoPatience)
		return
	}
	token, err := os.ReadFile(s.result.TokenFile)
	s.token, s.err = strings.TrimSpace(string(token)), err
}

// end ends the demo.
func (s *shared) end() error {
	if s.cancel != nil {
		s.cancel()
		return <-s.done
	}
	return nil
}

// logIn opens the dashboard, and logs in with an API token.
func logIn(t *testing.T, address, token string, options browser.Options) *browser.Page {
	t.Helper()
	page := chromium.Open(t, address, options)
	enter(t, page, token)
	return page
}

// enter logs in with an API token, on a page where nobody is.
func enter(t *testing.T, page *browser.Page, token string) {
	t.Helper()
	page.Fill(t, browser.Label("API token"), token)
	page.Click(t, browser.Role("button", "Log in"))
	page.NotSee(t, browser.Role("button", "Log in"))
	page.See(t, browser.Role("button", "Logged in as").Containing())
}
