// Package trend remembers how many datacenters and connections were how over the last day, in a bounded amount of memory.
//
// Owns: what is counted of a fleet, and which counts are kept. Does not own: when the fleet is looked at (server/api). Pure. It is in memory alone:
// after a restart it begins anew. Start reading at Series.
//
//	fleet ─▶ Of: one Sample ─▶ Series: of each ten seconds of the last hour one, of each four minutes of the last day one
package trend
