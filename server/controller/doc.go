// Package controller makes what is declared come about, and says in statuses what became of it.
//
// Owns: the lease that makes one replica do it, the loop, and one file for each thing that is done: groups expanded into
// peerings, verdicts and token generations, liveness, what is known of datacenters, gateways found, exports counted,
// tokens expired, deletions brought to their end, the feed compacted. Does not own: the rules (peering, policy, federation: pure
// functions of view, observations and clock), what agents do.
// Start reading at Controller, then leader.round.
//
//	snapshot ─changes─▶ ┐
//	observations ─────▶ ├─▶ dirty: datacenters, peerings, groups, exports, federations ─▶ round ─▶ writes under the lease's fence
//	clock, each second ▶┘
package controller
