// Package consul is the only door to Consul's HTTP API: typed calls, typed refusals, blocking queries that cannot spin.
//
// Owns: settings out of the usual CONSUL_ variables, the client and its renewal when files change, finding the leader
// (Consul answers peering calls reliably only there), telling Consul's error texts apart (Reason), check-and-set with the
// answer checked, the leader lock.
// Does not own: what Consul should be like (agent). Nothing else in isthmus imports hashicorp/consul/api.
// Start reading at Client; then Reason, which is what callers decide on.
package consul
