package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"

	"filippo.io/age"
	"filippo.io/age/armor"

	"isthmus/agent/consul"
	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
)

// TokenRequest asks for the token of a peering whose dialer is external: another operator's, without isthmus.
type TokenRequest struct {
	// Peering is the Peering's name.
	Peering string
	// Recipient is the age recipient (age1…) of the other operator. Exactly one of Recipient and Plain is set.
	Recipient string
	// Plain hands the token out as it is: whoever reads it can use it.
	Plain bool
}

// ExternalToken makes the token on the acceptor agent's host, beside the running agent, and returns it: armored for the
// recipient, or plain. The server is told that it was made, and for whom, but never gets it. The audit log has it.
func ExternalToken(ctx context.Context, config Config, r TokenRequest) (string, error) {
	recipient, err := r.check()
	if err != nil {
		return "", err
	}
	config.setDefaults()
	a, err := New(config)
	if err != nil {
		return "", err
	}
	if err := a.attach(); err != nil {
		return "", err
	}
	defer a.link.close()
	it, err := a.externalItem(r.Peering)
	if err != nil {
		return "", err
	}
	if err := a.clearTheWay(ctx, it); err != nil {
		return "", err
	}
	attempt, err := a.link.claim(ctx, &isthmusv1.ClaimTokenRequest{
		Uid: it.uid, Generation: it.generation, ExternalRecipient: r.Recipient, ExternalPlain: r.Plain,
	})
	if err != nil {
		return "", err
	}
	token, err := a.consul.GenerateToken(ctx, consul.TokenRequest{
		Name: it.peerName, Meta: markOf(it.uid, it.peering, it.generation), ExternalAddresses: it.acceptor.GetServerExternalAddresses(),
	})
	if err != nil {
		return "", err
	}
	out, err := wrapToken(token, recipient)
	if err != nil {
		return "", err
	}
	// Told before it is shown: a token that the ledger does not know must not be out.
	err = a.link.store(ctx, &isthmusv1.StoreTokenRequest{Uid: it.uid, Generation: it.generation, Attempt: attempt, External: true})
	return out, err
}

func (r TokenRequest) check() (age.Recipient, error) {
	switch {
	case r.Peering == "":
		return nil, fault.Violated(fault.Violation{Field: "peering", Reason: "Required", Message: "which Peering is the token for?"})
	case r.Plain == (r.Recipient != ""):
		return nil, fault.Violated(fault.Violation{Field: "recipient", Reason: "Invalid", Message: "either a recipient (age1…) or plain, not both"})
	case r.Plain:
		return nil, nil //nolint:nilnil // nobody in particular
	}
	recipient, err := age.ParseX25519Recipient(r.Recipient)
	if err != nil {
		return nil, fault.Violated(fault.Violation{Field: "recipient", Reason: "Invalid", Message: "it is not an age recipient (age1…)"})
	}
	return recipient, nil
}

// attach takes over who the running agent is, without its lock: it only reads.
func (a *Agent) attach() error {
	none := func(cause error) error {
		return fault.Wrap(fault.Refused, cause, "%s holds no agent: run this on the host of the acceptor's agent, with its data directory", a.config.DataDir)
	}
	id, err := identity.LoadIdentity(a.config.DataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return none(err)
	}
	if err != nil {
		return err
	}
	a.memory = openMemory(a.config.DataDir, a.log)
	var enrolled bool
	if a.self, a.link, enrolled, err = a.connect(id); err != nil {
		return err
	}
	if !enrolled {
		a.link.close()
		return none(nil)
	}
	return nil
}

// externalItem finds the acceptor's end in what the agent received last.
func (a *Agent) externalItem(peering string) (item, error) {
	state, _, _ := a.memory.current()
	for _, it := range itemsOf(state) {
		if it.peering != peering {
			continue
		}
		switch {
		case it.role != roleAcceptor || it.acceptor.GetExternalDialer() == "":
			return item{}, fault.New(fault.Refused, "Peering %s has no external dialer here: its token goes from agent to agent", peering)
		case it.remove:
			return item{}, fault.New(fault.Refused, "Peering %s is being deleted", peering)
		case it.generation == 0:
			return item{}, fault.New(fault.Refused, "no token of Peering %s is asked for yet: try again in a moment", peering)
		}
		return it, nil
	}
	return item{}, fault.New(fault.NotFound, "the agent in %s has no Peering %s: is this the acceptor's host?", a.config.DataDir, peering)
}

// clearTheWay makes sure that this is the right Consul, and that the name is free or ours. A TERMINATED end goes first: Consul
// would make a token for it and leave it TERMINATED.
func (a *Agent) clearTheWay(ctx context.Context, it item) error {
	state, _, _ := a.memory.current()
	if _, err := checkConsul(ctx, a.consul, state); err != nil {
		return err
	}
	at, err := a.consul.Peering(ctx, it.peerName)
	switch {
	case fault.CodeOf(err) == fault.NotFound:
		return nil
	case err != nil:
		return err
	case at.Deleting:
		return fault.New(fault.Unavailable, "Consul is deleting the former peering %s: try again in a moment", it.peerName)
	case uidOf(at) != it.uid:
		return because(fault.Refused, reasonNameTaken, "Consul has a peering named %s that does not belong to Peering %s", it.peerName, it.peering)
	case at.State != consul.StateTerminated:
		return nil
	}
	if err := a.consul.DeletePeering(ctx, it.peerName); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if _, err := a.consul.Peering(ctx, it.peerName); fault.CodeOf(err) == fault.NotFound {
			return nil
		}
		consul.Wait(ctx, pollSoon)
	}
	return fault.Wrap(fault.Timeout, ctx.Err(), "waiting for Consul to delete the former peering %s", it.peerName)
}

// wrapToken is the token as the other operator gets it.
func wrapToken(token consul.Secret, recipient age.Recipient) (string, error) {
	if recipient == nil {
		return token.Reveal(), nil
	}
	var b bytes.Buffer
	text := armor.NewWriter(&b)
	w, err := age.Encrypt(text, recipient)
	if err == nil {
		_, err = io.WriteString(w, token.Reveal())
	}
	if err == nil {
		err = errors.Join(w.Close(), text.Close())
	}
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "sealing the token to its recipient")
	}
	return b.String(), nil
}
