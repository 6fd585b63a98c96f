// Package delivery brings what a federation gives a Consul server to where that server reads it, and has Consul take it over.
//
// Owns: the files of one host, written so that Consul never sees half of them; the commands of the agent's flags. Does not own: what is
// in the files (federation), who may restart when (agent), Kubernetes (agent/kube, another Host).
// Start reading at Host and Files.
package delivery

import (
	"context"

	"isthmus/federation"
)

// Content is what a host's Consul server shall have besides what is there. It holds secrets.
type Content struct {
	// Owner is whom it is for: the federation's uid and Consul's datacenter. Generation is of the bundle that it is from; 0: of none. On
	// Kubernetes, where all agents of a datacenter write the same Secret, another owner's is never overwritten, and an agent that is
	// behind does not bring back what a newer bundle replaced.
	Owner      string
	Generation int32
	// DropIn is a Consul configuration (federation.Bundle.SecondaryDropIn, …); nil: none.
	DropIn []byte
	// CA, Cert and Key are PEM; empty ones are not written, and removed when they were.
	CA, Cert, Key []byte
	// GatewayToken is for the mesh gateway on this host; empty: none, and one that was written here is removed, but nobody else's.
	GatewayToken string
	// Secret is the data of the Kubernetes secret; files on a VM do not have it.
	Secret map[string][]byte
}

// Effect is what has to be done so that Consul takes over what was written. The larger one includes the smaller.
type Effect int

// The effects.
const (
	EffectNone Effect = iota
	EffectReload
	EffectRestart
)

// Host is where one Consul server, or those of one Kubernetes cluster, read their configuration. Errors are *fault.Error: Refused with
// the flag that would allow it, Unavailable for what may work later. Methods may be called again after any crash.
type Host interface {
	// CanWrite and CanRestart tell what the agent's flags allow.
	CanWrite() bool
	CanRestart() bool
	// Files are the paths to name in a drop-in.
	Files() federation.TLSFiles
	// Put makes the host have exactly content, each file 0600 and atomically, and gives what has to follow: judged by what was there.
	// An effect that was not carried out (see Done) is given again.
	Put(ctx context.Context, content Content) (Effect, error)
	// Clear removes everything that Put ever wrote.
	Clear(ctx context.Context) (Effect, error)
	// Carry runs the reload or restart command and returns when it has ended.
	Carry(ctx context.Context, effect Effect) error
	// Done notes that Consul runs with what is there.
	Done(ctx context.Context) error
}
