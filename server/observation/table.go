package observation

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/store"
)

const (
	// pollEvery is how often what other replicas were told is read, if there are any, and is looked who has been silent for long enough.
	pollEvery = time.Second
	// heardEvery is how often this replica's heartbeat is written, with who came and went. Liveness is judged at 30 s, so a few seconds late
	// is early enough.
	heardEvery = 5 * time.Second
	// alone is the name of a server that is the only one of its store: after a restart it is the same one.
	alone = "server"
	// overlap is how far back a poll reads beyond the last one: replicas' clocks differ.
	overlap = 30 * time.Second
)

type key struct{ datacenter, part string }

// Table is the last report of every part of every datacenter.
type Table struct {
	observatory store.Observatory
	now         func() time.Time
	log         hclog.Logger
	// shared: other replicas write to the same store. self is this one's name there, opened since when it is.
	shared bool
	self   string
	opened time.Time

	// storing is held by whoever writes to the store or takes in what is there, so that nothing comes back that was
	// forgotten meanwhile. It is taken before mu.
	storing sync.Mutex

	// mu is held for moments: what agents sent is put into its form, which may fail, before.
	mu   sync.Mutex
	rows map[key]Seen
	// dirty reports are not in the store yet, writing ones are on their way; waiting are those who wait until they are there.
	dirty, writing map[key]said
	waiting        []chan error
	// agents are by datacenter and agent; moved are those whose presence the store may not know. replicas are the heartbeats of all.
	agents   map[key]*presence
	moved    map[*presence]bool
	replicas map[string]time.Time
	// beats are the replicas' last heartbeats by their own clocks.
	beats map[string]time.Time
	// company is when another replica's heartbeat was learned last.
	company time.Time
	// looked is when was last looked who is silent; before quietUntil nobody can be who was not.
	looked, quietUntil time.Time
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
		observatory: o, now: now, log: log, shared: shared, self: alone, opened: now(),
		rows: map[key]Seen{}, dirty: map[key]said{}, clocks: map[key]*clock{},
		agents: map[key]*presence{}, moved: map[*presence]bool{}, replicas: map[string]time.Time{}, beats: map[string]time.Time{},
		subscribers: map[*Subscription]bool{}, wake: make(chan struct{}, 1),
	}
	if shared {
		t.self = uuid.NewString()
	}
	everything := func(ctx context.Context) ([]store.Observation, error) { return o.Observations(ctx, time.Time{}) }
	if err := t.load(ctx, everything); err != nil {
		return nil, err
	}
	t.returned()
	for _, replica := range t.goneReplicas() {
		if err := o.Forget(ctx, "", replicaPrefix+replica); err != nil {
			return nil, err
		}
		delete(t.replicas, replica)
		delete(t.beats, replica)
	}
	return t, nil
}

// Get is the last report of a part of a datacenter.
func (t *Table) Get(datacenter, part string) (Seen, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.rows[key{datacenter, part}]
	if agent, own := strings.CutPrefix(part, agentPrefix); own && ok {
		if p := t.agents[key{datacenter, agent}]; p != nil {
			s.Heard = t.heardOf(p, t.now())
		}
	}
	return s, ok
}

// Knows tells whether there is a report of a datacenter as a whole, which nobody need have asked for.
func (t *Table) Knows(datacenter string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, part := range [...]string{PartInventory, PartServices, PartPeerings, PartExports, PartFederation, PartPolicy, PartEntries, PartRights} {
		if _, ok := t.rows[key{datacenter, part}]; ok {
			return true
		}
	}
	return false
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
	_, changed := t.touch(datacenter, agent, now)
	stored := true
	for _, s := range news {
		k := key{datacenter, s.Part}
		if old, ok := t.rows[k]; ok && old.Digest == s.Digest && old.Agent == s.Agent {
			_, waits := t.dirty[k]
			_, goes := t.writing[k]
			stored = stored && !waits && !goes
			continue
		}
		t.rows[k] = s.Seen
		t.dirty[k] = s
		changed, stored = true, false
	}
	if changed {
		t.notify(datacenter)
	}
	if stored {
		return nil
	}
	done := make(chan error, 1)
	t.waiting = append(t.waiting, done)
	return done
}

// Run writes and polls until ctx ends; then it writes what is left.
func (t *Table) Run(ctx context.Context) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	heard := time.NewTicker(heardEvery)
	defer heard.Stop()
	if t.shared {
		t.flush(ctx, true) // others learn that it is there
	}
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
		case <-tick.C:
			t.hush()
			if t.shared {
				last = t.poll(ctx, last)
			}
		}
	}
}

// poll reads what other replicas were told since a time, and gives the time since when it is to be read next. As long as there seems to be no
// other replica, all there is to read is this one's own, which may be the whole of a large fleet: then it is looked for their heartbeats alone.
func (t *Table) poll(ctx context.Context, last time.Time) time.Time {
	start := t.now()
	var err error
	if !t.accompanied(start) {
		err = t.load(ctx, func(ctx context.Context) ([]store.Observation, error) { return t.observatory.ObservationsOf(ctx, "") })
	}
	if err == nil && t.accompanied(start) {
		err = t.load(ctx, func(ctx context.Context) ([]store.Observation, error) {
			return t.observatory.Observations(ctx, last.Add(-overlap))
		})
		if err == nil {
			return start
		}
	}
	if err != nil {
		t.log.Warn("cannot read what other replicas were told", "error", err)
	}
	return last
}

// flush writes the reports that wait, and with presence also who came and went.
func (t *Table) flush(ctx context.Context, presence bool) {
	t.storing.Lock()
	defer t.storing.Unlock()
	waiting, rows := t.unwritten(presence)
	var err error
	if len(rows) > 0 {
		err = t.observatory.Observe(ctx, rows)
	}
	if err != nil {
		t.log.Warn("cannot store what agents reported", "error", err, "reports", len(rows))
	}
	t.wrote(err)
	// Who waits for a report that was forgotten meanwhile hears of it, too.
	for _, done := range waiting {
		done <- err
	}
}

// unwritten takes out what the store does not have.
func (t *Table) unwritten(presence bool) (waiting []chan error, rows []store.Observation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	waiting = t.waiting
	t.writing, t.dirty, t.waiting = t.dirty, map[key]said{}, nil
	for _, s := range t.writing {
		rows = append(rows, encode(s.Seen, s.body))
	}
	if !presence {
		return waiting, rows
	}
	moves, err := t.moves()
	if err != nil {
		t.log.Error("cannot tell who is present", "error", err)
	}
	return waiting, append(rows, moves...)
}

// wrote puts back what could not be written, where nothing newer was said since.
func (t *Table) wrote(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	writing := t.writing
	t.writing = nil
	if err == nil {
		return
	}
	for k, s := range writing {
		if _, newer := t.dirty[k]; !newer {
			t.dirty[k] = s
		}
	}
	t.sayAgain()
}

// lost has all be said again that the store was told: it may lack it, being another history. Agents are asked for their reports when they ask for their
// state, which they do of another epoch at once.
func (t *Table) lost() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sayAgain()
	for k, s := range t.rows {
		s.Digest = ""
		t.rows[k] = s
	}
}

// load takes in what is read of the store. What is not dirty here is as the store has it: the last that any replica
// was told, by no clock.
func (t *Table) load(ctx context.Context, read func(ctx context.Context) ([]store.Observation, error)) error {
	t.storing.Lock()
	defer t.storing.Unlock()
	rows, err := read(ctx)
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
	if t.learnPresence(o) {
		return
	}
	if agent, own := strings.CutPrefix(o.Part, agentPrefix); own {
		p, _ := t.presence(o.Datacenter, agent)
		t.heardAt(p, o.HeardTime)
	}
	k := key{o.Datacenter, o.Part}
	old, known := t.rows[k]
	_, newer := t.dirty[k]
	if _, goes := t.writing[k]; newer || goes || known && old.Digest == o.Digest && old.Agent == o.Agent {
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
	t.rows[k] = s
	t.notify(o.Datacenter)
}

func (t *Table) poke() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}
