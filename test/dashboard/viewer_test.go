package dashboard_test

import (
	"testing"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/test/browser"
)

// acting are the names of all that operators and admins have to press, on some page.
func acting() []browser.Locator {
	var out []browser.Locator
	for _, name := range []string{
		"Declare a datacenter", "Remove from the fleet", "Federate datacenters", "Delete", "Accept", "Rotate", "Re-establish", "More actions",
		"Edit", "Approve", "Revoke", "New join token", "New API token", "Create", "Apply", "New policy", "New peering",
	} {
		out = append(out, browser.Role("button", name), browser.Role("link", name))
	}
	return append(out, browser.Role("tab", "API tokens"))
}

// A viewer sees every page, and nothing to press that the server would refuse.
func TestViewer(t *testing.T) {
	t.Parallel()
	p := newPlain(t)
	p.apply(t, declared)
	made, err := p.client.CreateAPIToken(t.Context(), &isthmusv1.APIToken{Name: "looker", Spec: &isthmusv1.APITokenSpec{Role: "viewer"}})
	if err != nil {
		t.Fatal(err)
	}
	looks := logIn(t, p.address, made.GetSecret(), browser.Options{})
	acts := logIn(t, p.address, p.token, browser.Options{})
	pressed := 0
	for _, one := range []struct{ path, title string }{
		{"/", "Overview"},
		{"/datacenters", "Datacenters"},
		{"/datacenters/dc1", "dc1"},
		{"/services", "Services"},
		{"/federations", "Federations"},
		{"/federations/global", "global"},
		{"/peerings", "Peerings"},
		{"/peerings/dc1-dc2", "dc1-dc2"},
		{"/policies", "Policies"},
		{"/policies/Intention/web-from-api", "Intention web-from-api"},
		{"/doctor", "Doctor"},
		{"/events", "Events"},
		{"/access", "Access"},
	} {
		for _, page := range []*browser.Page{acts, looks} {
			page.Goto(t, one.path)
			page.See(t, browser.Role("heading", one.title).Containing().With("level", "1"))
			page.NotSee(t, browser.Role("generic", "Loading"))
		}
		for _, what := range acting() {
			if looks.Count(t, what) > 0 {
				t.Errorf("a viewer sees %s on %s", what, one.path)
			}
			pressed += acts.Count(t, what)
		}
	}
	// What is looked for is what there is: otherwise its absence would say nothing.
	if pressed < 8 {
		t.Errorf("an admin sees only %d of what viewers must not see: have buttons been renamed?", pressed)
	}
	looks.Secrets(t, made.GetSecret(), p.token)
}
