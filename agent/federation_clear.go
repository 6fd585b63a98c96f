package agent

import (
	"cmp"
	"context"
	"time"

	"isthmus/agent/consul"
	"isthmus/agent/delivery"
	"isthmus/fault"
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// clear proves, right before a running datacenter joins, that nothing is lost but what was accepted, and does what has to be done before
// Consul restarts. A Consul that is not there yet has nothing to lose.
func (c *courier) clear(ctx context.Context, s situation, item *isthmusv1.FederationSecondary, b *federation.Bundle) error {
	switch {
	case !s.answers && (c.record.Seen || c.record.TrustDomain != ""):
		return because(fault.Unavailable, reasonNoConsul, "Consul does not answer, and what it would lose cannot be told: start it")
	case !s.answers && !item.GetFresh():
		return because(fault.Refused, reasonLossUnknown,
			"Consul does not answer here, although this datacenter had one before, and what it would lose cannot be told: start it; or, when its data is gone for good, delete Datacenter %s and declare it anew",
			c.self.datacenter())
	case !s.answers:
		return nil
	case !s.known:
		return because(fault.Unavailable, reasonNoConsul, "waiting until this agent can read its Consul")
	case s.self.Secondary() && s.self.PrimaryDatacenter == item.GetPrimaryConsulDatacenter():
		return nil
	case s.self.Secondary():
		return because(fault.Refused, reasonOtherPrimary, "this datacenter is a secondary of %s already: it has to leave that federation first", s.self.PrimaryDatacenter)
	}
	begun, err := c.begunElsewhere(ctx, s, item, b)
	if err != nil || begun {
		return err
	}
	if err := c.accepted(ctx, s, item); err != nil {
		return err
	}
	if err := c.switchGossip(ctx, s, consul.Secret(b.GossipKey)); err != nil {
		return err
	}
	return c.dropExports(ctx, s)
}

// accepted proves that a join destroys exactly what was accepted, and writes that down: what is destroyed from then on is missing in the
// next look, also after a crash.
func (c *courier) accepted(ctx context.Context, s situation, item *isthmusv1.FederationSecondary) error {
	items, err := c.losses(ctx, s.self)
	if err != nil {
		return err
	}
	digest := federation.PlanDigest(item.GetUid(), c.self.datacenter(), federation.ActionJoin, federation.LossDigest(items))
	switch {
	case digest == "":
		return nil
	case digest == item.GetAcceptedDigest():
		if c.record.Cleared != nil && c.record.Cleared.Accepted == digest {
			return nil
		}
		return c.save(func(r *deliveryRecord) { r.Cleared = clearanceOf(digest, items) })
	case c.record.Cleared.covers(items) && c.record.Cleared.Accepted == item.GetAcceptedDigest():
		return nil
	case !s.leading:
		// The leading agent may have destroyed a part of it already, and not yet restarted its Consul.
		return because(fault.Unavailable, reasonLeaderFirst, "waiting until the leading agent of this datacenter has found that joining destroys what was accepted, and has begun")
	}
	return because(fault.Refused, reasonLoss,
		"joining destroys %d things here, and that is not what was accepted: see isthmus federation plan %s, and accept digest %s", len(items), item.GetFederation(), digest)
}

// revocable: this host was cleared to join, and its Consul, which answers, has not been restarted for that yet.
func (c *courier) revocable(s situation) bool {
	r := c.record
	return r.Begun && r.Applied == 0 && (r.Restart == nil || !r.Restart.Carried) && s.known && !s.self.Secondary()
}

// stillCleared looks once more, as long as Consul has not been restarted: that can take days where people do it.
func (c *courier) stillCleared(ctx context.Context, s situation, item *isthmusv1.FederationSecondary, b *federation.Bundle) error {
	begun, err := c.begunElsewhere(ctx, s, item, b)
	if err != nil || begun {
		return err
	}
	err = c.accepted(ctx, s, item)
	if reason := reasonOf(err); reason != reasonLoss && reason != reasonLeaderFirst {
		return err
	}
	if failed := c.retract(ctx); failed != nil {
		c.log.Warn("what this host was given to join cannot be taken back", "error", failed)
	}
	return err
}

// retract takes back what a host was given to join, before its Consul was restarted with it. If somebody restarts it now, it stays what
// it is.
func (c *courier) retract(ctx context.Context) error {
	effect, err := c.host.Clear(ctx)
	if err != nil {
		return err
	}
	if effect != delivery.EffectNone {
		// It runs with what it had before, but for the CAs, which a reload takes.
		if err := c.host.Carry(ctx, delivery.EffectReload); err != nil {
			c.log.Warn("Consul does not reload its configuration", "error", err)
		}
	}
	if err := cmp.Or(c.host.Done(ctx), c.dropLeaveToken()); err != nil {
		return err
	}
	if r := c.record.Restart; r != nil && r.Turn {
		if err := c.hub.endTurn(ctx, r.UID); err != nil {
			c.log.Warn("the turn to restart Consul is not ended; it ends by itself", "error", err)
		}
	}
	c.log.Info("this host does not join: what it was given for that is taken back")
	c.settled = ""
	return c.save(func(r *deliveryRecord) {
		r.Begun, r.BegunTime, r.Put, r.Written, r.Restart, r.Required = false, time.Time{}, false, 0, nil, nil
	})
}

// begunElsewhere tells whether another host of this datacenter has joined already: there is nothing left to lose then. The server says so, whose
// word it also is what was accepted; or its ACLs are the primary's, or its mesh is.
func (c *courier) begunElsewhere(ctx context.Context, s situation, item *isthmusv1.FederationSecondary, b *federation.Bundle) (bool, error) {
	if item.GetUnderWay() {
		return true, nil
	}
	if s.self.ACL != nil && *s.self.ACL && b.Tokens.Isthmus != "" {
		as, err := c.consul.As(consul.Secret(b.Tokens.Isthmus))
		if err != nil {
			return false, err
		}
		if _, err := as.Self(ctx); err == nil {
			return true, nil
		}
	}
	if s.self.Connect == nil || !*s.self.Connect || c.record.TrustDomain == "" {
		return false, nil
	}
	ca, err := c.consul.MeshCA(ctx)
	return err == nil && ca.TrustDomain != "" && ca.TrustDomain != c.record.TrustDomain, err
}

// switchGossip has this datacenter encrypt gossip with the federation's key, without a restart: from then on its servers find the key in
// their keyring files, which count before the configuration. The leader does it; the others wait.
func (c *courier) switchGossip(ctx context.Context, s situation, key consul.Secret) error {
	encrypted := s.self.Gossip != nil && *s.self.Gossip
	switch {
	case encrypted != (key != ""):
		return because(fault.Refused, reasonGossipMismatch, "gossip is encrypted in only one of this datacenter and the primary: encrypt it in both")
	case key == "":
		return nil
	}
	for {
		rows, err := c.consul.Keyring(ctx, true)
		if err != nil {
			return err
		}
		step, old := nextKeyStep(rows, key)
		switch {
		case step == keyDone:
			return nil
		case !s.leading:
			return because(fault.Unavailable, reasonGossipSwitch, "waiting until the leading agent of this datacenter has changed its gossip key")
		case step == keyInstall:
			err = c.consul.InstallKey(ctx, key)
		case step == keyUse:
			err = c.consul.UseKey(ctx, key)
		case step == keyRemove:
			err = c.consul.RemoveKey(ctx, old)
		}
		if err != nil {
			return err
		}
		c.log.Info("changed the gossip keyring for a join", "step", string(step))
	}
}

// keyStep is what is next on the way from one gossip key to another.
type keyStep string

const (
	keyInstall keyStep = "install"
	keyUse     keyStep = "use"
	keyRemove  keyStep = "remove"
	keyDone    keyStep = "done"
)

// nextKeyStep is the first step that some pool has not done. Each is repeated harmlessly.
func nextKeyStep(rows []consul.KeyringRow, key consul.Secret) (step keyStep, old consul.Secret) {
	for _, row := range rows {
		if !row.Complete(key) {
			return keyInstall, ""
		}
	}
	for _, row := range rows {
		if primary, ok := row.Primary(); !ok || primary != key {
			return keyUse, ""
		}
	}
	for _, row := range rows {
		for _, other := range row.All() {
			if other != key {
				return keyRemove, other
			}
		}
	}
	return keyDone, ""
}

// dropExports deletes the exported-services entry before a join: a secondary cannot, and would keep it for ever.
func (c *courier) dropExports(ctx context.Context, s situation) error {
	entries, _, err := c.consul.Entries(ctx, consul.KindExportedServices, consul.Query{})
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !s.leading {
			return because(fault.Unavailable, reasonExportsThere, "waiting until the leading agent of this datacenter has deleted its exported-services entry")
		}
		if err := c.consul.DeleteEntry(ctx, e); err != nil {
			return err
		}
		c.log.Info("deleted the exported-services entry, which a secondary cannot have", "name", e.Name)
	}
	return nil
}
