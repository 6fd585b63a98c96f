package dashboard_test

import (
	"testing"

	"isthmus/test/browser"
)

// The server is away for a while: the page says so and how old it is, and goes on by itself, with what came meanwhile and after.
func TestRestart(t *testing.T) {
	t.Parallel()
	p := newPlain(t)
	p.apply(t, declared)
	page := logIn(t, p.address, p.token, browser.Options{Path: "/datacenters?sort=-name"})
	page.Forgive("net::ERR_")
	page.See(t, browser.Role("link", "dc3"))
	live(t, page)

	p.stop()
	page.See(t, browser.Text("what you see is of"))
	page.See(t, browser.Text("as of"))
	page.See(t, browser.Role("link", "dc3"))
	page.NotSee(t, browser.Text("Live"))
	page.Axe(t)

	p.start(t)
	live(t, page)
	page.NotSee(t, browser.Text("what you see is of"))
	p.apply(t, "kind: Datacenter\nname: after\nspec: {runtime: vm}\n")
	page.See(t, browser.Role("link", "after"))
	page.At(t, "/datacenters?sort=-name")
}

// Two pages of one person follow the same fleet: what is done in one is seen in the other, without loading it again.
func TestTwoPages(t *testing.T) {
	t.Parallel()
	p := newPlain(t)
	looks := logIn(t, p.address, p.token, browser.Options{Path: "/datacenters"})
	looks.See(t, browser.Text("No datacenter is declared"))
	live(t, looks)

	acts := logIn(t, p.address, p.token, browser.Options{Path: "/datacenters"})
	acts.Forgive("the server responded with a status of 400")
	acts.Click(t, browser.Role("button", "Declare a datacenter"))
	acts.Fill(t, browser.Label("Name"), "Not a name")
	acts.Click(t, browser.Role("button", "Show what would change"))
	acts.See(t, browser.Role("alert", ""))
	acts.Click(t, browser.Role("button", "Back"))
	acts.Fill(t, browser.Label("Name"), "dc1")
	acts.Fill(t, browser.Label("Labels"), "region=eu")
	acts.Click(t, browser.Role("button", "Show what would change"))
	acts.See(t, browser.Text("spec.runtime"))
	acts.Axe(t)
	looks.NotSee(t, browser.Role("link", "dc1"))
	acts.Click(t, browser.Role("button", "Declare"))
	acts.See(t, browser.Role("heading", "dc1"))
	acts.At(t, "/datacenters/dc1")
	looks.See(t, browser.Role("link", "dc1"))
	looks.See(t, browser.Text("region=eu"))
}
