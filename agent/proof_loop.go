package agent

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"isthmus/agent/consul"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

const (
	// triesAtOnce bounds how much is tried at the same time.
	triesAtOnce = 8
	// tryEvery is how often what is to be proven is tried; trySoon how often for some time after it was asked for or changed, when
	// somebody waits for it; tryRarely how often what costs something there and has worked for a while.
	tryEvery  = 10 * time.Second
	trySoon   = 500 * time.Millisecond
	tryRarely = 30 * time.Second
	// awaited is how long somebody waits.
	awaited = time.Minute
	// trySettled bounds one try: Consul itself dials for ten seconds, and then says what is wrong. tryAwaited does while somebody waits:
	// a call that hangs since before the way was there would hold up the next one, which goes through.
	trySettled = 12 * time.Second
	tryAwaited = 3 * time.Second
	// certificatesEvery is how often the local servers' certificates are looked at in a federation, certificatesRarely outside of one.
	certificatesEvery  = 5 * time.Second
	certificatesRarely = time.Minute
)

// prover tries in the background what the desired state asks to prove. The zero value is ready for begin.
//
//	want ─▶ one loop per target ─▶ try ─▶ keep ─▶ changed? ─▶ wake the worker, which reports
//	                                ▲                │
//	                                └──── pause ◀────┘  a read that changes has the probes of that datacenter tried at once
type prover struct {
	consul *consul.Client
	now    func() time.Time
	log    hclog.Logger
	// changed wakes whoever reports; nil: nobody.
	changed func()

	// Of the passes alone.
	nextMembers time.Time
	members     []*isthmusv1.WanMember

	slots chan struct{}
	wg    sync.WaitGroup
	mu    sync.Mutex
	loops map[string]*proofLoop
	// What is known, by the target's key.
	reads       map[string]*isthmusv1.ObservedRead
	probes      map[string]*isthmusv1.ObservedProbe
	certificate certificate
	// member: this datacenter is in a federation, or about to be.
	member bool
}

// proofLoop tries one target until its context ends.
type proofLoop struct {
	target target
	ctx    context.Context //nolint:containedctx // the life of the loop
	stop   context.CancelFunc
	began  time.Time
	// nudge has room for one: try now.
	nudge chan struct{}
}

// begin makes it ready.
func (p *prover) begin(r *reconciler) {
	if p.slots != nil {
		return
	}
	p.consul, p.now, p.log = r.consul, r.now, r.log
	p.slots = make(chan struct{}, triesAtOnce)
	p.loops, p.reads, p.probes = map[string]*proofLoop{}, map[string]*isthmusv1.ObservedRead{}, map[string]*isthmusv1.ObservedProbe{}
}

// wait waits until nothing is tried any more; the contexts that want was called with have ended.
func (p *prover) wait() { p.wg.Wait() }

// want makes sure that these targets are tried, and no others. When there are other ones than before, all are tried at once. own are the
// local servers' certificates; nil: nobody looks at them.
func (p *prover) want(ctx context.Context, targets []target, member bool, own *target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if member && !p.member {
		p.hurry(func(l *proofLoop) bool { return l.target.try == nil })
	}
	p.member = member
	wanted, started := map[string]bool{}, map[string]bool{}
	for _, t := range targets {
		wanted[t.key] = true
		if p.start(ctx, t, p.run) {
			started[t.key] = true
		}
	}
	news := len(started) > 0
	if own != nil {
		wanted[own.key] = true
		p.start(ctx, *own, p.watchCertificates)
	} else {
		p.certificate = certificate{}
	}
	for key, l := range p.loops {
		if !wanted[key] {
			l.stop()
			delete(p.loops, key)
			news = true
		}
	}
	if news {
		p.hurry(func(l *proofLoop) bool { return l.target.try != nil && !started[l.target.key] })
	}
	gone := func(key string) bool { return !wanted[key] }
	maps.DeleteFunc(p.reads, func(key string, _ *isthmusv1.ObservedRead) bool { return gone(key) })
	maps.DeleteFunc(p.probes, func(key string, _ *isthmusv1.ObservedProbe) bool { return gone(key) })
}

// start starts a loop unless it runs, and tells whether it did.
func (p *prover) start(ctx context.Context, t target, run func(*proofLoop)) bool {
	if l := p.loops[t.key]; l != nil && l.ctx.Err() == nil {
		return false
	}
	// Of a term of this agent's that is over: another agent may have seen other things since.
	delete(p.reads, t.key)
	delete(p.probes, t.key)
	l := &proofLoop{target: t, began: p.now(), nudge: make(chan struct{}, 1)}
	l.ctx, l.stop = context.WithCancel(ctx)
	p.loops[t.key] = l
	p.wg.Go(func() { run(l) })
	return true
}

// hurry has some of the loops try at once.
func (p *prover) hurry(which func(*proofLoop) bool) {
	for _, l := range p.loops {
		if !which(l) {
			continue
		}
		select {
		case l.nudge <- struct{}{}:
		default:
		}
	}
}

// rest waits until the next try; false: there is none.
func (l *proofLoop) rest(pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-l.ctx.Done():
		return false
	case <-l.nudge:
	case <-timer.C:
	}
	return true
}

func (p *prover) run(l *proofLoop) {
	since := l.began
	for l.ctx.Err() == nil {
		select {
		case <-l.ctx.Done():
			return
		case p.slots <- struct{}{}:
		}
		o := p.try(l, since)
		<-p.slots
		var ok bool
		if since, ok = p.keep(l, o); !ok || !l.rest(pauseAfter(l, o, since, p.now())) {
			return
		}
	}
}

func (p *prover) try(l *proofLoop, since time.Time) outcome {
	timeout := tryAwaited
	if l.settled(since, p.now()) {
		timeout = trySettled
	}
	ctx, cancel := context.WithTimeout(l.ctx, timeout)
	defer cancel()
	return l.target.try(ctx, p)
}

// settled tells that nobody waits for it any more: it has been asked for, and ok or not, for a while.
func (l *proofLoop) settled(since, now time.Time) bool {
	return now.Sub(since) > awaited && now.Sub(l.began) > awaited
}

// pauseAfter is how long to wait after an outcome; since is when it became ok, or not.
func pauseAfter(l *proofLoop, o outcome, since, now time.Time) time.Duration {
	settled := l.settled(since, now)
	switch {
	case !o.ok && !settled:
		return trySoon
	case o.ok && settled && l.target.costly:
		return tryRarely
	}
	return tryEvery
}

// keep remembers an outcome, unless it comes too late to count, and tells since when it is ok, or not.
func (p *prover) keep(l *proofLoop, o outcome) (since time.Time, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.ctx.Err() != nil {
		return time.Time{}, false
	}
	t := l.target
	var turned, news bool
	if t.read {
		before := p.reads[t.key]
		next := advanceRead(before, t.datacenter, o, p.now())
		p.reads[t.key] = next
		turned = before == nil || before.GetOk() != next.GetOk()
		news, since = turned || before.GetErrorReason() != next.GetErrorReason(), next.GetSince().AsTime()
	} else {
		before := p.probes[t.key]
		next := advanceProbe(before, t, o, p.now())
		p.probes[t.key] = next
		news, since = before == nil || before.GetOk() != next.GetOk() || before.GetErrorReason() != next.GetErrorReason(), next.GetSince().AsTime()
	}
	if turned {
		p.hurry(func(other *proofLoop) bool {
			return other != l && other.target.try != nil && other.target.datacenter == t.datacenter
		})
	}
	if news {
		p.log.Debug("a proof changed", "what", t.key, "ok", o.ok, "reason", o.reason, "error", o.message)
		p.tell()
	}
	return since, true
}

func (p *prover) tell() {
	if p.changed != nil {
		p.changed()
	}
}

// watchCertificates looks at the local servers' certificates again and again.
func (p *prover) watchCertificates(l *proofLoop) {
	for l.ctx.Err() == nil {
		now := p.lookAtCertificates(l.ctx, l.target.datacenter, l.target.address)
		p.mu.Lock()
		news := l.ctx.Err() == nil && (!slices.Equal(now.names, p.certificate.names) || !now.expires.Equal(p.certificate.expires))
		if news {
			p.certificate = now
		}
		pause := certificatesRarely
		if p.member {
			pause = certificatesEvery
		}
		p.mu.Unlock()
		if news {
			p.tell()
		}
		if !l.rest(pause) {
			return
		}
	}
}
