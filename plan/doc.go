// Package plan puts together the desired state of one datacenter out of a consistent view of the fleet.
//
// Owns: which items a datacenter's agent gets, and whose plan a change may alter.
// Does not own: what the items mean (peering, policy), how they reach the agent (server), how they are done (agent).
// Pure: the same view gives the same plan, and so the same digest. Start reading at For.
//
//	view ──▶ For(datacenter) ──▶ DesiredState ──▶ Digest
//	change ──▶ Touched ──▶ Plan.Update of the parts that it touches, at the cost of what changed ──▶ Delta ──▶ long poll
package plan
