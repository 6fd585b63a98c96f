package rest

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"isthmus/fault"
)

const (
	// indexFile is the dashboard's page; noncePlaceholder in it is where each answer's own nonce belongs.
	indexFile, noncePlaceholder = "index.html", "__CSP_NONCE__"
	// assetsPath is where files lie whose names have a hash of their content.
	assetsPath = "/assets/"
	// nonceBytes is twice what CSP asks for at least.
	nonceBytes = 16

	htmlType = "text/html; charset=utf-8"
)

// notBuilt is the page of a program without a dashboard. It needs no style and no script.
const notBuilt = `<!doctype html>
<html lang="en">
  <head><meta charset="utf-8"><title>isthmus</title></head>
  <body>
    <h1>isthmus</h1>
    <p>This program was built without the dashboard. To build one that has it, run <code>make web</code> and then <code>make build</code>
    in its sources, and start it again.</p>
    <p>The REST API is here all the same: <a href="/v1/openapi.json">/v1/openapi.json</a>.</p>
  </body>
</html>
`

// dashboard serves the files of `make web`, and its one page for every path that has no other meaning.
type dashboard struct {
	// page is index.html, cut where the nonce belongs; nil when there is no dashboard.
	page [][]byte
	// files are by path from the root.
	files map[string]*file
}

// file is one that can be served.
type file struct {
	contentType, tag string
	// bodies are by content coding; identity is always there.
	bodies map[string][]byte
}

// codings are what `make web` compresses files with, the best first, and how their names end.
func codings() []struct{ name, suffix string } {
	return []struct{ name, suffix string }{{"br", ".br"}, {"gzip", ".gz"}}
}

const identity = "identity"

// newDashboard reads the files of a build; nil for none.
func newDashboard(app fs.FS) (*dashboard, error) {
	d := &dashboard{files: map[string]*file{}}
	if app == nil {
		return d, nil
	}
	page, err := fs.ReadFile(app, indexFile)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "reading the dashboard's page")
	}
	if d.page = bytes.Split(page, []byte(noncePlaceholder)); len(d.page) < 2 {
		return nil, fault.New(fault.Internal, "the dashboard's %s has no %s", indexFile, noncePlaceholder)
	}
	err = fs.WalkDir(app, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || name == indexFile {
			return err
		}
		body, err := fs.ReadFile(app, name)
		if err != nil {
			return err
		}
		d.add(name, body)
		return nil
	})
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "reading the dashboard's files")
	}
	for name, f := range d.files {
		if _, ok := f.bodies[identity]; !ok {
			return nil, fault.New(fault.Internal, "the dashboard has %s only compressed", name)
		}
	}
	return d, nil
}

// add takes a file in, or what a file is when it is compressed.
func (d *dashboard) add(name string, body []byte) {
	coding := identity
	for _, c := range codings() {
		if plain, ok := strings.CutSuffix(name, c.suffix); ok {
			name, coding = plain, c.name
		}
	}
	f := d.files["/"+name]
	if f == nil {
		f = &file{contentType: contentType(name), bodies: map[string][]byte{}}
		d.files["/"+name] = f
	}
	f.bodies[coding] = body
	if coding == identity {
		sum := sha256.Sum256(body)
		f.tag = base64.RawURLEncoding.EncodeToString(sum[:12])
	}
}

// contentType goes by the name alone, and not by what this host thinks of it: browsers run no script of another type.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".png":
		return "image/png"
	case ".ico":
		return "image/x-icon"
	case ".woff2":
		return "font/woff2"
	case ".webmanifest":
		return "application/manifest+json"
	case ".json":
		return "application/json"
	case ".txt":
		return "text/plain; charset=utf-8"
	}
	return "application/octet-stream"
}

// ServeHTTP implements http.Handler for every path that nothing else is at.
func (d *dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := d.files[r.URL.Path]
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		notFound(w, r)
	case f != nil:
		f.serve(w, r)
	case r.URL.Path == "/", wantsPage(r) && !strings.HasPrefix(r.URL.Path, assetsPath):
		d.servePage(w)
	default:
		notFound(w, r)
	}
}

// wantsPage tells a person who follows a link from a program that looks for something that is not there.
func wantsPage(r *http.Request) bool {
	return slices.ContainsFunc(r.Header.Values("Accept"), func(v string) bool { return strings.Contains(v, "text/html") })
}

// servePage gives the page with a nonce that no other answer has, for the styles that its scripts add.
func (d *dashboard) servePage(w http.ResponseWriter) {
	w.Header().Set("Content-Type", htmlType)
	if d.page == nil {
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(notBuilt))
		return
	}
	var random [nonceBytes]byte
	_, _ = rand.Read(random[:]) // it never fails.
	nonce := base64.StdEncoding.EncodeToString(random[:])
	w.Header().Set("Content-Security-Policy", pagePolicy(nonce))
	_, _ = w.Write(bytes.Join(d.page, []byte(nonce)))
}

// pagePolicy lets the dashboard load what this server has, and nothing else, and put up no script or frame of others.
func pagePolicy(nonce string) string {
	return strings.Join([]string{
		"default-src 'none'", "script-src 'self'", fmt.Sprintf("style-src 'self' 'nonce-%s'", nonce), "img-src 'self' data:", "font-src 'self'",
		"connect-src 'self'", "manifest-src 'self'", "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'",
	}, "; ")
}

// serve gives the file in the best coding that the browser takes.
func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Vary", "Accept-Encoding")
	if strings.HasPrefix(r.URL.Path, assetsPath) {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	coding := f.coding(r.Header.Values("Accept-Encoding"))
	body := f.bodies[coding]
	h.Set("ETag", fmt.Sprintf("%q", f.tag+"-"+coding))
	if coding != identity {
		h.Set("Content-Encoding", coding)
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// coding is the best one that there is and that is asked for.
func (f *file) coding(asked []string) string {
	for _, c := range codings() {
		if f.bodies[c.name] != nil && asksFor(asked, c.name) {
			return c.name
		}
	}
	return identity
}

// asksFor tells whether an Accept-Encoding header names a coding, and not with the weight 0, which forbids it.
func asksFor(asked []string, coding string) bool {
	for part := range strings.SplitSeq(strings.Join(asked, ","), ",") {
		name, parameters, _ := strings.Cut(part, ";")
		if !strings.EqualFold(strings.TrimSpace(name), coding) {
			continue
		}
		weight, weighted := strings.CutPrefix(strings.ReplaceAll(parameters, " ", ""), "q=")
		q, err := strconv.ParseFloat(weight, 64)
		return !weighted || err == nil && q > 0
	}
	return false
}
