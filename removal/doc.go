// Package removal says how a datacenter leaves the fleet, so that nothing of it is left in the others: what depends on it and what becomes
// of that, which step it is at and what that waits for.
//
// Owns: the plan of a removal and its digest, the steps and what proves each of them, what of a datacenter is left in others. Does not own:
// doing any of it (server/controller), what policies, peerings and federations come to meanwhile (policy, peering, federation).
// Pure: the same fleet, evidence and time give the same answer. Start reading at Plan, then Next.
//
//	Policies    no intention and no traffic policy names it, and the agents of all who are connected with it have applied that
//	Exports     the same of exports, to it and from it; what isthmus wrote in its own Consul is taken out
//	Peerings    its peerings are deleted, and gone at both ends
//	Federation  it has left: its hosts have gone back to be of a datacenter of its own
//	Tokens      what it was given by the primary is revoked
//	WANPool     no server of it is in the WAN pool of those that it leaves
//	Agents      its own Consul is clean; agents, gateways and join tokens are deleted, and refused from then on
//	Scan        nothing of it is left in the others: then the Datacenter goes
//
// A step begins when those before are done. Whether one is done is found out anew each time, also after the next ones have begun; one that
// has begun stays begun. Of a lost datacenter nothing is awaited: its ends of peerings count as gone, and what is in its Consul stays.
package removal
