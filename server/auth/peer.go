package auth

import (
	"context"
	"crypto/x509"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"isthmus/identity"
)

// Peer is what is known of who is at the other end of a connection from the network, as gRPC's AuthInfo. It is found out once for each
// connection; whether its Agent is still there, and its certificate still good, is asked with each call.
type Peer struct {
	credentials.CommonAuthInfo
	// Silence is for how long nothing had come over the connection when it was closed because nobody answered; 0: it was not. nil: that is not
	// known.
	Silence func() time.Duration
	// client is what its certificate says; refused is why that is not believed. Neither is set: it showed none.
	client  *identity.Client
	refused error

	// agent is the Agent that it stood for when that was looked up last.
	agent atomic.Pointer[standing]
}

// standing is an Agent's place in the fleet, as it is until changed is closed.
type standing struct {
	uid     string
	changed <-chan struct{}
}

// standing finds the Agent that a certificate stands for, anew when it may have become another.
func (p *Peer) standing(find func() (*standing, bool)) (*standing, bool) {
	if known := p.agent.Load(); known != nil {
		select {
		case <-known.changed:
		default:
			return known, true
		}
	}
	found, ok := find()
	if ok {
		p.agent.Store(found)
	}
	return found, ok
}

// Meet verifies the certificate that the other end of a connection showed and proved the key of: none, or several of which the first counts.
func (g *Guard) Meet(shown []*x509.Certificate) *Peer {
	p := &Peer{CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}}
	if len(shown) > 0 {
		p.client, p.refused = identity.VerifyClient(shown[0], g.pool)
	}
	return p
}

// Silence is for how long nothing had come from a caller whose connection was closed because it did not answer; 0: it was not.
func Silence(ctx context.Context) time.Duration {
	if p, ok := peer.FromContext(ctx); ok {
		if who, ok := p.AuthInfo.(*Peer); ok && who.Silence != nil {
			return who.Silence()
		}
	}
	return 0
}

// AuthType implements credentials.AuthInfo.
func (p *Peer) AuthType() string { return "tls" }

// Verified tells that it showed a good certificate.
func (p *Peer) Verified() bool { return p.client != nil && p.refused == nil }

func (p *Peer) any() bool { return p.client != nil || p.refused != nil }
