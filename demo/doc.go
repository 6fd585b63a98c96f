// Package demo shows isthmus at work on real Consul servers: it starts a server, some datacenters with an agent each, declares
// a fleet, waits until everything is healthy, and proves that a service of one datacenter is discovered from all others.
//
// Owns: the demo's story, its directory and what runs in it, all of which is gone when Run returns.
// Does not own: running Consul (demo/consulrun) and children at all (demo/child), how progress and result are shown (cmd/isthmus). Start reading at Run.
//
//	isthmus server ◀── agents ──▶ Consul servers      all of them child processes
//	      ▲                            ▲
//	      └── apply, wait              └── register web in dc1; ask the others for it
package demo
