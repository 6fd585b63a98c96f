package limit

import (
	"context"
	"net"
	"time"

	"google.golang.org/grpc/peer"
)

const (
	// guestPart: of all connections one in so many may be a guest's.
	guestPart = 4
	// guestTime is how long a guest is kept without a call.
	guestTime = 30 * time.Second
)

// guest is a connection from the network whose other end has not shown who it is: neither a good certificate, nor an API token with a call.
type guest struct {
	net.Conn
	l *Limiter

	// Both are under l.mu. timer closes the connection; nil when it is known whose it is, or it is closed.
	timer *time.Timer
	calls int
}

// guestAddr is a guest's address, by which its calls are known for its.
type guestAddr struct {
	net.Addr
	guest *guest
}

// Guest takes in a connection whose other end showed no good certificate: Busy when there are enough of them. It is closed when nothing is
// called over it, and is one like any other as soon as somebody known has called.
func (l *Limiter) Guest(c net.Conn) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.guests >= l.limits.Connections/guestPart {
		return nil, l.refuse("guests", putOff(), "too many connections of unknown callers: at most a quarter of all (--max-connections of the server, %d)",
			l.limits.Connections)
	}
	l.guests++
	g := &guest{Conn: c, l: l}
	g.timer = time.AfterFunc(guestTime, g.leave)
	return g, nil
}

// guestOf is the guest over whose connection a call comes; nil for calls over others.
func guestOf(ctx context.Context) *guest {
	if p, ok := peer.FromContext(ctx); ok {
		if addr, ok := p.Addr.(guestAddr); ok {
			return addr.guest
		}
	}
	return nil
}

// RemoteAddr implements net.Conn.
func (g *guest) RemoteAddr() net.Addr { return guestAddr{g.Conn.RemoteAddr(), g} }

// Close implements net.Conn.
func (g *guest) Close() error {
	g.known()
	return g.Conn.Close()
}

// known is for a connection that is nobody's any more, or somebody's.
func (g *guest) known() {
	g.l.mu.Lock()
	defer g.l.mu.Unlock()
	g.settle()
}

// settle takes the connection off the guests'. l.mu is held.
func (g *guest) settle() {
	if g.timer != nil {
		g.timer.Stop()
		g.timer = nil
		g.l.guests--
	}
}

// calling keeps the connection while a call goes on.
func (g *guest) calling(ctx context.Context) {
	g.l.mu.Lock()
	defer g.l.mu.Unlock()
	g.calls++
	context.AfterFunc(ctx, func() {
		g.l.mu.Lock()
		defer g.l.mu.Unlock()
		if g.calls--; g.calls == 0 && g.timer != nil {
			g.timer.Reset(guestTime)
		}
	})
}

// leave closes the connection of a guest that calls nothing.
func (g *guest) leave() {
	g.l.mu.Lock()
	goes := g.timer != nil && g.calls == 0
	if goes {
		g.settle()
	}
	g.l.mu.Unlock()
	if goes {
		_ = g.Conn.Close()
	}
}
