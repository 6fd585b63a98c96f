package control

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"

	"isthmus/agent/consul"
	"isthmus/fault"
)

const (
	// attendEvery is how often it is made sure that Consul is the one it was, and has the gateway registered.
	attendEvery = 5 * time.Second
	// Consul is near and may be about to come up: the mean pause after a failure begins with the one and ends with the other.
	shortestPause, longestPause = 250 * time.Millisecond, 2 * time.Second
	// calm is the least time between two looks at the whole catalog, which in a busy datacenter changes all the time.
	calm = time.Second
	// maxAdrift is how many times in a row the catalog may say something else of the gateway than Consul's agent: a check that has just
	// changed is on its way.
	maxAdrift = 2
	// leaveTimeout bounds the farewell: whoever ends us will not wait.
	leaveTimeout = 5 * time.Second
)

// reasonWrongConsul is why a gateway leaves a Consul alone; agents have the same word for it.
const reasonWrongConsul = "WrongConsulDatacenter"

// What was being done when a problem came up, for Control.problems; the first in this order is reported.
const (
	doingAttend   = "attend"
	doingRegister = "register"
)

// attend keeps the gateway registered and its facts fresh until ctx ends.
//
//	who is Consul? ──▶ register ──▶ may the token read? ──▶ watches run
//	     ▲                                                       │
//	     └───────── every attendEvery, sooner when it failed ◀───┘   (ACL refused: watches end, facts stay)
func (c *Control) attend(ctx context.Context) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval, pause.RandomizationFactor = shortestPause, longestPause, 1
	var watching *watches
	defer func() { watching.end() }()
	for ctx.Err() == nil {
		errAttend := c.look(ctx, watching == nil)
		errRegister := c.register(ctx, errAttend)
		switch {
		case errAttend == nil && watching == nil:
			watching = c.watch(ctx)
		case errAttend != nil && fault.CodeOf(errAttend) != fault.Unavailable:
			watching.end() // the token may be another one soon, and a query that waits keeps the one it began with
			watching = nil
			if reasonOf(errAttend) == reasonWrongConsul {
				c.forget()
			}
		}
		if ctx.Err() != nil {
			return
		}
		c.settle(doingAttend, errAttend)
		c.settle(doingRegister, errRegister)
		if errors.Join(errAttend, errRegister) != nil {
			consul.Wait(ctx, pause.NextBackOff())
			continue
		}
		pause.Reset()
		consul.Wait(ctx, attendEvery)
	}
}

// look makes sure that Consul answers, is the right one, and may be read: the latter only at first, since it is not cheap and the watches
// find out as well.
func (c *Control) look(ctx context.Context, first bool) error {
	self, err := c.config.Consul.Self(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	wanted := c.wanted
	c.mu.Unlock()
	if wanted != "" && self.Datacenter != wanted {
		return c.disown(ctx, self.Datacenter, wanted)
	}
	if first {
		if err := c.config.Consul.CheckReads(ctx); err != nil {
			return err
		}
	}
	leader, err := c.config.Consul.Leader(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	f := &c.facts
	news := f.datacenter != self.Datacenter || f.domain != cmp.Or(self.Domain, "consul") || f.leader != leader
	f.datacenter, f.domain, f.leader = self.Datacenter, cmp.Or(self.Domain, "consul"), leader
	c.mu.Unlock()
	if news {
		c.compose()
	}
	return nil
}

// disown leaves nothing in a Consul that is not the one of this gateway's datacenter.
func (c *Control) disown(ctx context.Context, datacenter, wanted string) error {
	c.mu.Lock()
	registered := c.registered
	c.mu.Unlock()
	if registered && c.config.Consul.RemoveMeshGateway(ctx, c.self.ID) == nil {
		c.setRegistered(false)
	}
	message := "this gateway is for Consul datacenter " + wanted + ", and the Consul at its address is " + datacenter + ": nothing is taken from there"
	return &fault.Error{
		Code: fault.Refused, Message: message, Violations: []fault.Violation{{Field: "consul", Reason: reasonWrongConsul, Message: message}},
	}
}

// forget is for what the wrong Consul said.
func (c *Control) forget() {
	c.mu.Lock()
	c.facts = facts{}
	c.mu.Unlock()
	c.compose()
}

// register makes sure that the gateway stands in Consul. It needs other rights than reading does, and is tried when that failed as well.
func (c *Control) register(ctx context.Context, attended error) error {
	if reasonOf(attended) == reasonWrongConsul {
		return nil
	}
	note := ""
	if c.adrift >= maxAdrift {
		note = "Registered anew at " + c.config.Now().UTC().Format(time.RFC3339)
	}
	news, err := c.config.Consul.EnsureMeshGateway(ctx, c.self, note)
	if err != nil {
		return err
	}
	if news {
		c.adrift = 0
		c.log.Info("registered in Consul", "service", c.self.Name, "id", c.self.ID, "lan", c.self.LAN, "wan", c.self.WAN)
	}
	c.setRegistered(true)
	if same, err := c.config.Consul.MeshGatewayInCatalog(ctx, c.self); err != nil {
		return err
	} else if same {
		c.adrift = 0
	} else {
		c.adrift++
	}
	return nil
}

func (c *Control) setRegistered(registered bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.registered != registered {
		c.registered = registered
		c.report()
	}
}

// settle remembers what does not work, logs when it begins and ends, and reports.
func (c *Control) settle(doing string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := reasonOf(c.problems[doing])
	delete(c.problems, doing)
	if err != nil {
		c.problems[doing] = err
	}
	switch now := reasonOf(err); {
	case now == before:
		return
	case err == nil:
		c.log.Info("works again", "doing", doing)
	default:
		c.log.Warn("does not work yet", "doing", doing, "reason", now, "error", err)
	}
	c.report()
}

// problem is the one to report. c.mu is held.
func (c *Control) problem() error {
	first := cmp.Or(c.problems[doingAttend], c.problems[doingRegister])
	for _, doing := range slices.Sorted(maps.Keys(c.problems)) {
		first = cmp.Or(first, c.problems[doing])
	}
	return first
}

// reasonOf is one word for what is wrong; empty for nil.
func reasonOf(err error) string {
	if f, ok := errors.AsType[*fault.Error](err); ok && len(f.Violations) > 0 {
		return f.Violations[0].Reason
	}
	return string(consul.ReasonOf(err))
}

// watches are queries of Consul that wait for changes.
type watches struct {
	stop  context.CancelFunc
	group errgroup.Group
}

// end ends them; nil has none.
func (w *watches) end() {
	if w != nil {
		w.stop()
		_ = w.group.Wait() // they return none
	}
}

// watch keeps the facts fresh.
func (c *Control) watch(ctx context.Context) *watches {
	w := &watches{}
	ctx, w.stop = context.WithCancel(ctx)
	cl := c.config.Consul
	keep(ctx, c, w, "servers", 0, cl.MeshServers, func(f *facts, v []consul.MeshServer) { f.servers = v })
	keep(ctx, c, w, "gateways", 0, cl.FederationGateways, func(f *facts, v map[string][]consul.Instance) { f.gateways = v })
	keep(ctx, c, w, "trust domain", 0, cl.TrustDomain, func(f *facts, v string) { f.trustDomain = v })
	keep(ctx, c, w, "peerings", 0, cl.Peerings, func(f *facts, v []consul.Peering) { f.peerings = v })
	keep(ctx, c, w, "exports", 0, cl.MeshExports, func(f *facts, v []consul.MeshExport) { f.exports = v })
	keep(ctx, c, w, "endpoints", calm, cl.Endpoints, func(f *facts, v []consul.Endpoint) { f.endpoints = v })
	return w
}

// keep keeps one part of the facts fresh; calmly, with a pause between two looks.
func keep[T any](ctx context.Context, c *Control, w *watches, what string, calmly time.Duration,
	fetch func(ctx context.Context, q consul.Query) (T, uint64, error), put func(f *facts, value T),
) {
	w.group.Go(func() error {
		consul.Watch(ctx, func(ctx context.Context, q consul.Query) (uint64, error) {
			value, index, err := fetch(ctx, q)
			if ctx.Err() != nil {
				return 0, ctx.Err() //nolint:wrapcheck // nobody looks at it
			}
			c.settle(what, err)
			if err != nil {
				return 0, err
			}
			c.mu.Lock()
			put(&c.facts, value)
			c.mu.Unlock()
			if q.Index > 0 && calmly > 0 {
				consul.Wait(ctx, calmly)
			}
			return index, nil
		}, c.compose)
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.problems, what) // nobody looks after it any more
		return nil
	})
}
