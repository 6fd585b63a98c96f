package observation

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"isthmus/resource"
	"isthmus/store"
)

// Who is there is no matter of heartbeats: an agent is present at the replica where a call of its waits, until that ends. The store has a row
// when that begins or is over, and one row for each replica, whose heartbeat stands for all that are present there, and tells other replicas that
// it is at work.
//
//	Attend ─▶ presence/AGENT = REPLICA ─┐
//	leave  ─▶ presence/AGENT = ""       ├─▶ HeardOf: now; the replica's heartbeat; or when it was last heard
//	flush  ─▶ replica/REPLICA, heard ───┘
const (
	presencePrefix = "presence/"
	replicaPrefix  = "replica/"

	// goneAfter is how long no call of an agent waits before the store is told that it is present no more: between two calls it is away for
	// milliseconds, and when it goes to another replica that one tells first.
	goneAfter = 2 * heardEvery
	// companyFor is after what time without a heartbeat of any other replica there seems to be none: three were left out. One that is older than
	// forgetCompany when it is read for the first time is that of one that is no more; replicas' clocks differ.
	companyFor, forgetCompany = 3 * heardEvery, 2 * resource.Silence
	// comeBack is how long one who was asked for a sign of life and gave none has to come back before it counts as silent: it may have been stopped
	// for a moment, as a machine is whose state is saved.
	comeBack = 10 * time.Second
	// forgetReplica is how long the heartbeats of a replica that is no more are kept.
	forgetReplica = 24 * time.Hour
)

// PresencePart is the part that says at which replica an agent is present.
func PresencePart(agent string) string { return presencePrefix + agent }

// presence is what is known of an agent's being there.
type presence struct {
	datacenter, agent string
	// open is how many of its calls wait here.
	open int
	// last is when it was last heard of by a call that began or ended, here or elsewhere.
	last time.Time
	// at is the replica where it is present, as the store says; empty: at none.
	at string
	// silent: subscribers were told that it is not heard of any more.
	silent bool
}

// Attend notes that a call of an agent waits, until leave: so long it is heard of. Who goes was heard of when it was looked last, for why a
// call ends is not known, and a connection that is cut ends late; of one that did not answer it is known for how long it had been silent.
func (t *Table) Attend(datacenter, agent string) (leave func(silent time.Duration)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, news := t.touch(datacenter, agent, t.now())
	p.open++
	if p.at != t.self {
		t.moved[p] = true
	}
	if news {
		t.notify(datacenter)
	}
	return func(silent time.Duration) {
		t.mu.Lock()
		defer t.mu.Unlock()
		last := t.looked
		if silent > 0 {
			last = t.now().Add(-min(silent, resource.Silence-comeBack))
		}
		if last.After(p.last) {
			p.last = last
		}
		if p.open--; p.open == 0 {
			t.moved[p] = true
			t.mayFallSilent(p)
		}
	}
}

// Heard notes that an agent is there.
func (t *Table) Heard(datacenter, agent string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, news := t.touch(datacenter, agent, t.now()); news {
		t.notify(datacenter)
	}
}

// HeardOf is when an agent was last heard of; the zero time when it never was.
func (t *Table) HeardOf(datacenter, agent string) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.agents[key{datacenter, agent}]; p != nil {
		return t.heardOf(p, t.now())
	}
	return time.Time{}
}

// heardOf is called with the table's lock held, as all below are.
func (t *Table) heardOf(p *presence, now time.Time) time.Time {
	if p.open > 0 {
		return now
	}
	if alive := t.replicas[p.at]; p.at != t.self && alive.After(p.last) {
		return alive
	}
	return p.last
}

// touch notes that an agent is heard of now; true when it had been silent long enough for somebody to have noticed. One that has not
// reported here gets a row without a report, which gives way to any.
func (t *Table) touch(datacenter, agent string, now time.Time) (*presence, bool) {
	p, known := t.presence(datacenter, agent)
	news := !known || p.silent || now.Sub(t.heardOf(p, now)) > 2*heardEvery
	p.silent = false
	if now.After(p.last) {
		p.last = now
	}
	if p.open == 0 {
		t.moved[p] = true
	}
	return p, news
}

// presence finds or makes an agent's; known tells that there was one.
func (t *Table) presence(datacenter, agent string) (_ *presence, known bool) {
	k := key{datacenter, agent}
	if p := t.agents[k]; p != nil {
		return p, true
	}
	p := &presence{datacenter: datacenter, agent: agent}
	t.agents[k] = p
	t.mayFallSilent(p)
	row := key{datacenter, AgentPart(agent)}
	if _, ok := t.rows[row]; !ok {
		t.rows[row] = Seen{Datacenter: datacenter, Part: row.part, Agent: agent}
	}
	return p, false
}

// hush tells subscribers of the agents that have just been silent for long enough to count as gone, and of those that are heard of again
// because their replica is. They are looked through when the first of them may be.
func (t *Table) hush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.looked = now
	if until := t.quietUntil.Sub(now); until > 0 && until <= resource.Silence { // more, when the clock was set back
		return
	}
	t.quietUntil = now.Add(resource.Silence)
	for _, p := range t.agents {
		silent := p.open == 0 && now.Sub(t.heardOf(p, now)) > resource.Silence
		if silent != p.silent {
			p.silent = silent
			t.notify(p.datacenter)
		}
		if !silent {
			t.mayFallSilent(p)
		}
	}
}

// mayFallSilent has hush look in time at an agent of which no call waits here any more, or that is somewhere else than before.
func (t *Table) mayFallSilent(p *presence) {
	if p.open > 0 {
		return
	}
	if by := t.heardOf(p, p.last).Add(resource.Silence); by.Before(t.quietUntil) {
		t.quietUntil = by
	}
}

// moves are the rows of agents that are present here and were not, or that were and are no more, and this replica's heartbeat.
func (t *Table) moves() ([]store.Observation, error) {
	now := t.now()
	var rows []store.Observation
	for p := range t.moved {
		at := ""
		switch {
		case t.agents[key{p.datacenter, p.agent}] != p, p.open > 0 && p.at == t.self, p.open == 0 && p.at != "" && p.at != t.self:
			// It was forgotten, the store has it, or it is somewhere else.
			delete(t.moved, p)
			continue
		case p.open > 0:
			at = t.self
		case now.Sub(p.last) <= goneAfter, p.at == t.self && now.Sub(t.opened) <= resource.Silence:
			// It may come again, or come back to this server, which was away itself.
			continue
		}
		s, err := newSaid(key{p.datacenter, PresencePart(p.agent)}, p.agent, wrapperspb.String(at), now)
		if err != nil {
			return nil, err
		}
		s.Heard = t.heardOf(p, now)
		rows = append(rows, encode(s.Seen, s.body))
		p.at = at
		delete(t.moved, p)
	}
	if t.shared || t.here() {
		s, err := newSaid(key{"", replicaPrefix + t.self}, t.self, wrapperspb.String(t.self), now)
		if err != nil {
			return nil, err
		}
		rows = append(rows, encode(s.Seen, s.body))
	}
	return rows, nil
}

// sayAgain has the store be told again where everybody is present.
func (t *Table) sayAgain() {
	for _, p := range t.agents {
		t.moved[p] = true
		if p.at == t.self {
			p.at = ""
		}
	}
}

// accompanied tells whether another replica seems to be at work.
func (t *Table) accompanied(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.company.IsZero() && now.Sub(t.company) <= companyFor
}

// here tells whether this replica's heartbeat stands for anybody.
func (t *Table) here() bool {
	for _, p := range t.agents {
		if p.open > 0 {
			return true
		}
	}
	return false
}

// learnPresence takes in a row of the store about who is where; false for another row.
func (t *Table) learnPresence(o store.Observation) bool {
	if replica, ok := strings.CutPrefix(o.Part, replicaPrefix); ok && o.Datacenter == "" {
		if !o.HeardTime.After(t.beats[replica]) {
			return true
		}
		t.beats[replica] = o.HeardTime
		alive := o.HeardTime
		if now := t.now(); alive.After(now) {
			alive = now // by another clock
		}
		if alive.After(t.replicas[replica]) {
			if now := t.now(); replica != t.self && now.Sub(alive) <= forgetCompany {
				t.company = now
			}
			t.replicas[replica] = alive
			t.quietUntil = time.Time{} // those that are present there may be heard of again
		}
		return true
	}
	agent, ok := strings.CutPrefix(o.Part, presencePrefix)
	if !ok {
		return false
	}
	var at wrapperspb.StringValue
	if err := decodeBody(o, &at); err != nil {
		t.log.Error("skipped what cannot be read", "error", err)
		return true
	}
	p, known := t.presence(o.Datacenter, agent)
	p.at = at.GetValue()
	t.heardAt(p, o.HeardTime)
	if !known {
		t.notify(o.Datacenter)
	}
	if p.open > 0 && p.at != t.self {
		t.moved[p] = true
	}
	return true
}

// heardAt notes a time out of the store, which may be in the future of this replica's clock.
func (t *Table) heardAt(p *presence, at time.Time) {
	now := t.now()
	if at.After(now) {
		at = now
	}
	if at.After(p.last) {
		p.last = at
	}
	if p.silent && now.Sub(t.heardOf(p, now)) <= resource.Silence {
		p.silent = false
		t.notify(p.datacenter)
	}
	t.mayFallSilent(p)
}

// returned looks once, when the table was read for the first time, at who was present at the server before this one in the same place: it
// was heard of as long as that one was.
func (t *Table) returned() {
	for _, p := range t.agents {
		if p.at == t.self {
			t.moved[p] = true
			if alive := t.replicas[t.self]; alive.After(p.last) {
				p.last = alive
			}
		}
	}
}

// goneReplicas are those whose heartbeats nobody needs any more.
func (t *Table) goneReplicas() []string {
	var out []string
	for replica, alive := range t.replicas {
		if replica != t.self && t.now().Sub(alive) > forgetReplica {
			out = append(out, replica)
		}
	}
	return out
}
