package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/resource/resourcetest"
)

// traffic is a TrafficPolicy of the service api, out of the rest of its spec as YAML.
func traffic(t testing.TB, name, spec string) *isthmusv1.TrafficPolicy {
	t.Helper()
	if !strings.Contains(spec, "service: ") || strings.Index(spec, "service: ") > 1 {
		spec = "service: api, " + spec
	}
	manifests, err := resource.ParseManifests("", fmt.Appendf(nil, "kind: TrafficPolicy\nname: %s\nspec: {%s}\n", name, spec))
	if err != nil {
		t.Fatal(err)
	}
	return manifests[0].Object.(*isthmusv1.TrafficPolicy)
}

// federated is a federation whose secondaries have joined.
func federated(primary string, secondaries ...string) *isthmusv1.Federation {
	f := &isthmusv1.Federation{
		Name: "global", Spec: &isthmusv1.FederationSpec{Primary: primary, Secondaries: secondaries}, Status: &isthmusv1.FederationStatus{},
	}
	for _, name := range secondaries {
		f.Status.Members = append(f.Status.Members, &isthmusv1.FederationMember{Datacenter: name, Role: resource.RoleSecondary, Phase: resource.PhaseJoined})
	}
	return f
}

// in is a datacenter in a region.
func in(region, name string) *isthmusv1.Datacenter {
	dc := datacenter(name, "prod")
	dc.Labels["region"] = region
	return dc
}

// partsIn are the parts that a datacenter's Consul shall hold: kind/name key value.
func partsIn(f *resourcetest.Fleet, datacenter string) []string {
	var out []string
	for _, e := range policy.Entries(f, datacenter).GetEntries() {
		for _, p := range e.GetParts() {
			out = append(out, fmt.Sprintf("%s/%s %s %s", e.GetKind(), e.GetName(), p.GetKey(), p.GetValue()))
		}
	}
	return out
}

// problemsOf are what of a policy is left out: reason field.
func problemsOf(f *resourcetest.Fleet, name string) []string {
	p, _ := f.Get(resource.KindTrafficPolicy, name)
	silent := func(string) (*isthmusv1.PolicyReport, bool) { return nil, false }
	var out []string
	for _, problem := range policy.StatusOf(f, p, silent, noon).GetProblems() {
		out = append(out, problem.GetReason()+" "+problem.GetField())
		if problem.GetMessage() == "" || problem.GetDatacenter() == "" {
			out = append(out, fmt.Sprintf("incomplete: %v", problem))
		}
	}
	return out
}

// refusalsOf are what stands against a policy when it is written: reason field.
func refusalsOf(f *resourcetest.Fleet, o resource.Object) []string {
	var out []string
	for _, v := range policy.Check(f, o) {
		out = append(out, v.Reason+" "+v.Field)
	}
	return out
}

const (
	failsOver   = `service-resolver/api failover/* {"Targets":[%s]}`
	redirects   = `service-resolver/%s redirect {"Service":"api",%s}`
	speaksHTTP  = `service-defaults/%s protocol "http"`
	splitsShare = `service-splitter/api splits [{"Weight":90},{"Weight":10,"Service":"%s"}]`
)

func TestTraffic(t *testing.T) {
	t.Parallel()
	targets := func(list ...string) string { return fmt.Sprintf(failsOver, strings.Join(list, ",")) }
	const dc2, dc3, peer2, peer3 = `{"Datacenter":"dc2"}`, `{"Datacenter":"dc3"}`, `{"Peer":"dc2"}`, `{"Peer":"dc3"}`
	exported := func(service, from string) resource.Object {
		return export("exports-"+service, service, []string{from}, &isthmusv1.ExportConsumers{Selector: "env"})
	}
	exports := []resource.Object{exported("api", "dc2"), exported("api", "dc3"), exported("old-api", "dc2")}
	exports[1].(*isthmusv1.ServiceExport).Name = "exports-dc3"
	renamed := peering("dc1", "dc2")
	renamed.Spec.AcceptorPeerName = "west"
	prod := datacenter("dc3", "prod")
	renamedConsul := datacenter("dc2", "prod")
	renamedConsul.Spec.ConsulDatacenter = "us-west"
	for _, tt := range []struct {
		name string
		// also stands beside dc1, dc2 and dc3, of which dc1 is peered with both others unless they are federated.
		also     []resource.Object
		spec     string
		in       string
		want     []string
		problems []string
	}{
		{"nothing for others", exports, `datacenters: [dc1], failover: [{datacenters: [dc2]}]`, "dc2", nil, nil},
		{"an undeclared datacenter", nil, `datacenters: [dc1], failover: [{datacenters: [dc2]}]`, "dc9", nil, []string{"NotExported spec.failover[0].datacenters[0]"}},
		{"failover to peers, in order", exports, `datacenters: [dc1], failover: [{datacenters: [dc3, dc2]}]`, "dc1", []string{targets(peer3, peer2)}, nil},
		{
			"the name that the caller's Consul has", append([]resource.Object{renamed}, exports...), `datacenters: [dc1], failover: [{datacenters: [dc2]}]`, "dc1",
			[]string{targets(`{"Peer":"west"}`)},
			nil,
		},
		{"one that is not connected", exports, `datacenters: [dc2], failover: [{datacenters: [dc3, dc1]}]`, "dc2", []string{targets(`{"Peer":"dc1"}`)}, []string{
			"NotConnected spec.failover[0].datacenters[0]", "NotExported spec.failover[0].datacenters[1]",
		}},
		{"not exported", nil, `datacenters: [dc1], failover: [{datacenters: [dc2]}]`, "dc1", []string{targets(peer2)}, []string{"NotExported spec.failover[0].datacenters[0]"}},
		{"by selector, without the caller", append([]resource.Object{prod}, exports...), `datacenters: [dc1], failover: [{selector: env=prod}]`, "dc1", []string{targets(peer2, peer3)}, nil},
		{"a selector of nobody", nil, `datacenters: [dc1], failover: [{selector: env=none}]`, "dc1", nil, []string{"NoTarget spec.failover"}},
		{
			"by region", append([]resource.Object{in("us", "dc1"), in("eu", "dc2"), in("us", "dc3")}, exports...),
			`datacenters: [dc1], failover: [{selector: env=prod, sameLabel: region}]`, "dc1",
			[]string{targets(peer3, peer2)},
			nil,
		},
		{
			"named ones first, then all", append([]resource.Object{prod}, exports...), `datacenters: [dc1], failover: [{datacenters: [dc3]}, {selector: env=prod}]`, "dc1",
			[]string{targets(peer3, peer2)},
			nil,
		},
		{"external peers", nil, `datacenters: [dc1], failover: [{peers: [acme, umbrella]}]`, "dc1", []string{targets(`{"Peer":"acme"}`, `{"Peer":"umbrella"}`)}, nil},
		{"another service", exports, `datacenters: [dc1], failover: [{service: old-api}, {service: old-api, datacenters: [dc1, dc2]}]`, "dc1", []string{
			targets(`{"Service":"old-api"}`, `{"Service":"old-api","Peer":"dc2"}`),
		}, nil},
		{"oneself alone", nil, `datacenters: [dc1], failover: [{datacenters: [dc1]}]`, "dc1", nil, nil},

		{"redirect to a peer", exports, `datacenters: [dc1], redirect: {datacenter: dc2}`, "dc1", []string{fmt.Sprintf(redirects, "api", `"Peer":"dc2"`)}, nil},
		{"redirect to oneself", nil, `datacenters: [dc1], redirect: {datacenter: dc1}`, "dc1", nil, nil},
		{"redirect to another service", nil, `datacenters: [dc1], redirect: {service: old-api, datacenter: dc1}`, "dc1", []string{`service-resolver/api redirect {"Service":"old-api"}`}, nil},
		{"redirect to who is not connected", nil, `datacenters: [dc2], redirect: {datacenter: dc3}`, "dc2", nil, []string{"NotConnected spec.redirect"}},
		{"redirect to an external peer", nil, `datacenters: [dc1], redirect: {peer: acme}`, "dc1", []string{fmt.Sprintf(redirects, "api", `"Peer":"acme"`)}, nil},

		{"split with a peer", exports, `datacenters: [dc1], split: [{weight: 90}, {weight: 10, target: {datacenter: dc2}}]`, "dc1", []string{
			fmt.Sprintf(speaksHTTP, "api-at-dc2"), fmt.Sprintf(redirects, "api-at-dc2", `"Peer":"dc2"`), fmt.Sprintf(splitsShare, "api-at-dc2"),
		}, nil},
		{"split of another protocol, with an external peer", nil, `datacenters: [dc1], protocol: grpc, split: [{weight: 90}, {weight: 10, target: {peer: acme}}]`, "dc1", []string{
			`service-defaults/api-via-acme protocol "grpc"`, fmt.Sprintf(redirects, "api-via-acme", `"Peer":"acme"`), fmt.Sprintf(splitsShare, "api-via-acme"),
		}, nil},
		{
			"a place of one's own", exports, `datacenters: [dc1], split: [{weight: 33.33}, {weight: 33.33, target: {datacenter: dc1}}, {weight: 33.34, target: {service: api-v2}}]`, "dc1",
			[]string{
				fmt.Sprintf(speaksHTTP, "api-at-dc1"), `service-resolver/api-at-dc1 redirect {"Service":"api"}`,
				`service-splitter/api splits [{"Weight":33.33},{"Weight":33.33,"Service":"api-at-dc1"},{"Weight":33.34,"Service":"api-v2"}]`,
			},
			nil,
		},
		{"failover of what goes elsewhere at first", exports, `datacenters: [dc1], failover: [{datacenters: [dc1, dc2]}], split: [{weight: 90}, {weight: 10, target: {datacenter: dc2}}]`, "dc1", []string{
			fmt.Sprintf(speaksHTTP, "api-at-dc2"), targets(`{"Service":"api"}`, peer2), fmt.Sprintf(redirects, "api-at-dc2", `"Peer":"dc2"`), fmt.Sprintf(splitsShare, "api-at-dc2"),
		}, nil},
		{"a share for who is not connected", nil, `datacenters: [dc2], split: [{weight: 90}, {weight: 10, target: {datacenter: dc3}}]`, "dc2", nil, []string{"NotConnected spec.split[1].target"}},

		{"routes", exports, `datacenters: [dc1], routes: [
			{match: {pathPrefix: /v2, methods: [get], headers: [{name: x, present: true}]}, target: {datacenter: dc2}, prefixRewrite: /, requestTimeout: 90s, retries: 2, retryOnConnectFailure: true, retryOnStatusCodes: [503]},
			{match: {pathExact: /health}}, {match: {queryParams: [{name: q, exact: "1"}]}, target: {service: api-v2}}, {match: {}, requestTimeout: 1500ms}]`, "dc1", []string{
			fmt.Sprintf(speaksHTTP, "api-at-dc2"), fmt.Sprintf(redirects, "api-at-dc2", `"Peer":"dc2"`),
			`service-router/api routes [{"Match":{"HTTP":{"PathPrefix":"/v2","Header":[{"Name":"x","Present":true}],"Methods":["GET"]}},` +
				`"Destination":{"Service":"api-at-dc2","PrefixRewrite":"/","RequestTimeout":"1m30s","NumRetries":2,"RetryOnConnectFailure":true,"RetryOnStatusCodes":[503]}},` +
				`{"Match":{"HTTP":{"PathExact":"/health"}}},{"Match":{"HTTP":{"QueryParam":[{"Name":"q","Exact":"1"}]}},"Destination":{"Service":"api-v2"}},` +
				`{"Destination":{"RequestTimeout":"1.5s"}}]`,
		}, nil},
		{"a route to who is not connected", nil, `datacenters: [dc2], routes: [{match: {pathExact: /x}, target: {datacenter: dc3}}, {match: {pathExact: /y}, target: {service: old-api}}]`, "dc2", []string{
			`service-router/api routes [{"Match":{"HTTP":{"PathExact":"/y"}},"Destination":{"Service":"old-api"}}]`,
		}, []string{"NotConnected spec.routes[0].target"}},

		{"failover in a federation", []resource.Object{federated("dc1", "dc2", "dc3")}, `datacenters: [dc1, dc2, dc3], failover: [{datacenters: [dc3, dc2, dc1]}]`, "dc1", []string{
			targets(dc3, dc2, `{"Datacenter":"dc1"}`),
		}, nil},
		{"a secondary has the primary's", []resource.Object{federated("dc1", "dc2", "dc3")}, `datacenters: [dc1, dc2, dc3], failover: [{datacenters: [dc3]}]`, "dc2", nil, nil},
		{
			"what Consul calls a member",
			[]resource.Object{renamedConsul, federated("dc1", "dc2")},
			`datacenters: [dc1, dc2], redirect: {datacenter: dc2}`, "dc1",
			[]string{fmt.Sprintf(redirects, "api", `"Datacenter":"us-west"`)},
			nil,
		},
		{"too narrow", []resource.Object{federated("dc1", "dc2")}, `datacenters: [dc1], redirect: {datacenter: dc2}`, "dc1", nil, []string{"ScopeTooNarrow spec.datacenters"}},
		{"for all of it", []resource.Object{federated("dc1", "dc2")}, `datacenters: [dc1], scope: federation, redirect: {datacenter: dc2}`, "dc1", []string{fmt.Sprintf(redirects, "api", `"Datacenter":"dc2"`)}, nil},
		{"split in a federation", []resource.Object{federated("dc1", "dc2")}, `datacenters: [dc1, dc2], split: [{weight: 90}, {weight: 10, target: {datacenter: dc2}}]`, "dc1", []string{
			fmt.Sprintf(speaksHTTP, "api-at-dc2"), fmt.Sprintf(redirects, "api-at-dc2", `"Datacenter":"dc2"`), fmt.Sprintf(splitsShare, "api-at-dc2"),
		}, nil},
		{
			"a peer of one member",
			[]resource.Object{federated("dc1", "dc2")},
			`datacenters: [dc1, dc2], failover: [{datacenters: [dc3, dc2]}]`, "dc1",
			[]string{targets(dc2)},
			[]string{"PeerNotShared spec.failover[0].datacenters[0]"},
		},
		{
			"a peer of all members", append([]resource.Object{federated("dc1", "dc2"), peering("dc2", "dc3")}, exports...), `datacenters: [dc1, dc2], failover: [{datacenters: [dc3, dc2]}]`, "dc1",
			[]string{targets(peer3, dc2)},
			nil,
		},
		{
			"a peer of all members under two names",
			[]resource.Object{federated("dc1", "dc2"), &isthmusv1.Peering{Name: "dc2-dc3", Spec: &isthmusv1.PeeringSpec{Acceptor: "dc2", Dialer: "dc3", AcceptorPeerName: "south"}}},
			`datacenters: [dc1, dc2], redirect: {datacenter: dc3}`, "dc1", nil,
			[]string{"PeerNotShared spec.redirect"},
		},
		{
			"by region, in one order",
			[]resource.Object{in("us", "dc1"), in("us", "dc2"), in("eu", "dc3"), federated("dc1", "dc2", "dc3")},
			`datacenters: [dc1, dc2], scope: federation, failover: [{selector: env=prod, sameLabel: region}]`, "dc1",
			[]string{targets(`{"Datacenter":"dc1"}`, dc2, dc3)},
			nil,
		},
		{
			"by region, the far ones first by name",
			[]resource.Object{in("eu", "dc1"), in("us", "dc2"), in("us", "dc3"), federated("dc3", "dc1", "dc2")},
			`datacenters: [dc2, dc3], scope: federation, failover: [{selector: env=prod, sameLabel: region}]`, "dc3",
			[]string{targets(dc2, dc3, `{"Datacenter":"dc1"}`)},
			nil,
		},
		{
			"by region, in two orders",
			[]resource.Object{in("us", "dc1"), in("eu", "dc2"), in("us", "dc3"), in("eu", "dc4"), federated("dc1", "dc2", "dc3", "dc4")},
			`selector: env=prod, failover: [{selector: env=prod, sameLabel: region}]`, "dc1", nil,
			[]string{"OrderDiffers spec.failover"},
		},
		{
			"exported, and elsewhere",
			[]resource.Object{federated("dc1", "dc2"), exported("api", "dc1")},
			`datacenters: [dc1, dc2], failover: [{datacenters: [dc2]}]`, "dc1", nil,
			[]string{"Exported spec.failover"},
		},
		{
			"exported, failing over to a peer",
			[]resource.Object{exported("api", "dc1"), exported("*", "dc2")},
			`datacenters: [dc1], failover: [{datacenters: [dc2]}]`, "dc1",
			[]string{targets(peer2)},
			nil,
		},
		{
			"everything is exported, virtual services as well", append([]resource.Object{exported("*", "dc1")}, exports...), `datacenters: [dc1], split: [{weight: 90}, {weight: 10, target: {datacenter: dc2}}]`, "dc1", nil,
			[]string{"Exported spec.split"},
		},
		{"a namespace", nil, `datacenters: [dc1], redirect: {service: other, namespace: team}`, "dc1", []string{`service-resolver/api redirect {"Service":"other","Namespace":"team"}`}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := fleet()
			f.Put(tt.also...)
			p := traffic(t, "one", tt.spec)
			f.Put(p)
			if diff := cmp.Diff(tt.want, partsIn(f, tt.in), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("parts (-want +got):\n%s", diff)
			}
			problems := problemsOf(f, "one")
			if diff := cmp.Diff(tt.problems, problems, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			// What is only not there yet is admitted; what could never be is not.
			refusals := slices.DeleteFunc(slices.Clone(tt.problems), func(p string) bool {
				return slices.ContainsFunc([]string{"NotConnected", "NotExported", "PeerNotShared", "NoTarget"}, func(reason string) bool { return strings.HasPrefix(p, reason) })
			})
			if diff := cmp.Diff(refusals, refusalsOf(f, p), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("refusals (-want +got):\n%s", diff)
			}
		})
	}
}

// Two policies in one Consul: who was there first has it, and who comes is told.
func TestTrafficBesideOthers(t *testing.T) {
	t.Parallel()
	const other = `service: old-api, datacenters: [dc1], `
	for _, tt := range []struct {
		name string
		// first was there, second comes.
		first, second string
		also          []resource.Object
		// want stands against the second; of says what the first one's status has then.
		want, of []string
	}{
		{"the same", `datacenters: [dc1], redirect: {datacenter: dc2}`, `selector: env=prod, redirect: {datacenter: dc2}`, nil, nil, nil},
		{"of other callers", `datacenters: [dc1], redirect: {datacenter: dc2}`, `datacenters: [dc2], failover: [{datacenters: [dc1]}]`, nil, nil, nil},
		{"of other parts", `datacenters: [dc1], failover: [{datacenters: [dc2]}]`, `datacenters: [dc1], split: [{weight: 50}, {weight: 50, target: {service: api-v2}}]`, nil, nil, nil},
		{
			"the same part", `datacenters: [dc1], failover: [{datacenters: [dc2]}]`, `datacenters: [dc1], failover: [{datacenters: [dc3]}]`, nil,
			[]string{"Contradicts spec.failover"},
			[]string{"Contradicts spec.failover"},
		},
		{
			"a redirect leaves nothing to split", `datacenters: [dc1], split: [{weight: 50}, {weight: 50, target: {service: api-v2}}]`, `datacenters: [dc1], redirect: {datacenter: dc2}`, nil,
			[]string{"Contradicts spec.redirect"},
			[]string{"Contradicts spec.split"},
		},
		{
			"nothing beside a redirect", `datacenters: [dc1], redirect: {datacenter: dc2}`, `datacenters: [dc1], failover: [{datacenters: [dc2]}], routes: [{match: {pathExact: /x}}]`, nil,
			[]string{"Contradicts spec.failover", "Contradicts spec.routes"},
			[]string{"Contradicts spec.redirect", "Contradicts spec.redirect"},
		},
		{
			"another protocol for the same virtual service", `datacenters: [dc1], split: [{weight: 50}, {weight: 50, target: {datacenter: dc2}}]`,
			`service: front, datacenters: [dc1], protocol: http2, routes: [{match: {pathExact: /x}, target: {service: api, datacenter: dc2}}]`, nil,
			[]string{"Contradicts spec.routes"},
			[]string{"Contradicts spec.split"},
		},
		{
			"capitals only", `datacenters: [dc1], failover: [{datacenters: [dc2]}]`, `service: API, datacenters: [dc1], failover: [{datacenters: [dc2]}]`, nil,
			[]string{"Contradicts spec.failover"},
			[]string{"Contradicts spec.failover"},
		},
		{"a circle of redirects", `datacenters: [dc1], redirect: {service: old-api}`, other + `redirect: {service: api, datacenter: dc2}`, nil, []string{"Circular spec.redirect"}, nil},
		{
			"a circle of splits", `datacenters: [dc1], split: [{weight: 50}, {weight: 50, target: {service: old-api}}]`, other + `split: [{weight: 50}, {weight: 50, target: {service: api}}]`, nil,
			[]string{"Circular spec.split"},
			nil,
		},
		{"a chain of redirects", `datacenters: [dc1], redirect: {service: old-api}`, other + `redirect: {service: older-api}`, nil, nil, nil},
		{
			"exported through another", `datacenters: [dc1, dc2], split: [{weight: 50}, {weight: 50, target: {service: old-api}}]`,
			`service: old-api, datacenters: [dc1, dc2], failover: [{datacenters: [dc2]}]`,
			[]resource.Object{federated("dc1", "dc2"), export("it", "api", []string{"dc1"}, &isthmusv1.ExportConsumers{Peers: []string{"acme"}})},
			[]string{"Exported spec.failover"},
			nil,
		},
		{
			"not exported through another", `datacenters: [dc1, dc2], split: [{weight: 50}, {weight: 50, target: {service: old-api}}]`,
			`service: old-api, datacenters: [dc1, dc2], failover: [{datacenters: [dc2]}]`,
			[]resource.Object{federated("dc1", "dc2"), export("it", "other", []string{"dc1"}, &isthmusv1.ExportConsumers{Peers: []string{"acme"}})},
			nil, nil,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := fleet()
			f.Put(tt.also...)
			f.Put(export("all", "*", []string{"dc2", "dc3"}, &isthmusv1.ExportConsumers{Datacenters: []string{"dc1"}}))
			f.Put(export("all-of-dc1", "other", []string{"dc1"}, &isthmusv1.ExportConsumers{Datacenters: []string{"dc2"}}))
			first, second := traffic(t, "first", tt.first), traffic(t, "second", tt.second)
			f.Put(first)
			alone := map[string][]string{}
			for _, dc := range []string{"dc1", "dc2"} {
				alone[dc] = partsIn(f, dc)
			}
			f.Put(second)
			if diff := cmp.Diff(tt.want, refusalsOf(f, second), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("refusals (-want +got):\n%s", diff)
			}
			// If it comes about although it was refused, whoever was there keeps what it has.
			graph := func(problems []string) []string {
				return slices.DeleteFunc(problems, func(p string) bool { return strings.HasPrefix(p, "NotExported") })
			}
			if diff := cmp.Diff(tt.want, graph(problemsOf(f, "second")), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.of, graph(problemsOf(f, "first")), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("problems of the first (-want +got):\n%s", diff)
			}
			for dc, parts := range alone {
				for _, part := range parts {
					if !slices.Contains(partsIn(f, dc), part) {
						t.Errorf("%s has lost %s", dc, part)
					}
				}
				if len(tt.want) > 0 && len(partsIn(f, dc)) != len(parts) {
					t.Errorf("%s has got %v", dc, partsIn(f, dc))
				}
			}
			// Whoever is written is told, also when it was there before.
			f.Put(second)
			if again := refusalsOf(f, first); (len(again) > 0) != (len(tt.want) > 0) {
				t.Errorf("writing the first one again: %v", again)
			}
		})
	}
}

// What comes about without a policy being written: a federation, an export.
func TestTrafficStandsAgainstOthers(t *testing.T) {
	t.Parallel()
	wanted := func(secondaries ...string) *isthmusv1.Federation {
		return &isthmusv1.Federation{Name: "global", Spec: &isthmusv1.FederationSpec{Primary: "dc1", Secondaries: secondaries}}
	}
	offer := export("offer", "api", []string{"dc1"}, &isthmusv1.ExportConsumers{Peers: []string{"acme"}})
	for _, tt := range []struct {
		name string
		spec string
		also []resource.Object
		new  resource.Object
		want []string
	}{
		{"a federation of all callers", `datacenters: [dc1, dc2], redirect: {datacenter: dc2}`, nil, wanted("dc2"), nil},
		{"a federation of more", `datacenters: [dc1], redirect: {datacenter: dc2}`, nil, wanted("dc2"), []string{"ScopeTooNarrow spec.secondaries"}},
		{"a federation of more, allowed", `datacenters: [dc1], scope: federation, redirect: {datacenter: dc2}`, nil, wanted("dc2"), nil},
		{"a federation of nobody who calls", `datacenters: [dc3], redirect: {datacenter: dc1}`, nil, wanted("dc2"), nil},
		{"what was so before", `datacenters: [dc1], redirect: {datacenter: dc2}`, []resource.Object{federated("dc1", "dc2")}, federated("dc1", "dc2"), nil},
		{"a federation where peers were", `datacenters: [dc1, dc2], failover: [{datacenters: [dc2]}]`, []resource.Object{offer}, wanted("dc2"), []string{"Exported spec.secondaries"}},
		{"an export", `datacenters: [dc1, dc2], failover: [{datacenters: [dc2]}]`, []resource.Object{federated("dc1", "dc2")}, offer, []string{"Exported spec.service"}},
		{"an export beside peers", `datacenters: [dc1], failover: [{datacenters: [dc2]}]`, nil, offer, nil},
		{"an export of what is redirected", `datacenters: [dc1], redirect: {datacenter: dc2}`, nil, offer, []string{"Exported spec.service"}},
		{
			"a second export", `datacenters: [dc1], redirect: {datacenter: dc2}`,
			[]resource.Object{offer},
			export("again", "api", []string{"dc1"}, &isthmusv1.ExportConsumers{Peers: []string{"umbrella"}}),
			nil,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := fleet()
			f.Put(tt.also...)
			f.Put(traffic(t, "one", tt.spec), tt.new)
			if diff := cmp.Diff(tt.want, refusalsOf(f, tt.new), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("refusals (-want +got):\n%s", diff)
			}
		})
	}
}
