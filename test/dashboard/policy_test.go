package dashboard_test

import (
	"testing"

	"isthmus/demo"
	"isthmus/test/browser"
)

// An operator lets two peered datacenters see a service, and says who may call it: with the forms, seeing what would change before anything is
// written, and that it stands in a real Consul after. Then both go again, when their names are typed.
func TestPolicies(t *testing.T) {
	t.Parallel()
	own := &shared{datacenters: demo.MinDatacenters}
	t.Cleanup(func() {
		if err := own.end(); err != nil {
			t.Error(err)
		}
	})
	result, token := own.get(t)
	page := logIn(t, result.Address, token, browser.Options{Path: "/policies"})
	makeExport(t, page)
	makeIntention(t, page)
	editIntention(t, page)
	deletePolicy(t, page, "ServiceExport", "shop-to-dc2")
	deletePolicy(t, page, "Intention", "shop-from-web")
	page.Secrets(t, token)
}

func makeExport(t *testing.T, page *browser.Page) {
	t.Helper()
	page.Click(t, browser.Role("link", "New policy"))
	page.Fill(t, browser.Label("Name of the policy"), "shop-to-dc2")
	page.Fill(t, browser.Role("combobox", "Service"), "shop")
	from, to := browser.Role("group", "Exported from"), browser.Role("group", "Seen by")
	chooseIn(t, page, from, "dc1")
	page.Axe(t)
	// What is chosen by label is said while it is typed.
	page.Click(t, browser.Role("radio", "By label").In(to))
	page.Fill(t, browser.Label("Selector").In(to), "role=peer")
	page.See(t, browser.Text("Now: dc1, dc2"))
	page.Click(t, browser.Role("button", "Go on to the manifest"))
	page.See(t, browser.Label("Manifest in YAML"))

	// Back and forth, and nothing of it is lost.
	page.Click(t, browser.Role("button", "Back to the form"))
	page.See(t, browser.Label("Name of the policy").With("value", "shop-to-dc2"))
	page.Click(t, browser.Role("button", "Go on to the manifest"))
	page.Click(t, browser.Role("button", "Show what would change"))
	page.See(t, browser.Text("ServiceExport shop-to-dc2"))
	page.See(t, browser.Text("spec.consumers.selector"))
	page.Axe(t)
	page.Click(t, browser.Role("button", "Declare"))
	page.At(t, "/policies/ServiceExport/shop-to-dc2")
	page.See(t, browser.Role("heading", "ServiceExport shop-to-dc2"))
	applied(t, page)
	page.Axe(t)
}

func makeIntention(t *testing.T, page *browser.Page) {
	t.Helper()
	page.Goto(t, "/policies/new?kind=Intention")
	page.Fill(t, browser.Label("Name of the policy"), "shop-from-web")
	page.Fill(t, browser.Role("combobox", "Service that is called"), "shop")
	page.Click(t, browser.Role("button", "Go on to the manifest"))
	page.See(t, browser.Role("combobox", "Service that calls").With("focused", "true")) // it has to be filled in
	page.Fill(t, browser.Role("combobox", "Service that calls"), "web")
	chooseIn(t, page, browser.Role("group", "It runs in"), "dc1")
	page.Axe(t)
	page.Click(t, browser.Role("button", "Go on to the manifest"))
	page.Click(t, browser.Role("button", "Show what would change"))
	page.See(t, browser.Text("Intention shop-from-web"))
	page.Click(t, browser.Role("button", "Declare"))
	page.At(t, "/policies/Intention/shop-from-web")
	applied(t, page)
	page.See(t, browser.Text("service-intentions/shop"))
	page.Axe(t)
}

// editIntention makes a mistake, which the server refuses by its place, and then a change.
func editIntention(t *testing.T, page *browser.Page) {
	t.Helper()
	manifest := browser.Label("Manifest in YAML")
	page.Forgive("400")
	page.Fill(t, manifest, "kind: Intention\nname: shop-from-web\nspec:\n  destination: {service: shop, datacenters: [nowhere]}\n  sources: [{service: web, action: deny}]\n")
	page.Click(t, browser.Role("button", "Show what would change"))
	page.See(t, browser.Text("The server would refuse this"))
	page.See(t, browser.Text("nowhere"))
	page.Axe(t)
	page.Fill(t, manifest, "kind: Intention\nname: shop-from-web\nspec:\n  destination: {service: shop, datacenters: [dc1]}\n  sources: [{service: web, action: deny}]\n")
	page.Click(t, browser.Role("button", "Show what would change"))
	page.See(t, browser.Text(`+ [{"action":"deny"`))
	page.Axe(t)
	page.Click(t, browser.Role("button", "Apply"))
	page.NotSee(t, browser.Role("button", "Apply"))
	applied(t, page)
	page.Goto(t, "/policies?kind=Intention")
	page.See(t, browser.Text("deny web"))
}

// chooseIn takes a datacenter of those that a group of fields offers.
func chooseIn(t *testing.T, page *browser.Page, group browser.Locator, datacenter string) {
	t.Helper()
	page.Click(t, browser.Label("Datacenters").In(group))
	page.Click(t, browser.Role("option", datacenter))
	page.Press(t, "Escape")
}

// applied waits until a policy's page says that it stands in all Consuls.
func applied(t *testing.T, page *browser.Page) {
	t.Helper()
	page.See(t, browser.Role("cell", "applied"))
}

func deletePolicy(t *testing.T, page *browser.Page, kind, name string) {
	t.Helper()
	page.Goto(t, "/policies/"+kind+"/"+name)
	page.Forgive("404") // it is read once more, and may be gone
	page.Click(t, browser.Role("button", "Delete"))
	dialog := browser.Role("dialog", "Delete "+kind+" "+name)
	page.See(t, browser.Role("button", "Delete").With("disabled", "true").In(dialog))
	page.Axe(t)
	page.Fill(t, browser.Label("Type "+name+" to confirm"), name)
	page.Click(t, browser.Role("button", "Delete").In(dialog))
	page.NotSee(t, dialog)
	page.Goto(t, "/policies?kind="+kind)
	page.NotSee(t, browser.Role("link", name))
}
