package agent

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"

	"isthmus/agent/consul"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Export is one service offered to one peer, for tests of the merge.
type Export = export

// MergeExports is the pure merge of the exported-services entry.
func MergeExports(e consul.Entry, want map[Export]bool, correct bool) (next consul.Entry, write, remove bool, err error) {
	r, err := mergeExports(e, want, correct)
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
	a := &Agent{config: Config{Now: now}, log: hclog.NewNullLogger()}
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
