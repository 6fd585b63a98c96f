package browser_test

import (
	"compress/gzip"
	"errors"
	"fmt"
	"image/png"
	"mime"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"isthmus/test/browser"
)

var chromium browser.Browser

func TestMain(m *testing.M) {
	code := m.Run()
	chromium.Close()
	os.Exit(code)
}

// strict is the policy of all pages here: scripts and styles from files only.
const strict = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'"

// serve runs a server with a page at / that has this in its body, and files.
func serve(t *testing.T, body string, files map[string]string) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", strict)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><html lang="en"><head><title>A page</title><link rel="icon" href="data:,"></head><body><main><h1>A page</h1>%s</main></body></html>`, body)
	})
	for path, content := range files {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mime.TypeByExtension(filepath.Ext(path)))
			fmt.Fprint(w, content)
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// recorder is a test that is told of failures, and that fails nothing.
type recorder struct {
	testing.TB
	mu       sync.Mutex
	said     []string
	cleanups []func()
}

func (r *recorder) Helper()             {}
func (r *recorder) Logf(string, ...any) {}
func (r *recorder) Cleanup(f func())    { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Failed() bool { return r.failures() != "" }

func (r *recorder) failures() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.said, "\n")
}

// failures is what a test that does this is told.
func failures(t *testing.T, story func(tb *recorder)) string {
	t.Helper()
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for _, cleanup := range r.cleanups {
				cleanup()
			}
		}()
		story(r)
	}()
	<-done
	return r.failures()
}

func TestFindsAndActs(t *testing.T) {
	t.Parallel()
	address := serve(t, `
		<form aria-label="Log in">
			<label for="token">Token</label><input id="token" value="before">
			<label><input type="checkbox" id="keep"> Keep</label>
			<button type="submit" id="go" disabled>Log   in</button>
		</form>
		<ul aria-label="First"><li><a href="#one">dc1</a></li></ul>
		<ul aria-label="Second"><li><a href="#two">dc1</a></li></ul>
		<button hidden>Hidden</button>
		<p id="said" role="status"></p><script src="/act.js"></script>`, map[string]string{"/act.js": `
		const by = (id) => document.getElementById(id);
		by('token').addEventListener('input', () => setTimeout(() => { by('go').disabled = by('token').value !== 'a "b" ü'; }, 200));
		document.forms[0].addEventListener('submit', (event) => {
			event.preventDefault();
			setTimeout(() => { by('said').textContent = 'Welcome, ' + by('token').value; }, 200);
		});
		document.addEventListener('keydown', (event) => { if (event.key === 'k' && event.ctrlKey) by('said').innerHTML = '<b>Search</b> all'; });
		by('keep').addEventListener('change', () => history.pushState(null, '', '/?keep=' + by('keep').checked));
		by('go').addEventListener('mouseenter', () => { by('go').title = 'Hovered'; });`})
	page := chromium.Open(t, address, browser.Options{})
	page.See(t, browser.Role("heading", "A page"))
	page.NotSee(t, browser.Role("button", "Hidden"))
	page.NotSee(t, browser.Text("Hidden"))

	page.Fill(t, browser.Label("Token"), "something else")
	page.Fill(t, browser.Label("Token"), "")
	page.Fill(t, browser.Label("Token"), `a "b" ü`)
	page.See(t, browser.Label("Token").With("value", `a "b" ü`).With("focused", "true"))
	page.Hover(t, browser.Role("button", "Log in"))
	page.See(t, browser.Role("button", "Log in").With("description", "Hovered"))
	page.Click(t, browser.Role("button", "Log in").In(browser.Role("form", "Log in")))
	page.See(t, browser.Text(`Welcome, a "b"`))
	if got := page.Read(t, browser.Role("status", "")); got != `Welcome, a "b" ü` {
		t.Errorf("the status reads %q", got)
	}

	page.Press(t, "Shift+Tab")
	page.See(t, browser.Label("Keep").With("focused", "true"))
	page.Press(t, "Space")
	page.At(t, "/?keep=true")
	page.See(t, browser.Role("checkbox", "Keep").With("checked", "true"))
	page.Press(t, "Shift+Tab", "Control+k")
	page.See(t, browser.Text("Search all").In(browser.Role("status", "")))

	if n := page.Count(t, browser.Role("link", "dc1")); n != 2 {
		t.Errorf("there are %d links", n)
	}
	page.Click(t, browser.Role("link", "dc").Containing().In(browser.Role("list", "Second")))
	page.At(t, "/?keep=true#two")
	page.Back(t)
	page.At(t, "/?keep=true")
	page.Reload(t)
	page.See(t, browser.Label("Token").With("value", "before"))
	if at := page.URL(t); at != "/?keep=true" {
		t.Errorf("the page is at %s", at)
	}
	page.Clean(t)
	page.Axe(t)
}

func TestSaysWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	address := serve(t, `<button>Twice</button><button>Twice</button><button disabled>Off</button><button id="under">Under</button><div id="over">Over</div>
		<link rel="stylesheet" href="/style.css"><label for="fixed">Fixed</label><input id="fixed" readonly>`, map[string]string{
		"/style.css": `#over { position: fixed; inset: 0; }`,
	})
	for name, test := range map[string]struct {
		story func(tb *recorder, p *browser.Page)
		says  string
	}{
		"not there":   {func(tb *recorder, p *browser.Page) { p.See(tb, browser.Text("Nowhere")) }, `there is text "Nowhere": there is none`},
		"there":       {func(tb *recorder, p *browser.Page) { p.NotSee(tb, browser.Text("Over")) }, `there is no text "Over": there are 1`},
		"twice":       {func(tb *recorder, p *browser.Page) { p.Click(tb, browser.Role("button", "Twice")) }, "there are 2 of it"},
		"disabled":    {func(tb *recorder, p *browser.Page) { p.Click(tb, browser.Role("button", "Off")) }, "it is disabled"},
		"covered":     {func(tb *recorder, p *browser.Page) { p.Click(tb, browser.Role("button", "Under")) }, `above it is <div id="over">`},
		"read-only":   {func(tb *recorder, p *browser.Page) { p.Fill(tb, browser.Label("Fixed"), "x") }, "it cannot be written into"},
		"elsewhere":   {func(tb *recorder, p *browser.Page) { p.At(tb, "/there") }, "it is at /"},
		"outer":       {func(tb *recorder, p *browser.Page) { p.See(tb, browser.Text("x").In(browser.Role("dialog", ""))) }, "there are 0 of dialog to look in"},
		"no such key": {func(tb *recorder, p *browser.Page) { p.Press(tb, "Hyper+x") }, "Hyper in Hyper+x is no key to hold"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said := failures(t, func(tb *recorder) {
				test.story(tb, chromium.Open(tb, address, browser.Options{Patience: 2 * time.Second}))
			})
			if !strings.Contains(said, test.says) {
				t.Errorf("it says: %s", said)
			}
		})
	}
}

// Each page breaks one rule, and says when it has in its status.
func TestFindsWhatIsNotClean(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(elsewhere.Close)
	const done = `document.querySelector('[role=status]').textContent = 'done';`
	for name, test := range map[string]struct{ body, script, says string }{
		"console":   {"", `console.error('it is', {bad: 1});` + done, "console error: it is"},
		"assertion": {"", `console.assert(false, 'never');` + done, "console error: never"},
		"exception": {"", done + `throw new Error('unexpected');`, "uncaught exception: Error: unexpected"},
		"rejection": {"", done + `Promise.reject(new Error('forgotten'));`, "uncaught exception: Error: forgotten"},
		"policy":    {`<p style="color: red">red</p>`, done, "violation of the Content-Security-Policy: style-src-attr"},
		"script":    {`<script>alert(1)</script>`, done, "violation of the Content-Security-Policy: script-src-elem"},
		"missing":   {`<img src="/missing.png" alt="">`, done, "console error: Failed to load resource: the server responded with a status of 404"},
		"navigation": {
			"", `const frame = document.createElement('a'); frame.href = '` + elsewhere.URL + `/leak'; document.body.append(frame); ` + done + `frame.click();`,
			"request to another origin: " + elsewhere.URL + "/leak",
		},
		"dialog": {"", done + `setTimeout(() => alert('hello'));`, "dialog of the browser: hello"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := serve(t, test.body+`<p role="status"></p><script src="/break.js"></script>`, map[string]string{"/break.js": test.script})
			said := failures(t, func(tb *recorder) {
				page := chromium.Open(tb, address, browser.Options{})
				if name == "navigation" {
					page.NotSee(tb, browser.Role("heading", "A page"))
				} else {
					page.See(tb, browser.Text("done"))
				}
			})
			if !strings.Contains(said, test.says) {
				t.Errorf("it says: %s", said)
			}
		})
	}
}

func TestForgives(t *testing.T) {
	t.Parallel()
	address := serve(t, `<p role="status"></p><script src="/break.js"></script>`, map[string]string{
		"/break.js": `console.error('on purpose'); console.error('by mistake'); document.querySelector('p').textContent = 'done';`,
	})
	said := failures(t, func(tb *recorder) {
		page := chromium.Open(tb, address, browser.Options{})
		page.Forgive("on purpose")
		page.See(tb, browser.Text("done"))
		page.Clean(tb)
	})
	if said != "the page is not clean: console error: by mistake" {
		t.Errorf("it says: %s", said)
	}
}

func TestFindsSecrets(t *testing.T) {
	t.Parallel()
	const secret = `s3cret/"<v>&value`
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<!doctype html><title>t</title><link rel="icon" href="data:,"><input aria-label="Token"><p></p><script src="/fetch.js"></script>`)
	})
	mux.HandleFunc("GET /fetch.js", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprint(w, `const how = new URLSearchParams(location.search).get('how');
			const show = () => { document.querySelector('p').textContent = 'done'; };
			if (how === 'local') { localStorage.setItem('kept', 's3cret/' + '"<v>&value'); show(); }
			else if (how === 'typed' || how === 'none') show();
			else if (how === 'address') fetch('/empty?token=' + encodeURIComponent('s3cret/' + '"<v>&value')).then(show);
			else fetch('/answer/' + how).then((r) => r.text()).then(() => { history.replaceState(null, '', '/gone'); show(); });`)
	})
	mux.HandleFunc("GET /empty", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("GET /answer/json", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"a": "s3cret/\"\u003cv\u003e\u0026value"}`)
	})
	mux.HandleFunc("GET /answer/base64", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `czNjcmV0LyI8dj4mdmFsdWU=`) })
	mux.HandleFunc("GET /answer/header", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Leak", secret) })
	mux.HandleFunc("GET /answer/cookie", func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "kept", Value: "czNjcmV0LyI8dj4mdmFsdWU", HttpOnly: true})
	})
	mux.HandleFunc("GET /answer/gzip", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		packed := gzip.NewWriter(w)
		fmt.Fprint(packed, strings.Repeat("filling ", 1000)+secret)
		if err := packed.Close(); err != nil {
			t.Error(err)
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	for how, says := range map[string]string{
		"none": "", "typed": "in the page's fields", "local": "in the page's storage", "address": "in the address of a request",
		"json": "in the response to " + server.URL + "/answer/json", "gzip": "in the response to " + server.URL + "/answer/gzip",
		"base64": "in the response to " + server.URL + "/answer/base64", "header": "in the response to " + server.URL + "/answer/header",
		"cookie": "in the cookie kept",
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			said := failures(t, func(tb *recorder) {
				page := chromium.Open(tb, server.URL, browser.Options{Path: "/?how=" + how})
				page.See(tb, browser.Text("done"))
				if how == "typed" {
					page.Fill(tb, browser.Label("Token"), secret)
				}
				page.Secrets(tb, "something else", secret)
			})
			if says == "" && said != "" || !strings.Contains(said, says) || strings.Contains(said, secret) {
				t.Errorf("it says: %s", said)
			}
		})
	}
}

func TestFindsViolationsOfAccessibility(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("../../web/node_modules/axe-core/axe.min.js"); err != nil {
		t.Skip("axe-core is not there: make web installs it")
	}
	address := serve(t, `<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw="><button></button>`, nil)
	said := failures(t, func(tb *recorder) { chromium.Open(tb, address, browser.Options{}).Axe(tb) })
	for _, want := range []string{"accessibility: image-alt (critical)", "accessibility: button-name (critical)", "<button></button>"} {
		if !strings.Contains(said, want) {
			t.Errorf("%s is not in: %s", want, said)
		}
	}
}

func TestIsAsWideAndAsDarkAsAsked(t *testing.T) {
	t.Parallel()
	address := serve(t, `<p id="light">It is light</p><p id="dark">It is dark</p><p id="narrow">It is narrow</p><p id="tall"></p><link rel="stylesheet" href="/style.css">`, map[string]string{
		"/style.css": `#dark, #narrow { display: none } #tall { height: 3000px }
			@media (prefers-color-scheme: dark) { #light { display: none } #dark { display: block } }
			@media (max-width: 400px) { #narrow { display: block } }`,
	})
	page := chromium.Open(t, address, browser.Options{Dark: true})
	page.See(t, browser.Text("It is dark"))
	page.NotSee(t, browser.Text("It is light"))
	page.NotSee(t, browser.Text("It is narrow"))
	page.Scheme(t, false)
	page.Resize(t, browser.PhoneWidth, browser.PhoneHeight)
	page.See(t, browser.Text("It is light"))
	page.See(t, browser.Text("It is narrow"))
	file := filepath.Join(t.TempDir(), "page.png")
	page.Screenshot(t, file)
	picture, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	size, err := png.DecodeConfig(picture)
	if err := errors.Join(err, picture.Close()); err != nil {
		t.Fatal(err)
	}
	if size.Width != browser.PhoneWidth || size.Height < 3000 {
		t.Errorf("the picture is %d × %d", size.Width, size.Height)
	}
}

// What one page has is not another's.
func TestKeepsPagesApart(t *testing.T) {
	t.Parallel()
	address := serve(t, `<p></p><script src="/count.js"></script>`, map[string]string{
		"/count.js": `localStorage.count = 1 + Number(localStorage.count ?? 0); document.querySelector('p').textContent = 'visit ' + localStorage.count;`,
	})
	for range 2 {
		page := chromium.Open(t, address, browser.Options{})
		page.See(t, browser.Text("visit 1"))
		page.Reload(t)
		page.See(t, browser.Text("visit 2"))
	}
}
