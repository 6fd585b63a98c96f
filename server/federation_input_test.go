package server_test

import (
	"net/http"
	"strings"
	"testing"
)

// global is the manifest as everybody writes it.
const global = "kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc2, dc3], mode: mesh-gateway}\n"

// What is wrong about federations is said before anything is written, with what would be right.
func TestBadFederations(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.apply(datacenters("dc1", "dc2", "dc3", "dc4", "dc5") + "---\n" + global)
	const jsonType = "application/json"
	recipient := "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
	for _, c := range []struct {
		name, method, path, contentType, body string
	}{
		{"federation-of-a-taken-primary", "POST", "/v1/apply", yaml, "kind: Federation\nname: other\nspec: {primary: dc2, secondaries: [dc4]}\n"},
		{"federation-of-a-taken-secondary", "POST", "/v1/apply", yaml, "kind: Federation\nname: other\nspec: {primary: dc4, secondaries: [dc5, dc3]}\n"},
		{"federation-of-itself", "POST", "/v1/apply", yaml, "kind: Federation\nname: other\nspec: {primary: dc4, secondaries: [dc4]}\n"},
		{"federation-of-the-unknown", "POST", "/v1/apply", yaml, "kind: Federation\nname: other\nspec: {primary: dc4, secondaries: [dc9]}\n"},
		{"federation-without-primary", "POST", "/v1/apply", yaml, "kind: Federation\nname: other\nspec: {secondaries: [dc4]}\n"},
		{"federation-with-both-choices", "POST", "/v1/apply", yaml, "kind: Federation\nname: other\nspec: {primary: dc4, secondaries: [dc5], secondarySelector: env=demo}\n"},
		{"federation-mode", "POST", "/v1/apply", yaml, "kind: Federation\nname: other\nspec: {primary: dc4, mode: direct}\n"},
		{"federation-retry", "POST", "/v1/apply", yaml, "kind: Federation\nname: other\nspec: {primary: dc4, retryIntervalWAN: soon}\n"},
		{"federation-accepts-nothing", "POST", "/v1/apply", yaml, "kind: Federation\nname: global\nspec: {primary: dc1, secondaries: [dc2, dc3], acceptDataLoss: [{datacenter: dc2}]}\n"},
		{"federation-other-primary", "POST", "/v1/apply", yaml, "kind: Federation\nname: global\nspec: {primary: dc4, secondaries: [dc2, dc3]}\n"},
		{"peering-inside-a-federation", "POST", "/v1/apply", yaml, "kind: Peering\nname: p\nspec: {acceptor: dc1, dialer: dc2}\n"},
		{"export-from-a-secondary", "POST", "/v1/apply", yaml, "kind: ServiceExport\nname: web\nspec: {service: web, datacenters: [dc2], consumers: {datacenters: [dc4]}}\n"},
		{"datacenter-in-a-federation", "DELETE", "/v1/datacenters/dc2", "", ""},
		{"plan-of-nothing", "GET", "/v1/federations/nope/plan", "", ""},
		{"members-of-nothing", "GET", "/v1/members?federation=nope", "", ""},
		{"reachability-of-nothing", "GET", "/v1/reachability?federation=nope", "", ""},
		{"bundle-for-nobody", "POST", "/v1/federations/global:bundle", jsonType, `{"datacenter":"dc2","recipient":"me"}`},
		{"bundle-of-the-primary", "POST", "/v1/federations/global:bundle", jsonType, `{"datacenter":"dc1","recipient":"` + recipient + `"}`},
		{"bundle-of-nothing", "POST", "/v1/federations/nope:bundle", jsonType, `{"datacenter":"dc2","recipient":"` + recipient + `"}`},
		{"bundle-wait", "POST", "/v1/federations/global:bundle", jsonType, `{"datacenter":"dc2","recipient":"` + recipient + `","wait":"soon"}`},
		{"bundle-signed-at-no-time", "POST", "/v1/federations/global:bundle", jsonType, `{"datacenter":"dc2","recipient":"` + recipient + `","signature":"` + strings.Repeat("A", 86) + `=="}`},
		{"bundle-with-no-signature", "POST", "/v1/federations/global:bundle", jsonType, `{"datacenter":"dc2","recipient":"` + recipient + `","signature":"AAAA"}`},
		{"bundle-of-no-fleet", "POST", "/v1/federations/global:bundle", jsonType, `{"datacenter":"dc2","recipient":"` + recipient + `","fleetKey":"AAAA"}`},
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
	n.want(http.StatusOK, n.call(http.MethodGet, "/v1/federations/global", ""))
}
