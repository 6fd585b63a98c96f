package browser

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/inspector"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// maxResponses is how much of different responses a page may get, in bytes: all of them are kept, to look for secrets.
const maxResponses = 128 << 20

const (
	// errNetworkChanged is why Chromium breaks a load off by itself: the machine got or lost a network interface meanwhile. It does so with
	// connections to 127.0.0.1, too. Other tests make such interfaces while this one runs, therefore it is nothing that the page did.
	errNetworkChanged = "net::ERR_NETWORK_CHANGED"
	// networkChanged is what the console says then.
	networkChanged = "Failed to load resource: " + errNetworkChanged
)

// watch collects what a page must not do, and all that it was sent.
type watch struct {
	origin string

	mu       sync.Mutex
	findings []finding
	// networkChanges is how many loads the machine has broken off; see errNetworkChanged.
	networkChanges int
	forgiven       []string
	// urls are what was asked for, responses what came, each once.
	urls      []string
	responses []response
	seen      map[[sha256.Size]byte]bool
	total     int
}

// finding is one thing that a page must not do.
type finding struct{ kind, text string }

// response is a response: its headers and its body.
type response struct{ url, text string }

func newWatch(origin string) *watch {
	return &watch{origin: origin, seen: map[[sha256.Size]byte]bool{}}
}

// see gets each event of a page, in order. It must not block.
func (w *watch) see(ctx context.Context, event any) {
	switch e := event.(type) {
	case *fetch.EventRequestPaused:
		go w.read(ctx, e)
	case *network.EventRequestWillBeSent:
		w.asked(e.Request.URL)
	case *network.EventWebSocketCreated:
		w.asked(e.URL)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeAssert {
			w.find("console error", said(e.Args))
		}
	case *runtime.EventExceptionThrown:
		w.find("uncaught exception", thrown(e.ExceptionDetails))
	case *log.EventEntryAdded:
		if e.Entry.Text == networkChanged {
			w.changed()
		} else if e.Entry.Level == log.EntryLevelError {
			w.find("console error", strings.TrimSpace(e.Entry.Text+" "+e.Entry.URL))
		}
	case *audits.EventIssueAdded:
		if csp := e.Issue.Details.ContentSecurityPolicyIssueDetails; csp != nil {
			w.find("violation of the Content-Security-Policy", strings.TrimSpace(csp.ViolatedDirective+" "+csp.BlockedURL))
		}
	case *page.EventJavascriptDialogOpening:
		w.find("dialog of the browser", e.Message)
		go func() {
			accept := page.HandleJavaScriptDialogParams{Accept: true}
			_, _ = chromedp.Call(ctx, page.HandleJavaScriptDialog, accept) // it fails when the page has closed, which ends the dialog too
		}()
	case *inspector.EventTargetCrashed:
		w.find("crash", "the page's process has ended")
	}
}

// said is what a script wrote to the console.
func said(args []*runtime.RemoteObject) string {
	words := make([]string, 0, len(args))
	for _, arg := range args {
		var plain string
		switch {
		case arg.Description != "":
			words = append(words, arg.Description)
		case json.Unmarshal(arg.Value, &plain) == nil:
			words = append(words, plain)
		default:
			words = append(words, string(arg.Value))
		}
	}
	return strings.Join(words, " ")
}

func thrown(details *runtime.ExceptionDetails) string {
	if details.Exception != nil && details.Exception.Description != "" {
		return details.Exception.Description
	}
	return details.Text
}

func (w *watch) changed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.networkChanges++
}

// brokenOff is how many loads the machine has broken off until now.
func (w *watch) brokenOff() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.networkChanges
}

func (w *watch) find(kind, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if one := (finding{kind, text}); !slices.Contains(w.findings, one) {
		w.findings = append(w.findings, one)
	}
}

// asked notes a request. Those to anybody else than the server are findings, whether they succeed or not.
func (w *watch) asked(address string) {
	at, err := url.Parse(address)
	local := err == nil && slices.Contains([]string{"data", "blob", "about"}, at.Scheme)
	if !local && !strings.HasPrefix(address, w.origin+"/") {
		w.find("request to another origin", address)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !local && !slices.Contains(w.urls, address) {
		w.urls = append(w.urls, address)
	}
}

// read keeps a response that is held, and lets it go on. One that fails meanwhile is not for the page any more.
func (w *watch) read(ctx context.Context, e *fetch.EventRequestPaused) {
	var headers strings.Builder
	for _, h := range e.ResponseHeaders {
		fmt.Fprintf(&headers, "%s: %s\n", h.Name, h.Value)
	}
	var body []byte
	var err error
	if hasBody(e) {
		var got fetch.GetResponseBodyResult
		got, err = chromedp.Call(ctx, fetch.GetResponseBody, fetch.GetResponseBodyParams{RequestID: e.RequestID})
		body = got.Body
	}
	w.keep(response{url: e.Request.URL, text: headers.String() + "\n" + string(body)})
	_, ended := chromedp.Call(ctx, fetch.ContinueRequest, fetch.ContinueRequestParams{RequestID: e.RequestID})
	if err != nil && ended == nil {
		w.find("response that cannot be read", fmt.Sprintf("%s: %v", e.Request.URL, err))
	}
}

// hasBody tells whether a response can have a body that the page gets.
func hasBody(e *fetch.EventRequestPaused) bool {
	if e.ResponseErrorReason != "" {
		return false
	}
	switch e.ResponseStatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return false
	}
	return true
}

func (w *watch) keep(r response) {
	w.mu.Lock()
	defer w.mu.Unlock()
	sum := sha256.Sum256([]byte(r.url + "\n" + r.text))
	if w.seen[sum] {
		return
	}
	w.seen[sum] = true
	w.total += len(r.text)
	if w.total > maxResponses {
		if w.total-len(r.text) <= maxResponses {
			w.findings = append(w.findings, finding{"too much to look through", fmt.Sprintf("over %d MiB of responses", maxResponses>>20)})
		}
		return
	}
	w.responses = append(w.responses, r)
}

// Forgive lets something pass that the story brings about on purpose, such as a failed request while the server restarts: findings
// whose text contains this, before and after.
func (p *Page) Forgive(containing string) {
	p.watch.mu.Lock()
	defer p.watch.mu.Unlock()
	p.watch.forgiven = append(p.watch.forgiven, containing)
}

// Clean fails the test for everything that the page has done since the last time and must not do: errors in the console, exceptions
// that nobody caught, violations of the Content-Security-Policy, requests to another origin, dialogs of the browser. Each page is asked when
// its test ends, too.
func (p *Page) Clean(tb testing.TB) {
	tb.Helper()
	// What a page did before it answers has been seen when it has answered. One that does not answer any more has done its worst.
	ctx, cancel := p.bounded()
	defer cancel()
	_, _ = chromedp.Run(ctx, chromedp.Evaluate[chromedp.Void]("0"))
	p.watch.mu.Lock()
	defer p.watch.mu.Unlock()
	for _, f := range p.watch.findings {
		if !slices.ContainsFunc(p.watch.forgiven, func(part string) bool { return strings.Contains(f.text, part) }) {
			tb.Errorf("the page is not clean: %s: %s", f.kind, f.text)
		}
	}
	p.watch.findings = nil
}
