// Package policy compiles what operators say of services into what one Consul datacenter must hold.
//
// Owns: ServiceExport → the exported-services entry of each exporter; Intention and TrafficPolicy → service-intentions, service-resolver,
// service-splitter, service-router and service-defaults; what Consul would refuse of them or take for something else (Check); what is seen
// of them in status; what intentions decide about a call (Evaluate).
// Does not own: merging with what people wrote into the same entries (agent), which datacenters are connected (peering), the rules of a
// spec by itself (resource).
// Pure. Start reading at Exports, at Entries, and for statuses at Standing and ExportStanding. What goes on from view to view (Exporting, Exportings
// and both of these) is always as if it were made from nothing.
//
//	ServiceExport ──▶ exporters (names or selector)
//	                    × Peerings that touch the exporter ──▶ consumers (names or selector) ──▶ {service: [peer, …]}
//
//	Intention, TrafficPolicy ──▶ realms: a datacenter, or a federation (entries live in its primary, and count for all)
//	                               × members, peers ──▶ parts of config entries, and problems: what is left out, and why
//
//	a change ──▶ Affected, Near: policies, and the homes in which each may stand otherwise ──▶ Standing ──▶ its status
//	         ──▶ AffectedExports, NearExports: exports, and the exporters with which each may ──▶ ExportStanding ──▶ its status
package policy
