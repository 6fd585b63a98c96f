// Package desired is the form in which a datacenter's desired state goes from the server to its agents.
//
// Owns: the digest that tells two states apart, the deltas that lead from one to another, and how an agent merges one.
// Does not own: what a state has (plan), when it is sent (server/agentapi), what is done by it (agent).
// Pure: server and agents come to the same digest of the same state. Start reading at Digest.
//
//	state ──▶ Header + Tree of its items' sums ──▶ Digest          O(items)
//	state + delta ──▶ Merge ──▶ state, whose Digest has to be that of the answer
package desired
