// Package explain walks the way of a call from one service to another, and says of each hop whether it holds, what that is known from, and
// what to do about the first one that does not.
//
// Owns: the hops and their order, what makes each pass or fail, the fix. Does not own: the verdict on a connection (connection, peering,
// federation), what Consul makes of intentions (policy.Evaluate), how facts arrive (server/evidence).
// Pure: the clock is an argument. Start reading at Explain, then steps.
//
//	web@dc1 ─ Source ─ Destination ─ Connection ─ Export ─ Resolver ─ Intention ─ Gateway ─ SNI ─ Certificate ─ api@dc9
//	            │          │             │            │        │          │           │        └──────┴─ both ends' reports
//	            │          │             │            │        │          │           └─ gateways of both, who reaches them
//	            │          │             │            │        │          └─ the destination's config entries
//	            │          │             │            │        └─ the config entries where the call begins and where it arrives
//	            │          │             │            └─ the destination's exported-services, the source's imports
//	            └──────────┴─ services ──┴─ verdict on the pair
//
// What the agents of a silent datacenter said last is no proof: it is unknown, never pass.
package explain
