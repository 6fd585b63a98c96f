// Package identity is who is who: the fleet key, join tokens, agents' keys and what proves them, the server's own CA and
// key, API tokens.
//
// Owns: how each is made, written down, parsed and verified. Does not own: sealing (seal), who may do what
// (server/auth), when to enrol or renew (agent, server). Start reading at Attest and VerifyTrusted.
//
//	fleet key (operator's)
//	   │ signs                     JoinGrant: one-time public key, kind, datacenter, expiry, uses
//	   ▼
//	one-time key (join token)
//	   │ signs                     Attestation: agent, identity key, age recipient
//	   ▼
//	identity key (agent's)  ────▶  signs payloads and CSRs            age key ────▶ opens payloads
//
// The server relays all of it and can forge none: it never holds the fleet key or a one-time key of a token that the CLI
// minted. An agent whose token was minted by the server is trusted by nobody until an Approval by the fleet key.
package identity
