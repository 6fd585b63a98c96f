package dashboard_test

import (
	"testing"

	"isthmus/test/browser"
)

// A federation of real Consul datacenters: who is in it and how each server is seen, who reaches whose gateways with the mouse and with the
// keyboard, what each was given, and what its end would mean.
func TestFederation(t *testing.T) {
	t.Parallel()
	result, token := fleet.get(t)
	page := logIn(t, result.Address, token, browser.Options{Path: "/federations"})
	page.See(t, browser.Text("1 of 1"))
	page.Click(t, browser.Role("link", "global"))
	page.See(t, browser.Text("reads are proven in both directions"))
	page.See(t, browser.Text("dc2-server.dc2"))
	page.See(t, browser.Role("cell", "all"))

	page.Click(t, browser.Role("tab", "Reachability"))
	page.See(t, browser.Text("Everybody reaches everybody."))
	page.Click(t, browser.Role("application", "Who reaches whom").Containing())
	page.Press(t, "ArrowUp", "ArrowUp", "ArrowLeft", "ArrowLeft", "ArrowRight")
	page.See(t, browser.Text("dc1 → dc2: reached."))
	page.Press(t, "ArrowDown")
	page.See(t, browser.Text("dc2 → dc2: nobody tries"))
	page.Axe(t)

	for tab, sees := range map[string]string{
		"Bundles": "bundle 1", "Plan": "it holds a replication token for each secondary", "Rules": "SecondaryReachesPrimary",
		"Manifest": "is handed to the secondaries, sealed", "History": "Events",
	} {
		page.Click(t, browser.Role("tab", tab))
		page.See(t, browser.Text(sees))
		page.Axe(t)
	}
	page.Click(t, browser.Role("button", "Delete"))
	dialog := browser.Role("dialog", "Delete federation global")
	page.See(t, browser.Text("dc2: leave").In(dialog))
	page.See(t, browser.Role("button", "Delete").With("disabled", "true").In(dialog))
	page.Axe(t)
	page.Click(t, browser.Role("button", "Cancel").In(dialog))
	page.Secrets(t, token)
}
