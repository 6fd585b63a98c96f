// Package server is the control plane: everything between a manifest and the agents.
//
// Owns: the process (configuration, first start, listeners, certificates, shutdown) and, in its sub-packages, the way
// of the data. Does not own: what resources mean (resource, peering, policy, plan), how they are kept (store), keys
// (identity, seal). Start reading at Config and New.
//
//	      operators, git, CLI                            agents
//	             │ REST, gRPC                              │ gRPC, client certificates
//	             ▼                                         ▼
//	rest ──▶ auth: who may do what (one table for every RPC)
//	             │                                         │
//	             ▼                                         ▼
//	api: get, list, watch, apply ─▶ store ◀── agentapi: enrol, pull, tokens, report
//	             ▲                    │                    │       ▲
//	             └──── snapshot ◀─────┘                    ▼       │ plan
//	                      │                            observation │
//	                      └────────▶ controller ◀──────────┘───────┘
package server
