// Package sqlstore is the store over SQL: everything that SQLite and PostgreSQL share, which is all but how to reach them.
//
// Owns: the queries, in the common subset of both dialects; how resources become rows (codec); group commit and the
// checks that are made under the revision row's lock. Does not own: drivers, connections and their errors (store/sqlite,
// store/postgres implement Database), the schema (migrations). Start reading at Store.commitAll.
//
//	Write ─encode─▶ group ─▶ round trip 1: lock revision, read what preconditions name
//	                         state.apply: each write checked and applied in memory, or undone
//	                         round trip 2: revision, rows, relations, events, one row of the feed; commit
//	                         announce: this process's snapshot has it; then the writers are acknowledged
//
// Round trip 1 is left out when all that it would read is known since this process's own last commit: an optimistic commit (recall.go), which
// the revision's row refuses if anybody else has committed since.
package sqlstore
