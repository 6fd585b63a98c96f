// Package netns gives tests datacenters whose networks overlap, as networks of companies do: each in a Linux network namespace of its
// own, with the same private subnet in all of them, and one more address on a network that they share.
//
// Owns: namespaces, the bridge between them, and their removal; those of a test process that died are removed by the next one that takes
// their number. Does not own: what runs in them (demo/consulrun takes a Space as its Network).
// Start reading at New.
//
//	isthmus-N-dc1  priv0 10.0.0.10 … servers, 10.0.0.20, .21 gateways    wan0 198.18.N.11, .111 ─┐
//	isthmus-N-dc2  priv0 the same                                      wan0 198.18.N.12, .112 ─┤ bridge in isthmus-N-wan
//	this process                                                       198.18.N.1 ─────────────┘
package netns
