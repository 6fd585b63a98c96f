package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// What Consul's own check cannot be asked: callers from peers, and Consul Enterprise's namespaces. The rest is compared with Consul's
// answers in TestIntentionsOnConsul.
func TestEvaluate(t *testing.T) {
	t.Parallel()
	entry := func(name, sources string) *isthmusv1.ReportedEntry {
		return &isthmusv1.ReportedEntry{Kind: policy.KindIntentions, Name: name, Json: `{"Sources":[` + sources + `]}`}
	}
	inTeam := func(e *isthmusv1.ReportedEntry) *isthmusv1.ReportedEntry {
		e.Namespace = "team"
		return e
	}
	web := policy.Query{Source: "web", Destination: "api"}
	webOfWest := policy.Query{Source: "web", SourcePeer: "west", Destination: "api"}
	for _, tt := range []struct {
		name         string
		entries      []*isthmusv1.ReportedEntry
		q            policy.Query
		defaultAllow bool
		want         policy.Decision
	}{
		{"nothing", nil, web, false, policy.Decision{Reason: "no intention is about web calling api; such calls are denied by default"}},
		{"nothing, allowed by default", nil, webOfWest, true, policy.Decision{Allowed: true, Reason: "no intention is about web of peer west calling api; such calls are allowed by default"}},
		{
			"a peer's",
			[]*isthmusv1.ReportedEntry{entry("api", `{"Name":"web","Action":"deny"},{"Name":"web","Peer":"west","Action":"allow"}`)},
			webOfWest, false,
			policy.Decision{Allowed: true, Entry: "service-intentions/api", Source: "source/default/web@west", Reason: "service-intentions/api allows web of peer west"},
		},
		{
			"another peer's",
			[]*isthmusv1.ReportedEntry{entry("api", `{"Name":"web","Peer":"east","Action":"allow"},{"Name":"*","Action":"allow"}`)},
			webOfWest, false,
			policy.Decision{Reason: "no intention is about"},
		},
		{
			"a peer's caller is not one of here",
			[]*isthmusv1.ReportedEntry{entry("api", `{"Name":"*","Peer":"west","Action":"allow"}`)},
			web, false,
			policy.Decision{Reason: "no intention is about"},
		},
		{
			"everybody of a peer",
			[]*isthmusv1.ReportedEntry{entry("api", `{"Name":"*","Peer":"west","Action":"deny"}`), entry("*", `{"Name":"web","Peer":"west","Action":"allow"}`)},
			webOfWest, true,
			policy.Decision{
				Entry: "service-intentions/api", Source: "source/default/*@west",
				Reason: "service-intentions/api denies * of peer west; nothing more exact is about web of peer west calling api",
			},
		},
		{
			"permissions of a peer",
			[]*isthmusv1.ReportedEntry{entry("api", `{"Name":"web","Peer":"west","Permissions":[{"Action":"allow","HTTP":{"PathExact":"/"}}]}`)},
			webOfWest, true,
			policy.Decision{Depends: true, Entry: "service-intentions/api", Source: "source/default/web@west", Reason: "service-intentions/api decides by what the request is like"},
		},
		{
			"namespaces: exact before *, * in one before * in all",
			[]*isthmusv1.ReportedEntry{inTeam(entry("*", `{"Name":"*","Namespace":"*","Action":"deny"},{"Name":"*","Namespace":"team","Action":"allow"}`))},
			policy.Query{SourceNamespace: "team", Source: "web", DestinationNamespace: "team", Destination: "api"},
			false,
			policy.Decision{Allowed: true, Entry: "service-intentions/*", Source: "source/team/*", Reason: "service-intentions/* allows *; nothing more exact"},
		},
		{
			"another namespace",
			[]*isthmusv1.ReportedEntry{inTeam(entry("api", `{"Name":"web","Action":"allow"}`))},
			web, false,
			policy.Decision{Reason: "no intention is about"},
		},
		{
			"sameness groups are not known",
			[]*isthmusv1.ReportedEntry{entry("api", `{"Name":"web","SamenessGroup":"all","Action":"allow"}`)},
			web, false,
			policy.Decision{Reason: "no intention is about"},
		},
		{
			"other kinds and what is no JSON", []*isthmusv1.ReportedEntry{
				{Kind: policy.KindResolver, Name: "api", Json: `{"Sources":[{"Name":"web","Action":"allow"}]}`},
				{Kind: policy.KindIntentions, Name: "api", Json: `{"Sources":`},
			}, web, false, policy.Decision{Reason: "no intention is about"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := policy.Evaluate(tt.entries, tt.q, tt.defaultAllow)
			if !strings.HasPrefix(got.Reason, tt.want.Reason) {
				t.Errorf("it says %q; want %q", got.Reason, tt.want.Reason)
			}
			got.Reason = tt.want.Reason
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestCRDPatch(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ kind, key, value, want string }{
		{
			policy.KindIntentions, "source/default/web@west",
			`{"Name":"web","Peer":"west","Permissions":[{"Action":"allow","HTTP":{"PathExact":"/it's","Header":[{"Name":"x","IgnoreCase":true}]}}]}`,
			`kubectl patch serviceintentions.consul.hashicorp.com NAME -n NAMESPACE --type=json -p '[{"op":"add","path":"/spec/sources/-","value":` +
				`{"name":"web","peer":"west","permissions":[{"action":"allow","http":{"header":[{"ignoreCase":true,"name":"x"}],"pathExact":"/it'\''s"}}]}}]'` +
				` # NAME has spec.destination.name: api; a source of the same name that is there already must go first`,
		},
		{
			policy.KindResolver, "failover/*", `{"Targets":[{"Datacenter":"dc2"}]}`,
			`kubectl patch serviceresolvers.consul.hashicorp.com api -n NAMESPACE --type=merge -p '{"spec":{"failover":{"*":{"targets":[{"datacenter":"dc2"}]}}}}'`,
		},
		{
			policy.KindResolver, "redirect", `{"Datacenter":"dc2"}`,
			`kubectl patch serviceresolvers.consul.hashicorp.com api -n NAMESPACE --type=merge -p '{"spec":{"redirect":{"datacenter":"dc2"}}}'`,
		},
		{
			policy.KindSplitter, "splits", `[{"Weight":90},{"Weight":10,"Service":"api-at-dc2"}]`,
			`kubectl patch servicesplitters.consul.hashicorp.com api -n NAMESPACE --type=merge -p '{"spec":{"splits":[{"weight":90},{"service":"api-at-dc2","weight":10}]}}'`,
		},
		{
			policy.KindRouter, "routes", `[{"Match":{"HTTP":{"PathPrefix":"/"}},"Destination":{"NumRetries":3,"RetryOnConnectFailure":true}}]`,
			`kubectl patch servicerouters.consul.hashicorp.com api -n NAMESPACE --type=merge -p '{"spec":{"routes":[{"destination":{"numRetries":3,"retryOnConnectFailure":true},"match":{"http":{"pathPrefix":"/"}}}]}}'`,
		},
		{
			policy.KindDefaults, "protocol", `"http"`,
			`kubectl patch servicedefaults.consul.hashicorp.com api -n NAMESPACE --type=merge -p '{"spec":{"protocol":"http"}}'`,
		},
		{"ingress-gateway", "listeners", `[]`, ""},
		{policy.KindRouter, "routes", `[`, ""},
	} {
		got := policy.CRDPatch(&isthmusv1.ConfigEntry{Kind: tt.kind, Name: "api"}, &isthmusv1.ConfigPart{Key: tt.key, Value: tt.value})
		if got != tt.want {
			t.Errorf("%s %s:\n got %s\nwant %s", tt.kind, tt.key, got, tt.want)
		}
	}
}
