package explain_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"isthmus/explain"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/test/consultest"
)

// Where calls go is what Consul's own discovery chain says, evaluated in its own datacenter and in another one.
func TestChain(t *testing.T) {
	t.Parallel()
	consul := consultest.Start(t, "dc1")
	for _, name := range []string{"api", "other", "old", "v2"} {
		consul.Do(http.MethodPut, "/v1/config", map[string]any{"Kind": "service-defaults", "Name": name, "Protocol": "http"}, nil)
	}
	for _, tt := range []struct {
		name    string
		entries []map[string]any
	}{
		{"nothing", nil},
		{"redirect to a service", []map[string]any{resolver("api", map[string]any{"Redirect": map[string]any{"Service": "other"}})}},
		{"redirect to a datacenter", []map[string]any{resolver("api", map[string]any{"Redirect": map[string]any{"Datacenter": "dc2"}})}},
		{"redirect to a peer", []map[string]any{resolver("api", map[string]any{"Redirect": map[string]any{"Service": "api", "Peer": "east"}})}},
		{"redirects in a row", []map[string]any{
			resolver("old", map[string]any{"Redirect": map[string]any{"Datacenter": "dc3"}}), resolver("other", map[string]any{"Redirect": map[string]any{"Service": "old", "Datacenter": "dc2"}}),
			resolver("api", map[string]any{"Redirect": map[string]any{"Service": "other"}}),
		}},
		{"failover to datacenters", []map[string]any{resolver("api", map[string]any{"Failover": map[string]any{"*": map[string]any{"Datacenters": []any{"dc1", "dc2", "dc3"}}}})}},
		{"failover to targets", []map[string]any{resolver("api", map[string]any{"Failover": map[string]any{"*": map[string]any{"Targets": []any{
			map[string]any{"Datacenter": "dc2"}, map[string]any{"Peer": "east"}, map[string]any{"Service": "other"}, map[string]any{"Service": "old", "Datacenter": "dc3"},
		}}}})}},
		{"failover to a service", []map[string]any{resolver("api", map[string]any{"Failover": map[string]any{"*": map[string]any{"Service": "other"}}})}},
		{"failover after a redirect", []map[string]any{
			resolver("other", map[string]any{"Failover": map[string]any{"*": map[string]any{"Targets": []any{map[string]any{"Datacenter": "dc2"}}}}}),
			resolver("api", map[string]any{"Redirect": map[string]any{"Service": "other"}}),
		}},
		{"subsets", []map[string]any{resolver("api", map[string]any{
			"DefaultSubset": "v1", "Subsets": map[string]any{"v1": map[string]any{"Filter": "Service.Meta.version == 1"}, "v2": map[string]any{"Filter": "Service.Meta.version == 2"}},
			"Failover": map[string]any{"v1": map[string]any{"ServiceSubset": "v2"}},
		})}},
		{"split", []map[string]any{splitter("api", split(30, ""), split(70, "other"))}},
		{"split of a split", []map[string]any{splitter("other", split(50, ""), split(50, "old")), splitter("api", split(40, ""), split(60, "other"))}},
		{"split to what is redirected", []map[string]any{
			resolver("other", map[string]any{"Redirect": map[string]any{"Service": "api", "Datacenter": "dc2"}}), splitter("api", split(10, ""), split(90, "other")),
		}},
		{"routes", []map[string]any{
			splitter("v2", split(50, ""), split(50, "old")),
			{"Kind": "service-router", "Name": "api", "Routes": []any{
				map[string]any{"Match": map[string]any{"HTTP": map[string]any{"PathPrefix": "/v2"}}, "Destination": map[string]any{"Service": "v2"}},
				map[string]any{"Match": map[string]any{"HTTP": map[string]any{"PathPrefix": "/other"}}, "Destination": map[string]any{"Service": "other"}},
			}},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, e := range tt.entries {
				consul.Do(http.MethodPut, "/v1/config", e, nil)
			}
			for _, in := range []string{"dc1", "dc2"} {
				ours := explain.TargetsOf(reportedBy(t, consul), "api", in)
				if diff := cmp.Diff(chainOf(t, consul, in), ours); diff != "" {
					t.Errorf("evaluated in %s: Consul (-) and explain (+):\n%s", in, diff)
				}
			}
			for _, e := range slices.Backward(tt.entries) {
				consul.Do(http.MethodDelete, fmt.Sprintf("/v1/config/%s/%s", e["Kind"], e["Name"]), nil, nil)
			}
		})
	}
}

func resolver(name string, body map[string]any) map[string]any {
	body["Kind"], body["Name"] = "service-resolver", name
	return body
}

func splitter(name string, splits ...any) map[string]any {
	return map[string]any{"Kind": "service-splitter", "Name": name, "Splits": splits}
}

func split(weight float64, service string) any {
	out := map[string]any{"Weight": weight}
	if service != "" {
		out["Service"] = service
	}
	return out
}

// reportedBy are the entries as an agent reports them.
func reportedBy(t *testing.T, consul *consultest.Cluster) []*isthmusv1.ReportedEntry {
	t.Helper()
	var out []*isthmusv1.ReportedEntry
	for _, kind := range []string{"service-resolver", "service-splitter", "service-router"} {
		var list []map[string]any
		consul.Do(http.MethodGet, "/v1/config/"+kind, nil, &list)
		for _, e := range list {
			text, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, &isthmusv1.ReportedEntry{Kind: kind, Name: fmt.Sprint(e["Name"]), Namespace: "default", Json: string(text)})
		}
	}
	return out
}

// chainOf are the targets of calls of api, each with its failover, as Consul compiles them: TARGET or TARGET > FAILOVER > FAILOVER, sorted.
func chainOf(t *testing.T, consul *consultest.Cluster, in string) []string {
	t.Helper()
	var answer struct {
		Chain struct {
			Nodes map[string]struct {
				Resolver *struct {
					Target   string
					Failover *struct{ Targets []string }
				}
			}
		}
	}
	consultest.Await(t, "Consul compiles the chain", func() error {
		consul.Do(http.MethodGet, "/v1/discovery-chain/api?compile-dc="+in, nil, &answer)
		if len(answer.Chain.Nodes) == 0 {
			return errors.New("no chain yet")
		}
		return nil
	})
	var out []string
	for _, n := range answer.Chain.Nodes {
		if n.Resolver == nil {
			continue
		}
		text := n.Resolver.Target
		if n.Resolver.Failover != nil {
			for _, f := range n.Resolver.Failover.Targets {
				text += " > " + f
			}
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
