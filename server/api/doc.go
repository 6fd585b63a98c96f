// Package api is what operators, programs and dashboards call: the services of every kind, apply and the audit log.
//
// Owns: reading (at an index, blocking, in pages) and writing (what is validated, what else must hold, what the audit
// log gets), once for all kinds. Does not own: who may call (auth), agents' calls (agentapi), what happens after a write
// (controller). Start reading at Core; a kind's own file holds what is special about it.
//
//	Create, Update, Delete, Apply ─▶ edits ─▶ check: each alone, then all against the fleet as it would be
//	                                            │ violations: refused as a whole
//	                                            ▼
//	                               one store.Write: puts, deletes, requires, events ─▶ snapshot caught up ─▶ answer
package api
