package observation

import (
	"context"
	"strings"
	"time"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store/snapshot"
)

// leftoversEvery is how often everything is looked through for what nobody speaks for any more: a report that was under
// way when its agent was deleted, or what was there when the server was down.
const leftoversEvery = 10 * time.Minute

// ForgetAgent drops everything that one agent said of itself and its host, and where it was. What tells that there is something to drop goes
// last.
func (t *Table) ForgetAgent(ctx context.Context, datacenter, agent string) error {
	for _, part := range []string{PresencePart(agent), DeliveryPart(agent), GatewayPart(agent), ClockPart(agent), AgentPart(agent)} {
		if err := t.Forget(ctx, datacenter, part); err != nil {
			return err
		}
	}
	return nil
}

// Forget drops one part of a datacenter's reports, or all of them when part is empty.
func (t *Table) Forget(ctx context.Context, datacenter, part string) error {
	t.storing.Lock()
	defer t.storing.Unlock()
	if err := t.observatory.Forget(ctx, datacenter, part); err != nil {
		return err
	}
	t.drop(datacenter, part)
	return nil
}

func (t *Table) drop(datacenter, part string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k := range t.rows {
		if k.datacenter == datacenter && (part == "" || k.part == part) {
			delete(t.rows, k)
			delete(t.dirty, k)
			if agent, own := agentOf(k.part); own {
				delete(t.clocks, key{datacenter, ClockPart(agent)})
				if k.part == AgentPart(agent) {
					delete(t.agents, key{datacenter, agent})
				}
			}
		}
	}
	t.notify(datacenter)
}

// Follow forgets what deleted agents said of themselves, and all of datacenters that have neither a Datacenter nor an
// agent, whichever replica deleted them, until ctx ends.
func (t *Table) Follow(ctx context.Context, s *snapshot.Snapshot) error {
	follower := s.Follow().Gathering(snapshot.Moment)
	leftovers := time.NewTicker(leftoversEvery)
	defer leftovers.Stop()
	t.tidy(ctx, s, nil)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-leftovers.C:
			t.tidy(ctx, s, nil)
			continue
		case <-follower.Rested():
			continue
		case <-follower.Changed():
		}
		batch, err := follower.Next(ctx)
		if err != nil {
			return nil // Next fails when ctx ends, which is how Follow is stopped.
		}
		if batch.Restarted() {
			t.lost()
		}
		if places := deserted(batch); len(places) > 0 {
			t.tidy(ctx, s, places)
		}
	}
}

// deserted are the datacenters in which something was deleted that could have been spoken for.
func deserted(batch *snapshot.Batch) map[string]bool {
	out := map[string]bool{}
	for _, c := range batch.Changes {
		if c.After != nil && c.Before != nil && c.After.GetUid() == c.Before.GetUid() {
			continue
		}
		switch o := c.Before.(type) {
		case *isthmusv1.Agent:
			out[o.GetSpec().GetDatacenter()] = true
		case *isthmusv1.Datacenter:
			out[o.GetName()] = true
		}
	}
	return out
}

// tidy forgets what nobody speaks for, in some datacenters, or in all when places is nil. The snapshot catches up after
// the table was looked at: whoever has reported is in it then, unless it was deleted.
func (t *Table) tidy(ctx context.Context, s *snapshot.Snapshot, places map[string]bool) {
	keys := t.keys(places)
	if len(keys) == 0 {
		return
	}
	if err := s.Catchup(ctx); err != nil {
		t.log.Debug("cannot tell whose reports are to be forgotten; it is tried again", "error", err)
		return
	}
	v := s.View()
	for _, k := range keys {
		if spokenFor(v, k) {
			continue
		}
		if err := t.abandon(ctx, k); err != nil && ctx.Err() == nil {
			t.log.Warn("cannot forget what was reported; it is tried again", "datacenter", k.datacenter, "part", k.part, "error", err)
		}
	}
}

// abandon forgets a row that nobody speaks for; with what an agent said of itself all that is the agent's.
func (t *Table) abandon(ctx context.Context, k key) error {
	if agent, own := strings.CutPrefix(k.part, agentPrefix); own {
		return t.ForgetAgent(ctx, k.datacenter, agent)
	}
	return t.Forget(ctx, k.datacenter, k.part)
}

// keys are the rows of some datacenters, or of all.
func (t *Table) keys(places map[string]bool) []key {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []key
	for k := range t.rows {
		if places == nil || places[k.datacenter] {
			out = append(out, k)
		}
	}
	return out
}

// spokenFor tells whether there is still the agent that a row is about, or anything of its datacenter.
func spokenFor(v *snapshot.View, k key) bool {
	if name, ok := agentOf(k.part); ok {
		a, there := resource.Lookup[*isthmusv1.Agent](v, resource.KindAgent, name)
		return there && a.GetSpec().GetDatacenter() == k.datacenter
	}
	if _, declared := v.Get(resource.KindDatacenter, k.datacenter); declared {
		return true
	}
	for range v.Touching(resource.KindAgent, k.datacenter) {
		return true
	}
	return false
}
