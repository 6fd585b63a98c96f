package evidence

import (
	"cmp"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/datacenterstate"
	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/observation"
)

// DatacenterState is what the agents of a datacenter said last, each part with its age, beside what is wanted of it.
func DatacenterState(r resource.Reader, table *observation.Table, datacenter string) datacenterstate.Evidence {
	desired, _ := plan.For(r, datacenter, plan.Features())
	out := datacenterstate.Evidence{Desired: desired}
	for _, p := range plan.MeshPeerings(r, datacenter) {
		out.MeshPeerings = append(out.MeshPeerings, p.GetName())
	}
	of := func(part string) observation.Seen {
		seen, ok := table.Get(datacenter, part)
		if ok && !seen.Received.IsZero() {
			out.Ages = append(out.Ages, ageOf(table, seen))
		}
		seen.Heard = reporterHeard(table, seen)
		return seen
	}
	inventory, peerings, exports := of(observation.PartInventory), of(observation.PartPeerings), of(observation.PartExports)
	policy, entries, rights := of(observation.PartPolicy), of(observation.PartEntries), of(observation.PartRights)
	federated := of(observation.PartFederation)
	of(observation.PartServices)
	out.Inventory = datacenterstate.Report[*isthmusv1.InventoryReport]{Body: inventory.Inventory, Heard: inventory.Heard}
	out.Peerings = datacenterstate.Report[*isthmusv1.PeeringsReport]{Body: peerings.Peerings, Heard: peerings.Heard}
	out.Exports = datacenterstate.Report[*isthmusv1.ExportsReport]{Body: exports.Exports, Heard: exports.Heard}
	out.Policy = datacenterstate.Report[*isthmusv1.PolicyReport]{Body: policy.Policy, Heard: policy.Heard}
	out.Entries = datacenterstate.Report[*isthmusv1.EntriesReport]{Body: entries.Entries, Heard: entries.Heard}
	out.Rights = datacenterstate.Report[*isthmusv1.RightsReport]{Body: rights.Rights, Heard: rights.Heard}
	out.Federation = datacenterstate.Report[*isthmusv1.FederationReport]{Body: federated.Federation, Heard: federated.Heard}
	speaking := peerings
	if speaking.Agent == "" {
		speaking = inventory
	}
	out.Blind, out.BlindMessage, _ = blind(table, speaking)
	for a := range resource.AllTouching[*isthmusv1.Agent](r, resource.KindAgent, datacenter) {
		own, delivery := of(observation.AgentPart(a.GetName())), of(observation.DeliveryPart(a.GetName()))
		of(observation.GatewayPart(a.GetName()))
		out.Agents = append(out.Agents, datacenterstate.Agent{
			Agent: a, Report: own.AgentReport, Heard: own.Heard, Delivery: delivery.Delivery, Wanted: wantedBy(r, a, own.AgentReport),
		})
	}
	slices.SortFunc(out.Ages, func(a, b *isthmusv1.ReportAge) int { return cmp.Compare(a.GetPart(), b.GetPart()) })
	return out
}

// wantedBy is the digest of the desired state that an agent is given, for what it says that it can do.
func wantedBy(r resource.Reader, a *isthmusv1.Agent, report *isthmusv1.AgentReport) string {
	if report.GetAppliedDigest() == "" {
		return ""
	}
	if a.GetSpec().GetKind() == resource.AgentKindGateway {
		return plan.Digest(plan.ForGateway(r, a.GetSpec().GetDatacenter()))
	}
	state, _ := plan.For(r, a.GetSpec().GetDatacenter(), report.GetFeatures())
	return plan.Digest(state)
}

// reporterHeard is when who reported was last heard of: of a deleted agent, when it reported.
func reporterHeard(table *observation.Table, seen observation.Seen) time.Time {
	heard := table.HeardOf(seen.Datacenter, seen.Agent)
	if heard.IsZero() {
		heard = seen.Heard
	}
	return heard
}

func ageOf(table *observation.Table, seen observation.Seen) *isthmusv1.ReportAge {
	age := &isthmusv1.ReportAge{Part: seen.Part, Agent: seen.Agent, ReceiveTime: timestamppb.New(seen.Received)}
	if heard := reporterHeard(table, seen); !heard.IsZero() {
		age.HeardTime = timestamppb.New(heard)
	}
	return age
}
