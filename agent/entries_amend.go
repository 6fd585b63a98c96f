package agent

import (
	"cmp"
	"context"

	"golang.org/x/sync/errgroup"

	"isthmus/agent/consul"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// amends puts back at once what somebody changed in a config entry, and what a new desired state says of them, while a pass may still wait for
// another datacenter. Only the leader does anything; what keeps it from that is told by the passes.
func (w *worker) amends(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.wakeAmend:
			w.amend(ctx)
		}
	}
}

func (w *worker) kickAmend() {
	select {
	case w.wakeAmend <- struct{}{}:
	default:
	}
}

func (w *worker) amend(ctx context.Context) {
	a, term := w.agent, w.term()
	switch {
	case ctx.Err() != nil:
		return
	case term == nil:
		w.mender.follow(ctx, a.memory.working)
		return
	}
	stop := context.AfterFunc(ctx, w.resignation())
	defer stop()
	state := a.memory.working()
	self, err := checkConsul(term, a.consul, state)
	if err != nil || state == nil {
		return
	}
	a.reconciler.amendSingles(term, a.memory.working, self)
	report := &isthmusv1.ReportRequest{Policy: a.reconciler.settings.tell(w.mender.mend(term, a.memory.working, self)), Entries: w.census.take(term)}
	report.Exports = a.reconciler.reconcileExports(term, a.memory.working, self)
	w.say(term, report)
}

// amendSingles does the same for the mesh and proxy-defaults entries.
func (r *reconciler) amendSingles(ctx context.Context, newest func() *isthmusv1.DesiredState, self consul.Self) {
	if self.Secondary() {
		return
	}
	errMesh := r.setMesh(ctx, newest, func(consul.Entry) {})
	if err := cmp.Or(errMesh, r.reconcileProxyDefaults(ctx, newest)); err != nil {
		r.log.Debug("not amended; the next pass tells", "error", err)
	}
}

// watchEntries wakes the worker when a config entry changes. Those that passes look at wake them, too.
func (w *worker) watchEntries(ctx context.Context, g *errgroup.Group) {
	for _, kind := range entryKindsWatched() {
		changed := w.kickAmend
		switch kind {
		case consul.KindExportedServices, consul.KindMesh, consul.KindProxyDefaults:
			changed = func() { w.kick(); w.kickAmend() }
		}
		g.Go(func() error {
			consul.Watch(ctx, w.mender.shelf.fetch(kind), changed)
			return nil
		})
	}
}
