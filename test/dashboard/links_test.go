package dashboard_test

import (
	"cmp"
	"testing"

	"isthmus/client"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/test/browser"
)

// linked are one of each thing that the pages lead to.
const linked = declared + `
---
kind: PeeringGroup
name: everybody
spec: {selector: nobody, shape: full-mesh}
---
kind: ServiceExport
name: web-to-dc2
spec: {service: web, datacenters: [dc1], consumers: {datacenters: [dc2]}}
---
kind: TrafficPolicy
name: web-fails-over
spec: {service: web, datacenters: [dc1, dc3], failover: [{datacenters: [dc2]}]}
`

// Wherever a name stands it leads to what it names: followed from the audit log, which names one of each kind.
func TestLinks(t *testing.T) {
	t.Parallel()
	p := newPlain(t)
	p.apply(t, linked)
	enrol(t, p.mint(t, "dc1"))
	if _, err := p.client.CreateAPIToken(t.Context(), &isthmusv1.APIToken{Name: "looker", Spec: &isthmusv1.APITokenSpec{Role: "viewer"}}); err != nil {
		t.Fatal(err)
	}
	joinToken := p.onlyJoinToken(t)
	agent := p.onlyAgent(t)
	page := logIn(t, p.address, p.token, browser.Options{Path: "/events"})
	live(t, page)
	heading := func(name string) browser.Locator { return browser.Role("heading", name) }
	row := func(table, name string) browser.Locator {
		return browser.Text(name).In(browser.Role("region", table))
	}
	for kind, one := range map[string]struct {
		name   string
		finds  browser.Locator
		action string // of which there is one event; empty: that it was made
	}{
		"Datacenter":    {name: "dc3", finds: heading("dc3")},
		"Peering":       {name: "dc1-dc2", finds: heading("dc1-dc2")},
		"Federation":    {name: "global", finds: heading("global").Containing()},
		"PeeringGroup":  {name: "everybody", finds: heading("Group everybody")},
		"ServiceExport": {name: "web-to-dc2", finds: heading("ServiceExport web-to-dc2")},
		"Intention":     {name: "web-from-api", finds: heading("Intention web-from-api")},
		"TrafficPolicy": {name: "web-fails-over", finds: heading("TrafficPolicy web-fails-over")},
		"Agent":         {name: agent, finds: row("agents", agent), action: resource.ActionEnrol},
		"JoinToken":     {name: joinToken, finds: row("join tokens", joinToken)},
		"APIToken":      {name: "looker", finds: row("API tokens", "looker")},
	} {
		page.Goto(t, "/events?kind="+kind+"&target="+one.name+"&action="+cmp.Or(one.action, resource.ActionCreate))
		page.Click(t, browser.Role("link", one.name).In(browser.Role("list", "Events, newest first")))
		page.See(t, one.finds)
	}
}

// onlyJoinToken is the name of the one join token that there is.
func (p *plain) onlyJoinToken(t *testing.T) string {
	t.Helper()
	tokens, err := client.AllOf[*isthmusv1.JoinToken](t.Context(), p.client)
	if err != nil || len(tokens) != 1 {
		t.Fatalf("there are %d join tokens, not 1: %v", len(tokens), err)
	}
	return tokens[0].GetName()
}
