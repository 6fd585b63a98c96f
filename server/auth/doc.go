// Package auth says who a caller is and what they may do.
//
// Owns: the one table of every RPC and the roles that may call it (Rules), authentication by API token or by client
// certificate, whom a session stands for, the interceptors that enforce both and the tap that does before a message is read.
// Does not own: keys and certificates (identity), sessions themselves (session), whether an agent may touch a certain
// resource (agentapi). Start reading at Rules.
//
//	Authorization: Bearer isthmus_…  ──▶ APIToken in the snapshot, hash compared ──▶ admin, operator or viewer
//	session, from REST only          ──▶ its Subject: APIToken of the same uid  ──▶ admin, operator or viewer
//	client certificate of our own CA ──▶ Agent in the snapshot, same key        ──▶ agent, or expired-agent
//	nothing                          ──▶ anonymous
package auth
