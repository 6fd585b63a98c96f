// Package overview shows the fleet as a whole: how each datacenter fares, how they are connected, and where each service is.
//
// Owns: the one word for a datacenter's health, out of what its conditions say now; which datacenter seems to be cut off when others hear nothing
// from it; services by name over all datacenters. Does not own: the conditions (inventory), the verdicts on connections (connection), how reports
// arrive (server/evidence). Pure: the same resources, reports and time give the same answer. Start reading at Fleet, then Services.
//
// The health of a datacenter, from the first line that holds:
//
//	removing  it is being taken out of the fleet, or was deleted
//	pending   no agent yet; or one that enrolled a moment ago, was never approved, or has not told of its Consul yet
//	unknown   none of its agents is heard of; or they missed some heartbeats, and others hear nothing from it either
//	failing   an agent is heard of, and says what is wrong: Consul, its leader, its settings; or what is wanted does not come about
//	healthy   none of that: its condition Ready is true, and nothing waits for an operator
package overview
