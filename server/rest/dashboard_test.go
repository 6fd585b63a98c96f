package rest_test

import (
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"isthmus/server/rest"
)

const (
	script  = "/assets/index-C0ffee.js"
	browser = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"
)

// build is what `make web` leaves.
func build() fstest.MapFS {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	return fstest.MapFS{
		"index.html":                  file(`<meta name="csp-nonce" content="__CSP_NONCE__"><script src="/assets/index-C0ffee.js" nonce="__CSP_NONCE__">`),
		"icon.svg":                    file(`<svg xmlns="http://www.w3.org/2000/svg"/>`),
		"assets/index-C0ffee.js":      file("plain"),
		"assets/index-C0ffee.js.br":   file("brotli"),
		"assets/index-C0ffee.js.gz":   file("gzip"),
		"assets/small-Badcab.css":     file("css"),
		"assets/font-Decade.woff2":    file("font"),
		"assets/chunk-Facade.js":      file("chunk"),
		"assets/chunk-Facade.js.gz":   file("chunk, gzip"),
		"assets/unknown-Bedded.thing": file("thing"),
	}
}

// serve makes the handler that has no server behind it.
func serve(t *testing.T, app fs.FS) (http.Handler, error) {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///nowhere", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return rest.New(t.Context(), rest.Options{
		Conn: conn, Metrics: prometheus.NewRegistry(), Log: hclog.NewNullLogger(), Dashboard: app,
		OpenAPI: []byte(`{"openapi":"3.0.3","description":"` + strings.Repeat("long ", 1_000) + `"}`),
	})
}

// got is an answer.
type got struct {
	code   int
	header http.Header
	body   string
	length int64
}

func get(t *testing.T, h http.Handler, method, path string, header ...string) got {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	result := w.Result()
	defer func() { _ = result.Body.Close() }()
	return got{code: result.StatusCode, header: result.Header, body: w.Body.String(), length: result.ContentLength}
}

func TestPage(t *testing.T) {
	t.Parallel()
	h, err := serve(t, build())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, path := range []string{"/", "/peerings", "/peerings/dc1-dc2?tab=history", "/datacenters/a/b/c", "/healthz/x", "/index.html"} {
		r := get(t, h, http.MethodGet, path, "Accept", browser)
		page, policy := r.body, r.header.Get("Content-Security-Policy")
		nonce := regexp.MustCompile(`content="([A-Za-z0-9+/=]{24})"`).FindStringSubmatch(page)
		if r.code != http.StatusOK || nonce == nil || strings.Contains(page, "__CSP_NONCE__") || strings.Count(page, nonce[1]) != 2 {
			t.Fatalf("%s: %d %s", path, r.code, page)
		}
		want := "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-" + nonce[1] + "'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
			"manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
		if policy != want {
			t.Errorf("%s: the policy is %s", path, policy)
		}
		if seen[nonce[1]] {
			t.Errorf("%s: a nonce comes again", path)
		}
		seen[nonce[1]] = true
		for name, value := range map[string]string{
			"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
			"Referrer-Policy": "no-referrer",
		} {
			if r.header.Get(name) != value {
				t.Errorf("%s: %s is %q", path, name, r.header.Get(name))
			}
		}
	}
	if r := get(t, h, http.MethodGet, "/"); r.code != http.StatusOK {
		t.Errorf("/ for whoever accepts nothing special: %d", r.code)
	}
}

// What is no page of the dashboard stays what it is, or is not there.
func TestNoPage(t *testing.T) {
	t.Parallel()
	h, err := serve(t, build())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path, accept string
	}{
		{http.MethodGet, "/peerings", "application/json"},
		{http.MethodGet, "/peerings", ""},
		{http.MethodPost, "/peerings", browser},
		{http.MethodPost, "/", browser},
		{http.MethodGet, "/assets/index-0ld.js", browser},
		{http.MethodGet, "/assets/", browser},
		{http.MethodGet, script + ".br", browser},
		{http.MethodGet, script + ".gz", browser},
	} {
		r := get(t, h, c.method, c.path, "Accept", c.accept)
		if body := r.body; r.code != http.StatusNotFound || r.header.Get("Content-Type") != "application/json" || r.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s for %q: %d %s", c.method, c.path, c.accept, r.code, body)
		}
	}
	if r := get(t, h, http.MethodGet, "/healthz", "Accept", browser); r.body != "ok\n" {
		t.Error("/healthz is a page")
	}
	for _, path := range []string{"/v1/openapi.json", "/healthz"} {
		if p := get(t, h, http.MethodGet, path).header.Get("Content-Security-Policy"); p != "default-src 'none'; frame-ancestors 'none'" {
			t.Errorf("%s has the policy %s", path, p)
		}
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	h, err := serve(t, build())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, accepts, body, coding, kind, caching string }{
		{script, "gzip, deflate, br, zstd", "brotli", "br", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		{script, "GZIP", "gzip", "gzip", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		{script, "br;q=0, gzip;q=0.5", "gzip", "gzip", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		{script, "br; q=0.000, gzip;q=0", "plain", "", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		{script, "brotli, br;q=nonsense", "plain", "", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		{script, "", "plain", "", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		{"/assets/chunk-Facade.js", "gzip, br", "chunk, gzip", "gzip", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		{"/assets/small-Badcab.css", "gzip, br", "css", "", "text/css; charset=utf-8", "public, max-age=31536000, immutable"},
		{"/assets/font-Decade.woff2", "gzip, br", "font", "", "font/woff2", "public, max-age=31536000, immutable"},
		{"/assets/unknown-Bedded.thing", "", "thing", "", "application/octet-stream", "public, max-age=31536000, immutable"},
		{"/icon.svg", "gzip, br", `<svg xmlns="http://www.w3.org/2000/svg"/>`, "", "image/svg+xml", "no-cache"},
	} {
		r := get(t, h, http.MethodGet, c.path, "Accept-Encoding", c.accepts)
		body := r.body
		if r.code != http.StatusOK || body != c.body || r.header.Get("Content-Encoding") != c.coding || r.header.Get("Content-Type") != c.kind ||
			r.header.Get("Cache-Control") != c.caching || r.header.Get("Vary") != "Accept-Encoding" || r.length != int64(len(body)) {
			t.Errorf("%s for %q: %d %q %v", c.path, c.accepts, r.code, body, r.header)
		}
		tag := r.header.Get("ETag")
		again := get(t, h, http.MethodGet, c.path, "Accept-Encoding", c.accepts, "If-None-Match", tag)
		if again.code != http.StatusNotModified || again.body != "" {
			t.Errorf("%s again with %s: %d", c.path, tag, again.code)
		}
		head := get(t, h, http.MethodHead, c.path, "Accept-Encoding", c.accepts)
		if head.code != http.StatusOK || head.body != "" || head.length != int64(len(body)) {
			t.Errorf("HEAD of %s: %d %v", c.path, head.code, head.header)
		}
	}
	plain, small := get(t, h, http.MethodGet, script), get(t, h, http.MethodGet, script, "Accept-Encoding", "br")
	if plain.header.Get("ETag") == small.header.Get("ETag") {
		t.Error("two codings of one file have one tag")
	}
}

func TestWithoutDashboard(t *testing.T) {
	t.Parallel()
	h, err := serve(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/peerings"} {
		r := get(t, h, http.MethodGet, path, "Accept", browser)
		page := r.body
		if r.code != http.StatusNotFound || !strings.Contains(page, "make web") || r.header.Get("Content-Type") != "text/html; charset=utf-8" ||
			r.header.Get("Content-Security-Policy") != "default-src 'none'; frame-ancestors 'none'" {
			t.Errorf("%s: %d %v %s", path, r.code, r.header, page)
		}
	}
}

// A build that lacks something is found when the server starts.
func TestBrokenBuilds(t *testing.T) {
	t.Parallel()
	without := func(name string) fstest.MapFS {
		app := build()
		delete(app, name)
		return app
	}
	fixed := build()
	fixed["index.html"] = &fstest.MapFile{Data: []byte("<script>")}
	for name, app := range map[string]fstest.MapFS{
		"no page": without("index.html"), "a page without a nonce": fixed, "a file only compressed": without("assets/index-C0ffee.js"),
	} {
		if _, err := serve(t, app); err == nil {
			t.Errorf("%s: the server starts", name)
		}
	}
}

func TestCompressedAnswers(t *testing.T) {
	t.Parallel()
	h, err := serve(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	plain := get(t, h, http.MethodGet, "/v1/openapi.json")
	small := get(t, h, http.MethodGet, "/v1/openapi.json", "Accept-Encoding", "br, zstd, gzip")
	if plain.header.Get("Content-Encoding") != "" || small.header.Get("Content-Encoding") != "gzip" || small.header.Get("Vary") != "Accept-Encoding" ||
		small.header.Get("Content-Security-Policy") == "" || small.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%v\n%v", plain.header, small.header)
	}
	unpacked, err := gzip.NewReader(strings.NewReader(small.body))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(unpacked)
	if err != nil || string(body) != plain.body {
		t.Errorf("%v: unpacked it is another answer", err)
	}
}
