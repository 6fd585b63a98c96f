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

	mu sync.Mutex
	// wheel has those that are to be looked at in each of the next beats, those of turn at turn modulo its length: nobody is looked at before
	// something is due. again are those that were to be asked and may not have been.
	wheel [][]*watch
	turn  int
	again []*watch
}

// watch is what is known of a connection. All of it is under the Pulse's mu.
type watch struct {
	// conn is nil when it is closed.
	conn *Conn
	// asked: the other end is asked for a sign of life, since a time.
	asked bool
	since time.Duration
}

// New makes a Pulse, which asks when nothing has come for quiet, at the latest, and closes a connection over which then nothing comes for
// patience.
func New(quiet, patience time.Duration, now func() time.Time) *Pulse {
	return &Pulse{
		quiet: quiet - beatEvery, patience: patience, now: now, began: now(), wheel: make([][]*watch, max(quiet, patience)/beatEvery+2),
	}
}

// at is the time since p began.
func (p *Pulse) at() time.Duration { return p.now().Sub(p.began) }

// Watch gives a connection to use in place of c until it is closed. What is written to it are frames of HTTP/2 and nothing else, as a server
// writes them.
func (p *Pulse) Watch(c net.Conn) *Conn {
	now := p.at()
	out := &Conn{Conn: c, p: p, watch: &watch{}}
	out.watch.conn = out
	out.heard.Store(int64(now))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lookAt(out.watch, now+p.quiet)
	return out
}

// lookAt has a connection looked at once a time has come: with the beat of that time, or the one after. It is called with the lock held.
func (p *Pulse) lookAt(w *watch, due time.Duration) {
	turn := min(max(int(due/beatEvery), p.turn+1), p.turn+len(p.wheel)-1)
	at := turn % len(p.wheel)
	p.wheel[at] = append(p.wheel[at], w)
}

// due takes out who is to be looked at now. It is called with the lock held.
func (p *Pulse) due(now time.Duration) []*watch {
	out := p.again
	p.again = nil
	turn := int(now / beatEvery)
	for last := min(turn, p.turn+len(p.wheel)); p.turn < last; {
		p.turn++
		at := p.turn % len(p.wheel)
		out = append(out, p.wheel[at]...)
		p.wheel[at] = nil
	}
	p.turn = max(p.turn, turn)
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
	var ask, dead []*Conn
	p.mu.Lock()
	for _, w := range p.due(now) {
		c := w.conn
		if c == nil {
			continue
		}
		heard := time.Duration(c.heard.Load())
		if heard >= w.since {
			w.asked = false // it answered, or said something else
		}
		switch {
		case now-heard < p.quiet:
			p.lookAt(w, heard+p.quiet)
			continue
		case !w.asked:
			w.asked, w.since = true, now
			c.sent.Store(false)
		case now-w.since >= p.patience:
			c.silence.Store(int64(now - heard))
			dead = append(dead, c)
			continue
		case c.sent.Load():
			p.lookAt(w, w.since+p.patience)
			continue
		}
		ask = append(ask, c)
		p.again = append(p.again, w)
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

// Conn is a connection that is watched.
type Conn struct {
	net.Conn
	p     *Pulse
	watch *watch
	// heard is when something came last: a time.Duration since p began.
	heard atomic.Int64
	// sent: what asks is on its way.
	sent atomic.Bool
	// silence is for how long nothing had come when it was found dead.
	silence atomic.Int64

	// writing is held by whoever writes; frames say where in a frame that is.
	writing sync.Mutex
	frames  frames
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.heard.Store(int64(c.p.at()))
	}
	return n, err //nolint:wrapcheck // it is the connection's own
}

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	n, err := c.Conn.Write(b)
	c.frames.pass(b[:n])
	return n, err //nolint:wrapcheck // as above
}

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.p.mu.Lock()
	c.watch.conn = nil
	c.p.mu.Unlock()
	return c.Conn.Close() //nolint:wrapcheck // as above
}

// Silence is for how long nothing had come over the connection when it was closed because the other end did not answer; 0: it was not.
func (c *Conn) Silence() time.Duration { return time.Duration(c.silence.Load()) }

// ping asks for a sign of life between two frames, unless somebody writes just now: the next beat tries again.
func (c *Conn) ping() {
	if !c.writing.TryLock() {
		return
	}
	defer c.writing.Unlock()
	if !c.frames.between() || c.sent.Swap(true) {
		return
	}
	_, _ = c.Conn.Write(pingFrame()) // who cannot be asked gives no sign of life
}
