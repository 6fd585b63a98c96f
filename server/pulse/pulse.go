package pulse

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// beatEvery is how often is looked who has to be asked.
const beatEvery = time.Second

// Pulse watches connections. All methods may be called concurrently.
type Pulse struct {
	quiet, patience time.Duration
	now             func() time.Time
	// began is what all times here are told from, so that a clock that is set to another time changes none of them.
	began time.Time

	mu    sync.Mutex
	conns map[*conn]struct{}
}

// New makes a Pulse, which asks when nothing has come for quiet, at the latest, and closes a connection over which then nothing comes for
// patience.
func New(quiet, patience time.Duration, now func() time.Time) *Pulse {
	return &Pulse{quiet: quiet - beatEvery, patience: patience, now: now, began: now(), conns: map[*conn]struct{}{}}
}

// at is the time since p began.
func (p *Pulse) at() time.Duration { return p.now().Sub(p.began) }

// Watch gives a connection to use in place of c until it is closed. What is written to it are frames of HTTP/2 and nothing else, as a server
// writes them.
func (p *Pulse) Watch(c net.Conn) net.Conn {
	out := &conn{Conn: c, p: p}
	out.heard.Store(int64(p.at()))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[out] = struct{}{}
	return out
}

// Run beats until ctx ends.
func (p *Pulse) Run(ctx context.Context) error {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			p.Beat()
		}
	}
}

// Beat asks those who have been silent for long enough for a sign of life, and closes the connections of those who were asked and gave none.
func (p *Pulse) Beat() {
	now := p.at()
	var ask, dead []*conn
	p.mu.Lock()
	for c := range p.conns {
		heard := time.Duration(c.heard.Load())
		if heard >= c.since {
			c.asked = false // it answered, or said something else
		}
		switch {
		case now-heard < p.quiet:
		case !c.asked:
			c.asked, c.since = true, now
			c.sent.Store(false)
			ask = append(ask, c)
		case now-c.since >= p.patience:
			dead = append(dead, c)
		case !c.sent.Load():
			ask = append(ask, c)
		}
	}
	p.mu.Unlock()
	// Either blocks for as long as a connection is stuck, which is closed for that, and keeps no other from being asked in time.
	for _, c := range ask {
		go c.ping()
	}
	for _, c := range dead {
		go c.Close() //nolint:errcheck // it is dead
	}
}

// conn is one connection.
type conn struct {
	net.Conn
	p *Pulse
	// heard is when something came last: a time.Duration since p began.
	heard atomic.Int64
	// asked: the other end is asked for a sign of life, since a time. Both are under p.mu.
	asked bool
	since time.Duration
	// sent: what asks is on its way.
	sent atomic.Bool

	// writing is held by whoever writes; frames say where in a frame that is.
	writing sync.Mutex
	frames  frames
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.heard.Store(int64(c.p.at()))
	}
	return n, err //nolint:wrapcheck // it is the connection's own
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	n, err := c.Conn.Write(b)
	c.frames.pass(b[:n])
	return n, err //nolint:wrapcheck // as above
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.p.mu.Lock()
	delete(c.p.conns, c)
	c.p.mu.Unlock()
	return c.Conn.Close() //nolint:wrapcheck // as above
}

// ping asks for a sign of life between two frames, unless somebody writes just now: the next beat tries again.
func (c *conn) ping() {
	if !c.writing.TryLock() {
		return
	}
	defer c.writing.Unlock()
	if !c.frames.between() || c.sent.Swap(true) {
		return
	}
	_, _ = c.Conn.Write(pingFrame()) // who cannot be asked gives no sign of life
}
