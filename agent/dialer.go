package agent

import (
	"context"

	"isthmus/agent/consul"
	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/seal"
)

// dial uses the token of the wanted generation, once.
//
//	fetch ──▶ verify and open ──▶ establish ──▶ write down what came of it
//	used, refused: final for this generation; the controller raises it when that is not enough
//	anything else: tried again
func (r *reconciler) dial(ctx context.Context, it item, at *consul.Peering) (acted bool, err error) {
	d := it.dialer
	if r.transfers(it) {
		return true, r.transferLeader(ctx, it)
	}
	if d.GetSecretDigest() == "" || r.done(it, at).Generation >= it.generation {
		return false, nil
	}
	token, err := r.open(ctx, it)
	if err != nil {
		return false, err
	}
	before, err := r.consul.Peering(ctx, it.peerName)
	there := err == nil
	switch {
	case err != nil && fault.CodeOf(err) != fault.NotFound:
		return false, err
	case there && uidOf(before) != it.uid:
		return false, because(fault.Refused, reasonNameTaken, "somebody made a peering named %s meanwhile", it.peerName)
	}
	err = r.consul.Establish(ctx, consul.EstablishRequest{
		Name: it.peerName, Token: token, Meta: markOfDialer(it.uid, it.peering, it.generation, token),
	})
	switch consul.ReasonOf(err) {
	case "":
		r.log.Info("used a peering token", "peering", it.peering, "peer", it.peerName, "generation", it.generation)
		return true, r.records.token(it.uid, it.generation, resource.OutcomeUsed)
	case consul.TokenRefused, consul.TokenMalformed, consul.SameCluster:
	default:
		return !there, err
	}
	r.log.Warn("Consul refused a peering token", "peering", it.peering, "peer", it.peerName, "generation", it.generation, "reason", consul.ReasonOf(err))
	// The record comes first: a stray that a crash leaves behind carries our mark and is replaced by the next token.
	if err := r.records.token(it.uid, it.generation, resource.OutcomeRefused); err != nil {
		return true, err
	}
	if there {
		return true, nil
	}
	return true, r.removeStray(ctx, it)
}

// removeStray deletes what a refused token left behind under a name that was free before.
func (r *reconciler) removeStray(ctx context.Context, it item) error {
	stray, err := r.consul.Peering(ctx, it.peerName)
	switch {
	case fault.CodeOf(err) == fault.NotFound:
		return nil
	case err != nil:
		return err
	case uidOf(stray) != it.uid || stray.State != consul.StatePending:
		return nil
	}
	return r.remove(ctx, it, stray)
}

// open fetches the sealed token and proves where it comes from: it must be the one that the state names, signed by an agent
// of the acceptor (or, for an external acceptor, by the fleet key), for this peering, this datacenter and this generation.
func (r *reconciler) open(ctx context.Context, it item) (consul.Secret, error) {
	d := it.dialer
	payload, err := r.hub.fetch(ctx, d.GetSecretDigest())
	if err != nil {
		return "", err
	}
	fleet, err := r.fleet(d.GetSenders())
	if err != nil {
		return "", err
	}
	from := d.GetAcceptor()
	var senders []*isthmusv1.TrustedAgent
	if from == "" {
		from = d.GetExternalAcceptor()
	} else if senders, err = r.trusted(d.GetSenders(), from); err != nil {
		return "", err
	}
	if d.GetAcceptor() != "" && len(senders) == 0 {
		return "", because(fault.Refused, reasonNoSender, "no agent of %s is trusted, so that its token cannot be proven", from)
	}
	if seal.Digest(payload) != d.GetSecretDigest() {
		return "", because(fault.Refused, reasonSecret, "the server sent another secret than the one that the state names")
	}
	plain, err := seal.Open(payload, seal.Expect{
		Kind: seal.KindPeeringToken, UID: it.uid, FromDatacenter: from, ToDatacenter: r.self.datacenter(),
		Generation: it.generation, MinGeneration: r.records.get(it.uid).Generation + 1,
	}, senders, fleet, r.self.ageIdentity(), r.now())
	if err != nil {
		r.log.Warn("refused a sealed peering token", "peering", it.peering, "generation", it.generation, "error", err)
		return "", because(fault.Refused, reasonSecret, "the token of peering %s is refused: %s", it.peering, messageOf(err))
	}
	return consul.Secret(plain), nil
}
