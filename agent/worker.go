package agent

import (
	"cmp"
	"context"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"isthmus/agent/consul"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

const (
	// pollEvery is how often live states of peerings are looked at: Consul computes them on read and wakes nobody.
	pollEvery = 3 * time.Second
	// pollSoon is how soon one that is on its way is looked at again; each time it takes twice as long, up to pollEvery.
	// ACTIVE comes some 25 ms after a token is used, or up to 5 s, when Consul's own limiter had other work before.
	pollSoon = 50 * time.Millisecond
	// pollSlow bounds the doubling for as long as Consul may well take.
	pollSlow = 800 * time.Millisecond
	soonFor  = 15 * time.Second
	// inventoryEvery is how often facts are looked at that nothing tells of.
	inventoryEvery = 15 * time.Second
)

// worker runs passes over the local Consul: one after the other, when something woke it or time is up.
//
//	check who Consul is ──▶ deliver ──▶ leader? ──▶ mesh ──▶ policies ──▶ peerings ──▶ exports ──▶ federation ──▶ inventory, services, rights ──▶ report
//
// Beside the passes, which may wait for other datacenters, amend puts back at once what somebody changed in a config entry.
type worker struct {
	agent *Agent
	now   func() time.Time
	// wake and wakeAmend have room for one.
	wake, wakeAmend chan struct{}
	mender          *mender
	census          *census

	mu sync.Mutex
	// leading is the context of the leadership, nil without.
	leading context.Context //nolint:containedctx // the term of office, which ends before the agent does
	resign  context.CancelFunc
	// catalog: services may have changed.
	catalog bool
	held    error
	// elected: who leads is known, or was.
	elected bool

	// Of the passes alone.
	campaign    *campaign
	owesSince   time.Time
	served      served
	hurryUntil  time.Time
	hurry       time.Duration
	nextCatalog time.Time
	nextRights  time.Time
	applied     snapshot
	lastProblem string
	lastSelf    consul.Self
	// peerings are what was seen of them last.
	peerings *isthmusv1.PeeringsReport
	courier  *courier
}

func newWorker(a *Agent) *worker {
	w := &worker{agent: a, now: a.config.Now, wake: make(chan struct{}, 1), wakeAmend: make(chan struct{}, 1), catalog: true, hurry: pollSoon}
	w.mender = newMender(a.consul, openKept(filepath.Join(a.config.DataDir, fileEntries), a.log), w.now, a.log)
	w.mender.allowAdopt = a.config.AllowAdopt
	w.census = &census{shelf: w.mender.shelf, now: w.now}
	return w
}

func (w *worker) kick() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// kickCatalog is kick for a change of services.
func (w *worker) kickCatalog() {
	w.mu.Lock()
	w.catalog = true
	w.mu.Unlock()
	w.kick()
}

// run passes until ctx ends.
func (w *worker) run(ctx context.Context) error {
	defer w.stopCampaign()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
		case <-timer.C:
		}
		timer.Reset(w.pass(ctx))
	}
}

// pass looks at everything once, and tells when to look again at the latest.
func (w *worker) pass(ctx context.Context) time.Duration {
	a := w.agent
	state, from, held := a.memory.current()
	report := &isthmusv1.AgentReport{
		Version: a.config.Version, Features: features(), Host: a.config.Host, Epoch: from.Epoch,
		HeldRemovals: int32(held), UnknownItems: unknownItems(state, a.features),
	}
	err := w.check(ctx, state)
	next := pollSoon
	if err == nil {
		w.serve(state)
	}
	if err != nil || w.decided() && !w.owes(state) {
		next = w.deliver(ctx, state, err)
	}
	if err == nil {
		var soon time.Duration
		soon, err = w.act(ctx, state, from)
		next = min(next, soon)
	}
	w.tellRights(state)
	if ctx.Err() != nil {
		return next
	}
	report.Leader = w.term() != nil
	report.AppliedDigest, report.AppliedIndex = w.applied.Digest, w.applied.Index
	report.ErrorReason, report.Error = reasonOf(err), messageOf(err)
	w.tell(err)
	a.reporter.set(&isthmusv1.ReportRequest{Agent: report})
	return next
}

// serve makes what a primary's leader makes for others before its own host may restart: they begin meanwhile. What came of it is told by
// federate.
func (w *worker) serve(state *isthmusv1.DesiredState) {
	w.served = served{}
	if term := w.term(); term != nil && state != nil {
		bundles, err := w.agent.reconciler.reconcileFederationPrimary(term, state, w.lastSelf)
		w.served = served{term: term, bundles: bundles, err: err}
	}
}

// served is what came of serve in this pass; no term: it had nothing to do.
type served struct {
	term    context.Context //nolint:containedctx // which term of office it was in
	bundles []*isthmusv1.ObservedBundle
	err     error
}

// owesFor bounds how long a primary's host waits with its restart for bundles that its agent has still to make.
const owesFor = 3 * time.Second

// owes tells whether somebody waits for a first bundle of this agent's, which it cannot make while its own Consul restarts.
func (w *worker) owes(state *isthmusv1.DesiredState) bool {
	waiting := false
	for _, i := range state.GetItems() {
		for _, m := range i.GetFederationPrimary().GetMembers() {
			waiting = waiting || m.GetReady() && m.GetBundle().GetGeneration() == 0
		}
	}
	switch {
	case !waiting || w.term() == nil:
		w.owesSince = time.Time{}
		return false
	case w.owesSince.IsZero():
		w.owesSince = w.now()
	}
	return w.now().Sub(w.owesSince) < owesFor
}

// deliver sees to this host, whoever leads, and also when Consul is not there. At the wrong Consul nothing is touched.
func (w *worker) deliver(ctx context.Context, state *isthmusv1.DesiredState, problem error) time.Duration {
	s := situation{state: state, leading: w.term() != nil}
	switch reasonOf(problem) {
	case "":
		s.self, s.known = w.lastSelf, true
	case reasonWrongConsul, reasonPartition:
		return pollEvery
	}
	report, next := w.courier.deliver(ctx, s)
	if report != nil {
		w.agent.reporter.set(&isthmusv1.ReportRequest{Delivery: report})
	}
	return next
}

// tell logs a problem when it comes and when it is over.
func (w *worker) tell(err error) {
	now := reasonOf(err)
	switch now {
	case w.lastProblem:
	case "":
		w.agent.log.Info("the datacenter can be worked on again")
	default:
		w.agent.log.Warn("the datacenter cannot be worked on now", "reason", now, "error", err)
	}
	w.lastProblem = now
}

// check is checkConsul before each pass. At the wrong Consul the agent does not even keep the leader lock.
func (w *worker) check(ctx context.Context, state *isthmusv1.DesiredState) error {
	self, err := checkConsul(ctx, w.agent.consul, state)
	switch reasonOf(err) {
	case "":
	case reasonWrongConsul, reasonPartition:
		w.stopCampaign()
		return err
	default:
		return err
	}
	if self.Version != w.lastSelf.Version || self.Node != w.lastSelf.Node {
		w.agent.log.Info("found Consul", "datacenter", self.Datacenter, "version", self.Version, "node", self.Node)
	}
	w.lastSelf = self
	return nil
}

// checkConsul proves that Consul answers, that it is the datacenter that this agent is for, and that its token may read it.
// Before that nothing is touched, the leader lock included.
func checkConsul(ctx context.Context, c *consul.Client, state *isthmusv1.DesiredState) (consul.Self, error) {
	self, err := c.Self(ctx)
	if err != nil {
		return consul.Self{}, err
	}
	if state == nil {
		return self, nil // the server has not said yet what this datacenter is called
	}
	if self.Datacenter != state.GetConsulDatacenter() {
		return consul.Self{}, because(fault.Refused, reasonWrongConsul,
			"this agent is for Consul datacenter %s, and the Consul at its address is %s: nothing is touched there", state.GetConsulDatacenter(), self.Datacenter)
	}
	if own := c.Partition(); partitionOf(state.GetConsulPartition()) != own {
		return consul.Self{}, because(fault.Refused, reasonPartition,
			"this agent is for Consul partition %s, and CONSUL_PARTITION says %s: nothing is touched there", partitionOf(state.GetConsulPartition()), own)
	}
	return self, c.CheckReads(ctx)
}

func partitionOf(name string) string { return cmp.Or(name, consul.DefaultPartition) }

// act does what the leader does, and nothing otherwise.
func (w *worker) act(ctx context.Context, state *isthmusv1.DesiredState, from snapshot) (time.Duration, error) {
	if state == nil {
		return pollEvery, nil
	}
	w.startCampaign(ctx)
	term := w.term()
	if term == nil {
		w.applied, w.nextRights, w.peerings = snapshot{}, time.Time{}, nil
		w.mu.Lock()
		defer w.mu.Unlock()
		return pollEvery, w.held
	}
	// What is in flight when the leadership ends, ends.
	stop := context.AfterFunc(ctx, w.resignation())
	defer stop()
	return w.lead(term, state, from)
}

func (w *worker) lead(ctx context.Context, state *isthmusv1.DesiredState, from snapshot) (time.Duration, error) {
	r, a := w.agent.reconciler, w.agent
	errMesh := r.reconcileMesh(ctx, a.memory.working, w.lastSelf)
	policies := w.mender.mend(ctx, a.memory.working, w.lastSelf)
	peerings, pace, errPeerings := r.reconcilePeerings(ctx, state)
	peerings = w.lastSeen(peerings, errPeerings)
	exports := r.reconcileExports(ctx, a.memory.working, w.lastSelf)
	report := &isthmusv1.ReportRequest{Peerings: peerings, Exports: exports, Entries: w.census.take(ctx)}
	report.Federation = w.federate(ctx, state)
	report.Policy = r.settings.tell(policies)
	errCatalog := w.lookAround(ctx, report)
	if !w.say(ctx, report) {
		w.kickCatalog() // what this pass saw of it was not told to anybody
		return 0, nil   // somebody else leads now, or the agent stops
	}
	err := cmp.Or(errPeerings, errMesh, errCatalog)
	if err == nil && w.applied.Digest != from.Digest {
		a.log.Info("applied a desired state", "digest", from.Digest, "index", from.Index, "items", len(state.GetItems()),
			"problems", problems(report))
		w.applied = from
		a.config.Hooks.applied(from.Digest, from.Index)
	}
	return w.next(pace), err
}

// lastSeen is what to report of peerings: when they could not be looked at, what was seen before, and why.
func (w *worker) lastSeen(now *isthmusv1.PeeringsReport, err error) *isthmusv1.PeeringsReport {
	if err == nil || now != nil {
		w.peerings = now
		return now
	}
	if w.peerings == nil {
		return nil
	}
	report := proto.CloneOf(w.peerings)
	report.ErrorReason, report.Error = reasonOf(err), messageOf(err)
	return report
}

// federate does what a federation's member does as one datacenter, and tells what it sees. What is in the way of it stands in its own
// report and keeps nothing else from being done.
func (w *worker) federate(ctx context.Context, state *isthmusv1.DesiredState) *isthmusv1.FederationReport {
	r, self := w.agent.reconciler, w.lastSelf
	errDefaults := r.reconcileProxyDefaults(ctx, w.agent.memory.working)
	bundles, errPrimary := w.served.bundles, w.served.err
	if w.served.term != ctx { // it leads since this pass
		bundles, errPrimary = r.reconcileFederationPrimary(ctx, state, self)
	}
	seen, errProof := r.proof(ctx, state, self)
	report := &isthmusv1.FederationReport{}
	if seen != nil {
		report = proto.CloneOf(seen)
	}
	report.Bundles = bundles
	loss, errLoss := w.courier.loss(ctx, state, self)
	report.Loss = loss
	if err := cmp.Or(errPrimary, errDefaults, errLoss, errProof); err != nil {
		report.ErrorReason, report.Error = reasonOf(err), messageOf(err)
	}
	return report
}

// next is soon while something is on its way, but not for ever: as long as Consul may take, counted from the last time that
// a pass did something.
func (w *worker) next(p pace) time.Duration {
	now := w.now()
	switch {
	case p == atRest:
		w.hurryUntil, w.hurry = time.Time{}, pollSoon
		return pollEvery
	case p == moved || w.hurryUntil.IsZero():
		w.hurryUntil, w.hurry = now.Add(soonFor), pollSoon
	case now.After(w.hurryUntil):
		return pollEvery
	}
	soon := w.hurry
	w.hurry = min(2*w.hurry, pollSlow)
	return soon
}

// lookAround adds inventory and services to a report when it is time, or when services changed.
func (w *worker) lookAround(ctx context.Context, report *isthmusv1.ReportRequest) error {
	w.mu.Lock()
	catalog := w.catalog
	w.catalog = false
	w.mu.Unlock()
	if !catalog && w.now().Before(w.nextCatalog) {
		return nil
	}
	r := w.agent.reconciler
	services, _, err := r.consul.Services(ctx, consul.Query{})
	if err == nil {
		report.Services, err = r.servicesReport(ctx, services)
	}
	if err == nil {
		report.Inventory, err = r.inventory(ctx, w.lastSelf, services)
	}
	if err != nil {
		w.nextCatalog = time.Time{}
		return err
	}
	w.nextCatalog = w.now().Add(inventoryEvery)
	return nil
}

func problems(r *isthmusv1.ReportRequest) int {
	count := 0
	for _, p := range r.GetPeerings().GetPeerings() {
		if p.GetErrorReason() != "" {
			count++
		}
	}
	if r.GetExports().GetErrorReason() != "" {
		count++
	}
	return count
}
