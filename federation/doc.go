// Package federation is WAN federation: which datacenters are in one, what each has to do next, what a secondary is given to join,
// and what joining costs it.
//
// Owns: the rules of a Federation, its state machine, the bundle and every form in which it is delivered, the digest of what a join
// destroys. Does not own: which datacenters a Federation names (resource), how a bundle is sealed (seal) and made (agent), who
// gets which item (plan). Pure.
// Start reading at Next, then Bundle.
//
//	blocked ─▶ waiting ─▶ trusting ─▶ bundling ─▶ delivering ─▶ joining ─▶ joined ─▶ leaving ─▶ gone
//	rules      reports    both CAs    primary's    hosts write,  reads both             hosts go back,
//	                                  agent seals  restart       ways                   tokens revoked
package federation
