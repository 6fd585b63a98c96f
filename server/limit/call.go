package limit

import (
	"container/list"
	"context"
	"strconv"
	"time"

	"isthmus/server/auth"
)

// state is where a call is on its way.
type state int

const (
	arriving state = iota
	inLine
	working
	waiting
	// idle calls have waited and do not count any more: they only hand over what they got.
	idle
	over
)

// Call is one call of a known caller on its way through the server. Its methods may be called concurrently.
type Call struct {
	l      *Limiter
	caller auth.Caller
	held   *holding
	// name is that of a call of REST; empty for one from the network.
	name string
	// unhook stops what ends the call with its context; nil for one of REST.
	unhook func() bool

	// All below is under l.mu.
	state state
	body  int64
	// at is where the call stands in line, and come is closed when it stands there no more.
	at   *list.Element
	come chan struct{}
}

// Arrive lets a caller send its message. End has to be called, whatever comes of it.
func (l *Limiter) Arrive(c auth.Caller, write bool) (*Call, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.spend(c, l.of(c), write); err != nil {
		return nil, err
	}
	h := l.holdingOf(c)
	if h.arriving >= h.requests {
		return nil, l.tooMany(c, h)
	}
	h.arriving++
	return &Call{l: l, caller: c, held: h}, nil
}

// holdingOf is what the caller has under way; it is forgotten when that is nothing.
func (l *Limiter) holdingOf(c auth.Caller) *holding {
	key := holder{c.UID, classOf(c.Role)}
	h, ok := l.holdings[key]
	if !ok {
		h = newHolding(key, l.limits)
		l.holdings[key] = h
	}
	return h
}

func (l *Limiter) tooMany(c auth.Caller, h *holding) error {
	if h.class == agents {
		return l.refuse("agent-requests", soon, "%s has %d calls under way, which no flag changes", c.Actor(), h.requests)
	}
	return l.refuse("token-requests", soon, "%s has %d calls under way, which is all that it may (--max-requests-per-token of the server)", c.Actor(), h.requests)
}

// Begin takes a place to work, in line if need be.
func (c *Call) Begin(ctx context.Context) error {
	l := c.l
	l.mu.Lock()
	if c.state != arriving {
		l.mu.Unlock()
		return nil
	}
	h := c.held
	if h.inLine+h.working >= h.requests {
		defer l.mu.Unlock()
		return l.tooMany(c.caller, h)
	}
	if l.line[h.class].Len() == 0 && l.free(h.class) {
		h.arriving--
		c.work()
		l.mu.Unlock()
		return nil
	}
	if l.line[h.class].Len() >= linePart*l.limits.Requests {
		defer l.mu.Unlock()
		return l.refuse("requests", putOff(), "the server works on all the calls that it may, and more wait in line (--max-requests of the server, %d)", l.limits.Requests)
	}
	h.arriving--
	return c.standInLine(ctx, lineTime)
}

// work gives the call a place. l.mu is held.
func (c *Call) work() {
	c.state = working
	c.held.working++
	c.l.working[c.held.class]++
}

// standInLine waits for a place; not longer than most, unless that is 0. It is called with l.mu held and gives it back.
func (c *Call) standInLine(ctx context.Context, most time.Duration) error {
	l := c.l
	c.state, c.come = inLine, make(chan struct{})
	c.held.inLine++
	c.at = l.line[c.held.class].PushBack(c)
	l.mu.Unlock()
	var timeout <-chan time.Time
	if most > 0 {
		timer := time.NewTimer(most)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-c.come:
		return ctx.Err()
	case <-timeout:
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.state != inLine {
		return ctx.Err() // its turn came at the same moment, or it is over
	}
	c.step()
	c.state = idle
	if err := ctx.Err(); err != nil {
		return err
	}
	return l.refuse("requests", putOff(), "no place to work came free within %s (--max-requests of the server, %d)", most, l.limits.Requests)
}

// step takes the call out of its line. l.mu is held.
func (c *Call) step() {
	c.held.inLine--
	c.l.line[c.held.class].Remove(c.at)
	close(c.come)
}

// free tells whether a class may take another place. Each class has an eighth of all that no other takes, and those who only look take no
// more than half.
func (l *Limiter) free(c class) bool {
	n := l.limits.Requests
	if c == viewers && l.working[viewers] >= n/2 {
		return false
	}
	taken := 0
	for other, working := range l.working {
		if class(other) != c {
			working = max(working, n/8)
		}
		taken += working
	}
	return taken < n
}

// leave gives the call's place to the next in line. l.mu is held.
func (c *Call) leave() {
	l := c.l
	c.held.working--
	l.working[c.held.class]--
	for class := admins; class >= viewers; class-- {
		for line := l.line[class]; line.Len() > 0 && l.free(class); {
			next, _ := line.Front().Value.(*Call)
			next.step()
			next.work()
		}
	}
}

// End gives back whatever the call has. It may be called more than once.
func (c *Call) End() {
	if c.unhook != nil {
		c.unhook()
	}
	c.end()
}

func (c *Call) end() {
	l := c.l
	l.mu.Lock()
	defer l.mu.Unlock()
	switch c.state {
	case arriving:
		c.held.arriving--
	case working:
		c.leave()
	case waiting:
		c.held.waiting--
		l.waiting[c.held.class]--
	case inLine:
		c.step()
	case idle, over:
	}
	c.state = over
	l.body -= c.body
	c.held.body -= c.body
	c.body = 0
	if h := c.held; h.empty() && l.holdings[h.holder] == h {
		delete(l.holdings, h.holder)
	}
	delete(l.calls, c.name)
}

// Body makes room for a body of so many bytes, until the call ends.
func (c *Call) Body(size int64) error {
	l := c.l
	l.mu.Lock()
	defer l.mu.Unlock()
	room := int64(bodies)
	if c.held.class != admins {
		room -= adminBodies
	}
	if l.body+size > room || c.held.body+size > bodies/2 {
		return l.refuse("bodies", soon, "%d MiB of large requests are under way, half of them at most of one caller and a quarter for admins alone, which no flag changes: send this one again in a moment", bodies>>20)
	}
	l.body += size
	c.held.body += size
	c.body += size
	return nil
}

// Name is under what the services find a call of REST: see Limiter.Unary.
func (c *Call) Name() string {
	l := c.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.name == "" {
		l.nextCall++
		c.name = strconv.FormatUint(l.nextCall, 36)
		l.calls[c.name] = c
	}
	return c.name
}

// wait counts the call among those that wait for a change. done has to be called; it takes a place again.
func (c *Call) wait(ctx context.Context) (done func(), err error) {
	l := c.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.state != working {
		return func() {}, nil
	}
	if err := c.mayWait(); err != nil {
		return nil, err
	}
	c.leave()
	c.count()
	return func() { c.resume(ctx) }, nil
}

// poll is Begin for a call that does nothing but wait.
func (c *Call) poll() error {
	l := c.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.state != arriving {
		return nil
	}
	if err := c.mayWait(); err != nil {
		return err
	}
	c.held.arriving--
	c.count()
	return nil
}

// count counts the call among those that wait. l.mu is held.
func (c *Call) count() {
	c.state = waiting
	c.held.waiting++
	c.l.waiting[c.held.class]++
}

// mayWait refuses to let one more call wait, if need be. l.mu is held.
func (c *Call) mayWait() error {
	l, h := c.l, c.held
	switch {
	case h.waiting >= h.waits && h.class == agents:
		return l.refuse("agent-waits", soon, "%s waits in %d calls, which no flag changes", c.caller.Actor(), h.waits)
	case h.waiting >= h.waits:
		return l.refuse("token-waits", putOff(), "%s waits for changes in %d calls, which is all that it may (--max-waits-per-token of the server)",
			c.caller.Actor(), h.waits)
	case !l.roomToWait(h.class):
		return l.refuse("waits", putOff(), "as many calls wait for changes as may (--max-waits of the server, %d)", l.limits.Waits)
	}
	return nil
}

// roomToWait tells whether one more call of a class may wait. People take no more than half of all; operators and admins have a part each that
// no other takes.
func (l *Limiter) roomToWait(c class) bool {
	all, people := 0, 0
	for other, waiting := range l.waiting {
		if other := class(other); other != c && (other == operators || other == admins) {
			waiting = max(waiting, l.limits.Waits/waitsPart)
		}
		all += waiting
		if class(other) != agents {
			people += waiting
		}
	}
	return all < l.limits.Waits && (c == agents || people < l.limits.Waits/2)
}

// resume ends the wait. What people waited for is put into JSON, and compressed: with a place, as it were asked for now. The
// number of those in line is bounded by that of waits.
func (c *Call) resume(ctx context.Context) {
	l := c.l
	l.mu.Lock()
	if c.state != waiting {
		l.mu.Unlock()
		return
	}
	c.held.waiting--
	l.waiting[c.held.class]--
	c.state = idle
	switch class := c.held.class; {
	case class == agents:
	case l.free(class):
		c.work()
	default:
		_ = c.standInLine(ctx, 0) // it ends with the call at the latest, which nobody waits for then
		return
	}
	l.mu.Unlock()
}
