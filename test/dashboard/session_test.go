package dashboard_test

import (
	"testing"
	"time"

	"isthmus/server"
	"isthmus/test/browser"
)

// A person's first login, on the page that they were sent; the wrong token; and the end, after which nothing is left on the screen.
func TestLogin(t *testing.T) {
	t.Parallel()
	p := newPlain(t)
	p.apply(t, declared)
	page := chromium.Open(t, p.address, browser.Options{Path: "/datacenters?q=dc2"})
	// The browser itself says of a refused login that it was refused.
	page.Forgive("the server responded with a status of 401")

	wrong := "isthmus-" + p.token[len(p.token)/2:]
	page.Fill(t, browser.Label("API token"), wrong)
	page.Press(t, "Enter")
	page.See(t, browser.Role("alert", ""))
	page.NotSee(t, browser.Role("navigation", "Pages"))

	enter(t, page, p.token)
	page.At(t, "/datacenters?q=dc2")
	page.See(t, browser.Role("link", "dc2"))
	page.NotSee(t, browser.Role("link", "dc1"))
	live(t, page)
	page.Reload(t)
	page.See(t, browser.Role("link", "dc2"))

	page.Click(t, browser.Role("button", "Logged in as").Containing())
	page.Click(t, browser.Role("menuitem", "Log out"))
	page.See(t, browser.Text("You are logged out."))
	page.NotSee(t, browser.Text("dc2"))
	page.Reload(t)
	page.See(t, browser.Role("button", "Log in"))
	page.Secrets(t, p.token, wrong)
}

// Nobody is there: the dashboard asks, and logs out when nobody answers. Whoever answers stays.
func TestIdle(t *testing.T) {
	t.Parallel()
	p := newPlain(t, func(c *server.Config) { c.SessionIdle = 15 * time.Second })
	page := logIn(t, p.address, p.token, browser.Options{Path: "/datacenters"})
	page.Forgive("the server responded with a status of 401")
	page.See(t, browser.Role("dialog", "Are you still there?"))
	page.Axe(t)
	page.Click(t, browser.Role("button", "Stay logged in"))
	page.NotSee(t, browser.Text("Log in"))
	page.See(t, browser.Text("nobody used the dashboard"))
	page.See(t, browser.Role("button", "Log in"))
	page.NotSee(t, browser.Role("navigation", "Pages"))
}
