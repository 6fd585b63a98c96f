package inventory

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// hashLength is how much of a hash tells two names apart that are too long to be kept whole.
const hashLength = 10

// Gateways are the Gateways that a datacenter's report shows, without metadata: one for each mesh gateway that Consul
// knows and that has an address for other datacenters, with the status that goes with it.
func Gateways(datacenter string, report *isthmusv1.InventoryReport) []*isthmusv1.Gateway {
	var out []*isthmusv1.Gateway
	for _, seen := range report.GetGateways() {
		if seen.GetWanAddress() == "" {
			continue
		}
		out = append(out, &isthmusv1.Gateway{
			Name: gatewayName(datacenter, seen.GetNode(), seen.GetServiceId()),
			Spec: &isthmusv1.GatewaySpec{
				Datacenter: datacenter, WanAddress: seen.GetWanAddress(), LanAddress: seen.GetLanAddress(), Source: resource.SourceDiscovered,
			},
			Status: &isthmusv1.GatewayStatus{
				ServiceId: seen.GetServiceId(), Health: seen.GetHealth(), WanFederation: seen.GetWanFederation(),
			},
		})
	}
	return out
}

// gatewayName is <datacenter>-<node>-<service id> where that is a name, and has a hash in place of what does not fit: a
// service id is unique on its node only.
func gatewayName(datacenter, node, serviceID string) string {
	name := strings.ToLower(datacenter + "-" + node + "-" + serviceID)
	if resource.ValidName(name) {
		return name
	}
	sum := sha256.Sum256([]byte(node + "\x00" + serviceID))
	suffix := "-" + hex.EncodeToString(sum[:])[:hashLength]
	return strings.TrimRight(datacenter[:min(len(datacenter), resource.MaxNameLength-len(suffix))], "-") + suffix
}
