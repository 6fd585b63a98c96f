package agent

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/go-hclog"

	"isthmus/agent/consul"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Export is one service offered to one peer, for tests of the merge.
type Export = export

// MergeExports is the pure merge of the exported-services entry.
func MergeExports(e consul.Entry, want map[Export]bool, correct bool) (next consul.Entry, write, remove bool, err error) {
	r, err := mergeExports(e, exportsWish{want: want, correct: correct})
	return r.entry, r.write, r.remove, err
}

// MergeMesh is the pure merge of the mesh entry.
func MergeMesh(e consul.Entry, want *bool, correct bool) (next consul.Entry, write, remove bool, err error) {
	r, err := mergeMesh(e, want, correct)
	return r.entry, r.write, r.remove, err
}

// ReadOwnership and WriteOwnership are how the entry says what isthmus wrote.
func ReadOwnership(meta map[string]string) map[Export]bool { return readOwnership(meta) }

// WriteOwnership is the other way.
func WriteOwnership(meta map[string]string, owned map[Export]bool) error {
	return writeOwnership(meta, owned)
}

// Memory is the desired state on disk.
type Memory struct{ m *memory }

// OpenMemory reads it.
func OpenMemory(dir string) *Memory { return &Memory{openMemory(dir, hclog.NewNullLogger())} }

// Receive takes an answer of the server.
func (m *Memory) Receive(answer *isthmusv1.PullResponse, datacenter string) (bool, error) {
	return m.m.receive(answer, datacenter)
}

// Current is the state to work by, its digest, and the removals held back.
func (m *Memory) Current() (state *isthmusv1.DesiredState, digest string, held int) {
	state, from, held := m.m.current()
	return state, from.Digest, held
}

// Newest is what the next pull says.
func (m *Memory) Newest() (epoch string, minIndex uint64, digest string) { return m.m.newest() }

// Worker is the part of an agent that leads, follows and paces itself, without a Consul.
type Worker struct{ w *worker }

// NewWorker makes one that sends its reports to send.
func NewWorker(now func() time.Time, send func(context.Context, *isthmusv1.ReportRequest) error) *Worker {
	a := &Agent{tether: tether{config: Config{Now: now}, log: hclog.NewNullLogger()}}
	a.reporter = newReporter(send, a.log)
	a.worker = newWorker(a)
	return &Worker{a.worker}
}

// Leading and HeldUp are what a campaign tells.
func (w *Worker) Leading(ctx context.Context, leads bool) { w.w.setLeading(ctx, leads) }

// HeldUp tells why the lock cannot be had.
func (w *Worker) HeldUp(err error) { w.w.heldUp(err) }

// Held is why the agent cannot act.
func (w *Worker) Held() error {
	w.w.mu.Lock()
	defer w.w.mu.Unlock()
	return w.w.held
}

// Term is the leadership of now.
func (w *Worker) Term() context.Context { return w.w.term() }

// Say reports what a term saw.
func (w *Worker) Say(term context.Context, r *isthmusv1.ReportRequest) bool { return w.w.say(term, r) }

// Flush sends what is news.
func (w *Worker) Flush(ctx context.Context) error { return w.w.agent.reporter.flush(ctx) }

// Next is the pause after a pass.
func (w *Worker) Next(p Pace) time.Duration { return w.w.next(p) }

// Pace is what a pass left behind.
type Pace = pace

// The paces.
const (
	AtRest   = atRest
	UnderWay = underWay
	Moved    = moved
)

// FromServer is how an RPC's failure becomes a fault.
func FromServer(err, refused error, doing string) error { return fromServer(err, refused, doing) }

// AdvanceRead and AdvanceProbe are what a report says after one more try.
func AdvanceRead(before *isthmusv1.ObservedRead, ok bool, reason string, now time.Time) *isthmusv1.ObservedRead {
	return advanceRead(before, "dc2", outcome{ok: ok, reason: reason}, now)
}

// AdvanceProbe is the same for a probe.
func AdvanceProbe(before *isthmusv1.ObservedProbe, ok bool, latency time.Duration, reason string, now time.Time) *isthmusv1.ObservedProbe {
	return advanceProbe(before, target{datacenter: "dc2", address: "192.0.2.1:8443"}, outcome{ok: ok, latency: latency, reason: reason}, now)
}

// Steady is a latency in a report.
func Steady(before int32, latency time.Duration) int32 { return steady(before, latency) }

// PauseAfter is how long a target rests that was asked for, and became what it is, so long ago.
func PauseAfter(ok, costly bool, began, since time.Duration) time.Duration {
	now := time.Now()
	l := &proofLoop{target: target{costly: costly}, began: now.Add(-began)}
	return pauseAfter(l, outcome{ok: ok}, now.Add(-since), now)
}

// Certificates is what the certificates of a Consul's servers have in common.
func Certificates(ctx context.Context, r *Prover, datacenter, domain string) (names []string, expires time.Time) {
	c := r.r.prover.lookAtCertificates(ctx, datacenter, domain)
	return c.names, c.expires
}

// Prover is the part of an agent that proves things.
type Prover struct{ r *reconciler }

// NewProver makes one for a Consul; changed is called when something is news.
func NewProver(a *Agent, changed func()) *Prover {
	r := &reconciler{consul: a.consul, now: a.config.Now, log: a.log}
	r.prover.changed = changed
	return &Prover{r}
}

// Proof is one pass.
func (p *Prover) Proof(ctx context.Context, state *isthmusv1.DesiredState, self consul.Self) (*isthmusv1.FederationReport, error) {
	return p.r.proof(ctx, state, self)
}

// Wait waits for all that goes on in the background.
func (p *Prover) Wait() { p.r.prover.wait() }

// Rights are the rules that a client's token lacks for a desired state.
func Rights(ctx context.Context, c *consul.Client, federation FederationConfig, state *isthmusv1.DesiredState, self consul.Self) *isthmusv1.RightsReport {
	r := &reconciler{consul: c, federation: federation}
	return r.rights(ctx, state, self)
}

// Merged is what a merge of one entry came to.
type Merged struct {
	Entry         consul.Entry
	Write, Remove bool
	// States, Found and Drifts are by the parts' keys; Found and Drifts are JSON.
	States, Found map[string]string
	Drifts        map[string]string
	Written       map[string]any
}

// MergeParts is the pure merge of an entry that policies compile to; before is what an earlier one wrote.
func MergeParts(e consul.Entry, want *isthmusv1.ConfigEntry, before map[string]any, correct bool) (Merged, error) {
	w := wishOfEntry(want, true)
	if w.err != nil {
		return Merged{}, w.err
	}
	m, err := mergeParts(e, w, before, correct)
	out := Merged{
		Entry: m.entry, Write: m.write, Remove: m.remove, States: map[string]string{}, Found: map[string]string{}, Drifts: map[string]string{}, Written: m.written,
	}
	for _, s := range m.states {
		out.States[s.key], out.Found[s.key] = s.state, shown(s.found)
	}
	for _, d := range m.drifts {
		out.Drifts[d.key] = shown(d.found)
	}
	return out, err
}

// Mender is the part of an agent that keeps config entries.
type Mender struct {
	m *mender
	r *reconciler
}

// NewMender makes one for a Consul.
func NewMender(c *consul.Client) *Mender {
	log := hclog.NewNullLogger()
	return newMenderIn("", c, log)
}

// NewMenderIn makes one that keeps what it wrote in a file.
func NewMenderIn(path string, c *consul.Client) *Mender {
	return newMenderIn(path, c, hclog.NewNullLogger())
}

func newMenderIn(path string, c *consul.Client, log hclog.Logger) *Mender {
	k := openKept(path, log)
	return &Mender{newMender(c, k, time.Now, log), &reconciler{consul: c, now: time.Now, log: log, exports: exportDesk{kept: k}}}
}

// Follow is what an agent does that does not lead.
func (m *Mender) Follow(ctx context.Context, state *isthmusv1.DesiredState) {
	m.m.follow(ctx, func() *isthmusv1.DesiredState { return state })
}

// Mend makes all config entries what the state says.
func (m *Mender) Mend(ctx context.Context, state *isthmusv1.DesiredState) (*isthmusv1.PolicyReport, *isthmusv1.ExportsReport, error) {
	newest := func() *isthmusv1.DesiredState { return state }
	self, err := m.m.consul.Self(ctx)
	if err != nil {
		return nil, nil, err
	}
	errMesh := m.r.reconcileMesh(ctx, newest, self)
	for _, kind := range policyKinds() {
		if _, err := m.m.shelf.refresh(ctx, kind); err != nil { // which watches do otherwise
			return nil, nil, err
		}
	}
	policies := m.m.mend(ctx, newest, self)
	exports := m.r.reconcileExports(ctx, newest, self)
	err = errors.Join(errMesh, m.r.reconcileProxyDefaults(ctx, newest))
	return m.r.settings.tell(policies), exports, err
}

// SetClock gives it another clock.
func (m *Mender) SetClock(now func() time.Time) { m.m.now, m.r.now = now, now }

// AllowAdopt is the flag of that name.
func (m *Mender) AllowAdopt(allow bool) { m.m.allowAdopt, m.r.exports.allowAdopt = allow, allow }

// MendAs is Mend of the entries of policies alone, in a Consul that is said to be self.
func (m *Mender) MendAs(ctx context.Context, state *isthmusv1.DesiredState, self consul.Self) *isthmusv1.PolicyReport {
	return m.m.mend(ctx, func() *isthmusv1.DesiredState { return state }, self)
}

// Census is what a Consul's entries say.
func (m *Mender) Census(ctx context.Context) *isthmusv1.EntriesReport {
	return (&census{shelf: m.m.shelf, now: time.Now}).take(ctx)
}

// ForeignDigest is of what an entry has without isthmus's part.
func ForeignDigest(e consul.Entry) string { return foreignDigest(e) }

// Soonest is the earlier of two times, of which the zero time is none.
func Soonest(a, b time.Time) time.Time { return soonest(a, b) }

// Settings merges the settings that isthmus has in entries of others, by the newest state.
func (m *Mender) Settings(ctx context.Context, newest func() *isthmusv1.DesiredState) error {
	return errors.Join(m.r.setMesh(ctx, newest, func(consul.Entry) {}), m.r.reconcileProxyDefaults(ctx, newest))
}
