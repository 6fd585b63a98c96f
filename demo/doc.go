// Package demo shows isthmus at work on real Consul servers: it starts a server, some datacenters with an agent each, declares
// a fleet, waits until everything is healthy, and proves that services of one datacenter are discovered from others. From three
// datacenters on, two are a WAN federation, of which the second joins with nothing but Consul installed; the others are peers.
//
// Owns: the demo's story, its directory and what runs in it, all of which is gone when Run returns.
// Does not own: running Consul (demo/consulrun) and children at all (demo/child), how progress and result are shown (cmd/isthmus).
// Start reading at Run.
//
//	isthmus server ◀── agents, gateways ──▶ Consul servers      all of them child processes
//	      ▲                                      ▲
//	      └── apply, wait                        └── register web in dc1; ask the others for it
package demo
