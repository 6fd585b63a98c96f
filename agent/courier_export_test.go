package agent

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"

	"isthmus/agent/consul"
	"isthmus/agent/delivery"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Courier is an agent's part that looks after its own host, without a server: what it asks goes to functions.
type Courier struct{ c *courier }

// CourierHub is what a courier asks the server.
type CourierHub struct {
	Fetch    func(digest string) (*isthmusv1.SealedPayload, error)
	TakeTurn func(uid string) (*isthmusv1.TakeTurnResponse, error)
	EndTurn  func(uid string) error
}

type courierHub struct {
	hub
	CourierHub
}

func (h courierHub) fetch(_ context.Context, digest string) (*isthmusv1.SealedPayload, error) {
	return h.Fetch(digest)
}

func (h courierHub) takeTurn(_ context.Context, uid string) (*isthmusv1.TakeTurnResponse, error) {
	return h.TakeTurn(uid)
}

func (h courierHub) endTurn(_ context.Context, uid string) error { return h.EndTurn(uid) }

// NewCourier makes one as an agent does that starts.
func NewCourier(c *consul.Client, id *identity.Identity, config FederationConfig, host delivery.Host, dir string, now func() time.Time, log hclog.Logger,
	asks CourierHub,
) (*Courier, error) {
	self, err := newCredentials(id, "")
	if err != nil {
		return nil, err
	}
	r := &reconciler{
		consul: c, hub: courierHub{CourierHub: asks}, self: self, now: now, log: log, federation: config, host: host, pauses: map[string]*pause{},
	}
	made, err := newCourier(r, dir, "host")
	return &Courier{made}, err
}

// Deliver is one pass.
func (c *Courier) Deliver(ctx context.Context, state *isthmusv1.DesiredState, leading bool) *isthmusv1.DeliveryReport {
	s := situation{state: state, leading: leading}
	if self, err := c.c.consul.Self(ctx); err == nil {
		s.self, s.known = self, true
	}
	report, _ := c.c.deliver(ctx, s)
	return report
}

// Losses is what a join would destroy.
func (c *Courier) Losses(ctx context.Context) ([]*isthmusv1.LostItem, error) {
	self, err := c.c.consul.Self(ctx)
	if err != nil {
		return nil, err
	}
	return c.c.losses(ctx, self)
}

// NextKeyStep is the next step on the way to a gossip key.
func NextKeyStep(rows []consul.KeyringRow, key consul.Secret) (step string, old consul.Secret) {
	next, old := nextKeyStep(rows, key)
	return string(next), old
}

// ACLLosses are what a join takes of an ACL system.
func ACLLosses(all consul.ACLInventory) []*isthmusv1.LostItem { return aclLosses(all) }
