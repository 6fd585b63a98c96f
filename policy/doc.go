// Package policy compiles what operators say of services into what one Consul datacenter must hold.
//
// Owns: ServiceExport → the exported-services entry of each exporter, and what is seen of it in status.
// Does not own: merging with what people wrote into the same entry (agent), which datacenters are connected (peering).
// Pure. Start reading at Exports.
//
//	ServiceExport ──▶ exporters (names or selector)
//	                    × Peerings that touch the exporter ──▶ consumers (names or selector) ──▶ {service: [peer, …]}
package policy
