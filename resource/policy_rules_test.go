package resource_test

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"

	"isthmus/fault"
	"isthmus/resource"
)

// Each of what is refused here, Consul 1.20.6 refuses, or takes although no proxy can do it: policy's tests against a real one show both.
func TestIntentionRules(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 257)
	const http = `sources: [{service: web, permissions: [{action: allow, http: `
	for _, tt := range []struct {
		name string
		// spec is what stands beside destination, as YAML's flow style; destination is other than {service: api, datacenters: [dc1]}.
		spec, destination string
		// want are the violations: field, reason, and a word of the message.
		want []string
	}{
		{"as in the manual", `sources: [{service: web, selector: env=prod, action: allow}]`, ``, nil},
		{"every way to say who", `sources: [{service: web, datacenters: [dc2], action: allow}, {service: web, peer: acme, action: deny}, {service: "*", action: deny}], scope: federation, adopt: true`, ``, nil},
		{"every service", `sources: [{service: "*", action: deny, description: by default}]`, `{service: "*", selector: env=prod}`, nil},
		{"permissions", http + `{pathPrefix: /v1, methods: [get, POST], headers: [{name: ":authority", suffix: .example, ignoreCase: true}, {name: x-id, present: true, invert: true}]}}, {action: deny, http: {pathRegex: "/a.*"}}]}]`, ``, nil},

		{"no sources", `{}`, ``, []string{"spec.sources Invalid at least 1"}},
		{"no destination", `sources: [{service: web, action: allow}]`, `{datacenters: [dc1]}`, []string{"spec.destination.service Required"}},
		{"no place", `sources: [{service: web, action: allow}]`, `{service: api}`, []string{"spec.destination.selector Required exactly one"}},
		{"two places", `sources: [{service: web, action: allow}]`, `{service: api, datacenters: [dc1], selector: a=b}`, []string{"spec.destination.selector Exclusive beside"}},
		{"Consul's own", `sources: [{service: consul, action: allow}]`, ``, []string{"spec.sources[0].service Invalid in no mesh"}},
		{"a part of a name", `sources: [{service: "web*", action: allow}]`, `{service: "a b", datacenters: [dc1]}`, []string{"spec.sources[0].service Invalid service's name", "spec.destination.service Invalid service's name"}},
		{"every namespace", `sources: [{service: web, namespace: "*", action: allow}]`, ``, []string{"spec.sources[0].namespace Invalid"}},
		{"every peer", `sources: [{service: web, peer: "*", action: allow}]`, ``, []string{"spec.sources[0].peer Invalid"}},
		{"a peer and a place", `sources: [{service: web, peer: acme, selector: a=b, action: allow}]`, ``, []string{"spec.sources[0].peer Exclusive at most one of"}},
		{"two places of a source", `sources: [{service: web, datacenters: [dc1], selector: a=b, action: allow}]`, ``, []string{"spec.sources[0].selector Exclusive beside"}},
		{"a scope", `sources: [{service: web, action: allow}], scope: all`, ``, []string{"spec.scope Invalid federation"}},
		{"an action", `sources: [{service: web, action: permit}]`, ``, []string{"spec.sources[0].action Invalid allow, deny"}},
		{"no decision", `sources: [{service: web}]`, ``, []string{"spec.sources[0].action Required permissions"}},
		{"two decisions", `sources: [{service: web, action: allow, permissions: [{action: allow, http: {pathExact: /}}]}]`, ``, []string{"spec.sources[0].permissions Exclusive exactly one"}},
		{"twice", `sources: [{service: web, datacenters: [dc1, dc2], action: allow}, {service: app, action: deny}, {service: web, datacenters: [dc2, dc1], action: deny}]`, ``, []string{"spec.sources[2] Duplicate spec.sources[0]"}},
		{"a long description", `sources: [{service: web, action: allow, description: "` + long + `"}]`, ``, []string{"spec.sources[0].description Invalid 514 bytes"}},

		{"permissions for every service", http + `{pathExact: /}}]}]`, `{service: "*", datacenters: [dc1]}`, []string{"spec.sources[0].permissions Invalid not for *"}},
		{"a permission without action", `sources: [{service: web, permissions: [{http: {pathExact: /}}]}]`, ``, []string{"spec.sources[0].permissions[0].action Required allow, deny"}},
		{"a permission without match", `sources: [{service: web, permissions: [{action: allow}]}]`, ``, []string{"spec.sources[0].permissions[0].http Required"}},
		{"a match of everything", http + `{}}]}]`, ``, []string{"spec.sources[0].permissions[0].http Required in place of permissions"}},
		{"two paths", http + `{pathExact: /, pathPrefix: /}}]}]`, ``, []string{"spec.sources[0].permissions[0].http.pathPrefix Exclusive at most one"}},
		{"a relative path", http + `{pathExact: a}}]}]`, ``, []string{"spec.sources[0].permissions[0].http.pathExact Invalid begin with /"}},
		{"a bad expression", http + `{pathRegex: "(("}}]}]`, ``, []string{"spec.sources[0].permissions[0].http.pathRegex Invalid regular expression"}},
		{"methods", http + `{methods: [BREW, get, GET]}}]}]`, ``, []string{"spec.sources[0].permissions[0].http.methods[0] Invalid PATCH", "spec.sources[0].permissions[0].http.methods[2] Duplicate"}},
		{"query parameters", http + `{pathExact: /, queryParams: [{name: a, present: true}]}}]}]`, ``, []string{"spec.sources[0].permissions[0].http.queryParams Invalid for routes"}},
		{"only query parameters", http + `{queryParams: [{name: a, present: true}]}}]}]`, ``, []string{"spec.sources[0].permissions[0].http.queryParams Invalid for routes"}},
		{"a header of no name", http + `{headers: [{present: true}]}}]}]`, ``, []string{"spec.sources[0].permissions[0].http.headers[0].name Required"}},
		{"no header's name", http + `{headers: [{name: "a b", present: true}]}}]}]`, ``, []string{"spec.sources[0].permissions[0].http.headers[0].name Invalid"}},
		{"a header of no way", http + `{headers: [{name: x}]}}]}]`, ``, []string{"spec.sources[0].permissions[0].http.headers[0] Exclusive exactly one"}},
		{"a header of two ways", http + `{headers: [{name: x, exact: a, contains: b}]}}]}]`, ``, []string{"spec.sources[0].permissions[0].http.headers[0] Exclusive exactly one"}},
		{"a header's bad expression", http + `{headers: [{name: x, regex: "(("}]}}]}]`, ``, []string{"spec.sources[0].permissions[0].http.headers[0].regex Invalid"}},
		{"presence in any case", http + `{headers: [{name: x, present: true, ignoreCase: true}]}}]}]`, ``, []string{"spec.sources[0].permissions[0].http.headers[0].ignoreCase Exclusive (?i)"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			text := "kind: Intention\nname: one\nspec: {destination: " + cmp.Or(tt.destination, `{service: api, datacenters: [dc1]}`)
			if tt.spec != `{}` {
				text += ", " + tt.spec
			}
			refuses(t, text+"}\n", tt.want)
		})
	}
}

// refuses holds what the rules say of a manifest against what they should: a field, a reason and a word of the message each.
func refuses(t *testing.T, manifest string, wants []string) {
	t.Helper()
	_, err := resource.ParseManifests("", []byte(manifest))
	var f *fault.Error
	if errors.As(err, &f) != (err != nil) || len(wants) == 0 != (err == nil) {
		t.Fatalf("%v", err)
	}
	for _, want := range wants {
		parts := strings.SplitN(want+"  ", " ", 3)
		if !slices.ContainsFunc(f.Violations, func(v fault.Violation) bool {
			return strings.HasSuffix(v.Field, ": "+parts[0]) && v.Reason == parts[1] && strings.Contains(v.Message, strings.TrimSpace(parts[2]))
		}) {
			t.Errorf("want %q, got %v", want, f.Violations)
		}
	}
	if f != nil && len(f.Violations) != len(wants) {
		t.Errorf("got %v", f.Violations)
	}
}
