// Package observation keeps what agents said last, in memory and in the store.
//
// Owns: the table of reports and of when each agent was last heard of; writing it to the store, many reports together;
// reading what other replicas were told; forgetting what deleted agents and datacenters left. Does not own: what reports mean (peering, policy, controller).
// Start reading at Table.
//
//	Report ──▶ memory ──▶ subscribers at once
//	             │ └────▶ store, with every other report of the moment; Report answers when it is there
//	Heard  ──▶ memory ──▶ store every few seconds
//	             ▲
//	           store, every second: what other replicas were told
package observation
