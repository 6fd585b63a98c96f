// Package agentapi is what agents call: enrolment, the long poll for desired states, sealed secrets, reports.
//
// Owns: that an agent gets and touches what is its datacenter's and nothing else, is believed only when it is approved, and
// sends no more than it should (limits, budgets); that a gateway gets its routes and speaks of itself alone; the token ledger's
// entries that agents cause (claimed, made, delivered); which bundles a federation's primary may store; whose turn it is to restart.
// Does not own: what a desired state is (plan), when a new token is due (controller), what is inside a sealed payload: the
// server cannot open one.
// Start reading at Service; Planner wakes the long polls.
//
//	Enrol ─▶ certificate ─▶ Follow, Pull ⇄ Planner ◀─ snapshot
//	                          │ generation wanted                      │ secret named
//	                          ▼                                        ▼
//	          acceptor: ClaimToken ─▶ (GenerateToken) ─▶ StoreToken   dialer: FetchSecrets ─▶ (Establish)
//	          primary: (seal a bundle) ─▶ StoreBundle              secondary: FetchSecrets ─▶ TakeTurn ─▶ (restart) ─▶ EndTurn
//	                          └──────────────── Report ─────────────────┘
package agentapi
