package agentapi

import (
	"context"
	"runtime"
	"sync"
	"time"

	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/store/snapshot"
)

const (
	// maxAudiences is how many kinds of callers of one datacenter are told different things at a time: versions, during an upgrade, and gateways.
	maxAudiences = 8
	// keepDesk is how long a datacenter's plans are kept while nobody waits for them: agents ask again at once, those of a server that
	// restarts within a minute.
	keepDesk = 2 * time.Minute
)

// Planner keeps the plans of the datacenters that somebody waits for, and wakes the long polls of those that a change affects, and no others.
type Planner struct {
	// mu is taken for moments only, and after a track's own.
	mu       sync.Mutex
	follower *snapshot.Follower
	desks    map[string]*desk
	// jobs are for the goroutines that look.
	jobs chan func()
}

// desk is where one datacenter's agents and gateways wait. All of it is the Planner's, under its lock.
type desk struct {
	// waiting is how many long polls there are; left is when the last one ended.
	waiting int
	left    time.Time
	// changed is closed when a plan may be another; nil: nobody asks.
	changed chan struct{}
	tracks  map[audience]*track
}

// audience are those callers of a datacenter that are told the same.
type audience struct {
	gateway bool
	// features has a bit for each of plan.Features.
	features uint32
}

// NewPlanner makes a Planner, which follows the snapshot from now on; it wakes nobody until Run.
func NewPlanner(s *snapshot.Snapshot) *Planner {
	return &Planner{follower: s.Follow(), desks: map[string]*desk{}, jobs: make(chan func())}
}

// Run follows the snapshot until ctx ends.
func (p *Planner) Run(ctx context.Context) error {
	sweep := time.NewTicker(keepDesk)
	defer sweep.Stop()
	for range runtime.GOMAXPROCS(0) {
		go p.workUntil(ctx)
	}
	for {
		p.mu.Lock()
		p.advance()
		changed := p.follower.Changed()
		p.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			p.rest(ctx)
		case now := <-sweep.C:
			p.sweep(now)
		}
	}
}

// rest waits for a moment if nobody is to be woken.
func (p *Planner) rest(ctx context.Context) {
	p.mu.Lock()
	busy := len(p.desks) > 0
	p.mu.Unlock()
	if busy {
		return
	}
	timer := time.NewTimer(snapshot.Moment)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (p *Planner) workUntil(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case job := <-p.jobs:
			job()
		}
	}
}

// work has a job done by one of the Planner's goroutines, when one is free, and waits for it; the error is of ctx, which ended before.
func (p *Planner) work(ctx context.Context, job func()) error {
	done := make(chan any, 1)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case p.jobs <- func() { defer func() { done <- recover() }(); job() }:
	}
	if failed := <-done; failed != nil {
		panic(failed) // as if it had been done here
	}
	return nil
}

// sweep drops the plans that nobody has waited for in a while.
func (p *Planner) sweep(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for datacenter, d := range p.desks {
		if d.waiting == 0 && now.Sub(d.left) > keepDesk {
			delete(p.desks, datacenter)
		}
	}
}

// wait begins a long poll of a datacenter; end ends it.
func (p *Planner) wait(datacenter string) (d *desk, end func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d, ok := p.desks[datacenter]
	if !ok {
		d = &desk{tracks: map[audience]*track{}}
		p.desks[datacenter] = d
	}
	d.waiting++
	return d, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		d.waiting--
		d.left = time.Now()
	}
}

// track is a desk's for an audience.
func (p *Planner) track(d *desk, to audience) *track {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, ok := d.tracks[to]
	if !ok {
		if len(d.tracks) >= maxAudiences {
			for other := range d.tracks { // any one
				delete(d.tracks, other)
				break
			}
		}
		t = &track{anew: true}
		d.tracks[to] = t
	}
	return t
}

// look takes what is to be looked at for a track, and the newest view; changed is closed when there is more. ok is false when the track is no
// longer the desk's.
func (p *Planner) look(d *desk, to audience, t *track) (v *snapshot.View, touch plan.Touch, anew bool, changed <-chan struct{}, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d.tracks[to] != t {
		return nil, plan.Touch{}, false, nil, false
	}
	p.advance()
	if d.changed == nil {
		d.changed = make(chan struct{})
	}
	touch, anew = t.touch, t.anew
	t.touch, t.anew = plan.Touch{}, false
	return p.follower.View(), touch, anew, d.changed, true
}

// advance takes in all that is new in the snapshot. Whoever needs the newest view does it: nobody waits for another goroutine.
func (p *Planner) advance() {
	if len(p.desks) == 0 {
		p.follower.Skip()
		return
	}
	for {
		select {
		case <-p.follower.Changed():
		default:
			return
		}
		batch, err := p.follower.Next(context.Background())
		if err != nil {
			return // there is something, so that it does not wait
		}
		if batch.Restarted() {
			for _, d := range p.desks {
				d.mark(func(t *track) { t.touch, t.anew = plan.Touch{}, true })
			}
			continue
		}
		for _, c := range batch.Changes {
			// What a change did away with is found in the view before it, what it brought in the one after.
			for _, v := range []*snapshot.View{batch.View, batch.Before} {
				for datacenter, peering := range plan.Touched(v, c.Before, c.After) {
					if d, ok := p.desks[datacenter]; ok {
						d.mark(func(t *track) { t.touch.Add(peering) })
					}
				}
			}
		}
	}
}

// mark notes on all tracks what is to be looked at, and wakes who waits.
func (d *desk) mark(note func(t *track)) {
	for _, t := range d.tracks {
		note(t)
	}
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
}

// answer is what a caller of a desk is told now, without a state when it has it already, and a channel that is closed when it may be told
// something else.
func (p *Planner) answer(d *desk, datacenter string, to audience, r *isthmusv1.PullRequest) (*isthmusv1.PullResponse, <-chan struct{}) {
	for {
		if response, changed, ok := p.told(p.track(d, to), d, datacenter, to, r); ok {
			return response, changed
		}
	}
}

// told is answer by one track; ok is false when it is no longer the desk's.
func (p *Planner) told(t *track, d *desk, datacenter string, to audience, r *isthmusv1.PullRequest) (response *isthmusv1.PullResponse, changed <-chan struct{}, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v, touch, anew, changed, ok := p.look(d, to, t)
	if !ok {
		return nil, nil, false
	}
	planned := false
	defer func() {
		if !planned { // it panicked, and what was to be looked at is lost: the next one begins from nothing
			t.plan = nil
		}
	}()
	t.bring(v, datacenter, to, touch, anew)
	response = t.response(v, r)
	planned = true
	return response, changed, true
}

// holdBack is how long whoever has the newest state waits before there is another one: no time, but when there was another one again and again.
func (p *Planner) holdBack(d *desk, to audience, r *isthmusv1.PullRequest) time.Duration {
	t := p.track(d, to)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.plan == nil || t.plan.Digest() != r.GetHave() {
		return 0
	}
	return time.Until(t.last.Add(t.pace))
}
