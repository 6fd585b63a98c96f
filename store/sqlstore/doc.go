// Package sqlstore is the store over SQL: everything that SQLite and PostgreSQL share, which is all but how to reach them.
//
// Owns: the queries, in the common subset of both dialects; how resources become rows (codec); group commit and the
// checks that are made under the revision row's lock. Does not own: drivers, connections and their errors (store/sqlite,
// store/postgres implement Database), the schema (migrations). Start reading at Store.commitAll.
//
//	Write ─encode─▶ group ─▶ round trip 1: lock revision, read what preconditions name
//	                         state.apply: each write checked and applied in memory, or undone
//	                         round trip 2: rows, relations, events, one row of the feed, revision; commit
//	                         announce: this process's snapshot has it; then the writers are acknowledged
package sqlstore
