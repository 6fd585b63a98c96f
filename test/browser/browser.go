// Package browser drives a real Chromium through the dashboard, as a person with a mouse, a keyboard or a screen reader would, and
// sees to it that nothing goes wrong meanwhile that a person does not see.
//
// Owns: the browser process of a test binary, a session of its own for each page, finding elements by what they are to a screen reader,
// waiting for them, and everything that a page must never do: errors in the console, violations of the Content-Security-Policy,
// requests to anybody but its server, secrets on the screen or in a response, violations of accessibility.
// Does not own: servers, logging in, what pages there are. Start reading at Browser.Open.
//
//	var chromium browser.Browser // in a test's package
//
//	page := chromium.Open(t, server.URL, browser.Options{})
//	page.Fill(t, browser.Label("Token"), token)
//	page.Click(t, browser.Role("button", "Log in"))
//	page.See(t, browser.Role("heading", "Overview"))
//	page.Axe(t)
package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

const (
	// pagesAtOnce is how many pages of one browser are open at a time: each is a process that computes.
	pagesAtOnce = 3
	// startTimeout is for the process, ten times what it takes on a busy machine with two cores.
	startTimeout = time.Minute
)

// Browser is a Chromium process that the tests of one package share. It is ready for use as it is, starts with the first page, and is for
// several goroutines. Whoever has one closes it, in TestMain.
type Browser struct {
	mu     sync.Mutex
	ctx    context.Context //nolint:containedctx // chromedp's handle of a browser is a context
	cancel context.CancelFunc
	slots  chan struct{}
}

// Close ends the process, if there is one.
func (b *Browser) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cancel != nil {
		b.cancel()
		b.ctx, b.cancel = nil, nil
	}
}

// find looks for what Debian, Ubuntu and others call it.
func find() (string, error) {
	names := []string{"chromium", "chromium-browser", "google-chrome"}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("none of %s is on PATH", strings.Join(names, ", "))
}

// running gives the browser's context, and starts the browser when there is none. Without one on this machine the test is skipped, in CI
// it fails.
func (b *Browser) running(tb testing.TB) context.Context {
	tb.Helper()
	path, err := find()
	if err != nil {
		if os.Getenv("CI") == "true" {
			tb.Fatalf("Chromium is needed in CI: %v", err)
		}
		tb.Skipf("no Chromium to test with: %v (install chromium)", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx != nil {
		return b.ctx
	}
	ctx, cancel, err := start(path)
	if err != nil {
		tb.Fatalf("starting %s: %v", path, err)
	}
	b.ctx, b.cancel = ctx, cancel
	b.slots = make(chan struct{}, pagesAtOnce)
	return b.ctx
}

// start runs the process with an empty profile in a directory that goes with it. chromedp talks to it over pipes, and has the kernel
// kill it when this process dies.
func start(path string) (context.Context, context.CancelFunc, error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("lang", "en-US"),
		// Whatever a page or Chromium itself asks for elsewhere does not leave this machine.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"),
		chromedp.Flag("no-proxy-server", true),
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium's sandbox is not for root
	}
	// Not bound to a test's context: other tests use it after that one.
	allocator, release := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	end := func() { cancel(); release() }

	// The process lives as long as the context that starts it, so that one cannot have a deadline.
	started := make(chan error, 1)
	go func() { started <- chromedp.Do(ctx) }()
	timer := time.NewTimer(startTimeout)
	defer timer.Stop()
	var err error
	select {
	case err = <-started:
	case <-timer.C:
		err = errors.New("it takes too long")
	}
	if err != nil {
		end()
		return nil, nil, err
	}
	return ctx, end, nil
}

// slot waits until another page may be opened, and tells how to give it back.
func (b *Browser) slot(tb testing.TB) (release func()) {
	tb.Helper()
	select {
	case b.slots <- struct{}{}:
		return func() { <-b.slots }
	case <-tb.Context().Done():
		tb.Fatalf("waiting for other pages to close: %v", tb.Context().Err())
		return nil
	}
}
