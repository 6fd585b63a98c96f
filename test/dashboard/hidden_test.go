package dashboard_test

import (
	"testing"

	"isthmus/test/browser"
)

// counted has a page count what it asks its server for.
const counted = `
	window.asked = [];
	const ask = window.fetch;
	window.fetch = (...args) => {
		window.asked.push(args[0]?.url ?? String(args[0]));
		return ask(...args);
	};
`

// Nobody looks at the tab: it asks for nothing, however much changes, and says so when it is seen again, until it has read what came meanwhile.
func TestHiddenTab(t *testing.T) {
	t.Parallel()
	p := newPlain(t)
	p.apply(t, declared)
	page := chromium.Open(t, p.address, browser.Options{Path: "/icon.svg"})
	page.Begin(t, counted)
	page.Goto(t, "/datacenters")
	enter(t, page, p.token)
	page.See(t, browser.Role("link", "dc3"))
	live(t, page)
	if asked := browser.Evaluate[int](t, page, `window.asked.length`); asked == 0 {
		t.Fatal("what the page asks for is not counted")
	}

	page.Hide(t, true)
	page.See(t, browser.Text("Paused"))
	browser.Evaluate[bool](t, page, `(window.asked = []), true`)
	looks := logIn(t, p.address, p.token, browser.Options{Path: "/datacenters"})
	p.apply(t, "kind: Datacenter\nname: meanwhile\nspec: {runtime: vm}\n")
	looks.See(t, browser.Role("link", "meanwhile"))
	// Longer than a tab that is seen waits between two questions.
	asked := browser.Evaluate[[]string](t, page, `new Promise((done) => setTimeout(() => done(window.asked), 6000))`)
	if len(asked) > 0 {
		t.Errorf("a hidden tab asks for %q", asked)
	}
	page.NotSee(t, browser.Role("link", "meanwhile"))

	page.Hide(t, false)
	page.See(t, browser.Role("link", "meanwhile"))
	live(t, page)
}
