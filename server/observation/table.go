package observation

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/store"
)

const (
	// pollEvery is how often what other replicas were told is read.
	pollEvery = time.Second
	// heardEvery is how often heartbeats are written. Liveness is judged at 30 s, so a few seconds late is early enough.
	heardEvery = 5 * time.Second
	// overlap is how far back a poll reads beyond the last one: replicas' clocks differ.
	overlap = 30 * time.Second
)

type key struct{ datacenter, part string }

// Table is the last report of every part of every datacenter.
type Table struct {
	observatory store.Observatory
	now         func() time.Time
	log         hclog.Logger
	// shared: other replicas write to the same store.
	shared bool

	// storing is held by whoever writes to the store or takes in what is there, so that nothing comes back that was
	// forgotten meanwhile. It is taken before mu.
	storing sync.Mutex

	// mu is held for moments: what agents sent is put into its form, which may fail, before.
	mu   sync.Mutex
	rows map[key]Seen
	// dirty reports are not in the store yet; waiting are those who wait until they are.
	dirty   map[key]said
	waiting []chan error
	// heard rows have a heartbeat that is not in the store yet.
	heard map[key]bool
	// clocks are the last looks at each agent's clock, by its ClockPart.
	clocks map[key]*clock
	// subscribers hear of each datacenter that something new is known of.
	subscribers map[*Subscription]bool
	reported    uint64
	wake        chan struct{}
}

// Open reads what the store has. shared tells that other replicas write to it too.
func Open(ctx context.Context, o store.Observatory, shared bool, now func() time.Time, log hclog.Logger) (*Table, error) {
	t := &Table{
		observatory: o, now: now, log: log, shared: shared,
		rows: map[key]Seen{}, dirty: map[key]said{}, heard: map[key]bool{}, clocks: map[key]*clock{},
		subscribers: map[*Subscription]bool{}, wake: make(chan struct{}, 1),
	}
	if err := t.load(ctx, time.Time{}); err != nil {
		return nil, err
	}
	return t, nil
}

// Get is the last report of a part of a datacenter.
func (t *Table) Get(datacenter, part string) (Seen, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.rows[key{datacenter, part}]
	return s, ok
}

// HeardOf is when an agent was last heard of; the zero time when it never was.
func (t *Table) HeardOf(datacenter, agent string) time.Time {
	s, _ := t.Get(datacenter, AgentPart(agent))
	return s.Heard
}

// Report takes in what an agent says and returns when the store has it: the agent will not say it again. Invalid: it
// cannot be stored.
func (t *Table) Report(ctx context.Context, datacenter, agent string, r *isthmusv1.ReportRequest) error {
	now := t.now()
	news, err := parts(datacenter, agent, r, now)
	if err != nil {
		return err
	}
	skew, err := t.skew(datacenter, agent, r.GetClock(), now)
	if err != nil {
		return err
	}
	done := t.take(datacenter, agent, append(news, skew...), now)
	if done == nil {
		return nil
	}
	t.poke()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// take enters what an agent said, and gives what to wait for; nil when the store has it all.
func (t *Table) take(datacenter, agent string, news []said, now time.Time) <-chan error {
	t.mu.Lock()
	defer t.mu.Unlock()
	changed := t.touch(datacenter, agent, now)
	for _, s := range news {
		k := key{datacenter, s.Part}
		if old, ok := t.rows[k]; ok && old.Digest == s.Digest && old.Agent == s.Agent {
			continue
		}
		t.rows[k] = s.Seen
		t.dirty[k] = s
		changed = true
	}
	if changed {
		t.notify(datacenter)
	}
	if len(t.dirty) == 0 {
		return nil
	}
	done := make(chan error, 1)
	t.waiting = append(t.waiting, done)
	return done
}

// Heard notes that an agent is there.
func (t *Table) Heard(datacenter, agent string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.touch(datacenter, agent, t.now()) {
		t.notify(datacenter)
	}
}

// touch moves an agent's heartbeat on; true when it had been silent long enough for somebody to have noticed. Of one that
// has not reported here it makes a row without a report, which gives way to any.
func (t *Table) touch(datacenter, agent string, now time.Time) bool {
	k := key{datacenter, AgentPart(agent)}
	row, known := t.rows[k]
	silent := !known || now.Sub(row.Heard) > 2*heardEvery
	row.Datacenter, row.Part, row.Agent = datacenter, k.part, agent
	if now.After(row.Heard) {
		row.Heard = now
	}
	t.rows[k] = row
	t.heard[k] = true
	return silent
}

// Run writes and polls until ctx ends; then it writes what is left.
func (t *Table) Run(ctx context.Context) error {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	heard := time.NewTicker(heardEvery)
	defer heard.Stop()
	last := t.now()
	for {
		select {
		case <-ctx.Done():
			// A new context: the old one is over, and what agents said must not be lost with it.
			final, cancel := context.WithTimeout(context.WithoutCancel(ctx), heardEvery)
			defer cancel()
			t.flush(final, true)
			return nil
		case <-t.wake:
			t.flush(ctx, false)
		case <-heard.C:
			t.flush(ctx, true)
		case <-poll.C:
			if !t.shared {
				continue
			}
			start := t.now()
			if err := t.load(ctx, last.Add(-overlap)); err != nil {
				t.log.Warn("cannot read what other replicas were told", "error", err)
				continue
			}
			last = start
		}
	}
}

// flush writes the reports that wait, and with heartbeats also when agents were heard of.
func (t *Table) flush(ctx context.Context, heartbeats bool) {
	t.storing.Lock()
	defer t.storing.Unlock()
	dirty, waiting, rows := t.unwritten(heartbeats)
	var err error
	if len(rows) > 0 {
		err = t.observatory.Observe(ctx, rows)
	}
	if err != nil {
		t.log.Warn("cannot store what agents reported", "error", err, "reports", len(rows))
		t.again(dirty)
	}
	// Who waits for a report that was forgotten meanwhile hears of it, too.
	for _, done := range waiting {
		done <- err
	}
}

// unwritten takes out what the store does not have.
func (t *Table) unwritten(heartbeats bool) (dirty map[key]said, waiting []chan error, rows []store.Observation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	dirty, waiting = t.dirty, t.waiting
	t.dirty, t.waiting = map[key]said{}, nil
	for k, s := range dirty {
		s.Heard = t.rows[k].Heard
		rows = append(rows, encode(s.Seen, s.body))
	}
	if !heartbeats {
		return dirty, waiting, rows
	}
	for k := range t.heard {
		if _, whole := dirty[k]; !whole {
			rows = append(rows, encode(t.rows[k], nil))
		}
	}
	t.heard = map[key]bool{}
	return dirty, waiting, rows
}

// again puts back what could not be written, where nothing newer was said since.
func (t *Table) again(dirty map[key]said) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, s := range dirty {
		if _, newer := t.dirty[k]; !newer {
			t.dirty[k] = s
		}
	}
}

// load takes in what the store has since a time. What is not dirty here is as the store has it: the last that any replica
// was told, by no clock.
func (t *Table) load(ctx context.Context, since time.Time) error {
	t.storing.Lock()
	defer t.storing.Unlock()
	rows, err := t.observatory.Observations(ctx, since)
	if err != nil {
		return fault.Wrap(fault.CodeOf(err), err, "reading what agents reported")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, o := range rows {
		t.learn(o)
	}
	return nil
}

// learn takes in one row of the store.
func (t *Table) learn(o store.Observation) {
	k := key{o.Datacenter, o.Part}
	old, known := t.rows[k]
	_, newer := t.dirty[k]
	if newer || known && old.Digest == o.Digest && old.Agent == o.Agent {
		if o.HeardTime.After(old.Heard) {
			old.Heard = o.HeardTime
			t.rows[k] = old
		}
		return
	}
	s, ok, err := decode(o)
	if err != nil {
		t.log.Error("skipped a report that cannot be read", "error", err)
		return
	}
	if !ok {
		return
	}
	if old.Agent == s.Agent && old.Heard.After(s.Heard) {
		s.Heard = old.Heard
	}
	t.rows[k] = s
	t.notify(o.Datacenter)
}

func (t *Table) poke() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}
