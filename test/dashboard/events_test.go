package dashboard_test

import (
	"testing"

	"isthmus/test/browser"
)

// The audit log grows before one's eyes, is filtered by what is typed or linked to, and shows what each change was.
func TestEvents(t *testing.T) {
	t.Parallel()
	p := newPlain(t)
	p.apply(t, declared)
	page := logIn(t, p.address, p.token, browser.Options{Path: "/events"})
	live(t, page)
	log := browser.Role("list", "Events, newest first")
	page.See(t, browser.Role("link", "web-from-api").In(log))
	page.Axe(t)

	p.apply(t, "kind: Datacenter\nname: later\nspec: {runtime: vm}\n")
	page.See(t, browser.Role("link", "later").In(log))

	page.Fill(t, browser.Label("Kind"), "Intention")
	page.NotSee(t, browser.Role("link", "later").In(log))
	page.At(t, "/events?kind=Intention")
	page.See(t, browser.Label("Kind").With("focused", "true")) // whoever types is not interrupted
	page.Press(t, "Escape")
	page.Click(t, browser.Role("button", "create Intention web-from-api").Containing())
	page.See(t, browser.Text("spec.destination.service"))
	page.See(t, browser.Text("Hash"))
	page.Axe(t)

	p.apply(t, "kind: Intention\nname: web-from-api\nspec: {destination: {service: web, datacenters: [dc1, dc3]}, sources: [{service: api, action: deny}]}\n")
	page.Click(t, browser.Role("button", "update Intention web-from-api").Containing())
	page.See(t, browser.Text(`− [{"action":"allow"`))
	page.See(t, browser.Text(`+ [{"action":"deny"`))

	page.Goto(t, "/events?kind=Datacenter&target=dc2")
	page.See(t, browser.Label("Name").With("value", "dc2"))
	page.See(t, browser.Role("link", "dc2").In(log))
	page.NotSee(t, browser.Role("link", "dc1").In(log))
	page.Goto(t, "/events?actor=nobody")
	page.See(t, browser.Text("Nothing in the log matches"))
	page.Axe(t)
	page.Secrets(t, p.token)
}
