package policy_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"isthmus/demo/consulrun"
	"isthmus/fault"
	"isthmus/policy"
	"isthmus/resource/resourcetest"
	"isthmus/test/consultest"
)

// sharedTraffic is what two datacenters say of two services, however they are connected.
func sharedTraffic(t *testing.T, f *resourcetest.Fleet) {
	t.Helper()
	f.Put(
		traffic(t, "api", `service: api, selector: env=prod, failover: [{selector: env=prod}], split: [{weight: 90}, {weight: 10, target: {datacenter: dc2}}]`),
		traffic(t, "web", `service: web, selector: env=prod, failover: [{datacenters: [dc1, dc2]}]`),
		traffic(t, "old", `service: old, selector: env=prod, redirect: {service: older, datacenter: dc2}`),
		traffic(t, "front", `service: front, selector: env=prod, routes: [{match: {pathPrefix: /api}, target: {service: api, datacenter: dc2}}]`),
	)
}

// sent are where calls go in the end, as the two datacenters' Consuls say, in the words of one Consul or of the other.
func sent(t *testing.T, c *consultest.Cluster) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, service := range []string{"api", "web", "old", "front"} {
		out[service] = chain(t, c, service, c.Datacenter).String()
	}
	return out
}

// holds writes what a datacenter's Consul shall hold.
func holds(t *testing.T, c *consultest.Cluster, f *resourcetest.Fleet) {
	t.Helper()
	c.Do(http.MethodPut, "/v1/config", json.RawMessage(httpByDefault), nil)
	if services := policy.Exports(f, c.Datacenter).GetServices(); len(services) > 0 {
		writeExports(t, c, services)
	}
	entries := policy.Entries(f, c.Datacenter).GetEntries()
	for _, kind := range trafficKinds() {
		for _, e := range entries {
			if e.GetKind() == kind {
				c.Do(http.MethodPut, "/v1/config", bodyOf(t, e), nil)
			}
		}
	}
}

// The same policies hold for two datacenters that are peered and for two that are federated: only Consul's words differ.
func TestTrafficOfPeersAndOfAFederation(t *testing.T) {
	t.Parallel()
	where := map[string]func(*testing.T) map[string]map[string]string{"peered": peeredTraffic, "federated": federatedTraffic}
	for _, tt := range []struct {
		name string
		// at is how dc1 calls a service in dc2, and dc2 one in dc1.
		dc2, dc1 string
	}{{"peered", "@(dc2)", "@(dc1)"}, {"federated", "@dc2", "@dc1"}} {
		t.Run(tt.name, func(t *testing.T) { // one after the other: two servers at a time
			got := where[tt.name](t)
			for from, want := range map[string]map[string]string{
				"dc1": {
					"api":   "90: api@dc1 else api%[1]s + 10: api%[1]s else api@dc1",
					"web":   "web@dc1 else web%[1]s",
					"old":   "older%[1]s",
					"front": "(api%[1]s else api@dc1) | (front@dc1)",
				},
				"dc2": {
					"api":   "90: api@dc2 else api%[2]s + 10: api@dc2 else api%[2]s",
					"web":   "web@dc2 else web%[2]s",
					"old":   "older@dc2",
					"front": "(api@dc2 else api%[2]s) | (front@dc2)",
				},
			} {
				for service, text := range want {
					if text = strings.NewReplacer("%[1]s", tt.dc2, "%[2]s", tt.dc1).Replace(text); got[from][service] != text {
						t.Errorf("%s called from %s goes to %s, want %s", service, from, got[from][service], text)
					}
				}
			}
		})
	}
}

func peeredTraffic(t *testing.T) map[string]map[string]string {
	t.Helper()
	dc1, dc2 := consultest.Start(t, "dc1"), consultest.Start(t, "dc2")
	var token struct{ PeeringToken string }
	dc1.Do(http.MethodPost, "/v1/peering/token", map[string]any{"PeerName": "dc2"}, &token)
	dc2.Do(http.MethodPost, "/v1/peering/establish", map[string]any{"PeerName": "dc1", "PeeringToken": token.PeeringToken}, nil)
	consultest.Await(t, "the peering is active", func() error {
		for _, c := range []*consultest.Cluster{dc1, dc2} {
			for _, p := range c.Peerings() {
				if p.State != "ACTIVE" {
					return fault.New(fault.Unavailable, "%s is %s in %s", p.Name, p.State, c.Datacenter)
				}
			}
		}
		return nil
	})
	f := resourcetest.New(datacenter("dc1", "prod"), datacenter("dc2", "prod"), peering("dc1", "dc2"))
	sharedTraffic(t, f)
	holds(t, dc1, f)
	holds(t, dc2, f)
	return map[string]map[string]string{"dc1": sent(t, dc1), "dc2": sent(t, dc2)}
}

// federatedTraffic asks the secondary itself, which has what was written in the primary.
func federatedTraffic(t *testing.T) map[string]map[string]string {
	t.Helper()
	open := map[string]any{"enabled": false}
	dc1 := consultest.StartWith(t, consulrun.Options{Datacenter: "dc1", Config: map[string]any{"acl": open, "primary_datacenter": "dc1"}})
	var members []struct {
		Addr string
		Port int
	}
	dc1.Do(http.MethodGet, "/v1/agent/members?wan=true", nil, &members)
	dc2 := consultest.StartWith(t, consulrun.Options{Datacenter: "dc2", CA: dc1.Server, Config: map[string]any{
		"acl": open, "encrypt": dc1.GossipKey, "primary_datacenter": "dc1",
		"retry_join_wan": []string{fmt.Sprintf("%s:%d", members[0].Addr, members[0].Port)}, "retry_interval_wan": "1s",
	}})
	f := resourcetest.New(datacenter("dc1", "prod"), datacenter("dc2", "prod"), federated("dc1", "dc2"))
	sharedTraffic(t, f)
	holds(t, dc1, f)
	if n := len(policy.Entries(f, "dc2").GetEntries()); n != 0 {
		t.Errorf("the secondary is to write %d entries", n)
	}
	count := func(c *consultest.Cluster) (n int) {
		for _, kind := range trafficKinds() {
			var list []any
			c.Do(http.MethodGet, "/v1/config/"+kind, nil, &list)
			n += len(list)
		}
		return n
	}
	consultest.Await(t, "the secondary has the primary's entries", func() error {
		if here, there := count(dc1), count(dc2); here != there {
			return fault.New(fault.Unavailable, "%d of %d", there, here)
		}
		return nil
	})
	return map[string]map[string]string{"dc1": sent(t, dc1), "dc2": sent(t, dc2)}
}
