package dashboard_test

import (
	"encoding/json"
	"testing"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/test/browser"
)

// Somebody edits a policy's text while somebody else changes the policy: the page says so, keeps what was typed, and lets choose.
func TestEditMeanwhile(t *testing.T) {
	t.Parallel()
	p := newPlain(t)
	p.apply(t, declared)
	page := logIn(t, p.address, p.token, browser.Options{Path: "/policies/Intention/web-from-api"})
	live(t, page)
	text := browser.Label("Manifest in YAML")
	const mine = "kind: Intention\nname: web-from-api\nspec: {destination: {service: web, datacenters: [dc1, dc3]}, sources: [{service: mine, action: deny}]}\n"
	theirs := func(source string) {
		t.Helper()
		p.apply(t, "kind: Intention\nname: web-from-api\nspec: {destination: {service: web, datacenters: [dc1, dc3]}, sources: [{service: "+source+", action: allow}]}\n")
	}
	page.Fill(t, text, mine)
	page.Click(t, browser.Role("button", "Show what would change"))
	page.See(t, browser.Role("button", "Apply"))
	theirs("first")
	conflict := browser.Text("Somebody else changed it meanwhile")
	page.See(t, conflict)
	page.See(t, text.With("value", mine))
	page.NotSee(t, browser.Role("button", "Apply"))
	page.Axe(t)

	page.Click(t, browser.Role("button", "Keep mine"))
	page.NotSee(t, conflict)
	page.Click(t, browser.Role("button", "Show what would change"))
	page.Click(t, browser.Role("button", "Apply"))
	page.NotSee(t, browser.Role("button", "Apply"))
	page.NotSee(t, conflict)

	page.Fill(t, text, mine+"# more\n")
	theirs("second")
	page.See(t, conflict)
	page.Click(t, browser.Role("button", "Begin from theirs"))
	page.NotSee(t, conflict)
	page.See(t, browser.Role("button", "Undo").With("disabled", "true"))
}

// Somebody logs in as somebody else in another tab of the same browser: this tab is theirs as well, with what they may.
func TestTwoLogins(t *testing.T) {
	t.Parallel()
	p := newPlain(t)
	p.apply(t, declared)
	made, err := p.client.CreateAPIToken(t.Context(), &isthmusv1.APIToken{Name: "looker", Spec: &isthmusv1.APITokenSpec{Role: "viewer"}})
	if err != nil {
		t.Fatal(err)
	}
	page := logIn(t, p.address, p.token, browser.Options{Path: "/datacenters"})
	page.See(t, browser.Role("button", "Declare a datacenter"))
	body, err := json.Marshal(map[string]string{"token": made.GetSecret()})
	if err != nil {
		t.Fatal(err)
	}
	// What the other tab does, and what a browser tells this one of it.
	browser.Evaluate[bool](t, page, `fetch('/v1/session', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(`+string(body)+`) })
		.then((r) => r.json()).then((session) => {
			localStorage.setItem('isthmus-csrf', session.csrfToken);
			window.dispatchEvent(new StorageEvent('storage', { key: 'isthmus-csrf', storageArea: localStorage }));
			return true;
		})`)
	page.See(t, browser.Role("button", "Logged in as api-token/looker"))
	page.NotSee(t, browser.Role("button", "Declare a datacenter"))
	page.See(t, browser.Role("link", "dc3"))
	browser.Evaluate[bool](t, page, `localStorage.clear(), window.dispatchEvent(new StorageEvent('storage', { key: null, storageArea: localStorage }))`)
	page.See(t, browser.Role("button", "Log in"))
	page.NotSee(t, browser.Text("dc3"))
}
