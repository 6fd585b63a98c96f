package agent

import (
	"context"
	"path/filepath"

	"isthmus/agent/consul"
	"isthmus/fault"
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

func (w *worker) resignation() func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.resign == nil {
		return func() {}
	}
	return w.resign
}

func (w *worker) setLeading(ctx context.Context, leads bool) {
	w.mu.Lock()
	if leads == (w.leading != nil) {
		w.mu.Unlock()
		return
	}
	if leads {
		w.leading, w.resign = context.WithCancel(ctx)
		w.held = nil
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
