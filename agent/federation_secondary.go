package agent

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"isthmus/agent/delivery"
	"isthmus/fault"
	"isthmus/federation"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/seal"
	"isthmus/secretfile"
)

// ownCAStays is how long a host that has joined goes on trusting the CA that its datacenter had before. All its servers are restarted
// in minutes; one that comes back later has no leader, and is restarted without waiting for a turn.
const ownCAStays = 24 * time.Hour

// openBundle is a bundle in clear, in memory alone.
type openBundle struct {
	digest, uid string
	generation  int32
	bundle      *federation.Bundle
}

// wantSecondary is for a host of a secondary.
//
//	delete ─▶ what a host has that left
//	not to join yet ─▶ trust the other CAs, too
//	join ─▶ bundle ─▶ certificate ─▶ nothing lost but what was accepted ─▶ gossip key, exports (leader) ─▶ tokens ─▶ everything
//
// What is lost is looked at in every pass until Consul has been restarted.
func (c *courier) wantSecondary(ctx context.Context, s situation, item *isthmusv1.FederationSecondary) (*cargo, error) {
	if err := c.free(item.GetUid()); err != nil {
		return nil, err
	}
	owner := item.GetUid() + "/" + s.state.GetConsulDatacenter()
	if item.GetDelete() {
		return c.wantLeave(ctx, s, item, owner)
	}
	if err := c.checkHost(); err != nil {
		return nil, err
	}
	if err := c.checkAllowed(item, "this datacenter is to join federation %s of primary %s, which takes its ACLs and config entries from it"); err != nil {
		return nil, err
	}
	if c.record.UID == item.GetUid() {
		if err := c.save(func(r *deliveryRecord) { r.Left, r.Out = false, false }); err != nil {
			return nil, err
		}
	}
	if !item.GetJoin() && c.revocable(s) {
		if err := c.retract(ctx); err != nil {
			return nil, err
		}
	}
	switch {
	case !item.GetJoin() && !c.record.Begun:
		return c.wantTrust(item, owner)
	case c.record.Begun && item.GetSecretDigest() == "":
		return nil, errNothing // something stands in the way of the next bundle: what is there stays
	}
	return c.wantJoin(ctx, s, item, owner)
}

// wantJoin is for a host that is, or is about to be, of a secondary.
func (c *courier) wantJoin(ctx context.Context, s situation, item *isthmusv1.FederationSecondary, owner string) (*cargo, error) {
	bundle, err := c.open(ctx, s, item)
	if err != nil {
		return nil, err
	}
	w := &cargo{uid: item.GetUid(), content: delivery.Content{Owner: owner, Generation: item.GetGeneration(), GatewayToken: bundle.Tokens.Gateway}}
	w.facts = factsOf(bundle)
	if c.adopted(s, w.facts, item) {
		// By hand, and rightly so: it gets its tokens, and what it runs with is left alone.
		w.adopted = true
		return w, c.keep(fileToken, []byte(bundle.Tokens.Isthmus))
	}
	if err := c.fill(w, s, item, bundle); err != nil {
		return nil, err
	}
	if err := c.enter(ctx, s, item, bundle); err != nil {
		return nil, err
	}
	if err := c.keep(fileCA, w.content.CA); err != nil {
		return nil, err
	}
	if err := c.keep(fileLeaveToken, []byte(bundle.Tokens.Replication)); err != nil {
		return nil, err
	}
	return w, c.keep(fileToken, []byte(bundle.Tokens.Isthmus))
}

// enter clears this host to join; what cleared it counts until its Consul is restarted for it.
func (c *courier) enter(ctx context.Context, s situation, item *isthmusv1.FederationSecondary, b *federation.Bundle) error {
	if c.record.Begun {
		if !c.revocable(s) {
			return nil
		}
		return c.stillCleared(ctx, s, item, b)
	}
	if err := c.clear(ctx, s, item, b); err != nil {
		return err
	}
	c.log.Info("this host joins a federation", "federation", item.GetFederation(), "primary", item.GetPrimary(), "generation", item.GetGeneration())
	return c.save(func(r *deliveryRecord) { r.Begun, r.BegunTime = true, c.now() })
}

// checkAllowed proves that this host's flags let its datacenter join and leave this primary's federation. Which primary it is, is the server's
// word here: what joins it is a bundle signed by that datacenter's own agents.
func (c *courier) checkAllowed(item *isthmusv1.FederationSecondary, what string) error {
	if c.federation.joins(item.GetPrimary()) {
		return nil
	}
	return because(fault.Refused, reasonJoinNotAllowed, what+", and no flag on this host allows that: start its agent with %s=%s",
		item.GetFederation(), item.GetPrimary(), flagAllowJoin, item.GetPrimary())
}

// wantTrust is the first phase of a join of a datacenter with another CA.
func (c *courier) wantTrust(item *isthmusv1.FederationSecondary, owner string) (*cargo, error) {
	if len(item.GetTrustedCas()) == 0 {
		return nil, errNothing
	}
	if c.record.OwnCA == "" {
		return nil, because(fault.Refused, reasonOwnCA, "the federation's CA is to be trusted beside this datacenter's own, which this agent cannot read: name the file with %s", flagCACert)
	}
	others, refused := c.others(item.GetUid(), item.GetPrimary(), item.GetTrustedCas())
	if len(others) == 0 {
		return nil, refused
	}
	if err := c.begin(item.GetUid()); err != nil {
		return nil, err
	}
	all, err := mergeCAs(c.record.OwnCA, others...)
	if err != nil {
		return nil, err
	}
	w := &cargo{uid: item.GetUid(), content: delivery.Content{Owner: owner, CA: bundleOf(all)}, refused: refused}
	if w.content.DropIn, err = federation.TrustDropIn(c.files().CA); err != nil {
		return nil, err
	}
	w.facts.CAs, err = subjects(w.content.CA)
	return w, err
}

func bundleOf(certificates []string) []byte {
	return []byte((&federation.Bundle{CACertificates: certificates}).CABundle())
}

// factsOf is how Consul shows that it runs with a bundle.
func factsOf(b *federation.Bundle) facts {
	f := facts{Primary: b.PrimaryDatacenter, Through: b.Mode == resource.ModeMeshGateway, Replication: b.ACL}
	if f.Through {
		f.Gateways = slices.Sorted(slices.Values(b.PrimaryGateways))
	}
	return f
}

// adopted: a human made this datacenter a member, as it shall be, and we have written nothing.
func (c *courier) adopted(s situation, f facts, item *isthmusv1.FederationSecondary) bool {
	return !c.record.Begun && s.known && s.self.PrimaryDatacenter == item.GetPrimaryConsulDatacenter() && s.self.Secondary() && f.differ(s.self) == ""
}

// fill adds what a server of a secondary has.
func (c *courier) fill(w *cargo, s situation, item *isthmusv1.FederationSecondary, b *federation.Bundle) error {
	domain := cmp.Or(s.self.Domain, b.Domain)
	if domain != b.Domain {
		return because(fault.Refused, reasonDomain, "Consul's domain is %s here and %s in the primary: one federation has one domain", domain, b.Domain)
	}
	var others []string
	others, w.refused = c.others(item.GetUid(), item.GetPrimary(), item.GetTrustedCas())
	if !c.record.Begun || c.now().Before(c.record.BegunTime.Add(ownCAStays)) {
		// This datacenter's other servers have certificates of its own CA until it is their turn.
		others = append(others, c.record.OwnCA)
	}
	all, err := mergeCAs(b.CABundle(), slices.DeleteFunc(others, func(ca string) bool { return ca == "" })...)
	if err != nil {
		return err
	}
	w.content.CA = bundleOf(all)
	if err := c.save(func(r *deliveryRecord) { r.MemberCA = b.CACertificates[0] }); err != nil {
		return err
	}
	if !c.federation.Kubernetes.Enabled() || item.GetKeyless() {
		certificate, err := c.certificate(b, s.state.GetConsulDatacenter())
		if err != nil {
			return err
		}
		w.content.Cert, w.content.Key, w.facts.Expires = certificate.chain, certificate.key, certificate.expires
	}
	if w.facts.CAs, err = subjects(w.content.CA); err != nil {
		return err
	}
	if w.content.Secret, err = b.SecretData(); err != nil {
		return err
	}
	w.content.DropIn, err = b.SecondaryDropIn(c.files())
	return err
}

// open gives the bundle that the state names: the one in memory, the sealed one on disk, or the server's. It must be signed by an agent
// of the primary, for this federation and this datacenter, of this generation, and not older than one that was opened before.
func (c *courier) open(ctx context.Context, s situation, item *isthmusv1.FederationSecondary) (*federation.Bundle, error) {
	digest := item.GetSecretDigest()
	if digest == "" {
		return nil, because(fault.Unavailable, reasonNoBundle, "waiting for the bundle of federation %s, which an agent of %s makes", item.GetFederation(), item.GetPrimary())
	}
	if c.bundle.digest == digest && c.bundle.uid == item.GetUid() && c.bundle.generation == item.GetGeneration() {
		return c.bundle.bundle, checkBundle(c.bundle.bundle, s.consulDatacenter(), item)
	}
	kept := true
	payload, err := c.keptPayload()
	if err != nil || seal.Digest(payload) != digest {
		kept = false
		if payload, err = c.hub.fetch(ctx, digest); err != nil {
			return nil, err
		}
	}
	if seal.Digest(payload) != digest {
		return nil, because(fault.Refused, reasonSecret, "the server sent another secret than the one that the state names")
	}
	b, err := c.unseal(payload, item)
	if err != nil {
		return nil, err
	}
	if err := checkBundle(b, s.consulDatacenter(), item); err != nil {
		return nil, err
	}
	if err := c.begin(item.GetUid()); err != nil {
		return nil, err
	}
	if err := c.noteOpened(item.GetUid(), item.GetGeneration()); err != nil {
		return nil, err
	}
	if !kept {
		if err := c.keepPayload(payload); err != nil {
			return nil, err
		}
	}
	c.bundle = openBundle{digest: digest, uid: item.GetUid(), generation: item.GetGeneration(), bundle: b}
	c.log.Info("opened the bundle of a federation", "federation", item.GetFederation(), "generation", item.GetGeneration(), "from", payload.GetFrom())
	return b, nil
}

// unseal opens a bundle, not older than one that was opened before.
func (c *courier) unseal(payload *isthmusv1.SealedPayload, item *isthmusv1.FederationSecondary) (*federation.Bundle, error) {
	fleet, err := c.fleet(item.GetSenders())
	if err != nil {
		return nil, err
	}
	senders, err := c.trusted(item.GetSenders(), item.GetPrimary())
	if err != nil {
		return nil, err
	}
	plain, err := seal.Open(payload, seal.Expect{
		Kind: seal.KindFederationBundle, UID: item.GetUid(), FromDatacenter: item.GetPrimary(), ToDatacenter: c.self.datacenter(),
		Generation: item.GetGeneration(), MinGeneration: c.record.Bundles[item.GetUid()].Generation,
	}, senders, fleet, c.self.ageIdentity(), c.now())
	if err != nil {
		return nil, because(fault.Refused, reasonSecret, "the bundle of federation %s is refused: %s", item.GetFederation(), messageOf(err))
	}
	b, err := federation.DecodeBundle(plain)
	if err != nil {
		return nil, because(fault.Refused, reasonSecret, "the bundle of federation %s is refused: %s", item.GetFederation(), messageOf(err))
	}
	return b, nil
}

// checkBundle compares what is in a bundle with what the state says of it, and with what Consul says that its datacenter is called.
func checkBundle(b *federation.Bundle, consulDatacenter string, item *isthmusv1.FederationSecondary) error {
	bad := func(format string, args ...any) error {
		return because(fault.Refused, reasonSecret, "the bundle of federation "+item.GetFederation()+" "+format, args...)
	}
	switch {
	case b.UID != item.GetUid():
		return bad("is of another federation")
	case b.Datacenter != consulDatacenter:
		return bad("is for Consul datacenter %s, and this one is %s", b.Datacenter, consulDatacenter)
	case b.PrimaryDatacenter != item.GetPrimaryConsulDatacenter():
		return bad("is of primary %s, not %s", b.PrimaryDatacenter, item.GetPrimaryConsulDatacenter())
	case b.Mode != item.GetMode():
		return bad("is for mode %s, not %s", b.Mode, item.GetMode())
	case item.GetKeyless() && b.CAKey != "":
		return bad("holds the CA's key, which was to stay with the primary")
	}
	return nil
}

// keptPayload is the sealed bundle of an earlier fetch.
func (c *courier) keptPayload() (*isthmusv1.SealedPayload, error) {
	text, err := secretfile.Read(c.path(fileBundle))
	if err != nil {
		return nil, err
	}
	return seal.Decode(text)
}

func (c *courier) keepPayload(payload *isthmusv1.SealedPayload) error {
	text, err := seal.Encode(payload)
	if err != nil {
		return err
	}
	return secretfile.Write(c.path(fileBundle), text)
}

// keep keeps what this agent itself needs to talk to its Consul as a member: the token by which it is known after the join, and the CA of
// the certificate that it is shown then. What there is nothing for stays as it was.
func (c *courier) keep(name string, content []byte) error {
	if len(content) == 0 {
		return nil
	}
	if now, err := secretfile.Read(c.path(name)); err == nil && bytes.Equal(now, content) {
		return nil
	}
	return secretfile.Write(c.path(name), content)
}
