package server_test

import (
	"net/http"
	"strings"
	"testing"

	isthmusv1 "isthmus/proto/isthmus/v1"
)

// found is a report of the mesh gateways of a datacenter: node, service id and WAN address.
func found(gateways ...[3]string) *isthmusv1.ReportRequest {
	r := &isthmusv1.InventoryReport{ConsulVersion: "1.20.6"}
	for _, g := range gateways {
		r.Gateways = append(r.Gateways, &isthmusv1.ObservedGateway{Node: g[0], ServiceId: g[1], WanAddress: g[2], Health: "passing"})
	}
	return &isthmusv1.ReportRequest{Inventory: r}
}

// No agent can take over, change or remove a gateway of another datacenter, however its own are called.
func TestGatewaysOfTwoDatacentersWithOneName(t *testing.T) {
	t.Parallel()
	n, w := start(t), newWorld()
	fleet := fleetKey(t)
	evil, honest := n.enrol(w, fleet, "eu"), n.enrol(w, fleet, "eu-west")
	n.apply(datacenters("eu", "eu-west"))
	gateways := func(want ...string) {
		t.Helper()
		eventually(t, "the gateways "+strings.Join(want, " "), func() (bool, string) {
			var got []string
			for _, item := range n.want(http.StatusOK, n.call(http.MethodGet, "/v1/gateways", "")).fields(t)["gateways"].([]any) {
				g := item.(map[string]any)
				name, spec := g["name"].(string), g["spec"].(map[string]any)
				if strings.HasPrefix(name, "eu-") && !strings.HasPrefix(name, "eu-west-") {
					name = "another"
				}
				got = append(got, name+" "+spec["datacenter"].(string)+" "+spec["wanAddress"].(string))
			}
			return strings.Join(got, ", ") == strings.Join(want, ", "), strings.Join(got, ", ")
		})
	}
	honest.reports(found([3]string{"1", "mesh", "192.0.2.1:8443"}))
	gateways("eu-west-1-mesh eu-west 192.0.2.1:8443")
	evil.reports(found([3]string{"west-1", "mesh", "198.51.100.6:8443"}))
	gateways("another eu 198.51.100.6:8443", "eu-west-1-mesh eu-west 192.0.2.1:8443")
	evil.reports(found())
	gateways("eu-west-1-mesh eu-west 192.0.2.1:8443")
	// The name is free for the other one when its owner is gone.
	evil.reports(found([3]string{"west-1", "mesh", "198.51.100.6:8443"}))
	honest.reports(found())
	gateways("eu-west-1-mesh eu 198.51.100.6:8443")
}

// A gateway whose health changes is still the same: only its status is written.
func TestGatewayHealth(t *testing.T) {
	t.Parallel()
	n := start(t)
	a := n.enrol(newWorld(), fleetKey(t), "dc1")
	n.apply(datacenters("dc1"))
	r := found([3]string{"n", "mesh", "192.0.2.1:8443"})
	gateway := func(health string) map[string]any {
		t.Helper()
		var g map[string]any
		eventually(t, "the gateway "+health, func() (bool, string) {
			answer := n.call(http.MethodGet, "/v1/gateways/dc1-n-mesh", "")
			if answer.status != http.StatusOK {
				return false, answer.body
			}
			g = answer.fields(t)
			return g["status"].(map[string]any)["health"] == health, answer.body
		})
		return g
	}
	a.reports(r)
	before := gateway("passing")
	n.want(http.StatusOK, n.call(http.MethodPatch, "/v1/datacenters/dc1", `{"labels":{"env":"prod"}}`))
	r.Inventory.Gateways[0].Health = "critical"
	a.reports(r)
	after := gateway("critical")
	for _, field := range []string{"uid", "generation", "createTime", "updateTime"} {
		if before[field] != after[field] {
			t.Errorf("%s was %v and is %v", field, before[field], after[field])
		}
	}
}
