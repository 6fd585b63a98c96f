package agent

import (
	"cmp"
	"context"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"

	"isthmus/agent/consul"
	"isthmus/agent/delivery"
	"isthmus/fault"
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// primaryEvery is how often a primary's agent looks for what nobody tells it of: another gossip key, another CA, a token that somebody
// deleted. Whatever the server knows comes with the desired state, and is acted on at once.
const primaryEvery = 15 * time.Second

// shownWithin is how long the server may take to show what it stored.
const shownWithin = time.Minute

// primaryDesk is what the leading agent of a primary knows from pass to pass. Nothing of it has to outlive the process. Passes do not
// overlap, so it has no lock. The zero value is ready.
type primaryDesk struct {
	// wish is the digest of the items that observed is about; next is when to look again although they stay the same.
	wish     string
	next     time.Time
	observed []*isthmusv1.ObservedBundle
	// pauses hold back what failed, by what it is about.
	pauses map[string]*pause
	// silent is since when the servers of members that left have not been heard of.
	silent silence
	// stored is what this agent stored last, by whom it is for, until the desired state shows it.
	stored map[string]storedBundle
	// joins are attempts to join servers, which take as long as it takes to find out that nobody answers.
	joins *joins
	// accepted is the CA (SHA-256 of its certificate) that this datacenter's servers said that they trust.
	accepted [sha256.Size]byte
}

// storedBundle is one that the server took.
type storedBundle struct {
	generation  int32
	inputDigest string
	at          time.Time
}

// remember notes what was stored.
func (d *primaryDesk) remember(key string, s storedBundle) {
	if d.stored == nil {
		d.stored = map[string]storedBundle{}
	}
	d.stored[key] = s
}

// underWay tells that the state which shows what was stored last is still to come. It does not take a minute, unless the server was set back.
func (d *primaryDesk) underWay(key string, have int32, inputDigest string, now time.Time) bool {
	s, ok := d.stored[key]
	return ok && s.generation > have && s.inputDigest == inputDigest && now.Sub(s.at) < shownWithin
}

// primaryPass is one look at one federation. What several members need is read once.
type primaryPass struct {
	*reconciler
	item *isthmusv1.FederationPrimary
	self consul.Self

	ca     *authority
	caErr  error
	gossip *consul.Secret
	wan    []consul.WANMember
	asked  bool
}

// reconcileFederationPrimary does what the primary of a federation has to do for the others, and tells what came of it. Leader only.
//
//	each member:   revoke ──▶ delete its tokens, forget its servers in the WAN gossip
//	               ready  ──▶ CA, gossip key, tokens, certificates ──▶ the same as what is stored? ──▶ seal ──▶ store
//	               traditional, with a bundle ──▶ join its servers
//	each request by hand: allowed? ──▶ seal to that recipient ──▶ store
func (r *reconciler) reconcileFederationPrimary(ctx context.Context, state *isthmusv1.DesiredState, self consul.Self) ([]*isthmusv1.ObservedBundle, error) {
	var items []*isthmusv1.FederationPrimary
	wish := ""
	for _, i := range state.GetItems() {
		if f := i.GetFederationPrimary(); f != nil {
			items, wish = append(items, f), wish+wishOf(i)
		}
	}
	desk := &r.primary
	if len(items) == 0 {
		*desk = primaryDesk{}
		return nil, nil
	}
	if wish == desk.wish && r.now().Before(desk.next) {
		return desk.observed, nil
	}
	if self.Secondary() {
		return nil, because(fault.Refused, reasonNotPrimary, "this datacenter is to be a primary, and its Consul is a secondary of %s: let it leave that federation first, or make %s the primary",
			self.PrimaryDatacenter, self.PrimaryDatacenter)
	}
	var observed []*isthmusv1.ObservedBundle
	for _, f := range items {
		pass := &primaryPass{reconciler: r, item: f, self: self}
		observed = append(observed, pass.run(ctx)...)
	}
	if ctx.Err() != nil {
		return nil, fault.Wrap(fault.Canceled, ctx.Err(), "looking after a federation")
	}
	desk.wish, desk.observed, desk.next = wish, observed, r.now().Add(primaryEvery)
	if slices.ContainsFunc(observed, func(o *isthmusv1.ObservedBundle) bool { return o.GetErrorReason() != "" }) {
		desk.next = time.Time{} // each failure has a pause of its own
	}
	return observed, nil
}

// run goes through members and requests.
func (p *primaryPass) run(ctx context.Context) []*isthmusv1.ObservedBundle {
	var out []*isthmusv1.ObservedBundle
	for _, m := range p.item.GetMembers() {
		o := &isthmusv1.ObservedBundle{Datacenter: m.GetDatacenter()}
		err := p.paced(ctx, p.key(m), resource.Digest(m), func() (err error) {
			o.Revoked, err = p.member(ctx, m)
			return err
		})
		o.ErrorReason, o.Error = reasonOf(err), messageOf(err)
		out = append(out, o)
	}
	for _, request := range p.item.GetRequests() {
		if request.GetSecretDigest() != "" {
			continue
		}
		o := &isthmusv1.ObservedBundle{Datacenter: request.GetDatacenter(), Recipient: request.GetRecipient(), RequestTime: request.GetCreateTime()}
		err := p.paced(ctx, p.requestKey(request), p.requestKey(request), func() error { return p.byHand(ctx, request) })
		o.ErrorReason, o.Error = reasonOf(err), messageOf(err)
		out = append(out, o)
	}
	return out
}

// key is whom a bundle is for.
func (p *primaryPass) key(m *isthmusv1.BundleMember) string {
	return p.item.GetUid() + "/" + m.GetDatacenter()
}

// paced runs work, or gives the error of the last time while its pause lasts. Another wish is tried at once.
func (p *primaryPass) paced(ctx context.Context, key, wish string, work func() error) error {
	desk := &p.primary
	held := desk.pauses[key]
	if held != nil && held.wish == wish && p.now().Before(held.until) {
		return failure(held.last)
	}
	err := work()
	switch {
	case ctx.Err() != nil:
		return err // nobody hears it, and it says nothing about the next time
	case err == nil:
		delete(desk.pauses, key)
		return nil
	}
	if held == nil || held.wish != wish {
		held = &pause{backoff: backoff.NewExponentialBackOff(), wish: wish}
		held.backoff.InitialInterval, held.backoff.MaxInterval, held.backoff.RandomizationFactor = itemMinPause, itemMaxPause, 1
		if desk.pauses == nil {
			desk.pauses = map[string]*pause{}
		}
		desk.pauses[key] = held
	}
	if held.last == nil || reasonOf(held.last) != reasonOf(err) {
		if failure(err) == nil {
			p.log.Debug("waiting for the server's next word on a federation", "federation", p.item.GetFederation(), "for", key, "error", err)
		} else {
			p.log.Warn("a member of the federation cannot be served now", "federation", p.item.GetFederation(), "for", key, "reason", reasonOf(err), "error", err)
		}
	}
	held.last, held.until = err, p.now().Add(held.backoff.NextBackOff())
	if failure(err) == nil {
		held.until = p.now().Add(pollSoon) // the newest state is on its way
	}
	return failure(err)
}

// member does what one member needs now.
func (p *primaryPass) member(ctx context.Context, m *isthmusv1.BundleMember) (revoked bool, err error) {
	if err := p.checkMember(m); err != nil {
		return false, err
	}
	switch {
	case m.GetRevoke():
		err := p.revoke(ctx, m)
		return err == nil, err
	case !m.GetReady():
		return false, nil
	}
	refused, err := p.bundle(ctx, m)
	if err == nil && p.item.GetMode() == resource.ModeTraditional && m.GetBundle().GetGeneration() > 0 {
		err = p.join(ctx, m)
	}
	return false, cmp.Or(err, refused)
}

// checkMember refuses names that would make another datacenter of it: certificates and tokens are made for them.
func (p *primaryPass) checkMember(m *isthmusv1.BundleMember) error {
	name := m.GetConsulDatacenter()
	others := 0
	for _, other := range p.item.GetMembers() {
		if other.GetConsulDatacenter() == name && !other.GetRevoke() {
			others++
		}
	}
	switch {
	case !validConsulName(name):
		return because(fault.Refused, reasonConsulName, "%q cannot be the name of a Consul datacenter", name)
	case name == p.self.Datacenter || m.GetDatacenter() == p.reconciler.self.datacenter():
		return because(fault.Refused, reasonConsulName, "%s is to be a secondary, and this primary's own Consul datacenter is called %s, too: rename one", m.GetDatacenter(), name)
	case others > 1 && !m.GetRevoke():
		return because(fault.Refused, reasonConsulName, "several datacenters of this federation are called %s in Consul: rename all but one", name)
	}
	return nil
}

// validConsulName tells whether a name is one label of DNS as Consul takes it for datacenters.
func validConsulName(name string) bool {
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return name != "" && len(name) <= resource.MaxNameLength
}

// authority is the CA, read once in a pass.
func (p *primaryPass) authority(ctx context.Context) (*authority, error) {
	if p.ca == nil && p.caErr == nil {
		if p.ca, p.caErr = readAuthority(ctx, p.authoritySource(), p.now()); p.caErr == nil {
			p.caErr = p.accepted(ctx, p.ca)
		}
	}
	return p.ca, p.caErr
}

// gossipKey is the key that this datacenter's gossip is encrypted with, read once in a pass; empty when it is not encrypted.
func (p *primaryPass) gossipKey(ctx context.Context) (consul.Secret, error) {
	if p.gossip != nil {
		return *p.gossip, nil
	}
	var found consul.Secret
	if p.self.Gossip == nil || *p.self.Gossip {
		rows, err := p.consul.Keyring(ctx, true)
		if err != nil {
			return "", err
		}
		for _, row := range rows {
			key, ok := row.Primary()
			switch {
			case row.WAN || row.Datacenter != p.self.Datacenter:
				continue
			case !ok || found != "" && found != key:
				return "", because(fault.Unavailable, reasonGossip, "the servers do not all encrypt gossip with the same key: the key is being rotated, or some servers do not answer (consul keyring -list shows it)")
			}
			found = key
		}
		if found == "" {
			return "", because(fault.Unavailable, reasonGossip, "Consul lists no gossip key although gossip is encrypted: see consul keyring -list")
		}
	}
	p.gossip = &found
	return found, nil
}

// primaryContent is what the hosts of a primary's servers shall have. The bool is false when its Consul runs like that already, by what is
// in its own configuration: then nothing has to be delivered by whoever has delivered nothing yet. Who has, goes on with what this gives.
// ownCA are the CAs (PEM) that the servers trust now, others those of datacenters that are on their way in, proven.
func primaryContent(item *isthmusv1.FederationPrimary, self consul.Self, files federation.TLSFiles, ownCA []byte, others []string) (delivery.Content, bool, error) {
	if item.GetDelete() {
		return delivery.Content{}, false, nil
	}
	trust := len(others) > 0
	through := item.GetMode() == resource.ModeMeshGateway
	running := self.PrimaryDatacenter == self.Datacenter && (self.WANFederation != nil && *self.WANFederation) == through &&
		(self.Connect != nil && *self.Connect)
	var content delivery.Content
	named := federation.TLSFiles{}
	if trust {
		if len(ownCA) == 0 {
			return delivery.Content{}, false, because(fault.Refused, reasonCA,
				"other CAs are to be trusted beside the primary's own, which is not known: name it with %s on each server's agent", flagCACert)
		}
		named.CA = files.CA
		all, err := mergeCAs(string(ownCA), others...)
		if err != nil {
			return delivery.Content{}, false, err
		}
		bundle := federation.Bundle{CACertificates: all}
		content.CA = []byte(bundle.CABundle())
	}
	var err error
	content.DropIn, err = federation.PrimaryDropIn(self.Datacenter, item.GetMode(), item.GetRetryIntervalWan(), named)
	return content, trust || !running, err
}
