package agent

import (
	"context"
	"crypto/ed25519"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"isthmus/agent/consul"
	"isthmus/agent/delivery"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

const (
	// itemsAtOnce bounds how many peerings are worked on at the same time. Most of it is waiting for one Consul.
	itemsAtOnce = 8
	// itemMinPause and itemMaxPause bound the mean pause after a peering's call failed.
	itemMinPause = 500 * time.Millisecond
	itemMaxPause = 15 * time.Second
)

// hub is what reconcilers need of the server. Errors are *fault.Error; Conflict and Refused mean that the state which the
// agent works by is not the newest.
type hub interface {
	// claim asks to make the token of a generation, and gives the attempt to put into the sealed payload.
	claim(ctx context.Context, r *isthmusv1.ClaimTokenRequest) (attempt int32, err error)
	// store hands over the sealed token of a claim.
	store(ctx context.Context, r *isthmusv1.StoreTokenRequest) error
	// fetch reads one sealed payload by its digest.
	fetch(ctx context.Context, digest string) (*isthmusv1.SealedPayload, error)
	// storeBundle hands over a federation's sealed bundle, and gives its name in the store. Conflict: another one was stored meanwhile.
	storeBundle(ctx context.Context, r *isthmusv1.StoreBundleRequest) (digest string, err error)
	// takeTurn asks to be the one host of this datacenter that may restart its Consul server, or to stay it for longer.
	takeTurn(ctx context.Context, uid string) (*isthmusv1.TakeTurnResponse, error)
	// endTurn lets the next host go on. Ending a turn that is not held is no error.
	endTurn(ctx context.Context, uid string) error
}

// reconciler makes the local Consul what the desired state says: level-triggered, so that it does not matter where an
// earlier pass ended. Passes do not overlap.
type reconciler struct {
	consul  *consul.Client
	hub     hub
	self    *credentials
	records *records
	now     func() time.Time
	log     hclog.Logger
	// federation is what this host's flags allow; host is where this host's Consul server reads its configuration; nil: nowhere.
	federation FederationConfig
	host       delivery.Host
	prover     prover
	dials      dials
	primary    primaryDesk
	exports    exportDesk
	settings   settingDesk
	// vigils are of the passes alone, by the peering's own id in Consul.
	vigils map[string]*vigil

	mu     sync.Mutex
	pauses map[string]*pause
}

// pause holds back the calls of one item after a failure.
type pause struct {
	backoff *backoff.ExponentialBackOff
	until   time.Time
	last    error
	// what the item asked for: another wish is tried at once.
	wish string
}

// item is a peering's end that this datacenter shall have, whichever end it is.
type item struct {
	uid, peering, peerName, role string
	generation                   int32
	remove                       bool
	// wish changes when there is something new to try.
	wish     string
	acceptor *isthmusv1.PeeringAcceptor
	dialer   *isthmusv1.PeeringDialer
}

// Roles of an end.
const (
	roleAcceptor = "acceptor"
	roleDialer   = "dialer"
)

func itemsOf(state *isthmusv1.DesiredState) []item {
	var out []item
	for _, i := range state.GetItems() {
		if a := i.GetPeeringAcceptor(); a != nil {
			out = append(out, item{
				uid: a.GetUid(), peering: a.GetPeering(), peerName: a.GetPeerName(), role: roleAcceptor,
				generation: a.GetGeneration(), remove: a.GetDelete(), wish: wishOf(i), acceptor: a,
			})
		}
		if d := i.GetPeeringDialer(); d != nil {
			out = append(out, item{
				uid: d.GetUid(), peering: d.GetPeering(), peerName: d.GetPeerName(), role: roleDialer,
				generation: d.GetGeneration(), remove: d.GetDelete(), wish: wishOf(i), dialer: d,
			})
		}
	}
	return out
}

// pace is how soon the next look at peerings should come.
type pace int

const (
	// atRest: nothing is on its way.
	atRest pace = iota
	// underWay: Consul is at something, or does not answer.
	underWay
	// moved: this pass did something, and what comes of it is to be seen.
	moved
)

// result is what came of one item in one pass.
type result struct {
	err error
	// acted: Consul was changed, so that what was listed before is old.
	acted bool
}

// reconcilePeerings works on all peering items and reports all peerings of the datacenter.
func (r *reconciler) reconcilePeerings(ctx context.Context, state *isthmusv1.DesiredState) (report *isthmusv1.PeeringsReport, next pace, err error) {
	peerings, _, err := r.consul.Peerings(ctx, consul.Query{})
	if err != nil {
		return nil, underWay, err
	}
	items := itemsOf(state)
	if err := r.forget(items); err != nil {
		return nil, underWay, err
	}
	results := make([]result, len(items))
	var g errgroup.Group
	g.SetLimit(itemsAtOnce)
	for i := range items {
		g.Go(func() error {
			results[i] = r.reconcileItem(ctx, items[i], peerings)
			return nil
		})
	}
	_ = g.Wait() // the results hold the errors
	acted := false
	for _, one := range results {
		switch {
		case one.acted && one.err == nil:
			next = moved
		case one.acted:
			next = max(next, underWay)
		}
		acted = acted || one.acted
	}
	if acted {
		if peerings, _, err = r.consul.Peerings(ctx, consul.Query{}); err != nil {
			return nil, underWay, err
		}
	}
	r.dials.want(ctx, r, items, peerings)
	report = r.observe(items, results, peerings)
	for _, p := range report.GetPeerings() {
		if p.GetOrigin() == resource.OriginOwn && (p.GetState() == consul.StatePending || p.GetState() == consul.StateEstablishing || p.GetState() == consul.StateDeleting) {
			next = max(next, underWay)
		}
	}
	return report, next, nil
}

// reconcileItem does what one end needs now.
func (r *reconciler) reconcileItem(ctx context.Context, it item, all []consul.Peering) result {
	var at *consul.Peering
	for _, p := range all {
		if p.Name == it.peerName {
			at = &p
		} else if uidOf(p) == it.uid && !p.Deleting {
			// Ours under another name: a leftover of an attempt or of a renaming.
			if err := r.remove(ctx, it, p); err != nil {
				return result{err: err}
			}
			return result{acted: true}
		}
	}
	if at != nil && at.Deleting {
		return result{err: failure(r.finish(ctx, *at))} // Consul has dropped its Meta
	}
	if at != nil && uidOf(*at) != it.uid {
		if it.remove {
			return result{} // ours is gone, if it ever was
		}
		return result{err: because(fault.Refused, reasonNameTaken,
			"Consul has a peering named %s that does not belong to Peering %s: rename one of them", it.peerName, it.peering)}
	}
	if held := r.heldBack(it); held != nil {
		return result{err: failure(held)}
	}
	acted, err := r.act(ctx, it, at)
	if ctx.Err() == nil {
		r.settle(it, err)
	}
	return result{err: failure(err), acted: acted}
}

// failure is what to report of an error: nothing when the agent but waits for the server.
func failure(err error) error {
	if reasonOf(err) == reasonOutdated {
		return nil
	}
	return err
}

func (r *reconciler) act(ctx context.Context, it item, at *consul.Peering) (acted bool, err error) {
	switch {
	case at != nil && (it.remove || at.Dialer != (it.role == roleDialer)):
		// To go, or of the other role, which is fixed per name.
		return true, r.remove(ctx, it, *at)
	case it.remove:
		return false, nil
	case it.role == roleAcceptor:
		return r.accept(ctx, it, at)
	}
	return r.dial(ctx, it, at)
}

// remove deletes an end that carries our mark. Peerings have no check-and-set: it is looked at again right before.
func (r *reconciler) remove(ctx context.Context, it item, p consul.Peering) error {
	now, err := r.consul.Peering(ctx, p.Name)
	switch {
	case fault.CodeOf(err) == fault.NotFound:
		return nil
	case err != nil:
		return err
	case now.ID != p.ID || uidOf(now) != it.uid:
		return because(fault.Conflict, reasonConflict, "peering %s changed while it was to be deleted", p.Name)
	}
	if err := r.consul.DeletePeering(ctx, p.Name); err != nil {
		return err
	}
	r.log.Info("deleted an end of a peering", "peering", it.peering, "peer", p.Name, "state", p.State, "wanted", !it.remove)
	return nil
}

// finish has Consul go on with a deletion that it gave up. A deleted end whose other end says TERMINATED while it waits for its turn becomes
// TERMINATED as well, and its leader leaves those alone for ever (Server.removePeeringAndData and Store.PeeringTerminateByID, up to 1.20);
// deleting it once more puts that right. As in remove, it is looked at again right before.
func (r *reconciler) finish(ctx context.Context, p consul.Peering) error {
	if p.State != consul.StateTerminated {
		return nil
	}
	now, err := r.consul.Peering(ctx, p.Name)
	switch {
	case fault.CodeOf(err) == fault.NotFound:
		return nil
	case err != nil:
		return err
	case now.ID != p.ID || !now.Deleting || now.State != consul.StateTerminated:
		return nil
	}
	if err := r.consul.DeletePeering(ctx, p.Name); err != nil {
		return err
	}
	r.log.Info("deleted an end of a peering once more: its Consul had given up", "peer", p.Name)
	return nil
}

// heldBack gives the last error of an item whose pause is not over.
func (r *reconciler) heldBack(it item) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pauses[it.uid]
	if p == nil || p.wish != it.wish || !r.now().Before(p.until) {
		return nil
	}
	return p.last
}

// settle remembers how an item went.
func (r *reconciler) settle(it item, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		delete(r.pauses, it.uid)
		return
	}
	p := r.pauses[it.uid]
	if p == nil || p.wish != it.wish {
		p = &pause{backoff: backoff.NewExponentialBackOff(), wish: it.wish}
		p.backoff.InitialInterval, p.backoff.MaxInterval, p.backoff.RandomizationFactor = itemMinPause, itemMaxPause, 1
		r.pauses[it.uid] = p
	}
	switch {
	case p.last != nil && reasonOf(p.last) == reasonOf(err):
	case failure(err) == nil:
		r.log.Debug("waiting for the server's next word on a peering", "peering", it.peering, "generation", it.generation, "error", err)
	default:
		r.log.Warn("a peering cannot be brought about now", "peering", it.peering, "role", it.role, "reason", reasonOf(err), "error", err)
	}
	p.last, p.until = err, r.now().Add(p.backoff.NextBackOff())
}

// forget drops what is known of peerings that are wanted no more.
func (r *reconciler) forget(items []item) error {
	uids := map[string]bool{}
	for _, it := range items {
		if !it.remove {
			uids[it.uid] = true
		}
	}
	r.mu.Lock()
	for uid := range r.pauses {
		if !uids[uid] {
			delete(r.pauses, uid)
		}
	}
	r.mu.Unlock()
	return r.records.keep(uids)
}

// fleet is the key that every other agent's keys are proven with.
func (r *reconciler) fleet(from []*isthmusv1.TrustedAgent) (ed25519.PublicKey, error) {
	return r.self.fleetKey(from)
}

// wishOf tells two wishes for one item apart.
func wishOf(i *isthmusv1.DesiredItem) string { return resource.Digest(i) }
