package controller

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"isthmus/peering"
	"isthmus/policy"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/evidence"
	"isthmus/server/observation"
	"isthmus/store"
	"isthmus/store/snapshot"
)

const (
	// tick is how often what depends on the time alone is looked at: liveness, graces, expiries.
	tick = time.Second
	// sweep is how often things are looked at that nothing asks for: what is marked by changes comes about at once, and what no mark was made
	// for, or was left out of a write, then. A large fleet is looked at in turns, so that it costs no more.
	sweep            = time.Minute
	sweptDatacenters = 500
	sweptPeerings    = 2000
	// sweptChoosers are of each kind that chooses datacenters, sweptHomes how many datacenters those of a kind may have chosen together: one of them may
	// concern all of the fleet, and is swept the more seldom for it.
	sweptChoosers = 10
	sweptHomes    = 1000
	// compactEvery is how often the feed and expired secrets are compacted.
	compactEvery = time.Hour
	// lively is how long a peering that is not settled is looked at with every tick; after that, with every tenth. Graces
	// and the first delays of tokens are shorter.
	lively     = 2 * time.Minute
	sleepyTick = 10
	// gather is how long after a round that changes or reports asked for the next such one begins at the earliest: the first of many is followed at
	// once, those after it together. A chain of rounds, each of which waits for what the one before wrote, is held up by no more.
	gather = snapshot.Moment
	// retryAfter is how long a round waits after the store failed.
	retryAfter = time.Second
)

// leader is one term of one replica as the one that runs the controllers.
type leader struct {
	*Controller
	lease store.Lease
	log   hclog.Logger
	now   func() time.Time
	// began is when the term did: what was not heard of since is not known to be silent. proven: that time was over, and it was looked who is.
	began  time.Time
	proven bool
	dirty  *dirty
	// expiry is when tokens have to be looked at.
	expiry expiry
	// unsettled are the peerings whose status may change by time alone, and when each last did something.
	unsettled map[string]time.Time
	// unfederated are the federations of which that is true.
	unfederated map[string]time.Time
	// departing are the datacenters that are being removed.
	departing vigils
	// told is what was said of each datacenter's peerings; seen is what is known of their ends in this round.
	told map[string]*told
	seen *evidence.Peerings
	// paces bound what is looked at because of reports.
	paces paces
	// judged is which report of its config entries, or its exports, each datacenter's policies, or exports, were looked at with, by part and
	// datacenter; standings how each policy and each export stands.
	judged    map[[2]string]string
	standings *standings
	// rested is when the next round may begin that changes or reports ask for; resting is given then.
	rested  time.Time
	resting *time.Timer
	// swept is by kind what sweeps have looked at last, owed how much more that was than sweptHomes for each.
	swept map[string]string
	owed  map[string]int
	ticks int
	// quota bounds what agents bring into the audit log, and heals what they bring about by streams that hang.
	quota *quota
	heals *peering.Heals
}

func newLeader(c *Controller, lease store.Lease) *leader {
	return &leader{
		Controller: c, lease: lease, log: c.Log, now: c.Now, began: c.Now(),
		dirty: newDirty(), unsettled: map[string]time.Time{}, unfederated: map[string]time.Time{},
		judged: map[[2]string]string{}, standings: newStandings(), told: map[string]*told{}, paces: paces{}, swept: map[string]string{}, owed: map[string]int{}, departing: vigils{}, quota: newQuota(), heals: peering.NewHeals(),
	}
}

// clocks are what a term does something by.
type clocks struct{ tick, sweep, compact *time.Ticker }

// run works until ctx ends. The error is store.Fenced when the term is over by then.
func (l *leader) run(ctx context.Context) error {
	follower := l.Snapshot.Follow()
	seen := l.Observations.Subscribe()
	defer l.Observations.Unsubscribe(seen)
	by := clocks{time.NewTicker(tick), time.NewTicker(sweep), time.NewTicker(compactEvery)}
	defer by.tick.Stop()
	defer by.sweep.Stop()
	defer by.compact.Stop()
	l.resting = time.NewTimer(gather)
	defer l.resting.Stop()
	l.dirty.all(follower.View())
	ticked := true
	for ctx.Err() == nil {
		// What is new is taken in before anything is decided: deciding on an old view only loses races.
		for isClosed(follower.Changed()) {
			batch, err := follower.Next(ctx)
			if err != nil {
				return nil // Next fails when ctx ends, which is how run is stopped.
			}
			l.changed(batch)
			l.rest()
		}
		switch err := l.round(ctx, follower.View(), ticked); {
		case store.Fenced(err):
			return err
		case err != nil && ctx.Err() == nil:
			l.log.Warn("a round of the controllers failed; it is tried again", "error", err)
			l.dirty.all(l.Snapshot.View())
			pause(ctx, retryAfter)
		}
		ticked = l.wait(ctx, follower, seen, by)
	}
	return nil
}

// wait waits until there is something to do, and takes in what was reported; ticked: what depends on the time is to be looked at.
func (l *leader) wait(ctx context.Context, follower *snapshot.Follower, seen *observation.Subscription, by clocks) (ticked bool) {
	var left chan struct{}
	if l.dirty.left() {
		left = make(chan struct{})
		close(left)
	}
	for {
		changed, reported := follower.Changed(), seen.Wake
		if time.Now().Before(l.rested) {
			changed, reported = nil, nil
		}
		select {
		case <-ctx.Done():
		case <-left:
		case <-changed:
		case <-reported:
			for _, datacenter := range seen.Take() {
				l.observed(l.Snapshot.View(), datacenter)
			}
			l.rest()
		case <-l.resting.C:
			continue
		case <-by.tick.C:
			ticked = true
		case <-by.sweep.C:
			l.sweep(l.Snapshot.View())
		case <-by.compact.C:
			l.heals.Forget(l.now())
			clear(l.paces)
			l.compact(ctx)
		}
		return ticked
	}
}

// rest has changes and reports wait for a moment.
func (l *leader) rest() {
	l.rested = time.Now().Add(gather)
	l.resting.Reset(gather)
}

// sweep marks the next few of everything, and everything of a small fleet.
func (l *leader) sweep(v *snapshot.View) {
	l.sweepSome(v, resource.KindDatacenter, sweptDatacenters, l.dirty.datacenters)
	l.sweepSome(v, resource.KindPeering, sweptPeerings, l.dirty.peerings)
	l.sweepSome(v, resource.KindPeeringGroup, sweptChoosers, l.dirty.groups)
	mark(l.dirty.federations, v, resource.KindFederation)
	for kind, looks := range map[string]looks{
		resource.KindIntention: l.dirty.policies, resource.KindTrafficPolicy: l.dirty.policies, resource.KindServiceExport: l.dirty.exports,
	} {
		l.sweepStanding(v, kind, looks)
	}
}

// sweepStanding marks the next few of a kind whose statuses go on from look to look. Such a look is at all that one chooses.
func (l *leader) sweepStanding(v *snapshot.View, kind string, looks looks) {
	l.owed[kind] = max(0, l.owed[kind]-sweptHomes)
	names := map[string]bool{}
	for l.owed[kind] < sweptHomes && len(names) < sweptChoosers {
		before := len(names)
		l.sweepSome(v, kind, 1, names)
		if len(names) == before {
			return // there are no others
		}
		at := store.Key{Kind: kind, Name: l.swept[kind]}
		looks.add(at, "")
		l.owed[kind] += l.standings.sizeOf(at)
	}
}

// sweepSome marks the next ones of a kind by name, after those that it marked last.
func (l *leader) sweepSome(v *snapshot.View, kind string, most int, set map[string]bool) {
	began, marked := l.swept[kind], 0
	for o := range v.ListAfter(kind, began) {
		if marked == most {
			return
		}
		set[o.Name()] = true
		l.swept[kind] = o.Name()
		marked++
	}
	for o := range v.ListAfter(kind, "") {
		if marked == most || o.Name() > began {
			return
		}
		set[o.Name()] = true
		l.swept[kind] = o.Name()
		marked++
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// round looks at everything that is dirty, and writes what differs. Later parts see what earlier ones wrote in the next
// round: a write comes back as a change.
func (l *leader) round(ctx context.Context, v *snapshot.View, ticked bool) error {
	d := l.dirty.take()
	var edits []edit
	if ticked {
		l.recall(d)
		for datacenter := range l.livenessChanges(v) {
			d.datacenters[datacenter] = true
			d.exporters[datacenter] = true
			d.policed[datacenter] = true
			d.touch(v, datacenter)
		}
		edits = append(edits, l.expiries(v)...)
		if more := l.quota.due(l.now()); len(more) > 0 {
			edits = append(edits, edit{events: more})
		}
		l.later(resource.KindPeeringGroup, d.counted, l.dirty.counted)
		maps.Copy(d.groups, d.counted)
	} else {
		maps.Copy(l.dirty.counted, d.counted)
	}
	l.seen = evidence.PeeringsOf(v, l.Observations)
	for name := range d.groups {
		edits = append(edits, l.looking(store.Key{Kind: resource.KindPeeringGroup, Name: name}, func() []edit { return l.group(v, name) })...)
	}
	for name := range d.peerings {
		edits = append(edits, l.peering(v, name)...)
	}
	for name := range d.datacenters {
		edits = append(edits, l.datacenter(v, name)...)
	}
	for f := range resource.FederationsOf(v, d.federated) {
		d.federations[f.GetName()] = true
	}
	for name := range d.federations {
		edits = append(edits, l.federation(v, name)...)
	}
	edits = append(edits, l.choosers(v, d)...)
	if len(edits) == 0 {
		return nil
	}
	return l.write(ctx, edits)
}

// choosers looks at the exports and policies that are dirty. Those that only reports ask for have to be due.
func (l *leader) choosers(v *snapshot.View, d *dirty) []edit {
	for datacenter := range d.exporters {
		for _, e := range policy.NearExports(v, datacenter) {
			d.reexported.add(keyOf(e), datacenter)
		}
	}
	for datacenter := range d.policed {
		for o, home := range policy.Near(v, datacenter) {
			d.repoliced.add(keyOf(o), home)
		}
	}
	l.pace(d.reexported, d.exports, l.dirty.reexported)
	l.pace(d.repoliced, d.policies, l.dirty.repoliced)
	var edits []edit
	for key, at := range d.exports {
		edits = append(edits, l.looking(key, func() []edit { return l.export(v, key, at) })...)
	}
	for key, at := range d.policies {
		edits = append(edits, l.looking(key, func() []edit { return l.policy(v, key, at) })...)
	}
	return edits
}

// changed marks what a change of the store may have consequences for.
func (l *leader) changed(batch *snapshot.Batch) {
	if batch.Restarted() {
		l.standings = newStandings()
		l.dirty.all(batch.View)
		return
	}
	choosers := sync.OnceValue(func() peering.Choosers { return peering.ChoosersOf(batch.View) })
	for _, c := range batch.Changes {
		l.mayRegroup(choosers, c)
		for _, o := range []resource.Object{c.Before, c.After} {
			switch o := o.(type) {
			case *isthmusv1.Datacenter:
				if c.Before != nil || !l.newborn(batch.View, o) {
					l.dirty.datacenters[o.GetName()] = true
				}
				l.dirty.federated[o.GetName()] = true
			case *isthmusv1.Peering:
				l.peeringChanged(c, o)
			case *isthmusv1.Gateway:
				l.gatewayChanged(batch.View, c, o)
			case *isthmusv1.Agent:
				l.agentChanged(batch.View, c, o)
			case *isthmusv1.Federation:
				l.federationChanged(batch.View, c, o)
			}
		}
		l.policiesChanged(batch, c)
		l.exportsChanged(batch, c)
	}
}

func (l *leader) peeringChanged(c snapshot.Change, p *isthmusv1.Peering) {
	l.dirty.peerings[p.GetName()] = true
	if c.Part == store.PartStatus {
		if group := p.GetStatus().GetGroup(); group != "" {
			l.dirty.counted[group] = true
		}
		return
	}
	for _, datacenter := range []string{p.GetSpec().GetAcceptor(), p.GetSpec().GetDialer()} {
		if datacenter != "" {
			// A datacenter that is on its way out waits for its last peering.
			l.dirty.datacenters[datacenter] = true
			// A peering inside of a federation keeps a datacenter out of it.
			l.dirty.federated[datacenter] = true
		}
	}
}

// mayRegroup marks the groups whose expansion a change may alter: their own; those of a peering that comes, goes or moves, also when it is
// another group's or written by hand: it takes a pair from them, or gives it back; and those in which a datacenter is another than before. One that enters or leaves a federation is looked at because of that.
func (l *leader) mayRegroup(choosers func() peering.Choosers, c snapshot.Change) {
	switch c.Key.Kind {
	case resource.KindPeeringGroup:
	case resource.KindPeering:
		if c.Part == store.PartStatus {
			return
		}
	case resource.KindDatacenter:
		if d, _ := c.After.(*isthmusv1.Datacenter); c.Part == store.PartStatus && d.GetStatus().GetRemoval() == nil {
			return
		}
	default:
		return
	}
	for _, g := range choosers().Concerned(c.Before, c.After) {
		l.dirty.groups[g.GetName()] = true
	}
}

// gatewayChanged marks the federations of its datacenter, and the datacenters that may want the name of a Gateway which comes or goes.
func (l *leader) gatewayChanged(v *snapshot.View, c snapshot.Change, g *isthmusv1.Gateway) {
	l.dirty.federated[g.GetSpec().GetDatacenter()] = true
	if c.Part == store.PartStatus {
		return
	}
	for i, c := range g.GetName() {
		if c != '-' {
			continue
		}
		if _, ok := v.Get(resource.KindDatacenter, g.GetName()[:i]); ok {
			l.dirty.datacenters[g.GetName()[:i]] = true
		}
	}
}

func (l *leader) agentChanged(v *snapshot.View, c snapshot.Change, a *isthmusv1.Agent) {
	l.dirty.datacenters[a.GetSpec().GetDatacenter()] = true
	l.dirty.federated[a.GetSpec().GetDatacenter()] = true
	if c.Part != store.PartStatus || trustOf(c.Before) != trustOf(c.After) {
		l.dirty.touch(v, a.GetSpec().GetDatacenter())
	}
}

func trustOf(o resource.Object) string {
	a, _ := o.(*isthmusv1.Agent)
	return a.GetStatus().GetTrust()
}

// observed marks what a new report of a datacenter may have consequences for.
func (l *leader) observed(v *snapshot.View, datacenter string) {
	l.dirty.datacenters[datacenter] = true
	l.dirty.federated[datacenter] = true
	l.departing.reported(datacenter)
	l.reportedPeerings(v, datacenter)
	moved := l.livenessMoved(v, datacenter)
	if l.reportedAnew(datacenter, observation.PartPolicy) || moved {
		l.dirty.policed[datacenter] = true
	}
	if l.reportedAnew(datacenter, observation.PartExports) || moved {
		l.dirty.exporters[datacenter] = true
	}
}

// observe is the last report of a part, and when its reporter was last heard of.
func (l *leader) observe(datacenter, part string) (observation.Seen, time.Time) {
	s, ok := l.Observations.Get(datacenter, part)
	if !ok {
		return s, time.Time{}
	}
	return s, l.Observations.HeardOf(datacenter, s.Agent)
}

// compact drops what nobody needs any more.
func (l *leader) compact(ctx context.Context) {
	below, err := l.Keeper.Compact(ctx, l.KeepChanges)
	if err != nil {
		l.log.Warn("cannot compact the store", "error", err)
		return
	}
	l.log.Debug("compacted the store", "readers-below-reload", below)
}
