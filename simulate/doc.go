// Package simulate runs a fleet of many datacenters against a real server: for whoever sizes a deployment, and for tests of scale. Each
// datacenter has an agent with keys of its own, which enrols with a join token and speaks the agents' protocol over its own connection with
// mutual TLS: long polls, reports, peering tokens that are really claimed, sealed, fetched and opened. In place of Consul there is a world
// in memory.
//
// Owns: what the fleet looks like (layout), the world in place of Consul, the agents' part of the protocol, faults on command. Does not own:
// what a real agent does with a real Consul (agent): nothing that is shown with a simulated fleet proves how isthmus behaves.
// Start reading at Start.
//
//	layout ─▶ apply, join tokens, Enrol ─▶ agent: one goroutine with a call to Follow open
//	                                         │ desired state            ▲ what another one did to its end
//	                                         ▼                          │
//	                                       queue ─▶ a few workers: ClaimToken, StoreToken, FetchSecrets ⇄ world ─▶ Report
//
// An agent costs one goroutine of its own and those of its connection; work, retries and clocks are shared by all.
package simulate
