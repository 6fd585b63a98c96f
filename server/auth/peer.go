package auth

import (
	"crypto/x509"

	"google.golang.org/grpc/credentials"

	"isthmus/identity"
)

// Peer is what is known of who is at the other end of a connection from the network, as gRPC's AuthInfo. It is found out once for each
// connection; whether its Agent is still there, and its certificate still good, is asked with each call.
type Peer struct {
	credentials.CommonAuthInfo
	// client is what its certificate says; refused is why that is not believed. Neither is set: it showed none.
	client  *identity.Client
	refused error
}

// Meet verifies the certificate that the other end of a connection showed and proved the key of: none, or several of which the first counts.
func (g *Guard) Meet(shown []*x509.Certificate) *Peer {
	p := &Peer{CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}}
	if len(shown) > 0 {
		p.client, p.refused = identity.VerifyClient(shown[0], g.pool)
	}
	return p
}

// AuthType implements credentials.AuthInfo.
func (p *Peer) AuthType() string { return "tls" }

func (p *Peer) any() bool { return p.client != nil || p.refused != nil }
