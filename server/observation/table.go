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

	mu   sync.Mutex
	rows map[key]Seen
	// dirty rows are not in the store yet; waiting are those who wait until they are.
	dirty   map[key]bool
	waiting []chan error
	// heard rows have a heartbeat that is not in the store yet.
	heard map[key]bool
	// subscribers hear of each datacenter that something new is known of.
	subscribers map[*Subscription]bool
	wake        chan struct{}
}

// Open reads what the store has. shared tells that other replicas write to it too.
func Open(ctx context.Context, o store.Observatory, shared bool, now func() time.Time, log hclog.Logger) (*Table, error) {
	t := &Table{
		observatory: o, now: now, log: log, shared: shared,
		rows: map[key]Seen{}, dirty: map[key]bool{}, heard: map[key]bool{},
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

// Report takes in what an agent says and returns when the store has it: the agent will not say it again.
func (t *Table) Report(ctx context.Context, datacenter, agent string, r *isthmusv1.ReportRequest) error {
	now := t.now()
	t.mu.Lock()
	changed := t.touch(datacenter, agent, now)
	var done chan error
	for _, s := range parts(datacenter, agent, r, now) {
		k := key{datacenter, s.Part}
		if old, ok := t.rows[k]; ok && old.Digest == s.Digest && old.Agent == s.Agent {
			continue
		}
		t.rows[k] = s
		t.dirty[k] = true
		changed = true
	}
	if len(t.dirty) > 0 {
		done = make(chan error, 1)
		t.waiting = append(t.waiting, done)
	}
	if changed {
		t.notify(datacenter)
	}
	t.mu.Unlock()
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

// Heard notes that an agent is there.
func (t *Table) Heard(datacenter, agent string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.touch(datacenter, agent, t.now()) {
		t.notify(datacenter)
	}
}

// touch moves an agent's heartbeat on; true when it had been silent long enough for somebody to have noticed.
func (t *Table) touch(datacenter, agent string, now time.Time) bool {
	k := key{datacenter, AgentPart(agent)}
	row, known := t.rows[k]
	silent := !known || now.Sub(row.Heard) > 2*heardEvery
	row.Datacenter, row.Part, row.Agent = datacenter, k.part, agent
	if row.Received.IsZero() {
		row.Received = now
	}
	if now.After(row.Heard) {
		row.Heard = now
	}
	t.rows[k] = row
	t.heard[k] = true
	return silent
}

// Forget drops everything that one agent said of itself, or a whole datacenter's reports when part is empty.
func (t *Table) Forget(ctx context.Context, datacenter, part string) error {
	t.mu.Lock()
	for k := range t.rows {
		if k.datacenter == datacenter && (part == "" || k.part == part) {
			delete(t.rows, k)
			delete(t.dirty, k)
			delete(t.heard, k)
		}
	}
	t.notify(datacenter)
	t.mu.Unlock()
	return t.observatory.Forget(ctx, datacenter, part)
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
	t.mu.Lock()
	waiting, dirty := t.waiting, t.dirty
	t.waiting, t.dirty = nil, map[key]bool{}
	batch := make([]Seen, 0, len(dirty)+len(t.heard))
	for k := range dirty {
		batch = append(batch, t.rows[k])
	}
	if heartbeats {
		for k := range t.heard {
			if !dirty[k] {
				row := t.rows[k]
				batch = append(batch, Seen{
					Datacenter: row.Datacenter, Part: row.Part, Agent: row.Agent, Digest: row.Digest,
					Received: row.Received, Heard: row.Heard,
				})
			}
		}
		t.heard = map[key]bool{}
	}
	t.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	err := t.observe(ctx, batch)
	if err != nil {
		t.log.Warn("cannot store what agents reported", "error", err, "reports", len(batch))
		t.mu.Lock()
		for k := range dirty {
			t.dirty[k] = true
		}
		t.mu.Unlock()
	}
	for _, done := range waiting {
		done <- err
	}
}

func (t *Table) observe(ctx context.Context, batch []Seen) error {
	rows := make([]store.Observation, 0, len(batch))
	for _, s := range batch {
		row, err := encode(s)
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	return t.observatory.Observe(ctx, rows)
}

// load takes in what the store has since a time, where it is newer than what is known.
func (t *Table) load(ctx context.Context, since time.Time) error {
	rows, err := t.observatory.Observations(ctx, since)
	if err != nil {
		return fault.Wrap(fault.CodeOf(err), err, "reading what agents reported")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, o := range rows {
		k := key{o.Datacenter, o.Part}
		old, known := t.rows[k]
		if known && old.Digest == o.Digest && old.Agent == o.Agent || known && old.Received.After(o.ReceiveTime) {
			if o.HeardTime.After(old.Heard) {
				old.Heard = o.HeardTime
				t.rows[k] = old
			}
			continue
		}
		s, ok, err := decode(o)
		if err != nil {
			t.log.Error("skipped a report that cannot be read", "error", err)
			continue
		}
		if ok {
			t.rows[k] = s
			t.notify(o.Datacenter)
		}
	}
	return nil
}

func (t *Table) poke() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}
