// Package feed tells what changed in the fleet, so that whoever shows it reads again only what is no longer so.
//
// Owns: the last changes of this process in their order, each resource and each datacenter once; cursors, and what is told to one that is old, or
// another replica's; looking for verdicts that change with the time alone while somebody listens. Does not own: what changes (store/snapshot,
// observation), the verdicts (overview), waiting and who may know what (server/api). Start reading at Feed.
//
//	snapshot.Follower ──▶ resources, the audit log ─┐
//	observation ────────▶ datacenters ──────────────┼─▶ the order of changes ──Since(cursor)──▶ what came after it
//	a look each second ─▶ datacenters ──────────────┘
//
// A cursor has the reader's place in each replica that it listened to, and the store's index up to which it was told everything. A replica that it
// has not listened to before goes by the index, and tells of all datacenters once: what agents said has no index. Where neither is enough, the
// reader is told to read everything again; nothing is ever left out.
package feed
