// Package memory steers Go's collector for a process that works in bursts: a start, a fleet that comes back, a large apply, and otherwise rests.
//
// Owns: how much is allocated between two collections, and when memory is given back to the system. Go's collector lets a heap grow to twice of
// what it holds, which for a small one means to collect all the time while there is work; it looks at one that rests every two minutes
// whether anything was allocated or not, for which it goes through all that a large fleet has; and freed memory it keeps. Does not own: what an
// operator says of that. With GOGC or GOMEMLIMIT set, only what a burst left is given back. Start reading at Keeper.Look.
//
//	work: at least room between two collections ─▶ rest: one collection, memory is given back; then one when enough was allocated, by no clock
package memory
