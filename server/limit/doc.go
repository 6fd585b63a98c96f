// Package limit bounds what callers can ask of a server at a time, so that none of them keeps the others from going on.
//
// Owns: the limits and their defaults (Limits), who has which share, the line for a place, what is said and counted when a limit
// is reached. Does not own: who a caller is (auth), how large a body may be (rest), what an agent may write (agentapi).
// Start reading at Limiter.
//
//	headers ──▶ Arrive: rate, calls of this caller that arrive ──▶ its message is read
//	message ──▶ Begin: calls of this caller that work, a place in all, or the line for one ──▶ the call works
//	blocks  ──▶ Wait: gives the place back; waits of this caller, waits in all ──▶ done: a place again
//	answered ─▶ End
//
// Health checks and metrics are no calls: they have room of their own, in package rest and in auth.
package limit
