package agent

import (
	"context"
	"slices"
	"time"

	"isthmus/agent/consul"
	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/seal"
)

// tokenLife is how long a sealed token may be used. Consul's own do not expire.
const tokenLife = time.Hour

// accept makes the token of the wanted generation, once, and only after the server gave the claim to it: making one voids
// the one before.
//
//	verify recipients ──▶ claim ──▶ make ──▶ seal ──▶ store
//	refused: somebody else was first, or the token is made and somebody new cannot open it; the next state says what to do
//	a crash in between: the state still says that no token is stored, and the next pass claims the next attempt
func (r *reconciler) accept(ctx context.Context, it item, at *consul.Peering) (acted bool, err error) {
	a := it.acceptor
	if a.GetExternalDialer() != "" || it.generation == 0 || a.GetTokenStored() {
		return false, nil
	}
	recipients, err := r.recipients(a)
	if err != nil {
		return false, err
	}
	if at != nil && at.State == consul.StateTerminated {
		// Consul would make a token for it and leave it TERMINATED.
		return true, r.remove(ctx, it, *at)
	}
	attempt, err := r.hub.claim(ctx, &isthmusv1.ClaimTokenRequest{Uid: it.uid, Generation: it.generation})
	if err != nil {
		return false, outdated(err)
	}
	token, err := r.consul.GenerateToken(ctx, consul.TokenRequest{
		Name: it.peerName, Meta: markOf(it.uid, it.peering, it.generation), ExternalAddresses: a.GetServerExternalAddresses(),
	})
	if err != nil {
		return false, err
	}
	payload, err := seal.Seal(seal.Draft{
		Kind: seal.KindPeeringToken, UID: it.uid, From: r.self.name(), FromDatacenter: r.self.datacenter(), ToDatacenter: a.GetDialer(),
		Generation: it.generation, Attempt: attempt, TTL: tokenLife,
	}, r.self.signer(), recipients, []byte(token.Reveal()), r.now())
	if err != nil {
		return true, fault.Wrap(fault.CodeOf(err), err, "sealing the token of peering %s", it.peering)
	}
	err = r.hub.store(ctx, &isthmusv1.StoreTokenRequest{Payload: payload, Uid: it.uid, Generation: it.generation, Attempt: attempt})
	if err != nil {
		return true, outdated(err)
	}
	if err := r.records.token(it.uid, it.generation, ""); err != nil {
		return true, err
	}
	r.log.Info("made a peering token", "peering", it.peering, "peer", it.peerName, "generation", it.generation,
		"attempt", attempt, "digest", seal.Digest(payload), "recipients", len(recipients))
	return true, nil
}

// outdated marks the server's refusal of a claim, or of what was made with it: the state that the agent works by is not the
// newest any more, or the server has yet to raise the generation. Nothing failed; there is nothing to do but wait.
func outdated(err error) error {
	if code := fault.CodeOf(err); code == fault.Refused || code == fault.Conflict {
		return fault.Wrap(code, reason(reasonOutdated), "%s", messageOf(err))
	}
	return err
}

// recipients are the age keys of those of the dialer's agents whose keys are proven up to the fleet key, and belong to the
// dialer. What the server says besides is left out: nothing is sealed to it.
func (r *reconciler) recipients(a *isthmusv1.PeeringAcceptor) ([]string, error) {
	trusted, err := r.trusted(a.GetRecipients(), a.GetDialer())
	if err != nil {
		return nil, err
	}
	out := recipientsOf(trusted)
	if len(out) == 0 {
		return nil, because(fault.Refused, reasonNoRecipient,
			"no agent of %s is trusted: enrol one with a join token of the fleet key, or run isthmus agent approve", a.GetDialer())
	}
	return out, nil
}

// recipientsOf are the age keys of agents, each once, sorted.
func recipientsOf(agents []*isthmusv1.TrustedAgent) []string {
	out := make([]string, 0, len(agents))
	for _, t := range agents {
		out = append(out, t.GetAttestation().GetAgeRecipient())
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// trusted are those agents whose keys are proven and who belong to the datacenter.
func (r *reconciler) trusted(agents []*isthmusv1.TrustedAgent, datacenter string) ([]*isthmusv1.TrustedAgent, error) {
	fleet, err := r.fleet(agents)
	if err != nil {
		return nil, err
	}
	var out []*isthmusv1.TrustedAgent
	for _, t := range agents {
		grant := t.GetAttestation().GetGrant()
		err := identity.VerifyTrusted(t, fleet)
		if err == nil && (grant.GetDatacenter() != datacenter || grant.GetKind() != identity.KindAgent) {
			err = because(fault.Denied, reasonSecret, "it is %s of %s", grant.GetKind(), grant.GetDatacenter())
		}
		if err != nil {
			r.log.Warn("the server names an agent that is not proven to be of that datacenter; it gets nothing and nothing of it is used",
				"agent", t.GetAttestation().GetAgent(), "datacenter", datacenter, "error", err)
			continue
		}
		out = append(out, t)
	}
	return out, nil
}
