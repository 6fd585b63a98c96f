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
	// pending are the tracks whose touch is, which labels may spoil: few, for they are looked at at once while somebody waits.
	pending map[*track]bool
	// queue are the waiters that are to be looked at, the oldest first, each once; wake has values while some of those who look may sleep.
	queue []*waiter
	wake  chan struct{}
}

// desk is where one datacenter's agents and gateways wait. All of it is the Planner's, under its lock.
type desk struct {
	// waiters are those with a long poll; left is when the last one ended.
	waiters []*waiter
	left    time.Time
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
	return &Planner{follower: s.Follow(), desks: map[string]*desk{}, pending: map[*track]bool{}, wake: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

// Run follows the snapshot until ctx ends.
func (p *Planner) Run(ctx context.Context) error {
	sweep := time.NewTicker(keepDesk)
	defer sweep.Stop()
	for range runtime.GOMAXPROCS(0) {
		go (&hand{p: p, ctx: ctx}).run()
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

// sweep drops the plans that nobody has waited for in a while.
func (p *Planner) sweep(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for datacenter, d := range p.desks {
		if len(d.waiters) == 0 && now.Sub(d.left) > keepDesk {
			for _, t := range d.tracks {
				delete(p.pending, t)
			}
			delete(p.desks, datacenter)
		}
	}
}

// track is a desk's for an audience.
func (p *Planner) track(d *desk, to audience) *track {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, ok := d.tracks[to]
	if !ok {
		if len(d.tracks) >= maxAudiences {
			for to, other := range d.tracks { // any one
				delete(d.tracks, to)
				delete(p.pending, other)
				break
			}
		}
		t = &track{anew: true}
		d.tracks[to] = t
	}
	return t
}

// look takes what is to be looked at for a track, and the newest view. ok is false when the track is no longer the desk's.
func (p *Planner) look(d *desk, to audience, t *track) (v *snapshot.View, touch plan.Touch, anew, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d.tracks[to] != t {
		return nil, plan.Touch{}, false, false
	}
	p.advance()
	touch, anew = t.touch, t.anew
	t.touch, t.anew = plan.Touch{}, false
	delete(p.pending, t)
	return p.follower.View(), touch, anew, true
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
				p.mark(d, func(t *track) { t.touch, t.anew = plan.Touch{}, true })
			}
			continue
		}
		p.concern(batch)
	}
}

// concern marks the desks that a batch is about.
func (p *Planner) concern(batch *snapshot.Batch) {
	// What a change did away with is found in the view before it, what it brought in the one after.
	views := []*snapshot.View{batch.View, batch.Before}
	if alike(batch.Changes) {
		views = views[:1]
	}
	for _, c := range batch.Changes {
		for t := range p.pending {
			t.anew = t.anew || t.touch.Spoilt(c.Before, c.After)
		}
		for _, v := range views {
			for datacenter, part := range plan.Touched(v, c.Before, c.After) {
				if d, ok := p.desks[datacenter]; ok {
					p.mark(d, func(t *track) { p.touch(t, part) })
				}
			}
		}
	}
}

// touch notes what is to be looked at for a track.
func (p *Planner) touch(t *track, part plan.Part) {
	t.touch.Add(part)
	if t.touch.Pending() {
		p.pending[t] = true
	}
}

// alike tells that changes concern the same datacenters in the view before them as in the one after: which those of policies are stands in the
// policy, before and after, and in resources of other kinds. One policy may concern a whole fleet.
func alike(changes []snapshot.Change) bool {
	for _, c := range changes {
		o := c.After
		if o == nil {
			o = c.Before
		}
		switch o.(type) {
		case *isthmusv1.Intention, *isthmusv1.TrafficPolicy:
		default:
			return false
		}
	}
	return true
}

// mark notes on all tracks of a desk what is to be looked at, and has who waits there looked at.
func (p *Planner) mark(d *desk, note func(t *track)) {
	for _, t := range d.tracks {
		note(t)
	}
	for _, w := range d.waiters {
		p.stir(w)
	}
}

// answer is what a caller of a desk is told now, without a state when it has it already.
func (p *Planner) answer(d *desk, datacenter string, to audience, r *isthmusv1.PullRequest) *isthmusv1.PullResponse {
	for {
		if response, ok := p.told(p.track(d, to), d, datacenter, to, r); ok {
			return response
		}
	}
}

// told is answer by one track; ok is false when it is no longer the desk's.
func (p *Planner) told(t *track, d *desk, datacenter string, to audience, r *isthmusv1.PullRequest) (response *isthmusv1.PullResponse, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v, touch, anew, ok := p.look(d, to, t)
	if !ok {
		return nil, false
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
	return response, true
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
