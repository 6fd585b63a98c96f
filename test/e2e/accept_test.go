package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"isthmus/test/browser"
	"isthmus/web"
)

// chromium is the browser of those stories that have a page in them.
var chromium browser.Browser

// joinPatience bounds what a page waits for while two Consul datacenters become one federation.
const joinPatience = 3 * time.Minute

// A running datacenter is federated in the dashboard: its plan says thing by thing what it would lose, whoever has read it accepts just that, and
// what changes meanwhile has to be read again. Then it joins, and its own things are gone.
func TestAcceptLossesInTheDashboard(t *testing.T) {
	f := NewWorld(t, 2, "dc1", "dc2")
	if _, built := web.App(); !built {
		if os.Getenv("CI") == "true" {
			t.Fatal("the dashboard is needed in CI: make web")
		}
		t.Skip("the dashboard is not built: make web")
	}
	dc1 := f.Site("dc1", Site{Primary: true})
	dc2 := f.Site("dc2", Site{CA: dc1})
	f.Declare("dc1", "dc2")
	own := dc2.MintToken("app-of-dc2", ownRules)
	dc2.Do(http.MethodPut, "/v1/config", map[string]any{"Kind": "service-defaults", "Name": "app", "Protocol": "http"}, nil)
	admin := f.secret("server", "admin.token")

	page := chromium.Open(t, "http://"+f.http, browser.Options{Path: "/federations", Patience: joinPatience})
	page.Fill(t, browser.Label("API token"), admin)
	page.Click(t, browser.Role("button", "Log in"))
	federate(t, page)

	t.Log("its losses are listed, and nothing happens before they are accepted")
	plan := browser.Role("region", "Plan of dc2")
	losses := browser.Role("region", "losses of dc2").In(plan)
	page.See(t, browser.Text("app-of-dc2").In(losses))
	page.See(t, browser.Text("service-defaults/app").In(losses))
	accept, read := browser.Role("button", "Accept…").In(plan), browser.Role("checkbox", "I have read it").Containing().In(plan)
	page.See(t, accept.With("disabled", "true"))
	page.Axe(t)
	page.Click(t, read)
	page.See(t, accept.With("disabled", "false"))

	t.Log("what has changed is to be read again")
	dc2.MintToken("made-meanwhile", ownRules)
	page.See(t, browser.Text("made-meanwhile").In(losses))
	page.See(t, accept.With("disabled", "true"))
	dc2.stillItsOwn(own)

	t.Log("accepted, it joins")
	page.Click(t, read)
	page.Click(t, accept)
	page.See(t, browser.Text("spec.acceptDataLoss").In(plan))
	page.Axe(t)
	page.Click(t, browser.Role("button", "Accept and join").In(plan))
	page.Click(t, browser.Role("tab", "Members"))
	page.See(t, browser.Role("cell", "all"))
	f.Joined("global", dc1, dc2)
	f.Eventually("its own tokens are gone", func() error {
		if _, err := dc2.with(own); err == nil {
			return fmt.Errorf("the token works")
		}
		return nil
	})
	page.Secrets(t, admin, own)
}

// federate declares the federation, after its preview.
func federate(t *testing.T, page *browser.Page) {
	t.Helper()
	page.Click(t, browser.Role("button", "Federate datacenters"))
	page.Fill(t, browser.Label("Name"), "global")
	page.Click(t, browser.Role("combobox", "Primary"))
	page.Click(t, browser.Role("option", "dc1"))
	page.Click(t, browser.Role("combobox", "Secondaries"))
	page.Click(t, browser.Role("option", "dc2"))
	page.Press(t, "Escape")
	page.Click(t, browser.Role("button", "Show what would change"))
	page.See(t, browser.Text("A datacenter that joins loses what is its own"))
	page.See(t, browser.Text("Federation global"))
	page.Axe(t)
	page.Click(t, browser.Role("button", "Declare"))
	page.At(t, "/federations/global?tab=plan")
}
