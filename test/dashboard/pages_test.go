package dashboard_test

import (
	"os"
	"path/filepath"
	"testing"

	"isthmus/test/browser"
)

// shown is one page, and its title.
type shown struct {
	name, path string
	title      browser.Locator
}

// pages are all pages, of the demo's fleet.
func pages() []shown {
	heading := func(name string) browser.Locator { return browser.Role("heading", name) }
	return []shown{
		{"overview", "/", heading("Overview")},
		{"datacenters", "/datacenters", heading("Datacenters")},
		{"datacenter", "/datacenters/dc1", heading("dc1")},
		{"datacenter-agents", "/datacenters/dc2?tab=agents", heading("Agents")},
		{"datacenter-connections", "/datacenters/dc1?tab=connections", heading("Connections")},
		{"datacenter-services", "/datacenters/dc3?tab=services", heading("Services")},
		{"datacenter-gateways", "/datacenters/dc1?tab=gateways", heading("Mesh gateways")},
		{"datacenter-desired", "/datacenters/dc1?tab=desired", heading("Desired and applied")},
		{"datacenter-history", "/datacenters/dc1?tab=history", heading("Events")},
		{"services", "/services", heading("Services")},
		{"service", "/services?service=web", heading("web")},
		{"explain", "/explain?from=api@dc2&to=web@dc1", heading("Explain")},
		{"federations", "/federations", heading("Federations")},
		{"federation", "/federations/global", browser.Role("heading", "global").Containing()},
		{"peerings", "/peerings", heading("Peerings")},
		{"peering-new", "/peerings/new", heading("New peering")},
		{"peering", "/peerings/demo-dc1-dc3", browser.Role("heading", "demo-dc1-dc3").Containing()},
		{"policies", "/policies", heading("Policies")},
		{"policy-new", "/policies/new", heading("New policy")},
		{"policy", "/policies/Intention/web-from-api", heading("Intention web-from-api")},
		{"doctor", "/doctor", heading("Doctor")},
		{"events", "/events", heading("Events")},
		{"access", "/access", heading("Access")},
		{"not-found", "/nowhere", heading("There is no such page")},
	}
}

// Every page, at the size of a laptop and of a phone, light and dark: it is clean, breaks no rule of accessibility, and shows no secret.
func TestPages(t *testing.T) {
	t.Parallel()
	result, token := fleet.get(t)
	for name, options := range map[string]browser.Options{
		"light":       {},
		"dark":        {Dark: true},
		"light-phone": {Width: browser.PhoneWidth, Height: browser.PhoneHeight},
		"dark-phone":  {Width: browser.PhoneWidth, Height: browser.PhoneHeight, Dark: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			page := chromium.Open(t, result.Address, options)
			page.See(t, browser.Role("button", "Log in"))
			inspect(t, page, "login-"+name)
			enter(t, page, token)
			for _, one := range pages() {
				t.Run(one.name, func(t *testing.T) {
					page.Goto(t, one.path)
					page.See(t, one.title)
					page.NotSee(t, browser.Role("status", "Loading"))
					page.NotSee(t, browser.Text("Connecting").In(browser.Role("banner", "")))
					inspect(t, page, one.name+"-"+name)
					page.Secrets(t, token)
				})
			}
		})
	}
}

// inspect takes a picture, if pictures are asked for, and asks for all that has to hold on any page.
func inspect(t *testing.T, page *browser.Page, picture string) {
	t.Helper()
	if *screenshots != "" {
		if err := os.MkdirAll(*screenshots, 0o750); err != nil {
			t.Fatal(err)
		}
		page.Screenshot(t, filepath.Join(*screenshots, picture+".png"))
	}
	page.Axe(t)
	page.Clean(t)
}
