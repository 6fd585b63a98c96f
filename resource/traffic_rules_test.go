package resource_test

import "testing"

// Each of what is refused here, Consul 1.20.6 refuses, or takes although no proxy can do it: policy's tests against a real one show both.
func TestTrafficPolicyRules(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		// spec is what stands beside service and datacenters, as YAML's flow style.
		spec string
		// want are the violations: field, reason, and a word of the message.
		want []string
	}{
		{"failover", `failover: [{datacenters: [dc2, dc3]}]`, nil},
		{"failover in every way", `failover: [{datacenters: [dc2]}, {selector: env=prod, sameLabel: region}, {peers: [acme]}, {service: old-api}, {service: old-api, datacenters: [dc2]}]`, nil},
		{"redirect", `redirect: {datacenter: dc2}`, nil},
		{"redirect to another service", `redirect: {service: old-api}`, nil},
		{"split", `split: [{weight: 33.33}, {weight: 66.67, target: {datacenter: dc2}}], protocol: grpc`, nil},
		{"a share of nothing", `split: [{weight: 0}, {weight: 100, target: {datacenter: dc2}}]`, nil},
		{"routes", `routes: [{match: {pathPrefix: /v2, methods: [get, POST], headers: [{name: x, present: true, invert: true}], queryParams: [{name: q, exact: "1"}]},
			target: {service: api-v2}, prefixRewrite: /, requestTimeout: 5s, retries: 3, retryOnConnectFailure: true, retryOnStatusCodes: [502, 503]}, {match: {}}]`, nil},

		{"nothing", `{}`, []string{"spec Required at least one"}},
		{"redirect beside others", `redirect: {datacenter: dc2}, failover: [{datacenters: [dc3]}], split: [{weight: 100}]`, []string{"spec.redirect Exclusive failover and split"}},
		{"redirect to itself", `redirect: {service: api}`, []string{"spec.redirect Required another service"}},
		{"redirect to nothing", `redirect: {}`, []string{"spec.redirect Required another service"}},
		{"datacenter and peer", `redirect: {datacenter: dc2, peer: acme}`, []string{"spec.redirect.peer Exclusive beside datacenter"}},
		{"a target of no service", `redirect: {service: "*"}`, []string{"spec.redirect.service Invalid one service"}},
		{"protocol of nothing", `failover: [{datacenters: [dc2]}], protocol: http`, []string{"spec.protocol Exclusive split and routes"}},
		{"a protocol that is none of HTTP", `split: [{weight: 100}], protocol: tcp`, []string{"spec.protocol Invalid http2"}},

		{"a step to nowhere", `failover: [{}]`, []string{"spec.failover[0] Required exactly one"}},
		{"a step to itself", `failover: [{service: api}]`, []string{"spec.failover[0] Required exactly one"}},
		{"two ways", `failover: [{datacenters: [dc2], peers: [acme]}]`, []string{"spec.failover[0].peers Exclusive beside datacenters"}},
		{"a bad selector", `failover: [{selector: "a b"}]`, []string{"spec.failover[0].selector Invalid"}},
		{"twice in one step", `failover: [{datacenters: [dc2, dc2]}]`, []string{"spec.failover[0].datacenters[1] Duplicate twice"}},
		{"twice in two steps", `failover: [{datacenters: [dc2]}, {service: api, datacenters: [dc3, dc2]}]`, []string{"spec.failover[1].datacenters[1] Duplicate api in dc2 is in a step before"}},
		{"a peer twice", `failover: [{peers: [acme]}, {peers: [acme]}]`, []string{"spec.failover[1].peers[0] Duplicate peer acme"}},
		{"labels of external peers", `failover: [{peers: [acme], sameLabel: region}]`, []string{"spec.failover[0].sameLabel Exclusive external peers"}},
		{"no label", `failover: [{selector: env=prod, sameLabel: "a b"}]`, []string{"spec.failover[0].sameLabel Invalid label key"}},

		{"weights", `split: [{weight: 50}, {weight: 49.99, target: {datacenter: dc2}}]`, []string{"spec.split Invalid 99.99"}},
		{"fine weights", `split: [{weight: 33.333}, {weight: 66.667, target: {datacenter: dc2}}]`, []string{"spec.split[0].weight Invalid 0.01", "spec.split[1].weight Invalid 0.01"}},
		{"negative weights", `split: [{weight: -1}, {weight: 101, target: {datacenter: dc2}}]`, []string{"spec.split[0].weight Invalid greater than or equal to 0", "spec.split[1].weight Invalid less than or equal to 100"}},
		{"no number", `split: [{weight: .nan}, {weight: 100, target: {datacenter: dc2}}]`, []string{"spec.split[0].weight Invalid"}},
		{"the same twice", `split: [{weight: 50}, {weight: 50, target: {service: api}}]`, []string{"spec.split[1].target Duplicate"}},

		{"no match", `routes: [{target: {service: api-v2}}]`, []string{"spec.routes[0].match Required"}},
		{"a route behind all", `routes: [{match: {pathPrefix: /}}, {match: {pathExact: /x}}]`, []string{"spec.routes[0].match Invalid put it last"}},
		{"two paths", `routes: [{match: {pathExact: /x, pathPrefix: /y}}]`, []string{"spec.routes[0].match.pathPrefix Exclusive beside pathExact"}},
		{"a relative path", `routes: [{match: {pathPrefix: y}}]`, []string{"spec.routes[0].match.pathPrefix Invalid begin with /"}},
		{"a bad expression", `routes: [{match: {pathRegex: "(("}}]`, []string{"spec.routes[0].match.pathRegex Invalid regular"}},
		{"methods", `routes: [{match: {methods: [FOO, get, GET]}}]`, []string{"spec.routes[0].match.methods[0] Invalid GET", "spec.routes[0].match.methods[2] Duplicate"}},
		{"a header of no name", `routes: [{match: {headers: [{present: true}]}}]`, []string{"spec.routes[0].match.headers[0].name Required"}},
		{"no header's name", `routes: [{match: {headers: [{name: "a b", present: true}]}}]`, []string{"spec.routes[0].match.headers[0].name Invalid a b"}},
		{"a header of two ways", `routes: [{match: {headers: [{name: x, present: true, exact: "1"}]}}]`, []string{"spec.routes[0].match.headers[0] Exclusive suffix"}},
		{"a header of no way", `routes: [{match: {headers: [{name: x}]}}]`, []string{"spec.routes[0].match.headers[0] Exclusive present"}},
		{"contains", `routes: [{match: {headers: [{name: x, contains: a.b}]}}]`, []string{`spec.routes[0].match.headers[0].contains Invalid .*a\\.b.*`}},
		{"capitals", `routes: [{match: {headers: [{name: x, exact: a, ignoreCase: true}]}}]`, []string{"spec.routes[0].match.headers[0].ignoreCase Invalid (?i)"}},
		{"a parameter's prefix", `routes: [{match: {queryParams: [{name: x, prefix: a}]}}]`, []string{`spec.routes[0].match.queryParams[0].prefix Invalid regex: "a.*"`}},
		{"not a parameter", `routes: [{match: {queryParams: [{name: x, exact: a, invert: true}]}}]`, []string{"spec.routes[0].match.queryParams[0].invert Invalid"}},
		{"nothing to rewrite", `routes: [{match: {methods: [GET]}, prefixRewrite: /y}]`, []string{"spec.routes[0].prefixRewrite Exclusive pathPrefix"}},
		{"a relative rewrite", `routes: [{match: {pathExact: /x}, prefixRewrite: y}]`, []string{"spec.routes[0].prefixRewrite Invalid begin with /"}},
		{"a timeout", `routes: [{match: {pathExact: /x}, requestTimeout: -5s}]`, []string{"spec.routes[0].requestTimeout Invalid 1m30s"}},
		{"retries", `routes: [{match: {pathExact: /x}, retries: -1, retryOnStatusCodes: [9, 503, 503]}]`, []string{"spec.routes[0].retries Invalid", "spec.routes[0].retryOnStatusCodes[0] Invalid 599", "spec.routes[0].retryOnStatusCodes[2] Duplicate"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rest := ""
			if tt.spec != `{}` {
				rest = ", " + tt.spec
			}
			refuses(t, "kind: TrafficPolicy\nname: one\nspec: {service: api, datacenters: [dc1]"+rest+"}\n", tt.want)
		})
	}
}
