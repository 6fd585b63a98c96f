package inventory

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// hashLength is how much of a hash tells gateways of one datacenter apart.
const hashLength = 10

// Gateways are the Gateways that a datacenter's report shows, without metadata: one for each mesh gateway that Consul
// knows and that has an address for other datacenters, with the status that goes with it. A name is the gateway's that it
// reads like only when nobody else can want it: where others of the report do, or taken says that another datacenter has
// it (eu and west-1, eu-west and 1), the gateway gets one with a hash.
func Gateways(datacenter string, report *isthmusv1.InventoryReport, taken func(name string) bool) []*isthmusv1.Gateway {
	type place struct{ node, serviceID string }
	known, named := map[place]bool{}, map[string]int{}
	var seen []*isthmusv1.ObservedGateway
	for _, g := range report.GetGateways() {
		at := place{g.GetNode(), g.GetServiceId()}
		if g.GetWanAddress() == "" || known[at] {
			continue
		}
		known[at] = true
		named[plainName(datacenter, g)]++
		seen = append(seen, g)
	}
	out := make([]*isthmusv1.Gateway, 0, len(seen))
	for _, g := range seen {
		name := plainName(datacenter, g)
		if named[name] > 1 || !resource.ValidName(name) || taken(name) {
			name = hashedName(datacenter, g)
		}
		out = append(out, &isthmusv1.Gateway{
			Name: name,
			Spec: &isthmusv1.GatewaySpec{
				Datacenter: datacenter, WanAddress: g.GetWanAddress(), LanAddress: g.GetLanAddress(), Source: resource.SourceDiscovered,
			},
			Status: &isthmusv1.GatewayStatus{
				ServiceId: g.GetServiceId(), Health: g.GetHealth(), WanFederation: g.GetWanFederation(),
			},
		})
	}
	return out
}

// Enrolled is a gateway with an identity of its own.
type Enrolled struct {
	// Agent is its name in the fleet.
	Agent  string
	Online bool
	// Report is the last that it sent.
	Report *isthmusv1.GatewayReport
}

// Enrol adds those of a datacenter's enrolled gateways that Consul does not know: it may be yet to come. Who has the same address for
// others as one that was found is that one; Consul knows more about it.
func Enrol(datacenter string, found []*isthmusv1.Gateway, enrolled []Enrolled) []*isthmusv1.Gateway {
	out := slices.Clone(found)
	at := map[string]int{}
	for i, g := range out {
		at[g.GetSpec().GetWanAddress()] = i
	}
	for _, e := range enrolled {
		address := e.Report.GetWanAddress()
		if address == "" {
			continue
		}
		if i, known := at[address]; known {
			if out[i].GetSpec().GetLanAddress() == "" && e.Report.GetLanAddress() != "" {
				out[i] = resource.Clone(out[i])
				out[i].Spec.LanAddress = e.Report.GetLanAddress()
			}
			continue
		}
		health := healthUnknown
		if !e.Online {
			health = healthCritical
		}
		at[address] = len(out)
		out = append(out, &isthmusv1.Gateway{
			Name: e.Agent,
			Spec: &isthmusv1.GatewaySpec{
				Datacenter: datacenter, WanAddress: address, LanAddress: e.Report.GetLanAddress(), Source: resource.SourceDiscovered,
			},
			Status: &isthmusv1.GatewayStatus{Health: health},
		})
	}
	return out
}

// Health of a gateway that Consul does not know: it is heard of, or silent.
const (
	healthUnknown  = "unknown"
	healthCritical = "critical"
)

// plainName is <datacenter>-<node>-<service id>, for people: a service id is unique on its node only. It may be no name.
func plainName(datacenter string, g *isthmusv1.ObservedGateway) string {
	return strings.ToLower(datacenter + "-" + g.GetNode() + "-" + g.GetServiceId())
}

// hashedName has a hash in place of what is not the datacenter.
func hashedName(datacenter string, g *isthmusv1.ObservedGateway) string {
	sum := sha256.Sum256([]byte(datacenter + "\x00" + g.GetNode() + "\x00" + g.GetServiceId()))
	suffix := "-" + hex.EncodeToString(sum[:])[:hashLength]
	return strings.TrimRight(datacenter[:min(len(datacenter), resource.MaxNameLength-len(suffix))], "-") + suffix
}
