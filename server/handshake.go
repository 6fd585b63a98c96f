package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"runtime"
	"slices"

	"google.golang.org/grpc/credentials"

	"isthmus/server/auth"
	"isthmus/server/pulse"
)

// errNoALPN refuses who does not speak HTTP/2.
var errNoALPN = errors.New("the other end did not choose HTTP/2 in its TLS handshake")

// handshaker is the TLS of connections from the network. Of what a handshake brings, only who is there is kept, for thousands of connections
// wait most of the time. As many handshakes compute at a time as there are processors: when a whole fleet comes back at once, the others wait
// their turn, and calls on connections that stand go between them.
type handshaker struct {
	config *tls.Config
	meet   func(shown []*x509.Certificate) *auth.Peer
	// guest takes in who shows no good certificate.
	guest func(net.Conn) (net.Conn, error)
	// watch finds out whether the other end lives.
	watch func(net.Conn) *pulse.Conn
	turns chan struct{}
}

func newHandshaker(config *tls.Config, meet func([]*x509.Certificate) *auth.Peer, guest func(net.Conn) (net.Conn, error), watch func(net.Conn) *pulse.Conn) *handshaker {
	config = config.Clone()
	config.NextProtos = []string{"h2"}
	return &handshaker{config: config, meet: meet, guest: guest, watch: watch, turns: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

// ServerHandshake implements credentials.TransportCredentials.
func (h *handshaker) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	turn := &turnConn{Conn: raw, turns: h.turns}
	conn := tls.Server(turn, h.config)
	who, err := h.shake(turn, conn)
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	if who.Verified() {
		watched := h.watch(conn)
		who.Silence = watched.Silence
		return watched, who, nil
	}
	guest, err := h.guest(conn)
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return h.watch(guest), who, nil
}

func (h *handshaker) shake(turn *turnConn, conn *tls.Conn) (*auth.Peer, error) {
	turn.take()
	defer turn.end()
	if err := conn.HandshakeContext(context.Background()); err != nil { // the connection has a deadline
		return nil, err
	}
	state := conn.ConnectionState()
	if !slices.Contains(h.config.NextProtos, state.NegotiatedProtocol) {
		return nil, errNoALPN
	}
	who := h.meet(state.PeerCertificates)
	// The connection would hold them for as long as it is open, parsed: they are a tenth of what it takes.
	clear(state.PeerCertificates)
	return who, nil
}

// ClientHandshake implements credentials.TransportCredentials; a server has none.
func (h *handshaker) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.ErrUnsupported
}

// Info implements credentials.TransportCredentials.
func (h *handshaker) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// Clone implements credentials.TransportCredentials.
func (h *handshaker) Clone() credentials.TransportCredentials { return h }

// OverrideServerName implements credentials.TransportCredentials; a server has none to override.
func (h *handshaker) OverrideServerName(string) error { return errors.ErrUnsupported }

// turnConn gives its turn to another while it waits for the other end, as long as the handshake goes on.
type turnConn struct {
	net.Conn
	// turns is nil when the handshake is over.
	turns chan struct{}
}

// Read implements net.Conn.
func (c *turnConn) Read(b []byte) (int, error) {
	if c.turns == nil {
		return c.Conn.Read(b)
	}
	c.give()
	defer c.take()
	return c.Conn.Read(b)
}

func (c *turnConn) take() { c.turns <- struct{}{} }

func (c *turnConn) give() { <-c.turns }

func (c *turnConn) end() {
	c.give()
	c.turns = nil
}
