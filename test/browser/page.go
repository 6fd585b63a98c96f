package browser

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Sizes of windows that the dashboard is made for, in CSS pixels.
const (
	// Width and Height are a small laptop's.
	Width = 1280
	// Height goes with Width.
	Height = 800
	// PhoneWidth and PhoneHeight are a usual phone's.
	PhoneWidth = 390
	// PhoneHeight goes with PhoneWidth.
	PhoneHeight = 844
)

const (
	// defaultPatience is many times what a page takes on a busy machine.
	defaultPatience = 30 * time.Second
	// pollInterval is how often it is looked whether a page has come as far.
	pollInterval = 50 * time.Millisecond
	// maxPictureHeight is in CSS pixels: a table of thousands of rows is not for looking at.
	maxPictureHeight = 8000
)

// Options say what the person at the browser has.
type Options struct {
	// Path is where to begin, with query; empty: /.
	Path string
	// Width and Height are the window's, in CSS pixels; 0: Width and Height.
	Width, Height int64
	// Dark is what the operating system prefers.
	Dark bool
	// Patience is how long elements are waited for; 0: 30 seconds.
	Patience time.Duration
	// Unread lets responses reach the page at once, for whoever measures: Secrets knows nothing of them then.
	Unread bool
}

// Page is a page in a session of its own: no cookie, storage or cache of another page. Its methods fail the test that they are given. One
// goroutine uses it at a time.
type Page struct {
	ctx      context.Context //nolint:containedctx // chromedp's handle of a page is a context
	origin   string
	patience time.Duration
	watch    *watch
	end      func()
}

// Close closes the page before its test ends, for whoever opens many.
func (p *Page) Close() { p.end() }

// Open opens a page at the address of a server (its scheme and host), which closes with the test. When it does, the test fails if the
// page was not clean, and one that failed leaves a picture and an outline of the page.
func (b *Browser) Open(tb testing.TB, address string, o Options) *Page {
	tb.Helper()
	at, err := url.Parse(address)
	if err != nil || at.Host == "" {
		tb.Fatalf("%q is no address of a server", address)
	}
	browser := b.running(tb)
	release := b.slot(tb)
	p := &Page{origin: at.Scheme + "://" + at.Host, patience: o.Patience}
	if p.patience == 0 {
		p.patience = defaultPatience
	}
	p.watch = newWatch(p.origin)
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext(), chromedp.WithListener(func(event any) { p.watch.see(p.ctx, event) }))
	p.ctx = ctx
	p.end = sync.OnceFunc(func() {
		defer release()
		defer cancel()
		if tb.Failed() {
			p.autopsy(tb)
		}
		p.Clean(tb)
	})
	tb.Cleanup(p.end)
	if o.Width == 0 || o.Height == 0 {
		o.Width, o.Height = Width, Height
	}
	if err := p.prepare(o); err != nil {
		tb.Fatalf("opening a page: %v", err)
	}
	p.Resize(tb, o.Width, o.Height)
	p.Scheme(tb, o.Dark)
	p.Goto(tb, "/"+strings.TrimPrefix(o.Path, "/"))
	return p
}

// prepare turns on what is watched. Responses are held until they have been read, so that none is missed, unless nobody wants them read.
func (p *Page) prepare(o Options) error {
	err := chromedp.Do(p.ctx, func(ctx context.Context, t *chromedp.Target) (v chromedp.Void, err error) {
		if _, err = cdp.Call(ctx, t, audits.Enable, cdp.Empty{}); err != nil {
			return v, err
		}
		// A page in the background is as alive as one that is looked at.
		if _, err = cdp.Call(ctx, t, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}); err != nil {
			return v, err
		}
		// A scroll bar is as wide as the system has it.
		if _, err = cdp.Call(ctx, t, emulation.SetScrollbarsHidden, emulation.SetScrollbarsHiddenParams{Hidden: true}); err != nil {
			return v, err
		}
		if o.Unread {
			return v, nil
		}
		_, err = cdp.Call(ctx, t, fetch.Enable, fetch.EnableParams{
			Patterns: []*fetch.RequestPattern{{URLPattern: "*", RequestStage: fetch.RequestStageResponse}},
		})
		return v, err
	})
	return err
}

// bounded is a context for one thing to do.
func (p *Page) bounded() (context.Context, context.CancelFunc) {
	return context.WithTimeout(p.ctx, p.patience)
}

// do does one thing, or fails the test.
func (p *Page) do(tb testing.TB, what string, actions ...chromedp.Action[chromedp.Void]) {
	tb.Helper()
	ctx, cancel := p.bounded()
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		tb.Fatalf("%s: %v", what, err)
	}
}

// Goto opens a path of the same server, with query, as if it were typed into the address bar, and waits until it is loaded.
func (p *Page) Goto(tb testing.TB, path string) {
	tb.Helper()
	p.load(tb, "opening "+path, chromedp.Navigate(p.origin+path))
}

// Reload loads the page again, and waits until it is loaded.
func (p *Page) Reload(tb testing.TB) {
	tb.Helper()
	p.load(tb, "loading the page again", chromedp.Reload())
}

// load loads a document; again, when the machine broke off a part of it: a document whose first script is missing stays empty.
func (p *Page) load(tb testing.TB, what string, action chromedp.Action[chromedp.Void]) {
	tb.Helper()
	ctx, cancel := p.bounded()
	defer cancel()
	for {
		before := p.watch.brokenOff()
		err := chromedp.Do(ctx, action)
		if failed := (*chromedp.LoadError)(nil); errors.As(err, &failed) && failed.ErrorText == errNetworkChanged {
			continue
		}
		if err != nil {
			tb.Fatalf("%s: %v", what, err)
		}
		if p.watch.brokenOff() == before {
			return
		}
	}
}

// Back goes to where the person was before.
func (p *Page) Back(tb testing.TB) {
	tb.Helper()
	p.do(tb, "going back", func(ctx context.Context, t *chromedp.Target) (v chromedp.Void, err error) {
		// Within one document nothing is loaded that could be waited for.
		return eval[chromedp.Void](ctx, t, "void history.back()")
	})
}

// Resize gives the window another size, in CSS pixels.
func (p *Page) Resize(tb testing.TB, width, height int64) {
	tb.Helper()
	p.do(tb, "changing the window", chromedp.EmulateViewport(width, height))
}

// Scheme changes whether the operating system prefers dark. It never wants things to move about.
func (p *Page) Scheme(tb testing.TB, dark bool) {
	tb.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	p.do(tb, "changing to "+scheme, func(ctx context.Context, t *chromedp.Target) (v chromedp.Void, err error) {
		_, err = cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}})
		return v, err
	})
}

// URL is where the page is: path, query and fragment.
func (p *Page) URL(tb testing.TB) string {
	tb.Helper()
	var at string
	p.do(tb, "asking for the address", func(ctx context.Context, t *chromedp.Target) (v chromedp.Void, err error) {
		at, err = eval[string](ctx, t, "location.href")
		return v, err
	})
	return strings.TrimPrefix(at, p.origin)
}

// At waits until the page is at a path: with query and fragment, if there are any.
func (p *Page) At(tb testing.TB, path string) {
	tb.Helper()
	p.until(tb, "the page is at "+path, func(ctx context.Context, t *chromedp.Target) (string, error) {
		at, err := eval[string](ctx, t, "location.href")
		if err != nil || at == p.origin+path {
			return "", err
		}
		return "it is at " + strings.TrimPrefix(at, p.origin), nil
	})
}

// settled is when nothing moves any more and all fonts are there.
const settled = `(async () => {
	await document.fonts.ready;
	const finite = (a) => a.effect?.getComputedTiming().endTime !== Infinity && a.playState === 'running';
	await Promise.allSettled(document.getAnimations().filter(finite).map((a) => a.finished));
	await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
})()`

func settle(ctx context.Context, t *chromedp.Target) (v chromedp.Void, err error) {
	return eval[chromedp.Void](ctx, t, settled)
}

// Screenshot writes a PNG of the whole page, also of what one would have to scroll to.
func (p *Page) Screenshot(tb testing.TB, file string) {
	tb.Helper()
	var png []byte
	p.do(tb, "taking a picture", settle, func(ctx context.Context, t *chromedp.Target) (v chromedp.Void, err error) {
		png, err = picture(ctx, t)
		return v, err
	})
	if err := os.WriteFile(file, png, 0o600); err != nil {
		tb.Fatalf("writing a picture: %v", err)
	}
}

func picture(ctx context.Context, t *chromedp.Target) ([]byte, error) {
	metrics, err := cdp.Call(ctx, t, page.GetLayoutMetrics, cdp.Empty{})
	if err != nil {
		return nil, err
	}
	size := metrics.CSSContentSize
	beyond := true
	shot, err := cdp.Call(ctx, t, page.CaptureScreenshot, page.CaptureScreenshotParams{
		Format: page.CaptureScreenshotFormatPng, CaptureBeyondViewport: &beyond,
		Clip: &page.Viewport{Width: size.Width, Height: min(size.Height, maxPictureHeight), Scale: 1},
	})
	if err != nil {
		return nil, err
	}
	return shot.Data, nil
}

// autopsy leaves what helps to see why a test failed, if the page still answers.
func (p *Page) autopsy(tb testing.TB) {
	tb.Helper()
	ctx, cancel := p.bounded()
	defer cancel()
	_, err := chromedp.Run(ctx, func(ctx context.Context, t *chromedp.Target) (v chromedp.Void, err error) {
		at, err := eval[string](ctx, t, "location.href")
		if err != nil {
			return v, err
		}
		lines, err := outline(ctx, t)
		if err != nil {
			return v, err
		}
		tb.Logf("the page at %s when the test failed:\n%s", strings.TrimPrefix(at, p.origin), lines)
		png, err := picture(ctx, t)
		if err != nil {
			return v, err
		}
		return v, os.WriteFile(filepath.Join(tb.ArtifactDir(), "failed.png"), png, 0o600)
	})
	if err != nil {
		tb.Logf("the page does not tell any more what it shows: %v", err)
	}
}
