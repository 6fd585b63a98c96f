package e2e_test

import (
	"fmt"
	"strings"
	"testing"
)

// Two datacenters that are peered become a federation. The policies stay as they are declared, and hold in the one as in the other; what
// would come to mean more than it says is refused before.
func TestPoliciesMoveFromPeeringToFederation(t *testing.T) {
	f := NewWorld(t, 2, "dc1", "dc2")
	dc1 := f.Site("dc1", Site{Primary: true})
	dc2 := f.Site("dc2", Site{CA: dc1})
	dc2.MayWritePolicies()
	f.Apply(production("", "dc1", "dc2") + "---\nkind: Datacenter\nname: dc3\nspec: {runtime: vm}\n")
	f.Apply(`
kind: Peering
name: dc1-dc2
spec: {acceptor: dc1, dialer: dc2, throughGateways: true}
---
kind: ServiceExport
name: api
spec: {service: api, datacenters: [dc2], consumers: {datacenters: [dc1]}}
`)
	f.Healthy("dc1-dc2")
	f.Apply(apiFromWeb + "---" + apiFailover)
	dc1.set(map[string]any{"Kind": "service-defaults", "Name": "shop", "Protocol": "http"})
	f.Apply(`
kind: TrafficPolicy
name: shop-canary
spec: {service: shop, datacenters: [dc1], scope: federation, split: [{weight: 90}, {weight: 10, target: {datacenter: dc2}}]}
---
kind: TrafficPolicy
name: old-moved
spec: {service: old, datacenters: [dc1], scope: federation, redirect: {service: new, datacenter: dc2}}
`)
	dc1.Decides("api", "web=allow", "web@dc2=allow")
	dc1.Goes("api", "api in dc1", "api of peer dc2")
	dc2.Goes("api", "api in dc2")
	dc1.Splits("shop", "90 [shop in dc1]", "10 [shop of peer dc2]")
	dc1.Goes("old", "new of peer dc2")
	splitter := dc1.entry("service-splitter", "shop")
	f.Says("what is left out", []string{"describe", "traffic-policy", "api-failover"}, "NotConnected", "dc3")

	t.Log("the peering goes, and with it what was about the peer")
	f.Must("delete", "service-export", "api")
	f.Must("delete", "peering", "dc1-dc2", "--wait", "80s")
	dc1.Decides("api", "web=allow")
	dc1.Goes("api", "api in dc1")

	t.Log("in a federation the Intention would allow web everywhere, so that it has to say so")
	global := "kind: Federation\nname: global\nspec:\n  primary: dc1\n  secondaries: [dc2]\n"
	_, problem, code := f.RunWith(global, "apply", "-f", "-")
	if code == 0 || !containsAll(problem, "Intention/api-from-web", "scope: federation") {
		t.Errorf("exit code %d\n%s", code, problem)
	}
	f.Apply(strings.Replace(apiFromWeb, "spec:\n", "spec:\n  scope: federation\n", 1))
	f.Accept("global", "dc2", "")
	f.Eventually("what dc2 loses is accepted, as it is when isthmus has taken its own part out there", func() error {
		if m := f.Member("global", "dc2"); m.GetReason() == "LossNotAccepted" {
			f.Apply(federationOf("global", "dc2", "", f.Planned("global", "dc2").GetDigest()))
			return fmt.Errorf("it is %s", m.GetMessage())
		}
		return nil
	})
	f.Joined("global", dc1, dc2)

	t.Log("the same policies, as one federation has them")
	for _, d := range []*Datacenter{dc1, dc2} {
		d.Decides("api", "web=allow")
	}
	dc1.Goes("api", "api in dc1", "api in dc2")
	dc2.Goes("api", "api in dc2")
	dc1.Splits("shop", "90 [shop in dc1]", "10 [shop in dc2]")
	dc1.Goes("old", "new in dc2")
	dc1.isEntry("the splitter is what it was", "service-splitter", "shop", splitter)
	f.Ready("intention", "api-from-web", "Applied")
	f.Says("for whom it counts", []string{"describe", "intention", "api-from-web"}, "dc1,dc2", "applied")

	t.Log("without them nothing is left of them")
	f.Must("delete", "intention", "api-from-web")
	f.Must("delete", "traffic-policy", "api-failover", "shop-canary", "old-moved")
	dc1.isEntry("the intentions are gone", "service-intentions", "api", nil)
	for _, name := range []string{"api", "old", "shop-at-dc2"} {
		dc1.isEntry("the resolver is gone", "service-resolver", name, nil)
	}
	dc1.isEntry("the splitter is gone", "service-splitter", "shop", nil)
	dc1.isEntry("the virtual service's protocol is gone", "service-defaults", "shop-at-dc2", nil)
}
