package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"isthmus/agent/consul"
	"isthmus/agent/delivery"
	"isthmus/fault"
	"isthmus/resource"
)

const (
	// restartPoll is how often a Consul that restarts is looked at; turnPoll how often a turn is asked for.
	restartPoll = 250 * time.Millisecond
	turnPoll    = time.Second
	// renewTurn is how often a turn is renewed while it is held: a fraction of its length, which is the server's.
	renewTurn = 5 * time.Second
	// strangerFor is how long a Consul that runs again may take to know our token. The primary gives it as soon as the WAN is joined.
	strangerFor = 30 * time.Second
	// restartPatience is after how long a Consul that does not come back is called failed. It is watched on.
	restartPatience = 2 * time.Minute
	// deadAfter is how long a Consul must have been without answer or leader for its servers to be taken for down. An election, or a call
	// that fails, is much shorter.
	deadAfter = time.Minute
	// quorate is from how many servers on one may be restarted without the others losing their quorum: it must be proven then that all are well.
	quorate = 3
	// settledFor is how often is looked whether what Consul runs with is still there.
	settledFor    = 15 * time.Second
	carryMinPause = 5 * time.Second
	carryMaxPause = 5 * time.Minute
	// serverPassing is Consul's word for a server of which nothing is wrong.
	serverPassing = "passing"
)

// facts are what Consul says of itself when it runs with a content. The zero value: nothing can be told.
type facts struct {
	// Primary is the primary datacenter; None: that it has none but itself.
	Primary string `json:"primary,omitempty"`
	None    bool   `json:"none,omitempty"`
	// Through: WAN federation goes through mesh gateways, one of these at least.
	Through     bool     `json:"through,omitempty"`
	Gateways    []string `json:"gateways,omitempty"`
	Replication bool     `json:"replication,omitempty"`
	// CAs are the subjects (SHA-256, hex) of CAs that it accepts; Expires is the end of its certificate.
	CAs     []string  `json:"cas,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
}

// differ is how Consul runs otherwise; empty when it does not.
func (f facts) differ(self consul.Self) string {
	is := func(b *bool) bool { return b != nil && *b }
	switch {
	case f.None && self.Secondary():
		return "it still is a secondary of " + self.PrimaryDatacenter
	case f.Primary != "" && self.PrimaryDatacenter != f.Primary:
		return fmt.Sprintf("its primary datacenter is %q, not %s", self.PrimaryDatacenter, f.Primary)
	case f.Primary != "" && is(self.WANFederation) != f.Through:
		return fmt.Sprintf("WAN federation through mesh gateways is %t, not %t", is(self.WANFederation), f.Through)
	case f.Replication && !is(self.TokenReplication):
		return "it does not replicate ACL tokens"
	}
	if !f.reaches(self) {
		return "its primary gateways are " + strings.Join(self.PrimaryGateways, ", ") + ", none of " + strings.Join(f.Gateways, ", ")
	}
	return ""
}

// reaches: one gateway at least that Consul runs with is still one of the primary's. Further ones it gets with its next restart.
func (f facts) reaches(self consul.Self) bool {
	return len(f.Gateways) == 0 || slices.ContainsFunc(f.Gateways, func(g string) bool { return slices.Contains(self.PrimaryGateways, g) })
}

// shown tells whether the local server shows the certificates that belong to it.
func (f facts) shown(s sight) bool {
	if !f.Expires.IsZero() && !f.Expires.Equal(s.expires) {
		return false
	}
	return !slices.ContainsFunc(f.CAs, func(ca string) bool { return !slices.Contains(s.trusted, ca) })
}

// restart is one that this agent does.
type restart struct {
	UID     string `json:"uid"`
	Content string `json:"content"`
	Facts   facts  `json:"facts"`
	// Removes: the host has left then.
	Removes bool `json:"removes,omitempty"`
	// Carried: the command has ended well. Turn: nobody else may restart until Consul is healthy again.
	Carried bool `json:"carried,omitempty"`
	Turn    bool `json:"turn,omitempty"`
	// Servers are those that Raft knew before.
	Servers int       `json:"servers,omitempty"`
	Since   time.Time `json:"since"`
}

// required is a restart that somebody else has to do.
type required struct {
	Content string `json:"content"`
	// Differed and Down: Consul was seen running otherwise, or not at all, since the files were written.
	Differed bool `json:"differed,omitempty"`
	Down     bool `json:"down,omitempty"`
}

// carry has Consul take over what was put.
func (c *courier) carry(ctx context.Context, s situation, w *cargo, effect delivery.Effect) (string, error) {
	key := w.key()
	if s.known && s.self.PrimaryDatacenter == w.facts.Primary && !w.adopted && !w.facts.reaches(s.self) {
		// What the files said last is not what it runs with: it was not restarted for each of them.
		effect = delivery.EffectRestart
	}
	switch effect {
	case delivery.EffectNone:
		c.settled, c.settledUntil = key, c.now().Add(settledFor)
		return c.arrived(ctx, w.removes)
	case delivery.EffectRestart:
	case delivery.EffectReload:
		if held := c.heldUntil(key); held != nil {
			return resource.DeliveryWritten, held
		}
		if err := c.host.Carry(ctx, effect); err != nil {
			return c.setBack(ctx, key, err)
		}
		c.log.Info("Consul has reloaded what the federation gives it")
		return c.arrived(ctx, w.removes)
	}
	if r := c.record.Restart; r != nil && r.Content == key && r.Carried {
		return c.await(ctx, s)
	}
	if !c.host.CanRestart() {
		return c.require(ctx, s, w)
	}
	if held := c.heldUntil(key); held != nil {
		return resource.DeliveryFailed, held
	}
	turn, err := c.mayRestart(ctx, s, w.uid)
	if err != nil {
		return resource.DeliveryWaitingTurn, err
	}
	return c.restart(ctx, s, w, turn)
}

// attend notes how the servers stand, and renews the turn of a restart that is not at its end, whatever else the pass does: while a command
// that failed is held back, no other host shall be restarted either.
func (c *courier) attend(ctx context.Context, s situation) error {
	switch {
	case s.alive() || !c.concerned(s.state): // who is not concerned is not asked
		c.deadSince = time.Time{}
	case c.deadSince.IsZero():
		c.deadSince = c.now()
	}
	if r := c.record.Restart; r != nil && r.Turn && !c.now().Before(c.askedTurn.Add(renewTurn)) {
		c.askedTurn = c.now()
		c.renewTurn(ctx, r.UID)
	}
	if !s.alive() {
		return nil
	}
	return c.save(func(r *deliveryRecord) { r.Servers = max(r.Servers, s.standing.Servers, 1) })
}

// restart runs the command. What the servers were before is written down first: a crash meanwhile has it run again.
func (c *courier) restart(ctx context.Context, s situation, w *cargo, turn bool) (string, error) {
	begun := restart{UID: w.uid, Content: w.key(), Facts: w.facts, Removes: w.removes, Turn: turn, Servers: c.record.Servers, Since: c.now()}
	if before := c.record.Restart; before != nil {
		// Of one that did not get to its end: the turn is still ours, and what counts is how it was before that.
		begun.Turn = begun.Turn || before.Turn
		begun.Servers = max(begun.Servers, before.Servers)
	}
	if err := c.save(func(r *deliveryRecord) { r.Restart, r.Required = &begun, nil }); err != nil {
		return resource.DeliveryFailed, err
	}
	c.log.Info("restarting Consul", "federation", w.uid, "servers", begun.Servers, "running", s.alive())
	stop := c.keepTurn(ctx, begun)
	err := c.host.Carry(ctx, delivery.EffectRestart)
	stop()
	if err != nil {
		return c.setBack(ctx, begun.Content, err)
	}
	c.paused, c.deniedSince, c.sight = nil, time.Time{}, sight{}
	carried := begun // what begun is of stands in the record
	carried.Carried, carried.Since = true, c.now()
	if err := c.save(func(r *deliveryRecord) { r.Restart = &carried }); err != nil {
		return resource.DeliveryFailed, err
	}
	return resource.DeliveryRestarting, because(fault.Unavailable, reasonNoConsul, "waiting for Consul to be back")
}

// mayRestart asks for the turn of this host, and tells whether it has it. Only a server that was never seen to work, and does not answer,
// needs none: it has no quorum to lose. Of one that did, an election or a call that fails says nothing: another host may be restarting.
func (c *courier) mayRestart(ctx context.Context, s situation, uid string) (bool, error) {
	ours := c.record.Restart != nil && c.record.Restart.Turn
	dead := !c.deadSince.IsZero() && c.now().Sub(c.deadSince) >= deadAfter
	switch {
	case s.alive():
		if err := c.allWell(ctx, s, c.record.Servers, true); err != nil {
			return false, err
		}
	case c.record.Servers == 0 && s.standing.Servers == 0:
		return false, nil
	case !dead && !ours:
		return false, because(fault.Unavailable, reasonNotWell, "Consul's servers have no leader, or this one does not answer, which may be a restart elsewhere: it is restarted when that lasts for %s", deadAfter)
	}
	err := c.turn(ctx, uid)
	if reasonOf(err) == reasonServer && !s.alive() && dead {
		return false, nil // nobody can tell whose turn it is, and nothing runs that could be lost
	}
	return err == nil, err
}

// turn asks for it.
func (c *courier) turn(ctx context.Context, uid string) error {
	if c.turnErr != nil && c.now().Before(c.askedTurn.Add(turnPoll)) {
		return c.turnErr
	}
	c.askedTurn = c.now()
	turn, err := c.hub.takeTurn(ctx, uid)
	switch {
	case err != nil:
		c.turnErr = because(fault.Unavailable, reasonServer, "Consul is not restarted while the server cannot tell whose turn it is: %s", messageOf(err))
	case !turn.GetGranted():
		c.turnErr = because(fault.Unavailable, reasonOtherHost, "agent %s has the turn to restart its Consul server", turn.GetHolder())
	default:
		c.turnErr = nil
	}
	return c.turnErr
}

// keepTurn renews the turn until stop is called.
func (c *courier) keepTurn(ctx context.Context, r restart) (stop func()) {
	if !r.Turn {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(renewTurn)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				c.renewTurn(ctx, r.UID)
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

func (c *courier) renewTurn(ctx context.Context, uid string) {
	if turn, err := c.hub.takeTurn(ctx, uid); err != nil || !turn.GetGranted() {
		c.log.Warn("the turn to restart Consul is not renewed", "holder", turn.GetHolder(), "error", err)
	}
}

// await looks whether Consul is back as it shall be, and then lets the next host go on.
func (c *courier) await(ctx context.Context, s situation) (string, error) {
	r := *c.record.Restart
	if err := c.back(ctx, s, r); err != nil {
		if reasonOf(err) == reasonStranger {
			return c.yieldTurn(ctx, r, err)
		}
		if c.now().Sub(r.Since) > restartPatience {
			return resource.DeliveryFailed, err
		}
		return resource.DeliveryRestarting, err
	}
	if err := c.host.Done(ctx); err != nil {
		return resource.DeliveryFailed, err
	}
	c.log.Info("Consul is back", "federation", r.UID, "took", c.now().Sub(r.Since).Round(time.Millisecond))
	return c.arrived(ctx, r.Removes)
}

// yieldTurn lets the others go on although this host is not done: its server has its place again, and does not know our token. It is
// watched on.
func (c *courier) yieldTurn(ctx context.Context, r restart, why error) (string, error) {
	if r.Turn {
		if err := c.hub.endTurn(ctx, r.UID); err != nil {
			return resource.DeliveryFailed, err
		}
		r.Turn = false
		if err := c.save(func(d *deliveryRecord) { d.Restart = &r }); err != nil {
			return resource.DeliveryFailed, err
		}
	}
	return resource.DeliveryFailed, why
}

// back tells why Consul is not yet what it was before the restart, and what the restart was for.
func (c *courier) back(ctx context.Context, s situation, r restart) error {
	var err error
	switch {
	case !s.answers:
		err = because(fault.Unavailable, reasonNoConsul, "Consul does not answer since it was restarted; its own log tells more")
	case s.standing.Leader == "":
		err = because(fault.Unavailable, reasonNotWell, "Consul runs, and its servers have no leader yet")
	case s.standing.Servers < r.Servers:
		err = because(fault.Unavailable, reasonNotWell, "Consul runs, and knows %d of %d servers", s.standing.Servers, r.Servers)
	}
	if err != nil {
		c.deniedSince = time.Time{}
		return err
	}
	self, err := c.consul.Self(ctx)
	if fault.CodeOf(err) == fault.Denied {
		return c.stranger(s, r)
	}
	if err != nil {
		return err
	}
	c.deniedSince = time.Time{}
	if how := r.Facts.differ(self); how != "" {
		return because(fault.Unavailable, reasonNotTaken, "Consul was restarted and does not run with what was written: %s. Does it read the directory of %s?", how, flagConfigDir)
	}
	return c.allWell(ctx, s, r.Servers, false)
}

// stranger is back for a Consul that does not know our token: all that it says is which leader and servers it has. When these have been the
// same for a while, what keeps it from the primary is not mended by holding the others back. After a leave no token may work any more.
func (c *courier) stranger(s situation, r restart) error {
	if c.deniedSince.IsZero() || c.deniedLeader != s.standing.Leader {
		c.deniedSince, c.deniedLeader = c.now(), s.standing.Leader
	}
	switch {
	case c.now().Sub(c.deniedSince) < strangerFor:
		return because(fault.Unavailable, reasonNotWell, "Consul runs, and does not know this agent's token yet")
	case r.Removes:
		return nil
	}
	return because(fault.Unavailable, reasonStranger, "Consul runs with its leader and %d servers, and does not know this agent's token: it cannot be told whether it has joined", s.standing.Servers)
}

// allWell proves that no server is missing. A token that may not look proves nothing: before a restart that is not enough where there is
// a quorum to keep.
func (c *courier) allWell(ctx context.Context, s situation, servers int, before bool) error {
	if servers < 2 {
		return nil
	}
	list, err := c.consul.Instances(ctx, "consul", "")
	switch {
	case fault.CodeOf(err) == fault.Denied || err == nil && len(list) == 0:
		if before && servers >= quorate {
			return because(fault.Unavailable, reasonNotWell, "this agent's token may not see whether all %d Consul servers are well: it needs node and service read", servers)
		}
		return nil
	case err != nil:
		return err
	}
	well := 0
	for _, i := range list {
		if i.Health == serverPassing {
			well++
		}
	}
	if well < servers {
		return because(fault.Unavailable, reasonNotWell,
			"%d of %d Consul servers are well: none is restarted until all are (of servers that were taken away for good: stop this agent, and take \"servers\" out of %s in its directory)",
			well, max(servers, s.standing.Servers), fileDelivery)
	}
	return nil
}

// arrived notes that Consul runs with what is there.
func (c *courier) arrived(ctx context.Context, removes bool) (string, error) {
	if err := c.host.Done(ctx); err != nil {
		return resource.DeliveryFailed, err
	}
	before := c.record.Restart
	if before != nil && before.Turn {
		if err := c.hub.endTurn(ctx, before.UID); err != nil {
			c.log.Warn("the turn to restart Consul is not ended; it ends by itself", "error", err)
		}
	}
	c.paused = nil
	err := c.save(func(r *deliveryRecord) {
		r.Restart, r.Required, r.Applied = nil, nil, r.Written
		if removes {
			// One that only trusted others is done; one that was a member has the primary's mesh.
			r.Out, r.OutTime, r.Left, r.Begun, r.Put = true, c.now(), !r.Begun, false, false
		}
	})
	if err != nil {
		return resource.DeliveryFailed, err
	}
	return c.idle(), nil
}

// require says that somebody else has to restart Consul, and finds out when that was done: Consul ran otherwise, or not at all, and now
// runs with what is there.
func (c *courier) require(ctx context.Context, s situation, w *cargo) (string, error) {
	now := required{Content: w.key()}
	if c.record.Required != nil && c.record.Required.Content == now.Content {
		now = *c.record.Required
	}
	matches := s.known && w.facts.differ(s.self) == "" && (c.sight.expires.IsZero() || w.facts.shown(c.sight))
	switch {
	case !s.answers:
		now.Down = true
	case s.known && !matches:
		now.Differed = true
	case matches && s.alive() && (now.Down || now.Differed):
		c.log.Info("Consul was restarted, and runs with what the federation gives it")
		return c.arrived(ctx, w.removes)
	}
	if err := c.save(func(r *deliveryRecord) { r.Required = &now }); err != nil {
		return resource.DeliveryFailed, err
	}
	return resource.DeliveryRestartRequired, because(fault.Refused, reasonRestart,
		"everything is written: restart this host's Consul server, one host after the other (or start the agent with %s, or on Kubernetes with %s, and it does so)",
		"--consul-restart-command", "--allow-rollout")
}

// heldUntil gives the last failure of a content while its pause lasts.
func (c *courier) heldUntil(key string) error {
	if c.paused == nil || c.paused.wish != key || !c.now().Before(c.paused.until) {
		return nil
	}
	return c.paused.last
}

// setBack remembers a command that failed. The turn is kept: this host's Consul may be down, and no other shall be.
func (c *courier) setBack(ctx context.Context, key string, err error) (string, error) {
	if ctx.Err() != nil {
		return resource.DeliveryRestarting, err
	}
	if reasonOf(err) == reasonServer {
		err = because(fault.CodeOf(err), reasonCommand, "%s", messageOf(err))
	}
	if c.paused == nil || c.paused.wish != key {
		c.paused = &pause{backoff: backoff.NewExponentialBackOff(), wish: key}
		c.paused.backoff.InitialInterval, c.paused.backoff.MaxInterval = carryMinPause, carryMaxPause
	}
	c.paused.last, c.paused.until = err, c.now().Add(c.paused.backoff.NextBackOff())
	c.log.Warn("Consul cannot be made to take over what the federation gives it", "error", err)
	return resource.DeliveryFailed, err
}
