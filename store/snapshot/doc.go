// Package snapshot is the store in memory: every read of the API and every plan comes from it, at a consistent index.
//
// Owns: the copy and its indexes, following the store's feed, telling who waits that something has changed. Does not own:
// what is stored (store), what changes mean (plan, server). Start reading at Snapshot; View is what readers hold.
//
//	store ─Load, Changes─▶ Snapshot ──View()──────▶ one immutable state: Get, List, Touching, Watch…
//	                                └─Follow()────▶ every change from one state to a later one, nothing lost;
//	                                                Gathering: those that come soon after each other together
package snapshot
