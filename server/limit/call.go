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
	l       *Limiter
	caller  auth.Caller
	account *account
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
	a := l.of(c)
	if err := l.spend(c, a, write); err != nil {
		return nil, err
	}
	if a.arriving >= a.requests {
		return nil, l.tooMany(c, a)
	}
	a.arriving++
	return &Call{l: l, caller: c, account: a}, nil
}

func (l *Limiter) tooMany(c auth.Caller, a *account) error {
	if a.class == agents {
		return l.refuse("agent-requests", soon, "%s has %d calls under way, which no flag changes", c.Actor(), a.requests)
	}
	return l.refuse("token-requests", soon, "%s has %d calls under way, which is all that it may (--max-requests-per-token of the server)", c.Actor(), a.requests)
}

// Begin takes a place to work, in line if need be.
func (c *Call) Begin(ctx context.Context) error {
	l := c.l
	l.mu.Lock()
	if c.state != arriving {
		l.mu.Unlock()
		return nil
	}
	a := c.account
	if a.working >= a.requests {
		defer l.mu.Unlock()
		return l.tooMany(c.caller, a)
	}
	if l.line[a.class].Len() == 0 && l.free(a.class) {
		a.arriving--
		c.work()
		l.mu.Unlock()
		return nil
	}
	if l.line[a.class].Len() >= linePart*l.limits.Requests {
		defer l.mu.Unlock()
		return l.refuse("requests", putOff(), "the server works on all the calls that it may, and more wait in line (--max-requests of the server, %d)", l.limits.Requests)
	}
	a.arriving--
	return c.standInLine(ctx, lineTime)
}

// work gives the call a place. l.mu is held.
func (c *Call) work() {
	c.state = working
	c.account.working++
	c.l.working[c.account.class]++
}

// standInLine waits for a place; not longer than most, unless that is 0. It is called with l.mu held and gives it back.
func (c *Call) standInLine(ctx context.Context, most time.Duration) error {
	l := c.l
	c.state, c.come = inLine, make(chan struct{})
	c.at = l.line[c.account.class].PushBack(c)
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
	c.l.line[c.account.class].Remove(c.at)
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
	c.account.working--
	l.working[c.account.class]--
	for class := operators; class >= viewers; class-- {
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
		c.account.arriving--
	case working:
		c.leave()
	case waiting:
		c.account.waiting--
		l.waiting[c.account.class]--
	case inLine:
		c.step()
	case idle, over:
	}
	c.state = over
	l.body -= c.body
	c.account.body -= c.body
	c.body = 0
	delete(l.calls, c.name)
}

// Body makes room for a body of so many bytes, until the call ends.
func (c *Call) Body(size int64) error {
	l := c.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.body+size > bodies || c.account.body+size > bodies/2 {
		return l.refuse("bodies", soon, "%d MiB of large requests are under way, half of them at most of one caller, which no flag changes: send this one again in a moment", bodies>>20)
	}
	l.body += size
	c.account.body += size
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
	c.account.arriving--
	c.count()
	return nil
}

// count counts the call among those that wait. l.mu is held.
func (c *Call) count() {
	c.state = waiting
	c.account.waiting++
	c.l.waiting[c.account.class]++
}

// mayWait refuses to let one more call wait, if need be. l.mu is held.
func (c *Call) mayWait() error {
	l, a := c.l, c.account
	people := l.waiting[viewers] + l.waiting[operators]
	switch {
	case a.waiting >= a.waits && a.class == agents:
		return l.refuse("agent-waits", soon, "%s waits in %d calls, which no flag changes", c.caller.Actor(), a.waits)
	case a.waiting >= a.waits:
		return l.refuse("token-waits", putOff(), "%s waits for changes in %d calls, which is all that it may (--max-waits-per-token of the server)",
			c.caller.Actor(), a.waits)
	case people+l.waiting[agents] >= l.limits.Waits, a.class != agents && people >= l.limits.Waits/2:
		return l.refuse("waits", putOff(), "as many calls wait for changes as may (--max-waits of the server, %d)", l.limits.Waits)
	}
	return nil
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
	c.account.waiting--
	l.waiting[c.account.class]--
	c.state = idle
	switch class := c.account.class; {
	case class == agents:
	case l.free(class):
		c.work()
	default:
		_ = c.standInLine(ctx, 0) // it ends with the call at the latest, which nobody waits for then
		return
	}
	l.mu.Unlock()
}
