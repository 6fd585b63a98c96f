package agent

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"

	"isthmus/agent/consul"
	"isthmus/agent/delivery"
	"isthmus/federation"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// Primary is the leading agent of a federation's primary, without a server: what it stores goes to a function.
type Primary struct{ r *reconciler }

// storeOnly is a hub that takes bundles and nothing else.
type storeOnly struct {
	hub
	take func(r *isthmusv1.StoreBundleRequest) (string, error)
}

func (s storeOnly) storeBundle(_ context.Context, r *isthmusv1.StoreBundleRequest) (string, error) {
	return s.take(r)
}

// NewPrimary makes one.
func NewPrimary(c *consul.Client, id *identity.Identity, config FederationConfig, now func() time.Time, log hclog.Logger,
	take func(r *isthmusv1.StoreBundleRequest) (string, error),
) (*Primary, error) {
	self, err := newCredentials(id, "")
	if err != nil {
		return nil, err
	}
	return &Primary{&reconciler{
		consul: c, hub: storeOnly{take: take}, self: self, now: now, log: log, federation: config, pauses: map[string]*pause{},
	}}, nil
}

// Allow changes what the host's flags allow.
func (p *Primary) Allow(config FederationConfig) { p.r.federation = config }

// Pass is one look at the desired state.
func (p *Primary) Pass(ctx context.Context, state *isthmusv1.DesiredState) ([]*isthmusv1.ObservedBundle, error) {
	self, err := p.r.consul.Self(ctx)
	if err != nil {
		return nil, err
	}
	return p.r.reconcileFederationPrimary(ctx, state, self)
}

// ProxyDefaults reconciles the entry.
func (p *Primary) ProxyDefaults(ctx context.Context, state *isthmusv1.DesiredState) error {
	return p.r.reconcileProxyDefaults(ctx, func() *isthmusv1.DesiredState { return state })
}

// PrimaryContent is what a primary's hosts shall have.
func PrimaryContent(item *isthmusv1.FederationPrimary, self consul.Self, files federation.TLSFiles, ownCA []byte, others []string) (delivery.Content, bool, error) {
	return primaryContent(item, self, files, ownCA, others)
}

// MergeProxyDefaults is the pure merge of the proxy-defaults entry.
func MergeProxyDefaults(e consul.Entry, want string, correct bool) (next consul.Entry, write, remove bool, err error) {
	r, err := mergeProxyDefaults(e, want, correct)
	return r.entry, r.write, r.remove, err
}

// Silence is since when servers have not been heard of.
type Silence struct{ s silence }

// Gone tells that one of them does not come back by itself.
func (s *Silence) Gone(w consul.WANMember, answers bool, now time.Time) bool {
	return s.s.gone(w, func() bool { return answers }, now)
}
