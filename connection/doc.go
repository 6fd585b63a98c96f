// Package connection says of each two datacenters that are connected whether they really are, with the evidence for and against: one row
// for each Peering, and one for each pair of members of a Federation.
//
// Owns: what the reports of both ends say about one another, and in which words; the verdict on a pair of a federation.
// Does not own: the verdict on a peering (peering.Judge), what a federation is about to do (federation), the reports themselves.
// Pure: the same resources, reports and time give the same answer. Start reading at List.
//
// The verdict on a pair of a federation, from the first line that holds:
//
//	deleting   one of both is leaving
//	pending    one of both has not joined yet; one that had, and is read no more, is judged by the lines below
//	unknown    an agent is silent, or has not tried to read the other one yet
//	failing    neither reads the other one's catalog
//	one-sided  one reads, the other does not
//	stale      both read, but the secondary does not get the primary's ACLs any more
//	healthy    both read
package connection
