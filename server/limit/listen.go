package limit

import (
	"net"
	"sync"
	"sync/atomic"
)

// Listen bounds how many connections a listener has at a time: one more is closed as soon as it is there, so that those who
// have none hear of it at once, and the process keeps descriptors for its database.
func (l *Limiter) Listen(listener net.Listener) net.Listener {
	return &bounded{Listener: listener, l: l}
}

type bounded struct {
	net.Listener
	l    *Limiter
	open atomic.Int64
}

// Accept implements net.Listener.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if b.open.Add(1) > int64(b.l.limits.Connections) {
			b.open.Add(-1)
			b.l.Refused("connections")
			_ = c.Close()
			continue
		}
		return &connection{Conn: c, open: &b.open}, nil
	}
}

type connection struct {
	net.Conn
	open   *atomic.Int64
	closed sync.Once
}

// Close implements net.Conn.
func (c *connection) Close() error {
	err := c.Conn.Close()
	c.closed.Do(func() { c.open.Add(-1) })
	return err
}
