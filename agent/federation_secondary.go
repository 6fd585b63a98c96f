package agent

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"isthmus/agent/consul"
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
	digest string
	bundle *federation.Bundle
}

// wantSecondary is for a host of a secondary.
//
//	delete ─▶ what a host has that left
//	not to join yet ─▶ trust the other CAs, too
//	join ─▶ bundle ─▶ certificate ─▶ once: nothing lost but what was accepted ─▶ gossip key, exports (leader) ─▶ tokens ─▶ everything
func (c *courier) wantSecondary(ctx context.Context, s situation, item *isthmusv1.FederationSecondary) (*cargo, error) {
	if err := c.about(item.GetUid()); err != nil {
		return nil, err
	}
	owner := item.GetUid() + "/" + s.state.GetConsulDatacenter()
	if item.GetDelete() {
		return c.wantLeave(ctx, s, item, owner)
	}
	if c.record.Left || c.record.Out {
		if err := c.save(func(r *deliveryRecord) { r.Left, r.Out = false, false }); err != nil {
			return nil, err
		}
	}
	if err := c.checkHost(); err != nil {
		return nil, err
	}
	if !c.federation.AllowJoin {
		return nil, because(fault.Refused, reasonJoinNotAllowed,
			"this datacenter is to join federation %s, which takes its ACLs and config entries from it, and no flag on this host allows that: start its agent with %s", item.GetFederation(), flagAllowJoin)
	}
	if !item.GetJoin() && !c.record.Begun {
		return c.wantTrust(item, owner)
	}
	if c.record.Begun && item.GetSecretDigest() == "" {
		return nil, errNothing // something stands in the way of the next bundle: what is there stays
	}
	bundle, err := c.open(ctx, s, item)
	if err != nil {
		return nil, err
	}
	w := &cargo{uid: item.GetUid(), content: delivery.Content{Owner: owner, Generation: item.GetGeneration(), GatewayToken: bundle.Tokens.Gateway}}
	w.facts = factsOf(bundle)
	if c.adopted(s, w.facts, item) {
		// By hand, and rightly so: it gets its tokens, and what it runs with is left alone.
		return w, c.keep(fileToken, []byte(bundle.Tokens.Isthmus))
	}
	if err := c.fill(w, s, item, bundle); err != nil {
		return nil, err
	}
	if !c.record.Begun {
		if err := c.clear(ctx, s, item, bundle); err != nil {
			return nil, err
		}
		c.log.Info("this host joins a federation", "federation", item.GetFederation(), "primary", item.GetPrimary(), "generation", item.GetGeneration())
		if err := c.save(func(r *deliveryRecord) { r.Begun, r.BegunTime = true, c.now() }); err != nil {
			return nil, err
		}
	}
	if err := c.keep(fileCA, w.content.CA); err != nil {
		return nil, err
	}
	return w, c.keep(fileToken, []byte(bundle.Tokens.Isthmus))
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

// wantLeave is for a host that goes back to be of a datacenter of its own.
func (c *courier) wantLeave(ctx context.Context, s situation, item *isthmusv1.FederationSecondary, owner string) (*cargo, error) {
	switch {
	case c.record.Left:
		return nil, errNothing
	case c.record.Out:
		if err := c.ownMesh(ctx, s, item); err != nil {
			return nil, err
		}
		if err := c.save(func(r *deliveryRecord) { r.Left = true }); err != nil {
			return nil, err
		}
		return nil, errNothing
	case !c.record.Put && s.known && s.self.Secondary() && s.self.PrimaryDatacenter == item.GetPrimaryConsulDatacenter():
		return nil, because(fault.Refused, reasonConfigByHand,
			"this host's Consul is a secondary of %s by its own configuration, not by isthmus: take primary_datacenter and what belongs to it out there, and restart it", s.self.PrimaryDatacenter)
	case !c.record.Put:
		if err := c.save(func(r *deliveryRecord) { r.Left, r.Begun = true, false }); err != nil {
			return nil, err
		}
		return nil, errNothing
	}
	if err := c.checkHost(); err != nil {
		return nil, err
	}
	w := &cargo{uid: item.GetUid(), content: delivery.Content{Owner: owner}, facts: facts{None: true}, removes: true}
	if !c.record.Begun || c.federation.Kubernetes.Enabled() {
		return w, nil // it only trusted others; or Helm makes Consul's configuration
	}
	var err error
	w.content.DropIn, err = federation.LeftDropIn()
	return w, err
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
	if c.bundle.digest == digest {
		return c.bundle.bundle, nil
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
	b, err := c.unseal(payload, item, item.GetGeneration())
	if err != nil {
		return nil, err
	}
	if err := checkBundle(b, s.state, item); err != nil {
		return nil, err
	}
	if !kept {
		if err := c.keepPayload(payload); err != nil {
			return nil, err
		}
	}
	c.bundle = openBundle{digest: digest, bundle: b}
	c.log.Info("opened the bundle of a federation", "federation", item.GetFederation(), "generation", item.GetGeneration(), "from", payload.GetFrom())
	return b, c.save(func(r *deliveryRecord) { r.Opened = max(r.Opened, item.GetGeneration()) })
}

// unseal opens a bundle of a generation, not older than one that was opened before.
func (c *courier) unseal(payload *isthmusv1.SealedPayload, item *isthmusv1.FederationSecondary, generation int32) (*federation.Bundle, error) {
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
		Generation: generation, MinGeneration: c.record.Opened,
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

// checkBundle compares what is in a bundle with what the state says of it.
func checkBundle(b *federation.Bundle, state *isthmusv1.DesiredState, item *isthmusv1.FederationSecondary) error {
	bad := func(format string, args ...any) error {
		return because(fault.Refused, reasonSecret, "the bundle of federation "+item.GetFederation()+" "+format, args...)
	}
	switch {
	case b.UID != item.GetUid():
		return bad("is of another federation")
	case b.Datacenter != state.GetConsulDatacenter():
		return bad("is for Consul datacenter %s, and this one is %s", b.Datacenter, state.GetConsulDatacenter())
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

// clear proves, right before a running datacenter joins, that nothing is lost but what was accepted, and does what has to be done before
// Consul restarts. A Consul that is not there yet has nothing to lose.
func (c *courier) clear(ctx context.Context, s situation, item *isthmusv1.FederationSecondary, b *federation.Bundle) error {
	switch {
	case !s.answers && c.record.TrustDomain != "":
		return because(fault.Unavailable, reasonNoConsul, "Consul does not answer, and what it would lose cannot be told: start it")
	case !s.answers:
		return nil
	case !s.known:
		return because(fault.Unavailable, reasonNoConsul, "waiting until this agent can read its Consul")
	case s.self.Secondary() && s.self.PrimaryDatacenter == item.GetPrimaryConsulDatacenter():
		return nil
	case s.self.Secondary():
		return because(fault.Refused, reasonOtherPrimary, "this datacenter is a secondary of %s already: it has to leave that federation first", s.self.PrimaryDatacenter)
	}
	begun, err := c.begunElsewhere(ctx, s, b)
	if err != nil || begun {
		return err
	}
	items, err := c.losses(ctx, s.self)
	if err != nil {
		return err
	}
	if digest := federation.PlanDigest(item.GetUid(), c.self.datacenter(), federation.ActionJoin, federation.LossDigest(items)); digest != "" && digest != item.GetAcceptedDigest() {
		return because(fault.Refused, reasonLoss,
			"joining destroys %d things here, and that is not what was accepted: see isthmus federation plan %s, and accept digest %s", len(items), item.GetFederation(), digest)
	}
	if err := c.switchGossip(ctx, s, consul.Secret(b.GossipKey)); err != nil {
		return err
	}
	return c.dropExports(ctx, s)
}

// begunElsewhere tells whether another host of this datacenter has joined already: there is nothing left to lose then. Its ACLs are the
// primary's, or its mesh is.
func (c *courier) begunElsewhere(ctx context.Context, s situation, b *federation.Bundle) (bool, error) {
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
