package agent

import (
	"context"
	"path/filepath"

	"isthmus/agent/consul"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// campaign is this agent's try to lead its datacenter, once it knows that the Consul is the right one.
type campaign struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// session is kept on disk, so that an agent that comes back does not wait for its own lock to expire.
type session struct {
	ID string `json:"id"`
}

// startCampaign makes sure that the agent campaigns.
func (w *worker) startCampaign(ctx context.Context) {
	if w.campaign != nil {
		return
	}
	a := w.agent
	path := filepath.Join(a.config.DataDir, fileSession)
	var former session
	if err := readJSON(path, &former); err != nil && fault.CodeOf(err) != fault.NotFound {
		a.log.Warn("the former session cannot be read; its lock expires by itself", "error", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &campaign{cancel: cancel, done: make(chan struct{})}
	w.campaign = c
	go func() {
		defer close(c.done)
		a.consul.Campaign(ctx, consul.Election{
			Key: lockKey, Holder: a.self.name(), Former: former.ID,
			Remember: func(id string) error { return writeJSON(path, session{ID: id}) },
			Leading:  func(leads bool) { w.setLeading(ctx, leads) },
			Failed:   w.heldUp,
			Now:      w.now,
		})
	}()
}

func (w *worker) stopCampaign() {
	if w.campaign == nil {
		return
	}
	w.campaign.cancel()
	<-w.campaign.done
	w.campaign = nil
}

// term is the context of the leadership; nil when somebody else leads.
func (w *worker) term() context.Context {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.leading
}

// decided tells whether it is known if this agent leads. Before, a host does not restart: a primary's leader has to serve others first.
func (w *worker) decided() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.elected || w.held != nil
}

func (w *worker) resignation() func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.resign == nil {
		return func() {}
	}
	return w.resign
}

// setLeading is told how each try for the lock went. Of one that failed heldUp tells after it; any other means that nothing
// holds the campaign up any more, whoever leads.
func (w *worker) setLeading(ctx context.Context, leads bool) {
	w.mu.Lock()
	wasHeld := w.held != nil || !w.elected
	w.held, w.elected = nil, true
	if leads == (w.leading != nil) {
		w.mu.Unlock()
		if wasHeld {
			w.kick()
		}
		return
	}
	if leads {
		w.leading, w.resign = context.WithCancel(ctx)
		w.catalog = true
	} else {
		w.resign()
		w.leading, w.resign = nil, nil
		w.agent.reporter.drop()
	}
	w.mu.Unlock()
	w.agent.log.Info("leadership of the datacenter", "leading", leads)
	w.kick()
}

// heldUp remembers why the lock cannot be had, for the report.
func (w *worker) heldUp(err error) {
	w.mu.Lock()
	w.held = err
	w.mu.Unlock()
	w.kick()
}

// say reports for the datacenter, which only its leader does: what a pass saw in a term that is over, or in another one, is
// not news any more.
func (w *worker) say(term context.Context, report *isthmusv1.ReportRequest) (said bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.leading == nil || w.leading != term || term.Err() != nil {
		return false
	}
	w.agent.reporter.set(report)
	return true
}
