// Package datacenterstate says what is known of one datacenter beyond its status: what its agents told and how old that is, and of each thing
// that is wanted of it whether it is there, with what differs.
//
// Owns: how an item of a desired state stands, out of the reports of those who work on it; what is shown of it.
// Does not own: what is wanted (plan), what reports count for what (server/evidence), verdicts on peerings and federations (peering,
// federation), statuses of policies (policy).
// Pure: the clock is an argument, and no secret goes in: desired states name sealed ones by digest. Start reading at Of.
//
//	desired state ─┐
//	reports ───────┼─▶ Of ─▶ DatacenterState: items (failed, conflict, managed, drifted, unknown, pending, applied), agents, ages
//	resources ─────┘
//
// What a silent agent said last is no proof, and neither is what one said that does not see its Consul any more: such an item is unknown.
package datacenterstate
