package server_test

import (
	"net/http"
	"testing"
)

// What is wrong about policies is said before anything is written, with what would be right: what Consul would refuse, and what it would
// take for something else than was meant.
func TestBadPolicies(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1", "dc2", "dc3", "dc4", "dc5") + "---\n" + global)
	n.apply("kind: Intention\nname: all\nspec:\n  destination: {service: api, datacenters: [dc1, dc2, dc3]}\n  sources: [{service: web, action: allow}]\n" +
		"---\nkind: Intention\nname: alone\nspec:\n  destination: {service: db, datacenters: [dc4]}\n  sources: [{service: api, datacenters: [dc4], action: allow}]\n")
	const jsonType = "application/json"
	intention := func(destination, sources string) string {
		return "kind: Intention\nname: bad\nspec:\n  destination: {service: " + destination + "}\n  sources: [" + sources + "]\n"
	}
	for _, c := range []struct {
		name, method, path, contentType, body string
	}{
		{"intention-without-sources", "POST", "/v1/intentions", jsonType, `{"name":"bad","spec":{"destination":{"service":"api","datacenters":["dc4"]}}}`},
		{"intention-of-the-unknown", "POST", "/v1/apply", yaml, intention("api, datacenters: [dc9]", "{service: web, action: allow}")},
		{"intention-two-decisions", "POST", "/v1/apply", yaml, intention("api, datacenters: [dc4]", "{service: web, action: allow, permissions: [{action: allow, http: {pathExact: a}}]}")},
		{"intention-narrow-destination", "POST", "/v1/apply", yaml, intention("cache, datacenters: [dc1, dc3]", "{service: web, action: allow}")},
		{"intention-narrow-source", "POST", "/v1/apply", yaml, intention("cache, selector: env=demo", "{service: web, datacenters: [dc2], action: allow}")},
		{"intention-contradicts", "POST", "/v1/apply", yaml, intention("api, datacenters: [dc1, dc2, dc3]", "{service: web, action: deny}")},
		{"intention-narrowed", "PATCH", "/v1/intentions/all?updateMask=spec.destination.datacenters", jsonType, `{"spec":{"destination":{"datacenters":["dc1"]}}}`},
		{"federation-narrows-an-intention", "POST", "/v1/apply", yaml, "kind: Federation\nname: other\nspec: {primary: dc4, secondaries: [dc5]}\n"},
	} {
		before := n.specs()
		a := n.call(c.method, c.path, c.body, "Content-Type", c.contentType)
		if a.status < 400 || a.status > 499 {
			t.Errorf("%s: %d is no 4xx: %s", c.name, a.status, a.body)
		}
		golden(t, c.name, a)
		if after := n.specs(); before != after {
			t.Errorf("%s: something was written", c.name)
		}
	}
	// Both cures.
	n.apply("kind: Intention\nname: narrow\nspec:\n  destination: {service: cache, datacenters: [dc1, dc3]}\n  sources: [{service: web, action: allow}]\n  scope: federation\n")
	n.apply("kind: Intention\nname: alone\nspec:\n  destination: {service: db, datacenters: [dc4, dc5]}\n  sources: [{service: api, action: allow}]\n" +
		"---\nkind: Federation\nname: other\nspec: {primary: dc4, secondaries: [dc5]}\n")
	n.want(http.StatusOK, n.call(http.MethodGet, "/v1/federations/other", ""))
}
