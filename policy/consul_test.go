package policy_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
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

const httpByDefault = `{"Kind":"proxy-defaults","Name":"global","Config":{"protocol":"http"}}`

// All that is known of service-intentions, on one real Consul.
func TestIntentionsOnConsul(t *testing.T) {
	t.Parallel()
	c := consultest.Start(t, "dc1")
	for _, tt := range []struct {
		name string
		run  func(*testing.T, *consultest.Cluster)
	}{
		{"what Consul says of them", whatConsulSays},
		{"entries are known without regard to case", knownWithoutCase},
		{"the datacenter of a source does not matter", sourceDatacenter},
		{"Evaluate answers as Consul does", evaluateAnswersAsConsul},
		{"whatever compiles, Consul takes", whateverCompiles},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var list []struct{ Name string }
			c.Do(http.MethodGet, "/v1/config/service-intentions", nil, &list)
			for _, entry := range list {
				c.Do(http.MethodDelete, "/v1/config/service-intentions/"+entry.Name, nil, nil)
			}
			tt.run(t, c)
		})
	}
}

// write puts a config entry and gives Consul's error.
func write(t testing.TB, c *consultest.Cluster, entry string) error {
	t.Helper()
	var body any
	if err := json.Unmarshal([]byte(entry), &body); err != nil {
		t.Fatal(err)
	}
	return c.Call(t.Context(), http.MethodPut, "/v1/config", body, nil)
}

// What Consul answers to service-intentions that isthmus refuses before it sends anything (resource's rules and this package's), and what
// it takes although isthmus refuses it.
func whatConsulSays(t *testing.T, c *consultest.Cluster) {
	t.Helper()
	entry := func(sources string) string {
		return `{"Kind":"service-intentions","Name":"api","Sources":[` + sources + `]}`
	}
	permission := func(p string) string { return entry(`{"Name":"web","Permissions":[` + p + `]}`) }
	header := func(h string) string { return permission(`{"Action":"allow","HTTP":{"Header":[` + h + `]}}`) }
	if err := write(t, c, permission(`{"Action":"allow","HTTP":{"PathExact":"/"}}`)); err == nil || !strings.Contains(err.Error(), `protocol "tcp", which is incompatible with L7`) {
		t.Errorf("permissions for a service of TCP: %v", err)
	}
	if err := write(t, c, httpByDefault); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, entry, want string }{
		{"a source", entry(`{"Name":"web","Action":"allow"}`), ""},
		{"everybody of a peer", entry(`{"Name":"*","Peer":"west","Action":"allow"}`), ""},
		{"a peer that there is not", entry(`{"Name":"web","Peer":"nobody","Action":"allow"}`), ""},
		{"everybody", `{"Kind":"service-intentions","Name":"*","Sources":[{"Name":"*","Action":"deny"}]}`, ""},
		{"permissions", permission(`{"Action":"deny","HTTP":{"PathRegex":"/a.*","Methods":["get"],"Header":[{"Name":"x","Contains":"y","IgnoreCase":true,"Invert":true}]}}`), ""},

		{"every peer", entry(`{"Name":"web","Peer":"*","Action":"allow"}`), "cannot use wildcard '*' in peer"},
		{"part of a name", entry(`{"Name":"web*","Action":"allow"}`), "cannot be used with partial values"},
		{"a namespace", entry(`{"Name":"web","Namespace":"team","Action":"allow"}`), "namespaces are a consul enterprise feature"},
		{"the default namespace, too", entry(`{"Name":"web","Namespace":"default","Action":"allow"}`), "namespaces are a consul enterprise feature"},
		{"the destination's namespace", `{"Kind":"service-intentions","Name":"api","Namespace":"default","Sources":[{"Name":"web","Action":"allow"}]}`, "namespaces are a consul enterprise feature"},
		{"no source", entry(``), "At least one source is required"},
		{"no action", entry(`{"Name":"web"}`), "Action must be set to 'allow' or 'deny'"},
		{"action and permissions", entry(`{"Name":"web","Action":"allow","Permissions":[{"Action":"allow","HTTP":{"PathExact":"/"}}]}`), "Action must be omitted if Permissions are specified"},
		{"a source twice", entry(`{"Name":"web","Action":"allow"},{"Name":"web","Action":"deny"}`), `defines "web" more than once`},
		{"a source of a peer twice", entry(`{"Name":"web","Peer":"west","Action":"allow"},{"Name":"web","Peer":"west","Action":"deny"}`), `defines peer("west") "web" more than once`},
		{"a long description", entry(`{"Name":"web","Action":"allow","Description":"` + strings.Repeat("ü", 257) + `"}`), "Description exceeds maximum length 512"},
		{"permissions for every service", `{"Kind":"service-intentions","Name":"*","Sources":[{"Name":"web","Permissions":[{"Action":"allow","HTTP":{"PathExact":"/"}}]}]}`, "Permissions cannot be specified on intentions with wildcarded destinations"},
		{"a permission without action", permission(`{"HTTP":{"PathExact":"/"}}`), "Permissions[0].Action must be set to 'allow' or 'deny'"},
		{"a permission without match", permission(`{"Action":"allow"}`), "HTTP is required"},
		{"an empty match", permission(`{"Action":"allow","HTTP":{}}`), "should not be empty"},
		{"a relative path", permission(`{"Action":"allow","HTTP":{"PathExact":"a"}}`), "PathExact doesn't start with '/'"},
		{"a relative prefix", permission(`{"Action":"allow","HTTP":{"PathPrefix":"a"}}`), "PathPrefix doesn't start with '/'"},
		{"two paths", permission(`{"Action":"allow","HTTP":{"PathExact":"/","PathRegex":"/"}}`), "at most one of PathExact, PathPrefix, or PathRegex"},
		{"no method of HTTP", permission(`{"Action":"allow","HTTP":{"Methods":["BREW"]}}`), `invalid method "BREW"`},
		{"a method twice", permission(`{"Action":"allow","HTTP":{"Methods":["get","GET"]}}`), `"GET" more than once`},
		{"query parameters", permission(`{"Action":"allow","HTTP":{"QueryParam":[{"Name":"x","Present":true}]}}`), "invalid config key"},
		{"a header without a name", header(`{"Present":true}`), "missing required Name field"},
		{"a header without a match", header(`{"Name":"x"}`), "should only contain one of Present, Exact, Prefix, Suffix, Contains, or Regex"},
		{"a header with two", header(`{"Name":"x","Exact":"y","Regex":"y"}`), "should only contain one of Present, Exact, Prefix, Suffix, Contains, or Regex"},
		{"presence without regard to case", header(`{"Name":"x","Present":true,"IgnoreCase":true}`), "when using IgnoreCase"},
		{"a regex without regard to case", header(`{"Name":"x","Regex":"y","IgnoreCase":true}`), "when using IgnoreCase"},

		// A proxy would choke on these.
		{"no regular expression", permission(`{"Action":"allow","HTTP":{"PathRegex":"(("}}`), ""},
		{"no regular expression for a header", header(`{"Name":"x","Regex":"(("}`), ""},
		{"no header's name", header(`{"Name":"x y","Present":true}`), ""},
		{"no service's name", entry(`{"Name":"we b/x","Action":"allow"}`), ""},
	} {
		switch err := write(t, c, tt.entry); {
		case tt.want == "" && err != nil:
			t.Errorf("%s: refused: %v", tt.name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
		}
	}
}

// Consul has one entry for names that differ in capitals only: the second one replaces the first, and matches with its own capitals.
func knownWithoutCase(t *testing.T, c *consultest.Cluster) {
	t.Helper()
	for _, name := range []string{"api", "API"} {
		if err := write(t, c, `{"Kind":"service-intentions","Name":"`+name+`","Sources":[{"Name":"web","Action":"allow"}]}`); err != nil {
			t.Fatal(err)
		}
	}
	var list []struct{ Name string }
	c.Do(http.MethodGet, "/v1/config/service-intentions", nil, &list)
	if len(list) != 1 || list[0].Name != "API" {
		t.Errorf("entries: %v", list)
	}
	for name, want := range map[string]bool{"api": false, "API": true} {
		if got := allowed(t, c, "web", name); got != want {
			t.Errorf("web may call %s: %v", name, got)
		}
	}
}

// allowed is Consul's own check.
func allowed(t testing.TB, c *consultest.Cluster, source, destination string) bool {
	t.Helper()
	var out struct{ Allowed bool }
	c.Do(http.MethodGet, "/v1/connect/intentions/check?source="+url.QueryEscape(source)+"&destination="+url.QueryEscape(destination), nil, &out)
	return out.Allowed
}

// Consul decides by the service's name in a caller's certificate. Whatever datacenter stands beside it, known to Consul or not, it lets the
// caller in, once TLS has: so isthmus refuses an Intention that names some datacenters of a federation only.
func sourceDatacenter(t *testing.T, c *consultest.Cluster) {
	t.Helper()
	c.Register("api")
	if err := write(t, c, `{"Kind":"service-intentions","Name":"api","Sources":[{"Name":"web","Action":"allow"}]}`); err != nil {
		t.Fatal(err)
	}
	var roots struct{ TrustDomain string }
	c.Do(http.MethodGet, "/v1/connect/ca/roots", nil, &roots)
	authorized := func(datacenter, service string) bool {
		var out struct {
			Authorized bool
			Reason     string
		}
		c.Do(http.MethodPost, "/v1/agent/connect/authorize", map[string]any{
			"Target": "api", "ClientCertSerial": "01",
			"ClientCertURI": fmt.Sprintf("spiffe://%s/ns/default/dc/%s/svc/%s", roots.TrustDomain, datacenter, service),
		}, &out)
		t.Logf("%s of %s: %s", service, datacenter, out.Reason)
		return out.Authorized
	}
	for _, datacenter := range []string{"dc1", "dc2", "nowhere"} {
		if !authorized(datacenter, "web") {
			t.Errorf("web of %s is kept out: Consul looks at the datacenter after all", datacenter)
		}
		if authorized(datacenter, "other") {
			t.Errorf("other of %s is let in", datacenter)
		}
	}
}

// Evaluate answers as Consul does, for every set of entries.
func evaluateAnswersAsConsul(t *testing.T, c *consultest.Cluster) {
	t.Helper()
	if err := write(t, c, httpByDefault); err != nil {
		t.Fatal(err)
	}
	names := []string{"api", "web", "Web", "*"}
	source := rapid.Custom(func(r *rapid.T) map[string]any {
		out := map[string]any{"Name": rapid.SampledFrom(names).Draw(r, "source")}
		if peer := rapid.SampledFrom([]string{"", "", "", "west"}).Draw(r, "peer"); peer != "" {
			out["Peer"] = peer
		}
		switch action := rapid.SampledFrom([]string{"allow", "deny", "permissions"}).Draw(r, "action"); action {
		case "permissions":
			out["Permissions"] = []any{map[string]any{"Action": "allow", "HTTP": map[string]any{"PathExact": "/"}}}
		default:
			out["Action"] = action
		}
		return out
	})
	rapid.Check(t, func(r *rapid.T) {
		for _, name := range []string{"api", "web", "*"} {
			c.Do(http.MethodDelete, "/v1/config/service-intentions/"+name, nil, nil)
			sources := rapid.SliceOfNDistinct(source, 0, 5, func(s map[string]any) string { return fmt.Sprint(s["Name"], s["Peer"]) }).Draw(r, "sources of "+name)
			for _, s := range sources {
				if _, l7 := s["Permissions"]; l7 && name == "*" {
					delete(s, "Permissions")
					s["Action"] = "deny"
				}
			}
			if len(sources) > 0 {
				c.Do(http.MethodPut, "/v1/config", map[string]any{"Kind": "service-intentions", "Name": name, "Sources": sources}, nil)
			}
		}
		entries := reported(t, c)
		for _, from := range append(names, "other") {
			for _, to := range []string{"api", "web", "other"} {
				want := allowed(t, c, from, to)
				got := policy.Evaluate(entries, policy.Query{Source: from, Destination: to}, false)
				if got.Allowed != want {
					r.Fatalf("%s calling %s: %+v; Consul says %v", from, to, got, want)
				}
				if got.Depends && got.Allowed || got.Reason == "" {
					r.Fatalf("%s calling %s: %+v", from, to, got)
				}
			}
		}
	})
}

// reported is what an agent would report of the service-intentions that there are.
func reported(t testing.TB, c *consultest.Cluster) []*isthmusv1.ReportedEntry {
	t.Helper()
	var list []map[string]any
	c.Do(http.MethodGet, "/v1/config/service-intentions", nil, &list)
	var out []*isthmusv1.ReportedEntry
	for _, entry := range list {
		text, err := json.Marshal(entry)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, &isthmusv1.ReportedEntry{Kind: policy.KindIntentions, Name: entry["Name"].(string), Json: string(text)})
	}
	return out
}

// Whatever passes the rules and compiles, Consul takes, and reads back as it was written.
func whateverCompiles(t *testing.T, c *consultest.Cluster) {
	t.Helper()
	if err := write(t, c, httpByDefault); err != nil {
		t.Fatal(err)
	}
	written := 0
	rapid.Check(t, func(r *rapid.T) {
		f := fleet()
		f.Put(peering("dc2", "dc3"))
		for n := range rapid.IntRange(1, 4).Draw(r, "intentions") {
			admit(f, intentionOf(fmt.Sprintf("i%d", n)).Draw(r, "intention"))
		}
		for _, dc := range []string{"dc1", "dc2", "dc3"} {
			for _, entry := range policy.Entries(f, dc).GetEntries() {
				written++
				takes(t, c, r, entry)
			}
		}
	})
	if written < 50 {
		t.Errorf("only %d entries were written: the generator makes nothing that is admitted", written)
	}
}

// admit puts an object into the fleet, when the rules have nothing against it.
func admit(f *resourcetest.Fleet, o resource.Object) {
	f.Put(o)
	if resource.Validate(o) != nil || len(policy.Check(f, o)) > 0 {
		f.Delete(resource.KindOf(o).Name, o.GetName())
	}
}

// takes writes the compiled sources as a human would, and reads them back.
func takes(t testing.TB, c *consultest.Cluster, r *rapid.T, entry *isthmusv1.ConfigEntry) {
	t.Helper()
	want := map[string]any{}
	var sources []any
	for _, p := range entry.GetParts() {
		var value map[string]any
		if err := json.Unmarshal([]byte(p.GetValue()), &value); err != nil {
			r.Fatalf("%s: %v", p.GetValue(), err)
		}
		want[fmt.Sprint(value["Name"], "@", value["Peer"])] = value
		sources = append(sources, value)
	}
	err := c.Call(t.Context(), http.MethodPut, "/v1/config", map[string]any{"Kind": entry.GetKind(), "Name": entry.GetName(), "Sources": sources}, nil)
	if err != nil {
		r.Fatalf("Consul refuses %v: %v", entry, err)
	}
	var back struct{ Sources []map[string]any }
	c.Do(http.MethodGet, "/v1/config/"+entry.GetKind()+"/"+entry.GetName(), nil, &back)
	got := map[string]any{}
	for _, s := range back.Sources {
		delete(s, "Precedence") // read only
		delete(s, "Type")       // always consul
		got[fmt.Sprint(s["Name"], "@", s["Peer"])] = s
	}
	if diff := cmp.Diff(want, got); diff != "" {
		r.Fatalf("it reads back otherwise (-written +read):\n%s", diff)
	}
}

// intentionOf makes Intentions of every kind, some of which the rules refuse.
func intentionOf(name string) *rapid.Generator[*isthmusv1.Intention] {
	service := rapid.SampledFrom([]string{"api", "web", "Web.v2_x", "*"})
	where := func(r *rapid.T, label string) (datacenters []string, selector string) {
		switch rapid.IntRange(0, 2).Draw(r, label) {
		case 0:
			return rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"dc1", "dc2", "dc3"}), 1, 3, rapid.ID).Draw(r, label+" by name"), ""
		case 1:
			return nil, rapid.SampledFrom([]string{"env=prod", "env in (prod,test)", "env=test"}).Draw(r, label+" by label")
		}
		return nil, ""
	}
	return rapid.Custom(func(r *rapid.T) *isthmusv1.Intention {
		spec := &isthmusv1.IntentionSpec{Destination: &isthmusv1.IntentionDestination{Service: service.Draw(r, "destination")}}
		spec.Destination.Datacenters, spec.Destination.Selector = where(r, "in")
		for range rapid.IntRange(1, 3).Draw(r, "sources") {
			s := &isthmusv1.IntentionSource{
				Service: service.Draw(r, "source"), Description: rapid.SampledFrom([]string{"", "who needs it", "<a href=\"x\"> & 'ü'\n"}).Draw(r, "description"),
			}
			s.Datacenters, s.Selector = where(r, "from")
			if len(s.GetDatacenters()) == 0 && s.GetSelector() == "" {
				s.Peer = rapid.SampledFrom([]string{"", "acme", "dc2"}).Draw(r, "peer")
			}
			switch rapid.IntRange(0, 3).Draw(r, "decision") {
			case 0:
				s.Permissions = rapid.SliceOfN(permissionOf(), 1, 3).Draw(r, "permissions")
			case 1:
				s.Action = resource.ActionDeny
			default:
				s.Action = resource.ActionAllow
			}
			spec.Sources = append(spec.Sources, s)
		}
		return &isthmusv1.Intention{Name: name, Spec: spec}
	})
}

func permissionOf() *rapid.Generator[*isthmusv1.IntentionPermission] {
	text := rapid.SampledFrom([]string{"", "", "/", "/a b?ü", "x", "(", "a+"})
	return rapid.Custom(func(r *rapid.T) *isthmusv1.IntentionPermission {
		m := &isthmusv1.HTTPMatch{}
		switch rapid.IntRange(0, 3).Draw(r, "path") {
		case 0:
			m.PathExact = text.Draw(r, "exact")
		case 1:
			m.PathPrefix = text.Draw(r, "prefix")
		case 2:
			m.PathRegex = text.Draw(r, "regex")
		}
		m.Methods = rapid.SliceOfN(rapid.SampledFrom([]string{"GET", "get", "PATCH", "TRACE", "NONE"}), 0, 2).Draw(r, "methods")
		for range rapid.IntRange(0, 2).Draw(r, "headers") {
			h := &isthmusv1.HTTPValueMatch{
				Name:   rapid.SampledFrom([]string{"x-one", ":authority", "X_two", "a b", ""}).Draw(r, "header"),
				Invert: rapid.Bool().Draw(r, "invert"), IgnoreCase: rapid.Bool().Draw(r, "ignore case"),
			}
			for _, way := range []*string{&h.Exact, &h.Prefix, &h.Suffix, &h.Contains, &h.Regex} {
				if rapid.IntRange(0, 4).Draw(r, "set") == 0 {
					*way = text.Draw(r, "value")
				}
			}
			h.Present = rapid.IntRange(0, 4).Draw(r, "present") == 0
			m.Headers = append(m.Headers, h)
		}
		return &isthmusv1.IntentionPermission{Action: rapid.SampledFrom([]string{"allow", "deny"}).Draw(r, "action"), Http: m}
	})
}
