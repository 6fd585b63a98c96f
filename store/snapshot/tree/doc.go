// Package tree is an ordered set that is shared by all its versions: a B-tree of which an edit copies only what it changes, and tells what it
// replaced.
//
// Owns: the order, the sharing, the signals of what is superseded. Does not own: what is in it (snapshot). Start reading at Tree.
//
//	version 1: root ─┬─ leaf a…c          Edit ─▶ version 2: root' ─┬─ leaf a…c    the same
//	                 └─ leaf d…f  ── Superseded                     └─ leaf' d…f   with e in place of what had its key
package tree
