// Package history says what a resource was in turn: the verdict of a Peering, whether agents of a Datacenter were heard of, the phase of each
// member of a Federation.
//
// Owns: how the transitions in the audit log, and what the resource is now, become spans. Does not own: the log (store), when there is a
// transition (server/controller). Pure. Start reading at Of.
//
//	transitions, oldest first ─▶ steps (of the fields; of an older entry, of its message) ─▶ spans, up to what is so now
//
// What nobody told is left out: a span whose end, or whose beginning, is not known is none.
package history
