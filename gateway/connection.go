package gateway

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"isthmus/fault"
)

// helloBuffer holds what clients send at first; larger hellos get a buffer of their own.
const helloBuffer = 4 << 10

// connection is one connection through the gateway, from accept to the end of both its sides.
type connection struct {
	g       *Gateway
	source  netip.AddrPort
	started time.Time
	client  socket
	// last is when something moved, in nanoseconds since 1970.
	last atomic.Int64

	// What connect finds out.
	hello    Hello
	kind     Kind
	address  string
	counters *counters
	upstream socket

	toUpstream, toClient direction
	// busy is how many directions are not done.
	busy atomic.Int32

	mu sync.Mutex
	// watched: the kernel asks both sides whether they are there.
	watched bool
	// stopped: both sockets are closed, or will be as soon as they are there.
	stopped bool
	// reason is the first one.
	reason Reason
	cause  error
}

func newConnection(g *Gateway, conn *net.TCPConn) (*connection, error) {
	client, err := newSocket(conn)
	if err != nil {
		return nil, err
	}
	c := &connection{g: g, source: conn.RemoteAddr().(*net.TCPAddr).AddrPort(), started: g.config.Now(), client: client, kind: kindNone} //nolint:forcetypeassert // a TCP connection's address is one.
	c.toUpstream = direction{c: c, src: &c.client, dst: &c.upstream, broken: ReasonClient}
	c.toClient = direction{c: c, src: &c.upstream, dst: &c.client, broken: ReasonUpstream}
	c.touch()
	return c, nil
}

// serve finds the connection's way and starts to relay. It returns soon: what goes on are two goroutines with small stacks.
func (c *connection) serve(ctx context.Context) {
	if err := c.connect(ctx); err != nil {
		c.refuse(err)
		return
	}
	c.busy.Store(2)
	go c.toUpstream.run()
	go c.toClient.run()
}

// connect does everything up to and including the replay of the ClientHello.
func (c *connection) connect(ctx context.Context) error {
	peeked, err := c.peek()
	if peeked.buffer != nil {
		defer c.g.helloBuffers.put(peeked.buffer)
	}
	if err != nil {
		return err
	}
	route, ok := c.g.table.Load().Lookup(c.hello.ServerName)
	if !ok {
		return refuse(ReasonNoRoute, nil, "no route to %s", c.hello.ServerName)
	}
	c.kind, c.counters = route.Kind, c.g.metrics.of(route.Kind)
	c.counters.connections.Inc()
	upstream, err := c.dial(ctx, route)
	if err != nil {
		return err
	}
	if err := c.attach(upstream); err != nil {
		return err
	}
	return c.replay(peeked.bytes)
}

// peeked is what was read before it was known where to.
type peeked struct {
	bytes []byte
	// buffer is to be given back.
	buffer *[]byte
}

// peek reads the ClientHello. A client that is silent holds no buffer.
func (c *connection) peek() (peeked, error) {
	var p peeked
	if err := c.client.SetReadDeadline(c.started.Add(c.g.config.HelloTimeout)); err != nil {
		return p, refuse(ReasonClient, err, "setting the deadline of the ClientHello")
	}
	var n int
	var failed error
	err := c.client.raw.Read(func(descriptor uintptr) bool {
		p.buffer = c.g.helloBuffers.get()
		n, failed = readNow(descriptor, *p.buffer)
		if errors.Is(failed, syscall.EAGAIN) {
			c.g.helloBuffers.put(p.buffer)
			p.buffer = nil
			return false
		}
		return true
	})
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return p, refuse(ReasonHelloTimeout, nil, "the client said nothing in time")
	case errors.Join(err, failed) != nil:
		return p, refuse(ReasonClient, errors.Join(err, failed), "reading the ClientHello")
	case n == 0:
		return p, refuse(ReasonProbe, nil, "the client said nothing")
	}
	c.hello, p.bytes, err = ReadHello(c.client, (*p.buffer)[:n])
	if err != nil {
		return p, err
	}
	return p, c.client.SetReadDeadline(time.Time{})
}

// dial tries all addresses of a route, those that failed lately last.
func (c *connection) dial(ctx context.Context, route Entry) (*net.TCPConn, error) {
	var failures []error
	for _, address := range c.g.health.order(route.Addresses) {
		conn, err := c.g.dialer.DialContext(ctx, "tcp", address)
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return nil, refuse(ReasonDrained, ctx.Err(), "the gateway ends")
		}
		c.g.health.report(address, err == nil)
		if tcp, ok := conn.(*net.TCPConn); ok && err == nil {
			c.address = address
			return tcp, nil
		}
		c.counters.failedDials.Inc()
		failures = append(failures, err)
	}
	return nil, refuse(ReasonUnreachable, errors.Join(failures...), "no address of route %s can be connected to (%s)", route.Pattern, strings.Join(route.Addresses, ", "))
}

// attach makes upstream part of the connection, unless that was stopped in the meantime.
func (c *connection) attach(conn *net.TCPConn) error {
	upstream, err := newSocket(conn)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && !c.stopped {
		c.upstream = upstream
		return nil
	}
	_ = conn.Close()
	if err != nil {
		return refuse(ReasonUpstream, err, "using the connection to %s", c.address)
	}
	return refuse(c.reason, nil, "the connection was stopped")
}

// replay sends upstream what was peeked.
func (c *connection) replay(bytes []byte) error {
	err := c.upstream.SetWriteDeadline(c.g.config.Now().Add(c.g.config.DialTimeout))
	if err == nil {
		_, err = c.upstream.Write(bytes)
	}
	if err == nil {
		err = c.upstream.SetWriteDeadline(time.Time{})
	}
	if err != nil {
		return refuse(ReasonUpstream, err, "passing the ClientHello on to %s", c.address)
	}
	c.counters.fromClient.Add(float64(len(bytes)))
	c.toUpstream.moved = uint64(len(bytes))
	c.touch()
	return nil
}

// keepAlive lets the kernel find out when one of the sides has vanished without a word.
func (c *connection) keepAlive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watched || c.stopped || c.upstream.TCPConn == nil {
		return
	}
	c.watched = true
	for _, s := range []socket{c.client, c.upstream} {
		if err := s.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true}); err != nil {
			c.g.log.Debug("the kernel will not watch over a connection", append(c.fields("", err), "peer", s.RemoteAddr().String())...)
		}
	}
}

// touch remembers that something moved.
func (c *connection) touch() { c.last.Store(c.g.config.Now().UnixNano()) }

func (c *connection) count(d *direction, n int) {
	if d == &c.toUpstream {
		c.counters.fromClient.Add(float64(n))
	} else {
		c.counters.toClient.Add(float64(n))
	}
}

// stop closes both sides at once. Whoever works on them meets an error and ends.
func (c *connection) stop(reason Reason, cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return
	}
	c.stopped = true
	c.because(reason, cause)
	c.closeBoth()
}

// note remembers why a connection will end, while there is still something to deliver.
func (c *connection) note(reason Reason, cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.because(reason, cause)
}

// broken tells whether something went wrong already.
func (c *connection) broken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason != ""
}

func (c *connection) because(reason Reason, cause error) {
	if c.reason == "" {
		c.reason, c.cause = reason, cause
	}
}

func (c *connection) closeBoth() {
	_ = c.client.Close()
	if c.upstream.TCPConn != nil {
		_ = c.upstream.Close()
	}
}

// directionDone ends the connection when it was the last one.
func (c *connection) directionDone() {
	if c.busy.Add(-1) > 0 {
		return
	}
	c.mu.Lock()
	if !c.stopped {
		c.stopped = true
		c.closeBoth()
	}
	reason, cause := c.reason, c.cause
	c.mu.Unlock()
	c.leave(reason, cause)
}

// refuse ends a connection that is not relayed, and tells the client why as far as TLS has a word for it.
func (c *connection) refuse(err error) {
	reason := ReasonOf(err)
	c.mu.Lock()
	if c.stopped {
		reason = c.reason // what stopped it, rather than what came of that
	} else if alert := reason.alert(); alert != 0 {
		// A few bytes into an empty buffer: it does not wait. Who is gone need not hear it.
		_, _ = c.client.Write(alertRecord(alert))
	}
	c.stopped = true
	c.closeBoth()
	c.mu.Unlock()
	if c.kind == kindNone {
		c.g.metrics.of(kindNone).connections.Inc()
	}
	c.warn(reason, err)
	c.leave(reason, err)
}

// warn tells operators what they can do something about; clients' mistakes are their own, and in the metrics.
func (c *connection) warn(reason Reason, err error) {
	about := c.hello.ServerName
	switch reason {
	case ReasonNoRoute:
	case ReasonUnreachable, ReasonUpstream:
		about = string(reason) + " " + about
	default:
		return
	}
	if suppressed, ok := c.g.throttle.pass(about); ok {
		c.g.log.Warn("connection refused", append(c.fields(reason, err), "suppressed", suppressed)...)
	}
}

// leave counts and logs the end, and makes the gateway forget the connection.
func (c *connection) leave(reason Reason, cause error) {
	if reason != "" && reason != ReasonProbe {
		c.g.metrics.failed(c.kind, reason)
	}
	if c.g.log.IsDebug() {
		c.g.log.Debug("connection ended", append(c.fields(reason, cause),
			"from_client", c.toUpstream.moved, "to_client", c.toClient.moved, "duration", c.g.config.Now().Sub(c.started))...)
	}
	c.g.forget(c)
}

// fields are what a log line says of a connection.
func (c *connection) fields(reason Reason, err error) []any {
	out := []any{"source", c.source.String(), "route", c.kind}
	for _, f := range []struct{ key, value string }{
		{"sni", c.hello.ServerName},
		{"alpn", strings.Join(c.hello.ALPN, ",")},
		{"upstream", c.address},
		{"reason", string(reason)},
	} {
		if f.value != "" {
			out = append(out, f.key, f.value)
		}
	}
	if err != nil {
		out = append(out, "error", explain(err))
	}
	return out
}

// explain is an error for the log, without saying everything twice.
func explain(err error) string {
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Cause == nil {
		return f.Message
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}
