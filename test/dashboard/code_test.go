package dashboard_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"isthmus/test/browser"
)

// brittle is a way to a server on which parts of the dashboard's code get lost, as on a laptop that changes its network.
type brittle struct {
	proxy *httputil.ReverseProxy

	mu    sync.Mutex
	asked map[string]int
	// lost tells whether a part gets lost, of which it is how often it was asked for, from 1.
	lost func(path string, times int) bool
}

func newBrittle(t *testing.T, address string, lost func(path string, times int) bool) (*brittle, string) {
	t.Helper()
	to, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	b := &brittle{asked: map[string]int{}, lost: lost, proxy: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host // it is the dashboard's own origin
		},
		// Long polls that a page gives up are no news.
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}}
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	return b, server.URL
}

// ServeHTTP implements http.Handler.
func (b *brittle) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/assets/") {
		b.mu.Lock()
		b.asked[r.URL.Path]++
		lost := b.lost(r.URL.Path, b.asked[r.URL.Path])
		b.mu.Unlock()
		if lost {
			panic(http.ErrAbortHandler)
		}
	}
	b.proxy.ServeHTTP(w, r)
}

// change changes what gets lost.
func (b *brittle) change(lost func(path string, times int) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost = lost
}

// Parts of the code get lost on their way: each is asked for again, and the page comes. One that never comes says so, and how to go on.
func TestLostCode(t *testing.T) {
	t.Parallel()
	p := newPlain(t)
	p.apply(t, declared)
	nothing := func(string, int) bool { return false }
	way, address := newBrittle(t, p.address, nothing)
	page := logIn(t, address, p.token, browser.Options{Path: "/datacenters"})
	page.Forgive("net::ERR_EMPTY_RESPONSE") // what the console says of what got lost
	page.See(t, browser.Role("link", "dc3"))
	live(t, page)

	// Whatever is new gets lost once: the page's own code, and what it shares with others.
	way.change(func(_ string, times int) bool { return times == 1 })
	follow := func(name string) {
		t.Helper()
		page.Click(t, browser.Role("link", name).In(browser.Role("navigation", "Pages")))
	}
	for _, name := range []string{"Peerings", "Policies", "Overview"} {
		follow(name)
		page.See(t, browser.Role("heading", name))
	}
	page.See(t, browser.Role("image", "datacenters that are not healthy, over time").Containing()) // the chart is a part of its own

	way.change(func(path string, _ int) bool { return strings.Contains(path, "AccessPage") })
	follow("Access")
	page.See(t, browser.Role("heading", "This page cannot be shown"))
	page.Axe(t)
	way.change(nothing)
	page.Click(t, browser.Role("button", "Load again"))
	page.See(t, browser.Role("heading", "Access"))
	page.At(t, "/access")
}
