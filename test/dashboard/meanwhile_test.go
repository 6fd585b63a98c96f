package dashboard_test

import (
	"encoding/json"
	"strings"
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
	if got := browser.Evaluate[string](t, page, `document.querySelector('[aria-label="Manifest in YAML"]').value`); !strings.Contains(got, "service: second\n") || strings.Contains(got, "mine") {
		t.Errorf("the text is not theirs:\n%s", got)
	}
}

// The same with a peering and its form: whoever has typed nothing sees what the others made of it, and what was typed stays.
func TestEditPeeringMeanwhile(t *testing.T) {
	t.Parallel()
	p := newPlain(t)
	p.apply(t, declared)
	theirs := func(label string) {
		t.Helper()
		p.apply(t, "kind: Peering\nname: dc1-dc2\nlabels: {by: "+label+"}\nspec: {acceptor: dc1, dialer: dc2}\n")
	}
	page := logIn(t, p.address, p.token, browser.Options{Path: "/peerings/dc1-dc2"})
	live(t, page)
	page.Click(t, browser.Role("button", "More actions"))
	page.Click(t, browser.Role("menuitem", "Edit"))
	dialog := browser.Role("dialog", "Edit dc1-dc2")
	page.See(t, browser.Text("Nothing would change").In(dialog))
	theirs("first")
	page.See(t, browser.Text("by=first").In(dialog))
	conflict := browser.Text("Somebody else changed it meanwhile").In(dialog)
	page.NotSee(t, conflict)

	labels := browser.Label("Labels").In(dialog)
	page.Fill(t, labels, "mine=yes")
	page.Press(t, "Enter")
	page.See(t, browser.Role("button", "Apply").With("disabled", "false").In(dialog))
	theirs("second")
	page.See(t, conflict)
	page.NotSee(t, browser.Role("button", "Apply").In(dialog))
	page.Axe(t)
	page.Click(t, browser.Role("button", "Keep mine").In(dialog))
	page.NotSee(t, conflict)
	page.See(t, browser.Text("mine=yes").In(dialog))

	theirs("third")
	page.Click(t, browser.Role("button", "Begin from theirs").In(dialog))
	page.NotSee(t, conflict)
	page.See(t, browser.Text("by=third").In(dialog))
	page.NotSee(t, browser.Text("mine=yes").In(dialog))
	page.See(t, browser.Text("Nothing would change").In(dialog))
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
