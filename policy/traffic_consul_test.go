package policy_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
	"isthmus/test/consultest"
)

// trafficKinds are in the order in which they are written; they go in the other one.
func trafficKinds() []string {
	return []string{policy.KindDefaults, policy.KindResolver, policy.KindSplitter, policy.KindRouter, "exported-services"}
}

// All that is known of service-resolver, service-splitter and service-router, on one real Consul.
func TestTrafficOnConsul(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc1")
	for _, tt := range []struct {
		name string
		run  func(*testing.T, *consultest.Cluster)
	}{
		{"what Consul says", whatConsulSaysOfTraffic},
		{"in which order they go", trafficOrder},
		{"whatever compiles, Consul takes, and does", whateverTrafficCompiles},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clearTraffic(t, c)
			tt.run(t, c)
		})
	}
}

func clearTraffic(t testing.TB, c *consultest.Cluster) {
	t.Helper()
	for _, kind := range slices.Backward(trafficKinds()) {
		var list []struct{ Name string }
		c.Do(http.MethodGet, "/v1/config/"+kind, nil, &list)
		for _, entry := range list {
			c.Do(http.MethodDelete, "/v1/config/"+kind+"/"+entry.Name, nil, nil)
		}
	}
}

// What Consul answers to entries that isthmus refuses before it sends anything, and what it takes although isthmus refuses it.
func whatConsulSaysOfTraffic(t *testing.T, c *consultest.Cluster) {
	t.Helper()
	entry := func(kind, name, rest string) string {
		return fmt.Sprintf(`{"Kind":"service-%s","Name":"%s",%s}`, kind, name, rest)
	}
	resolver := func(rest string) string { return entry("resolver", "api", rest) }
	failover := func(targets string) string { return resolver(`"Failover":{"*":{"Targets":[` + targets + `]}}`) }
	splitter := func(splits string) string { return entry("splitter", "api", `"Splits":[`+splits+`]`) }
	router := func(route string) string { return entry("router", "api", `"Routes":[`+route+`]`) }
	match := func(m string) string { return router(`{"Match":{"HTTP":{` + m + `}}}`) }
	exported := func(service string) string {
		return `{"Kind":"exported-services","Name":"default","Services":[{"Name":"` + service + `","Consumers":[{"Peer":"acme"}]}]}`
	}
	nothing := `{"Kind":"exported-services","Name":"default"}`
	plain := entry("resolver", "api", `"ConnectTimeout":"5s"`)
	for _, tt := range []struct{ name, entry, want string }{
		{"places that there are not", failover(`{"Datacenter":"dc9"},{"Peer":"nobody"},{"Service":"old"},{"Service":"old","Peer":"nobody"}`), ""},
		{"the same place twice", failover(`{"Datacenter":"dc2"},{"Datacenter":"dc2"}`), ""},
		{"no place", failover(``), "is required"},
		{"datacenter and peer", failover(`{"Datacenter":"dc2","Peer":"acme"}`), "Peer cannot be set with Datacenter"},
		{"a namespace", failover(`{"Service":"old","Namespace":"default"}`), "Setting Namespace requires Consul Enterprise"},
		{"redirect beside failover", resolver(`"Redirect":{"Service":"old"},"Failover":{"*":{"Targets":[{"Datacenter":"dc2"}]}}`), "Redirect and Failover cannot both be set"},
		{"an empty redirect", resolver(`"Redirect":{}`), "Redirect is empty"},
		{"a peer without a service", resolver(`"Redirect":{"Peer":"acme"}`), "Redirect.Peer defined without Redirect.Service"},
		{"redirect to datacenter and peer", resolver(`"Redirect":{"Service":"api","Datacenter":"dc2","Peer":"acme"}`), "Redirect.Peer cannot be set with Redirect.Datacenter"},
		{"redirect to oneself", resolver(`"Redirect":{"Service":"api","Datacenter":"dc1"}`), ""},
		{"redirect to another", resolver(`"Redirect":{"Service":"old"}`), ""},
		{"a circle of redirects", entry("resolver", "old", `"Redirect":{"Service":"api"}`), "detected circular resolver redirect"},
		{"a circle by way of a datacenter", entry("resolver", "old", `"Redirect":{"Service":"api","Datacenter":"dc2"}`), "detected circular resolver redirect"},
		{"a circle by way of a peer", entry("resolver", "old", `"Redirect":{"Service":"api","Peer":"acme"}`), "detected circular resolver redirect"},
		{"nothing", plain, ""},

		{"a split of TCP", splitter(`{"Weight":50},{"Weight":50,"Service":"old"}`), `protocol "tcp" that does not permit advanced routing or splitting behavior`},
		{"routes of TCP", match(`"PathExact":"/"`), `protocol "tcp" that does not permit advanced routing or splitting behavior`},
		{"one speaks HTTP", entry("defaults", "api", `"Protocol":"http"`), ""},
		{"the other does not", splitter(`{"Weight":50},{"Weight":50,"Service":"old"}`), `inconsistent protocols; service "old" has "tcp" which is not "http"`},
		{"the other does", entry("defaults", "old", `"Protocol":"http"`), ""},
		{"a split", splitter(`{"Weight":50},{"Weight":50,"Service":"old"}`), ""},
		{"protocol is needed", entry("defaults", "old", `"Protocol":"tcp"`), "inconsistent protocols"},
		{"a circle of splits", entry("splitter", "old", `"Splits":[{"Weight":50},{"Weight":50,"Service":"api"}]`), "detected circular reference"},
		{"a service twice", splitter(`{"Weight":50},{"Weight":50,"Service":"api"}`), "split destination occurs more than once"},
		{"a sum", splitter(`{"Weight":50},{"Weight":49.99,"Service":"old"}`), "the sum of all split weights must be 100"},
		{"no split", splitter(``), "no splits configured"},
		{"finer than Consul tells apart", splitter(`{"Weight":33.333},{"Weight":66.667,"Service":"old"}`), ""},
		{"less than nothing", splitter(`{"Weight":-1},{"Weight":101,"Service":"old"}`), ""},

		{"a relative path", match(`"PathPrefix":"x"`), "PathPrefix doesn't start with '/'"},
		{"two paths", match(`"PathPrefix":"/x","PathExact":"/x"`), "at most one of PathExact, PathPrefix, or PathRegex"},
		{"no method", match(`"Methods":["BREW"]`), `invalid method "BREW"`},
		{"a method twice", match(`"Methods":["get","GET"]`), `"GET" more than once`},
		{"a header without a name", match(`"Header":[{"Present":true}]`), "missing required Name field"},
		{"a header without a match", match(`"Header":[{"Name":"x"}]`), "should only contain one of Present, Exact, Prefix, Suffix, or Regex"},
		{"a header with two", match(`"Header":[{"Name":"x","Exact":"a","Regex":"a"}]`), "should only contain one of Present, Exact, Prefix, Suffix, or Regex"},
		{"a header that contains", match(`"Header":[{"Name":"x","Contains":"a"}]`), "invalid config key"},
		{"a header in any case", match(`"Header":[{"Name":"x","Exact":"a","IgnoreCase":true}]`), "invalid config key"},
		{"a parameter's prefix", match(`"QueryParam":[{"Name":"x","Prefix":"a"}]`), "invalid config key"},
		{"not a parameter", match(`"QueryParam":[{"Name":"x","Exact":"a","Invert":true}]`), "invalid config key"},
		{"nothing to rewrite", router(`{"Match":{"HTTP":{"Methods":["GET"]}},"Destination":{"PrefixRewrite":"/x"}}`), "cannot make use of PrefixRewrite"},
		{"a proxy would choke", match(`"PathRegex":"(("`), ""},
		{"a timeout before it begins", router(`{"Match":{"HTTP":{"PathExact":"/x"}},"Destination":{"RequestTimeout":"-5s","RetryOnStatusCodes":[9,9]}}`), ""},

		{"a virtual service for a datacenter", entry("resolver", "api-at-dc2", `"Redirect":{"Service":"api","Datacenter":"dc2"}`), `service "api" has "http" which is not "tcp"`},
		{"its protocol", entry("defaults", "api-at-dc2", `"Protocol":"http"`), ""},
		{"and now", entry("resolver", "api-at-dc2", `"Redirect":{"Service":"api","Datacenter":"dc2"}`), ""},
		{"and with a share", splitter(`{"Weight":50},{"Weight":50,"Service":"api-at-dc2"}`), ""},

		{"exported, with a share elsewhere", exported("api"), "contains cross-datacenter resolver redirect"},
		{"everything exported, virtual services too", exported("*"), "contains cross-datacenter resolver redirect"},
		{"the share at a peer", entry("resolver", "api-at-dc2", `"Redirect":{"Service":"api","Peer":"dc2"}`), ""},
		{"exported, with a share at a peer", exported("api"), "contains cross-peer resolver redirect"},
		{"a share here", splitter(`{"Weight":50},{"Weight":50,"Service":"old"}`), ""},
		{"exported", exported("api"), ""},
		{"failing over to a peer", failover(`{"Peer":"acme"}`), ""},
		{"failing over to a datacenter", failover(`{"Datacenter":"dc2"}`), "contains cross-datacenter failover"},
		{"failing over there in the end", entry("resolver", "old", `"Failover":{"*":{"Targets":[{"Datacenter":"dc2"}]}}`), "contains cross-datacenter failover"},
		{"no longer exported", nothing, ""},
		{"failing over to a datacenter then", failover(`{"Datacenter":"dc2"}`), ""},
		{"exported, failing over", exported("api"), "contains cross-datacenter failover"},
	} {
		switch err := write(t, c, tt.entry); {
		case tt.want == "" && err != nil:
			t.Errorf("%s: refused: %v", tt.name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
		}
	}
}

// What is needed cannot go first; but a virtual service can, and then calls go nowhere: so it goes after those who send calls to it.
func trafficOrder(t *testing.T, c *consultest.Cluster) {
	t.Helper()
	for _, entry := range []string{
		`{"Kind":"service-defaults","Name":"api","Protocol":"http"}`,
		`{"Kind":"service-defaults","Name":"api-at-dc2","Protocol":"http"}`,
		`{"Kind":"service-resolver","Name":"api-at-dc2","Redirect":{"Service":"api","Peer":"dc2"}}`,
		`{"Kind":"service-splitter","Name":"api","Splits":[{"Weight":50},{"Weight":50,"Service":"api-at-dc2"}]}`,
	} {
		if err := write(t, c, entry); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := chain(t, c, "api", "dc1"), "50: api@dc1 + 50: api@(dc2)"; got.String() != want {
		t.Fatalf("the chain is %s", got)
	}
	err := c.Call(t.Context(), http.MethodDelete, "/v1/config/service-defaults/api-at-dc2", nil, nil)
	if err == nil || !strings.Contains(err.Error(), "inconsistent protocols") {
		t.Errorf("the protocol went first: %v", err)
	}
	c.Do(http.MethodDelete, "/v1/config/service-resolver/api-at-dc2", nil, nil)
	if got, want := chain(t, c, "api", "dc1"), "50: api@dc1 + 50: api-at-dc2@dc1"; got.String() != want {
		t.Errorf("without the virtual service, the chain is %s", got)
	}
}

// node is where calls go: one target, shares of them, or routes.
type node struct {
	// target is service@datacenter or service@(peer), and fallbacks those tried after it.
	target    string
	fallbacks []string
	// anywhere is one of the fallbacks whose place among them nothing is said of.
	anywhere string
	weights  []float64
	next     []node
}

func (n node) String() string {
	switch {
	case n.target != "":
		return strings.Join(append([]string{n.target}, n.fallbacks...), " else ")
	case n.weights != nil:
		var shares []string
		for i, next := range n.next {
			shares = append(shares, fmt.Sprintf("%.4g: %s", n.weights[i], next))
		}
		return strings.Join(shares, " + ")
	}
	var routes []string
	for _, next := range n.next {
		routes = append(routes, "("+next.String()+")")
	}
	return strings.Join(routes, " | ")
}

// chain is where Consul says that calls of a service go from a datacenter.
func chain(t testing.TB, c *consultest.Cluster, service, from string) node {
	t.Helper()
	type next struct {
		NextNode string
		Weight   float64
	}
	var out struct {
		Chain struct {
			StartNode string
			Nodes     map[string]struct {
				Type           string
				Routes, Splits []next
				Resolver       struct {
					Target   string
					Failover *struct{ Targets []string }
				}
			}
			Targets map[string]struct{ Service, Datacenter, Peer string }
		}
	}
	c.Do(http.MethodGet, "/v1/discovery-chain/"+service+"?compile-dc="+from, nil, &out)
	target := func(id string) string {
		at := out.Chain.Targets[id]
		if at.Peer != "" {
			return at.Service + "@(" + at.Peer + ")"
		}
		return at.Service + "@" + at.Datacenter
	}
	var walk func(name string) node
	walk = func(name string) node {
		n := out.Chain.Nodes[name]
		switch n.Type {
		case "router":
			var result node
			for _, r := range n.Routes {
				result.next = append(result.next, walk(r.NextNode))
			}
			return result
		case "splitter":
			var result node
			for _, s := range n.Splits {
				result.weights, result.next = append(result.weights, s.Weight), append(result.next, walk(s.NextNode))
			}
			return result
		}
		result := node{target: target(n.Resolver.Target)}
		if n.Resolver.Failover != nil {
			for _, id := range n.Resolver.Failover.Targets {
				result.fallbacks = append(result.fallbacks, target(id))
			}
		}
		return result
	}
	return walk(out.Chain.StartNode)
}

// Whatever passes the rules and compiles, Consul takes, reads back as it was written, and sends calls where the policies say.
func whateverTrafficCompiles(t *testing.T, c *consultest.Cluster) {
	t.Helper()
	if err := write(t, c, httpByDefault); err != nil {
		t.Fatal(err)
	}
	written, kinds, offers := 0, map[string]int{}, map[bool]int{}
	rapid.Check(t, func(r *rapid.T) {
		clearTraffic(t, c)
		f, members := someFleet(r)
		var policies []*isthmusv1.TrafficPolicy
		for n := range rapid.IntRange(1, 4).Draw(r, "policies") {
			p := someTraffic(fmt.Sprintf("p%d", n), members).Draw(r, "policy")
			admit(f, p)
			if _, admitted := f.Get(resource.KindTrafficPolicy, p.GetName()); admitted {
				policies = append(policies, p)
			}
		}
		entries := policy.Entries(f, "dc1").GetEntries()
		if e := policy.Exports(f, "dc1").GetServices(); len(e) > 0 {
			writeExports(t, c, e)
		}
		for _, kind := range trafficKinds() {
			for _, e := range entries {
				if e.GetKind() == kind {
					written++
					kinds[kind]++
					takesTraffic(t, r, c, e)
				}
			}
		}
		if _, taken := f.Get(resource.KindServiceExport, "it"); !taken {
			for _, service := range []string{"api", "web", "*"} {
				offers[refusesAsConsul(t, r, c, f, service)]++
			}
		}
		for _, from := range members {
			for _, service := range []string{"api", "web", "old"} {
				m := meaning{f: f, policies: policies, members: members, caller: from}
				want := m.call(service)
				if got := chain(t, c, service, from); m.says() && !alike(got, want) {
					r.Fatalf("%s called from %s: Consul sends it to\n%s\nand the policies say\n%s\n%v", service, from, got, want, policies)
				}
			}
		}
	})
	if offers[true] == 0 || offers[false] == 0 {
		t.Errorf("exports that were refused, and those that were not: %v", offers)
	}
	if written < 100 || len(kinds) < 4 {
		t.Errorf("only %d entries were written, %v: the generator makes too little that is admitted", written, kinds)
	}
}

// refusesAsConsul tells whether an export is refused beside the traffic that Consul holds: by isthmus exactly when Consul would.
func refusesAsConsul(t testing.TB, r *rapid.T, c *consultest.Cluster, f *resourcetest.Fleet, service string) bool {
	t.Helper()
	e := export("it", service, []string{"dc1"}, &isthmusv1.ExportConsumers{Peers: []string{"acme"}})
	f.Put(e)
	refusals := policy.Check(f, e)
	err := c.Call(t.Context(), http.MethodPut, "/v1/config", map[string]any{
		"Kind": "exported-services", "Name": "default", "Services": []any{map[string]any{"Name": service, "Consumers": []any{map[string]any{"Peer": "acme"}}}},
	}, nil)
	f.Delete(resource.KindServiceExport, "it")
	c.Do(http.MethodDelete, "/v1/config/exported-services/default", nil, nil)
	if (len(refusals) > 0) != (err != nil) {
		r.Fatalf("an export of %s: isthmus says %v, Consul says %v", service, refusals, err)
	}
	return err != nil
}

func writeExports(t testing.TB, c *consultest.Cluster, services []*isthmusv1.ExportedService) {
	t.Helper()
	var list []any
	for _, s := range services {
		var consumers []any
		for _, peer := range s.GetPeers() {
			consumers = append(consumers, map[string]any{"Peer": peer})
		}
		list = append(list, map[string]any{"Name": s.GetName(), "Consumers": consumers})
	}
	c.Do(http.MethodPut, "/v1/config", map[string]any{"Kind": "exported-services", "Name": "default", "Services": list}, nil)
}

// bodyOf is a compiled entry as a human would write it.
func bodyOf(t testing.TB, entry *isthmusv1.ConfigEntry) map[string]any {
	t.Helper()
	body := map[string]any{"Kind": entry.GetKind(), "Name": entry.GetName()}
	for _, p := range entry.GetParts() {
		var value any
		if err := json.Unmarshal([]byte(p.GetValue()), &value); err != nil {
			t.Fatalf("%s: %v", p.GetValue(), err)
		}
		switch key := p.GetKey(); key {
		case "failover/*":
			body["Failover"] = map[string]any{"*": value}
		default:
			body[strings.ToUpper(key[:1])+key[1:]] = value
		}
	}
	return body
}

// takesTraffic writes a compiled entry, and reads it back.
func takesTraffic(t testing.TB, r *rapid.T, c *consultest.Cluster, entry *isthmusv1.ConfigEntry) {
	t.Helper()
	want := bodyOf(t, entry)
	if err := c.Call(t.Context(), http.MethodPut, "/v1/config", want, nil); err != nil {
		r.Fatalf("Consul refuses %v: %v", entry, err)
	}
	back := map[string]any{}
	c.Do(http.MethodGet, "/v1/config/"+entry.GetKind()+"/"+entry.GetName(), nil, &back)
	got := map[string]any{}
	for key := range want {
		got[key] = back[key]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		r.Fatalf("it reads back otherwise (-written +read):\n%s", diff)
	}
}

// someFleet is dc1, dc2 and dc3, connected in one of the ways that make a difference, and the members of dc1's federation or dc1 alone.
func someFleet(r *rapid.T) (*resourcetest.Fleet, []string) {
	f := resourcetest.New()
	for _, name := range []string{"dc1", "dc2", "dc3"} {
		f.Put(in(rapid.SampledFrom([]string{"us", "eu"}).Draw(r, "region of "+name), name))
	}
	members := []string{"dc1"}
	switch rapid.SampledFrom([]string{"peers", "federation", "both", "not shared"}).Draw(r, "topology") {
	case "peers":
		f.Put(peering("dc1", "dc2"), peering("dc3", "dc1"))
	case "federation":
		f.Put(federated("dc1", "dc2", "dc3"))
		members = []string{"dc1", "dc2", "dc3"}
	case "both":
		f.Put(federated("dc1", "dc2"), peering("dc1", "dc3"), peering("dc2", "dc3"))
		members = []string{"dc1", "dc2"}
	case "not shared":
		f.Put(federated("dc1", "dc2"), peering("dc1", "dc3"))
		members = []string{"dc1", "dc2"}
	}
	if service := rapid.SampledFrom([]string{"", "", "api", "web", "*"}).Draw(r, "exported"); service != "" {
		f.Put(export("it", service, []string{"dc1"}, &isthmusv1.ExportConsumers{Peers: []string{"acme"}}))
	}
	return f, members
}

// someTraffic makes TrafficPolicies of every kind, some of which are refused.
func someTraffic(name string, members []string) *rapid.Generator[*isthmusv1.TrafficPolicy] {
	datacenters := []string{"dc1", "dc2", "dc3"}
	service := rapid.SampledFrom([]string{"", "api", "web", "old"})
	target := rapid.Custom(func(r *rapid.T) *isthmusv1.TrafficTarget {
		t := &isthmusv1.TrafficTarget{Service: service.Draw(r, "service")}
		switch rapid.IntRange(0, 4).Draw(r, "where") {
		case 0:
			t.Peer = "acme"
		case 1, 2:
			t.Datacenter = rapid.SampledFrom(datacenters).Draw(r, "datacenter")
		}
		return t
	})
	return rapid.Custom(func(r *rapid.T) *isthmusv1.TrafficPolicy {
		spec := &isthmusv1.TrafficPolicySpec{Service: rapid.SampledFrom([]string{"api", "web", "old"}).Draw(r, "of"), Datacenters: members}
		if rapid.IntRange(0, 3).Draw(r, "some callers") == 0 {
			spec.Datacenters, spec.Scope = []string{"dc1"}, rapid.SampledFrom([]string{"", resource.ScopeFederation}).Draw(r, "scope")
		}
		ways := rapid.IntRange(1, 8).Draw(r, "ways")
		if ways == 8 {
			spec.Redirect = target.Draw(r, "redirect")
			return &isthmusv1.TrafficPolicy{Name: name, Spec: spec}
		}
		if ways&1 != 0 {
			spec.Failover = rapid.SliceOfN(someStep(service, datacenters), 1, 3).Draw(r, "failover")
		}
		if ways&2 != 0 {
			shares := rapid.SampledFrom([][]float64{{100}, {0, 100}, {25, 75}, {50, 25, 25}}).Draw(r, "shares")
			for _, w := range shares {
				spec.Split = append(spec.Split, &isthmusv1.TrafficSplit{Weight: w, Target: target.Draw(r, "share")})
			}
		}
		if ways&4 != 0 {
			for range rapid.IntRange(1, 3).Draw(r, "routes") {
				spec.Routes = append(spec.Routes, someRoute(target).Draw(r, "route"))
			}
		}
		return &isthmusv1.TrafficPolicy{Name: name, Spec: spec}
	})
}

func someStep(service *rapid.Generator[string], datacenters []string) *rapid.Generator[*isthmusv1.FailoverStep] {
	return rapid.Custom(func(r *rapid.T) *isthmusv1.FailoverStep {
		step := &isthmusv1.FailoverStep{Service: service.Draw(r, "service")}
		switch rapid.IntRange(0, 3).Draw(r, "step") {
		case 0:
			step.Peers = []string{"acme"}
			return step
		case 1:
			step.Selector = rapid.SampledFrom([]string{"env=prod", "region=us"}).Draw(r, "selector")
		case 2:
			step.Datacenters = rapid.SliceOfNDistinct(rapid.SampledFrom(datacenters), 1, 3, rapid.ID).Draw(r, "datacenters")
		default:
			return step
		}
		step.SameLabel = rapid.SampledFrom([]string{"", "", "region"}).Draw(r, "same label")
		return step
	})
}

func someRoute(target *rapid.Generator[*isthmusv1.TrafficTarget]) *rapid.Generator[*isthmusv1.TrafficRoute] {
	text := rapid.SampledFrom([]string{"", "", "/", "/a b?ü", "/x", "a+"})
	return rapid.Custom(func(r *rapid.T) *isthmusv1.TrafficRoute {
		m := &isthmusv1.HTTPMatch{Methods: rapid.SliceOfN(rapid.SampledFrom([]string{"get", "PATCH", "TRACE"}), 0, 2).Draw(r, "methods")}
		for _, way := range []*string{&m.PathExact, &m.PathPrefix, &m.PathRegex} {
			if rapid.IntRange(0, 2).Draw(r, "set") == 0 {
				*way = text.Draw(r, "path")
			}
		}
		for range rapid.IntRange(0, 1).Draw(r, "headers") {
			h := &isthmusv1.HTTPValueMatch{Name: rapid.SampledFrom([]string{"x-one", "a b"}).Draw(r, "header"), Invert: rapid.Bool().Draw(r, "invert")}
			switch way := rapid.SampledFrom([]*string{nil, &h.Exact, &h.Prefix, &h.Suffix, &h.Regex, &h.Contains}).Draw(r, "way"); way {
			case nil:
				h.Present = true
			default:
				*way = text.Draw(r, "value")
			}
			m.Headers = append(m.Headers, h)
		}
		for range rapid.IntRange(0, 1).Draw(r, "parameters") {
			m.QueryParams = append(m.QueryParams, &isthmusv1.HTTPValueMatch{Name: "q", Exact: text.Draw(r, "value"), Regex: text.Draw(r, "value")})
		}
		return &isthmusv1.TrafficRoute{
			Match: m, Target: target.Draw(r, "target"), PrefixRewrite: text.Draw(r, "rewrite"),
			RequestTimeout: rapid.SampledFrom([]string{"", "5s", "1500ms", "90s"}).Draw(r, "timeout"), Retries: rapid.Int32Range(0, 3).Draw(r, "retries"),
			RetryOnConnectFailure: rapid.Bool().Draw(r, "retry"), RetryOnStatusCodes: rapid.SampledFrom([][]int32{nil, {503}, {502, 503}}).Draw(r, "codes"),
		}
	})
}
