package agent

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"isthmus/agent/consul"
	"isthmus/agent/probe"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

const (
	// alpnPeering is what Consul's servers speak with each other over a peering: gRPC.
	alpnPeering = "h2"
	// maxDials bounds how many addresses of one peering are tried.
	maxDials = 8
)

// dials are handshakes with the servers of peers, at the addresses that the local Consul dials: an address that does not answer explains a
// stream that is silent. Only who dials tries. They go on in the background, in a prover of their own: a thousand dead addresses hold up
// nothing else.
type dials struct {
	prover prover

	// Of the passes alone: through tells that Consul goes through mesh gateways, gateways are those of this datacenter.
	through  bool
	gateways []*isthmusv1.ObservedGateway
	// doubted are the peers that were not heard of in the last pass.
	doubted map[string]bool
}

// want tries what the dialers among the items dial now. A peer that is not heard of any more is tried at once.
func (d *dials) want(ctx context.Context, r *reconciler, items []item, all []consul.Peering) {
	d.prover.begin(r)
	byName := make(map[string]consul.Peering, len(all))
	for _, p := range all {
		byName[p.Name] = p
	}
	var targets []target
	doubted, now := map[string]bool{}, r.now()
	for _, it := range items {
		p, ok := byName[it.peerName]
		if it.role != roleDialer || it.remove || !ok || uidOf(p) != it.uid || p.Deleting {
			continue
		}
		targets = append(targets, d.targets(it, p)...)
		doubted[it.uid] = !p.Heartbeat.IsZero() && now.Sub(p.Heartbeat) > freshFor
	}
	slices.SortFunc(targets, func(x, y target) int { return cmp.Compare(x.key, y.key) })
	targets = slices.CompactFunc(targets, func(x, y target) bool { return x.key == y.key })
	d.prover.want(ctx, targets[:min(len(targets), maxTargets)], false, nil)
	for uid, doubt := range doubted {
		if doubt && !d.doubted[uid] {
			d.prover.nudge(dialsOf(uid))
		}
	}
	d.doubted = doubted
}

// targets are the addresses that Consul's servers dial for one peering: their own mesh gateways first where they go through these, and then
// what the peer told. (PeeringBackend.GetDialAddresses in Consul)
func (d *dials) targets(it item, p consul.Peering) []target {
	var addresses []string
	if d.through {
		for _, g := range d.gateways {
			if g.GetHealth() == healthPassing {
				addresses = append(addresses, g.GetLanAddress())
			}
		}
	}
	addresses = append(addresses, dialled(p)...)
	var out []target
	for _, address := range addresses[:min(len(addresses), maxDials)] {
		out = append(out, target{
			key: dialsOf(it.uid) + address + "/" + p.ServerName, datacenter: cmp.Or(it.dialer.GetAcceptor(), it.dialer.GetExternalAcceptor()),
			address: address, costly: true,
			try: func(ctx context.Context, _ *prover) outcome {
				return outcomeOf(probe.Gateway(ctx, address, p.ServerName, alpnPeering))
			},
		})
	}
	return out
}

// dialsOf begins the keys of all targets of one peering.
func dialsOf(uid string) string { return "dial/" + uid + "/" }

// of is what is known of the addresses of one peering, in the order in which they are dialled.
func (d *dials) of(it item, p consul.Peering) []*isthmusv1.ObservedProbe {
	var out []*isthmusv1.ObservedProbe
	for _, t := range d.targets(it, p) {
		if o := d.prover.probe(t.key); o != nil {
			out = append(out, o)
		}
	}
	return out
}

// nudge has the targets whose keys begin so tried at once.
func (p *prover) nudge(prefix string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hurry(func(l *proofLoop) bool { return strings.HasPrefix(l.target.key, prefix) })
}

// probe is what is known of a target; nil: it was not tried yet.
func (p *prover) probe(key string) *isthmusv1.ObservedProbe {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.probes[key]
}
