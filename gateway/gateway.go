package gateway

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"isthmus/fault"
)

const (
	// After a failure to accept, most often for want of descriptors, the gateway waits: first this long, then twice as long.
	acceptPause, longestAcceptPause = 5 * time.Millisecond, time.Second
	// Open connections are looked at an eighth of the idle time apart, but within these limits.
	shortestSweep, longestSweep = 10 * time.Millisecond, 15 * time.Second
	// keepAliveAfter is when the kernel begins to ask whether the other side is still there. Connections that end before, most of those
	// that are short, need not set it up: a fifth of their system calls.
	keepAliveAfter = 15 * time.Second
)

// Gateway passes TLS connections on by the name that they ask for. All methods may be called concurrently.
type Gateway struct {
	config Config
	log    hclog.Logger

	listener, metricsListener net.Listener

	table    atomic.Pointer[Table]
	health   *health
	sources  *sourceLimit
	throttle *throttle
	metrics  *metrics
	dialer   net.Dialer

	helloBuffers, relayBuffers buffers
	pipes                      pipePool

	draining atomic.Bool
	mu       sync.Mutex
	open     map[*connection]struct{}
	ended    sync.WaitGroup
}

// New makes a gateway that listens; Run serves. Without Run, Close frees the ports.
func New(ctx context.Context, config Config, table *Table) (*Gateway, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	g := &Gateway{
		config: config, log: config.Log, open: map[*connection]struct{}{},
		health: newHealth(config.Now), sources: newSourceLimit(config.SourceRate, config.Now), throttle: newThrottle(config.Now),
		dialer:       net.Dialer{Timeout: config.DialTimeout, KeepAlive: -1},
		helloBuffers: buffers{size: helloBuffer}, relayBuffers: buffers{size: relayBuffer},
	}
	g.table.Store(table)
	g.metrics = newMetrics(func() float64 { return float64(g.Open()) }, func() float64 { return float64(g.table.Load().Len()) })
	lc := net.ListenConfig{KeepAlive: -1}
	lc.SetMultipathTCP(false) // bytes of several paths cannot be spliced
	var err error
	if g.listener, err = lc.Listen(ctx, "tcp", config.Listen); err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the gateway cannot listen on %s", config.Listen)
	}
	if config.MetricsAddr == "" {
		return g, nil
	}
	if g.metricsListener, err = lc.Listen(ctx, "tcp", config.MetricsAddr); err != nil {
		_ = g.listener.Close()
		return nil, fault.Wrap(fault.Unavailable, err, "metrics cannot be served on %s", config.MetricsAddr)
	}
	return g, nil
}

// Addr is where connections are accepted, host:port.
func (g *Gateway) Addr() string { return g.listener.Addr().String() }

// MetricsAddr is where metrics are served, host:port; empty when they are not.
func (g *Gateway) MetricsAddr() string {
	if g.metricsListener == nil {
		return ""
	}
	return g.metricsListener.Addr().String()
}

// Open is how many connections are open.
func (g *Gateway) Open() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.open)
}

// Replace takes another table for connections from now on; those that are open stay where they are.
func (g *Gateway) Replace(table *Table) {
	before := g.table.Swap(table)
	g.health.keep(table)
	changed := 0
	for _, e := range table.Entries() {
		if was, ok := before.get(e.Pattern); !ok || !slices.Equal(was.Addresses, e.Addresses) {
			changed++
			g.log.Debug("route", "name", e.Pattern, "kind", e.Kind, "addresses", e.Addresses)
		}
	}
	gone := 0
	for _, e := range before.Entries() {
		if _, ok := table.get(e.Pattern); !ok {
			gone++
			g.log.Debug("route is gone", "name", e.Pattern)
		}
	}
	g.log.Info("routes replaced", "routes", table.Len(), "changed", changed, "gone", gone)
}

// Close frees the ports of a gateway that is not running.
func (g *Gateway) Close() error {
	err := g.listener.Close()
	if g.metricsListener != nil {
		err = errors.Join(err, g.metricsListener.Close())
	}
	return err
}

// Run serves until ctx ends, then accepts no more and lets open connections end, up to Config.DrainTimeout. It returns nil
// after an orderly end.
func (g *Gateway) Run(ctx context.Context) error {
	for _, e := range g.table.Load().Entries() {
		g.log.Debug("route", "name", e.Pattern, "kind", e.Kind, "addresses", e.Addresses)
	}
	g.log.Info("serving", "addr", g.Addr(), "metrics", g.MetricsAddr(), "routes", g.table.Load().Len(), "max_connections", g.config.MaxConnections)
	// What is open outlives ctx, and is told to end later.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, failed := errgroup.WithContext(background)
	accepted := make(chan struct{})
	group.Go(func() error {
		defer close(accepted)
		return g.accept(background)
	})
	group.Go(func() error { return g.sweep(background) })
	if g.metricsListener != nil {
		group.Go(g.serveMetrics)
	}
	select {
	case <-ctx.Done():
	case <-failed.Done():
	}
	g.draining.Store(true)
	_ = g.listener.Close()
	<-accepted
	g.drain(stop)
	if g.metricsListener != nil {
		_ = g.metricsListener.Close()
	}
	stop()
	err := group.Wait()
	g.pipes.close()
	return err
}

// accept takes connections until the listener is closed.
func (g *Gateway) accept(ctx context.Context) error {
	pause := acceptPause
	for {
		conn, err := g.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			g.metrics.failed(kindNone, ReasonAccept)
			g.complain(ReasonAccept, "a connection cannot be accepted", "error", err)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			pause = min(2*pause, longestAcceptPause)
			continue
		}
		pause = acceptPause
		g.admit(ctx, conn.(*net.TCPConn)) //nolint:forcetypeassert // a TCP listener accepts nothing else.
	}
}

// admit lets a connection in, if the limits do.
func (g *Gateway) admit(ctx context.Context, conn *net.TCPConn) {
	c, err := newConnection(g, conn)
	if err != nil {
		_ = conn.Close()
		return
	}
	reason := Reason("")
	g.mu.Lock()
	switch {
	case len(g.open) >= g.config.MaxConnections:
		reason = ReasonConnectionLimit
	case !g.sources.allow(c.source.Addr()):
		reason = ReasonRateLimit
	default:
		g.open[c] = struct{}{}
		g.ended.Add(1)
	}
	g.mu.Unlock()
	if reason != "" {
		_ = conn.Close()
		g.metrics.of(kindNone).connections.Inc()
		g.metrics.failed(kindNone, reason)
		g.complain(reason, "connection refused", "source", c.source.Addr().String(), "reason", string(reason))
		return
	}
	go c.serve(ctx)
}

// forget is the end of a connection that was admitted.
func (g *Gateway) forget(c *connection) {
	g.mu.Lock()
	delete(g.open, c)
	g.mu.Unlock()
	g.ended.Done()
}

// complain warns, once a minute for each reason.
func (g *Gateway) complain(reason Reason, message string, fields ...any) {
	if suppressed, ok := g.throttle.pass(string(reason)); ok {
		g.log.Warn(message, append(fields, "suppressed", suppressed)...)
	}
}

// connections are those that are open now.
func (g *Gateway) connections() []*connection {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]*connection, 0, len(g.open))
	for c := range g.open {
		out = append(out, c)
	}
	return out
}

// sweep ends connections on which nothing moves, and lets the kernel watch over those that last. One goroutine for all of them
// costs less than timers for each.
func (g *Gateway) sweep(ctx context.Context) error {
	ticker := time.NewTicker(min(max(g.config.IdleTimeout/8, shortestSweep), longestSweep))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		now := g.config.Now()
		for _, c := range g.connections() {
			switch {
			case c.last.Load() <= now.Add(-g.config.IdleTimeout).UnixNano():
				c.stop(ReasonIdle, nil)
			case now.Sub(c.started) >= keepAliveAfter:
				c.keepAlive()
			}
		}
	}
}

// drain waits for the open connections to end, and then ends them.
func (g *Gateway) drain(stop context.CancelFunc) {
	g.log.Info("draining", "connections", g.Open(), "timeout", g.config.DrainTimeout)
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.ended.Wait()
	}()
	timeout := time.NewTimer(g.config.DrainTimeout)
	defer timeout.Stop()
	select {
	case <-done:
		return
	case <-timeout.C:
	}
	stop() // dials
	left := g.connections()
	g.log.Info("ending what is still open", "connections", len(left))
	for _, c := range left {
		c.stop(ReasonDrained, nil)
	}
	<-done
}
