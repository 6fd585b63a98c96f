// Package memory gives back to the system what a burst of work left in the heap: a start, a fleet that comes back, a large apply.
//
// Owns: when the process has come to rest, and one collection then. Go's collector lets a heap grow to twice of what it holds and looks at one that
// rests every two minutes at most; freed memory below that it keeps. Does not own: how large the heap may become while there is work (GOGC,
// GOMEMLIMIT). Start reading at Keeper.Look.
package memory
