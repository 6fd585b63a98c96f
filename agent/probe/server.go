package probe

import (
	"context"
	"net"
	"time"

	"isthmus/fault"
)

// alpnRPC is what Consul servers say to each other; one that has a certificate and a CA answers with both.
const alpnRPC = "consul/rpc-multi"

// First bytes of a connection to Consul's RPC port that goes on in TLS (agent/pool in Consul).
const (
	// rpcTLS is how servers were told before they knew TLS by its own first byte.
	rpcTLS = 0x03
	// rpcTLSInsecure is for clients that have no certificate yet: they may only ask for one.
	rpcTLSInsecure = 0x07
)

// Server looks at the certificate that the local Consul server shows on its RPC port (address is host:port): its names (sorted) and its
// end, and at which CAs it takes certificates from (raw subjects, DER, in its order; none when it does not say). Unavailable when no
// certificate comes, with the reason in the message. Consul logs each look as a failed handshake: Certificate is quiet.
func Server(ctx context.Context, address, serverName string) (names []string, expires time.Time, acceptableCAs [][]byte, err error) {
	seen, err := look(ctx, address, serverName, nil, []byte{rpcTLS})
	if err != nil {
		return nil, time.Time{}, nil, err
	}
	return Names(seen.leaf), seen.leaf.NotAfter, seen.authorities, nil
}

// Certificate is Server without the CAs, which Consul shows only to those of whom it then wants a certificate. The log of Consul stays
// as it is.
func Certificate(ctx context.Context, address, serverName string) (names []string, expires time.Time, err error) {
	seen, err := look(ctx, address, serverName, []byte{rpcTLSInsecure})
	if err != nil {
		return nil, time.Time{}, err
	}
	return Names(seen.leaf), seen.leaf.NotAfter, nil
}

// look tries one way to begin a connection after the other.
func look(ctx context.Context, address, serverName string, beginnings ...[]byte) (sight, error) {
	var last Result
	for _, first := range beginnings {
		seen, failure := lookOnce(ctx, address, serverName, first)
		if seen.leaf != nil {
			return seen, nil
		}
		last = failure
		if ctx.Err() != nil || failure.Reason == ReasonRefused || failure.Reason == ReasonTimeout {
			break // the other way would be the same
		}
	}
	return sight{}, fault.New(fault.Unavailable, "looking at the certificate of the Consul server: %s", last.Message)
}

func lookOnce(ctx context.Context, address, serverName string, first []byte) (sight, Result) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return sight{}, dialFailure(address, err)
	}
	defer conn.Close()
	if _, err := conn.Write(first); err != nil {
		return sight{}, handshakeFailure(address, serverName, err)
	}
	alpn := alpnRPC
	if len(first) > 0 {
		alpn = ""
	}
	seen, err := shake(ctx, conn, serverName, alpn, func() {})
	return seen, handshakeFailure(address, serverName, err)
}
