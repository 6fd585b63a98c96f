package server_test

import (
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"testing"

	"isthmus/web"
)

// What this program was built with is what a browser gets, the files that its page names included.
func TestDashboardIsServed(t *testing.T) {
	t.Parallel()
	n := start(t)
	page := n.callAs("", http.MethodGet, "/", "", "Accept", "text/html")
	app, built := web.App()
	if !built {
		if page.status != http.StatusNotFound || !strings.Contains(page.body, "make web") {
			t.Errorf("without a dashboard: %d %s", page.status, page.body)
		}
		return
	}
	n.want(http.StatusOK, page)
	if again := n.callAs("", http.MethodGet, "/peerings", "", "Accept", "text/html"); again.status != http.StatusOK || again.body == page.body ||
		again.header.Get("Content-Security-Policy") == page.header.Get("Content-Security-Policy") {
		t.Errorf("another page has the same nonce, or is none: %d", again.status)
	}
	err := fs.WalkDir(app, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || name == "index.html" {
			return err
		}
		if ext := path.Ext(name); ext == ".br" || ext == ".gz" {
			return nil
		}
		a := n.want(http.StatusOK, n.callAs("", http.MethodGet, "/"+name, ""))
		if a.header.Get("Content-Type") == "application/octet-stream" {
			t.Errorf("%s has a type that is not known", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Lists are compressed for whoever asks; what may hold a secret never is.
func TestCompression(t *testing.T) {
	t.Parallel()
	n := start(t)
	var names []string
	for i := range 30 {
		names = append(names, fmt.Sprintf("dc%d", i))
	}
	n.apply(datacenters(names...))
	const asking = "Accept-Encoding"
	for _, c := range []struct {
		method, path, body, want string
	}{
		{http.MethodGet, "/v1/datacenters", "", "gzip"},
		{http.MethodGet, "/v1/datacenters?index=1&wait=10s", "", "gzip"},
		{http.MethodGet, "/v1/server", "", ""},
		{http.MethodGet, "/v1/datacenters/nothing", "", ""},
		{http.MethodGet, "/v1/session", "", ""},
		{http.MethodPost, "/v1/api-tokens", `{"spec":{"role":"viewer","description":"` + strings.Repeat("long ", 400) + `"}}`, ""},
		{http.MethodGet, "/v1/api-tokens", "", ""},
		{http.MethodGet, "/v1/join-tokens", "", ""},
	} {
		a := n.call(c.method, c.path, c.body, asking, "gzip, br")
		if got := a.header.Get("Content-Encoding"); got != c.want {
			t.Errorf("%s %s is compressed with %q, want %q: %d", c.method, c.path, got, c.want, a.status)
		}
		if a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Cache-Control") != "no-store" ||
			a.header.Get("Content-Security-Policy") != "default-src 'none'; frame-ancestors 'none'" {
			t.Errorf("%s %s: %v", c.method, c.path, a.header)
		}
	}
	packed := len(n.call(http.MethodGet, "/v1/datacenters", "", asking, "gzip").body)
	if plain := len(n.call(http.MethodGet, "/v1/datacenters", "", asking, "identity").body); packed > plain/4 {
		t.Errorf("%d bytes become %d", plain, packed)
	}
	b := n.browse(n.token)
	if a := b.call(http.MethodGet, "/v1/session", "", asking, "gzip"); a.status != http.StatusOK || a.header.Get("Content-Encoding") != "" {
		t.Errorf("%d %v", a.status, a.header)
	}
}
