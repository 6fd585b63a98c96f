// Package inventory judges what agents report of themselves and of their Consul datacenter.
//
// Owns: an agent's liveness, a Datacenter's status, the Gateways that were found. Does not own: peerings (peering),
// exports (policy), how reports arrive (server). Pure: the clock is an argument. Start reading at Datacenter.
//
//	heard of ≤ 30 s ago ──▶ online        never, or the judge is younger than the silence ──▶ unknown
//	            silence ──▶ offline
//
// Unknown is a third answer: it is never shown as healthy, and never as a failure that somebody has proven.
package inventory
