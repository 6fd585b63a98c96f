package dashboard_test

import (
	"strings"
	"testing"

	"isthmus/test/browser"
)

// Somebody without a mouse gets past the navigation, to another page, chooses a datacenter, and sorts a table.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	p := newPlain(t)
	p.apply(t, declared)
	page := logIn(t, p.address, p.token, browser.Options{Path: "/datacenters"})
	live(t, page)
	page.Reload(t)
	page.See(t, browser.Role("link", "dc3"))

	page.Press(t, "Tab")
	page.See(t, browser.Role("link", "Skip to the page").With("focused", "true"))
	page.Press(t, "Enter", "Tab")
	page.See(t, browser.Role("button", "Declare a datacenter").With("focused", "true"))
	page.Press(t, "Tab")
	page.See(t, browser.Label("Search datacenters").With("focused", "true"))
	page.Press(t, "d", "c", "3")
	page.NotSee(t, browser.Role("link", "dc1"))

	page.Goto(t, "/doctor")
	page.See(t, browser.Role("heading", "Doctor"))
	page.Press(t, "Tab", "Tab")
	page.See(t, browser.Role("combobox", "Datacenter").With("focused", "true"))
	page.Press(t, "d", "c", "2", "ArrowDown", "Enter")
	page.See(t, browser.Role("heading", "Checks of dc2"))
	page.At(t, "/doctor?dc=dc2")
	for range 7 {
		page.Press(t, "Tab")
	}
	page.Press(t, "Enter")
	page.See(t, browser.Role("heading", "Peerings"))
	page.At(t, "/peerings?dc=dc2")

	page.Goto(t, "/datacenters")
	page.See(t, browser.Role("link", "dc3"))
	page.Press(t, "Tab", "Tab", "d", "c", "2", "ArrowDown", "Enter")
	page.See(t, browser.Role("heading", "dc2"))
	page.At(t, "/datacenters/dc2?dc=dc2")
}

// What a table shows is what is copied out of it: as it is filtered, sorted as it is, and as the address says.
func TestTable(t *testing.T) {
	t.Parallel()
	p := newPlain(t)
	p.apply(t, declared)
	page := logIn(t, p.address, p.token, browser.Options{Path: "/datacenters?runtime=vm"})
	page.See(t, browser.Role("link", "dc3"))
	page.NotSee(t, browser.Role("link", "dc2"))
	page.Click(t, browser.Role("button", "Datacenter").In(browser.Role("columnheader", "Datacenter")))
	page.At(t, "/datacenters?runtime=vm&sort=-name")
	name, content := page.Download(t, browser.Role("button", "Export datacenters as CSV"))
	lines := strings.Split(content, "\r\n")
	if name != "datacenters.csv" || len(lines) != 4 || !strings.HasPrefix(lines[0], "Datacenter,Health,") ||
		!strings.HasPrefix(lines[1], "dc3,") || !strings.HasPrefix(lines[2], "dc1,") {
		t.Errorf("%s holds\n%s", name, content)
	}
	page.Fill(t, browser.Label("Search datacenters"), "nothing is called so")
	page.See(t, browser.Text("Nothing matches."))
}
