package probe

import (
	"context"
	"net"
	"time"

	"isthmus/fault"
)

const (
	// alpnRPC is what Consul servers say to each other; one that has a certificate and a CA answers with both.
	alpnRPC = "consul/rpc-multi"
	// rpcTLS is the first byte of a connection to Consul's RPC port that goes on in TLS, for servers that know TLS by that byte only.
	rpcTLS = 0x03
)

// Server looks at the certificate that the local Consul server shows on its RPC port (address is host:port): its names (sorted) and its
// end, and at which CAs it takes certificates from (raw subjects, DER, in its order; none when it does not say). Unavailable when no
// certificate comes, with the reason in the message.
func Server(ctx context.Context, address, serverName string) (names []string, expires time.Time, acceptableCAs [][]byte, err error) {
	var last Result
	for _, first := range [][]byte{nil, {rpcTLS}} {
		seen, failure := lookAt(ctx, address, serverName, first)
		if seen.leaf != nil {
			return Names(seen.leaf), seen.leaf.NotAfter, seen.authorities, nil
		}
		last = failure
		if ctx.Err() != nil || failure.Reason == ReasonRefused || failure.Reason == ReasonTimeout {
			break // the other way would be the same
		}
	}
	return nil, time.Time{}, nil, fault.New(fault.Unavailable, "looking at the certificate of the Consul server: %s", last.Message)
}

// lookAt makes one connection, which begins with the bytes first.
func lookAt(ctx context.Context, address, serverName string, first []byte) (sight, Result) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return sight{}, dialFailure(address, err)
	}
	defer conn.Close() //nolint:errcheck // nothing was written that could be lost
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
