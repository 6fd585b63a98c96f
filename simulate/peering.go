package simulate

import (
	"context"
	"errors"
	"strings"
	"time"

	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/seal"
)

// peeringTokenLife is how long a sealed peering token may be used, as with real agents.
const peeringTokenLife = time.Hour

// reconcile makes the world match a desired state as far as it can be now. What the agent has to wait for is no error: the state that says
// that it is there is another one.
func (a *agent) reconcile(ctx context.Context, l *link, do *todo) error {
	if a.gateway {
		return nil
	}
	var errs []error
	wanted := map[string]bool{}
	for _, item := range do.items {
		switch item.GetType() {
		case resource.ItemPeeringAcceptor:
			wanted[item.GetPeeringAcceptor().GetUid()] = true
			errs = append(errs, a.accept(ctx, l, item.GetPeeringAcceptor()))
		case resource.ItemPeeringDialer:
			wanted[item.GetPeeringDialer().GetUid()] = true
			errs = append(errs, a.dial(ctx, l, item.GetPeeringDialer()))
		case resource.ItemExportedServices:
			a.fleet.poke(a.fleet.world.export(a.site, item.GetExportedServices().GetServices())...)
		}
	}
	if do.whole {
		a.fleet.world.keep(a.site, wanted)
	} else {
		a.fleet.world.forsake(a.site, uidsOf(do.removed), wanted)
	}
	errs = append(errs, a.federate(ctx, l, do.wan))
	return errors.Join(errs...)
}

// uidsOf are the uids of the peerings among some items, by the items' ids.
func uidsOf(ids []string) []string {
	var out []string
	for _, id := range ids {
		if kind, uid, ok := strings.Cut(id, "/"); ok && (kind == resource.ItemPeeringAcceptor || kind == resource.ItemPeeringDialer) {
			out = append(out, uid)
		}
	}
	return out
}

// accept makes a token when one is wanted, and hands it over sealed to the dialer's agents.
func (a *agent) accept(ctx context.Context, l *link, p *isthmusv1.PeeringAcceptor) error {
	w := a.fleet.world
	w.want(a.site, end{uid: p.GetUid(), peering: p.GetPeering(), peerName: p.GetPeerName(), role: roleAcceptor, deleting: p.GetDelete()})
	if p.GetDelete() {
		a.fleet.poke(w.drop(a.site, p.GetUid()))
		return nil
	}
	if p.GetGeneration() == 0 || p.GetTokenStored() || len(p.GetRecipients()) == 0 || p.GetExternalDialer() != "" {
		return nil
	}
	recipients := make([]string, 0, len(p.GetRecipients()))
	for _, t := range p.GetRecipients() {
		if err := identity.VerifyTrusted(t, a.fleet.key.Public()); err != nil {
			return err
		}
		recipients = append(recipients, t.GetAttestation().GetAgeRecipient())
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	claim, err := l.sync.ClaimToken(ctx, &isthmusv1.ClaimTokenRequest{Uid: p.GetUid(), Generation: p.GetGeneration()})
	if err != nil {
		return unlessOutdated(answered(err, "claiming a token of "+p.GetPeering()))
	}
	token := w.generate(a.site, p.GetUid(), p.GetGeneration())
	payload, err := seal.Seal(seal.Draft{
		Kind: seal.KindPeeringToken, UID: p.GetUid(), From: a.id.Agent(), FromDatacenter: a.site.name, ToDatacenter: p.GetDialer(),
		Generation: p.GetGeneration(), Attempt: claim.GetAttempt(), TTL: peeringTokenLife,
	}, a.id.Signer(), recipients, []byte(token), a.fleet.now())
	if err != nil {
		return err
	}
	if _, err = l.sync.StoreToken(ctx, &isthmusv1.StoreTokenRequest{Payload: payload}); err != nil {
		return unlessOutdated(answered(err, "storing a token of "+p.GetPeering()))
	}
	return nil
}

// dial uses the token that waits, once.
func (a *agent) dial(ctx context.Context, l *link, p *isthmusv1.PeeringDialer) error {
	w := a.fleet.world
	w.want(a.site, end{
		uid: p.GetUid(), peering: p.GetPeering(), peerName: p.GetPeerName(), role: roleDialer, deleting: p.GetDelete(), transfer: p.GetLeaderTransfer(),
	})
	if p.GetDelete() {
		a.fleet.poke(w.drop(a.site, p.GetUid()))
		return nil
	}
	if p.GetSecretDigest() == "" || p.GetExternalAcceptor() != "" || w.did(a.site, p.GetUid()) >= p.GetGeneration() {
		return nil
	}
	payload, err := a.fetch(ctx, l, p.GetSecretDigest())
	if err != nil {
		return unlessOutdated(err)
	}
	token, err := seal.Open(payload, seal.Expect{
		Kind: seal.KindPeeringToken, UID: p.GetUid(), FromDatacenter: p.GetAcceptor(), ToDatacenter: a.site.name, Generation: p.GetGeneration(),
	}, p.GetSenders(), a.fleet.key.Public(), a.id.Opener(), a.fleet.now())
	if err != nil {
		return err
	}
	a.fleet.poke(w.establish(a.site, p.GetUid(), p.GetGeneration(), string(token)))
	return nil
}

func (a *agent) fetch(ctx context.Context, l *link, digest string) (*isthmusv1.SealedPayload, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	got, err := l.sync.FetchSecrets(ctx, &isthmusv1.FetchSecretsRequest{Digests: []string{digest}})
	if err != nil {
		return nil, answered(err, "fetching a sealed secret")
	}
	if len(got.GetPayloads()) != 1 {
		return nil, fault.New(fault.NotFound, "the server has no such secret any more")
	}
	return got.GetPayloads()[0], nil
}

// unlessOutdated is nil for what a newer state says otherwise: it is on its way.
func unlessOutdated(err error) error {
	switch fault.CodeOf(err) { //nolint:exhaustive // the others are failures
	case fault.Conflict, fault.NotFound, fault.Refused:
		return nil
	}
	return err
}
