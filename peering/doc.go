// Package peering says what a peering of two Consul clusters is at every moment, out of what the agents of its two ends
// saw: its state, its verdict, and which peering token its agents shall make next. It also says which peerings a group
// of datacenters stands for.
//
// Owns: the verdict and its evidence, the steps of healing and how often they are taken, the generations of tokens and their ledger, the expansion of groups.
// Does not own: talking to Consul (agent), sealing tokens (seal), storing and routing them (server), desired states (plan).
// Pure, but for Heals, which remembers: the same peering, evidence and time give the same answer. Start reading at Next.
//
// A token's generation, and who moves it on:
//
//	                    Created: both ends have a trusted agent
//	generation 0 ────────────────────────────────────────────▶ generation 1
//	                                                                │
//	     ┌──────────────────────────────────────────────────────────┘
//	     ▼            acceptor's agent                 acceptor's agent
//	 (no entry) ──Claimed (the last attempt counts)──▶ claimed ──Made, sealed to the dialer's agents──▶ made
//	                                                                                                     │
//	                                                                    dialer's agent fetches: Delivered ▼
//	                                                                                                 delivered
//	                                                                    dialer's agent establishes        │
//	                                                              ┌──── Refused ◀──────────┬──────────────┤
//	                                                              ▼                        │         Used ▼
//	                                                           refused                  expired         used
//	                                                              │                        │              │
//	     generation + 1 (Next; waits 5 s, 10 s, … 5 min until healthy again) ◀─────────────┴──────────────┘
//	     TokenRefused, TokenExpired, RecipientsChanged (not used yet) · AcceptorWiped, DialerWiped, PeerTerminated, TokenUnheeded, Healing (used)
//	     RotationRequested (at any time)
//
// After a restore of the store, the next generation is the one after the highest that an agent reports: agents never go back.
//
// A verdict, from the first line that holds:
//
//	deleting   somebody deleted the Peering; it goes when both ends are reported gone (Gone)
//	unknown    the agent of an end never reported, or is silent for more than 30 s; the last state is still shown
//	failing    an agent says why it cannot; FAILING, TERMINATED; not connected 30 s after it should be
//	pending    no token yet; not connected yet, and nothing has failed
//	one-sided  one end exists, the other does not
//	stale      ACTIVE at both ends, but an end has heard nothing for more than 20 s
//	unknown    ACTIVE at both ends, but the agent of one does not see its Consul
//	stale      ACTIVE and heard at both ends, but one does not import what the other one exports
//	healthy    ACTIVE at both ends, which belong together, and both hear each other
//
// What is done about a stream that hangs is in heal.go.
package peering
