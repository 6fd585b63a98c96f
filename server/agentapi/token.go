package agentapi

import (
	"context"
	"fmt"

	"isthmus/fault"
	"isthmus/peering"
	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/seal"
	"isthmus/server/auth"
	"isthmus/store"
	"isthmus/store/snapshot"
)

// maxFetch is how many secrets one call gives: 16 MiB of message hold them in any case.
const maxFetch = 64

// ClaimToken implements the RPC.
func (s *Service) ClaimToken(ctx context.Context, r *isthmusv1.ClaimTokenRequest) (*isthmusv1.ClaimTokenResponse, error) {
	caller := auth.CallerOf(ctx)
	if err := s.budgets.spend(caller.Name, 1, s.Now()); err != nil {
		return nil, err
	}
	var attempt int32
	counted := false
	err := s.retry(ctx, func(v *snapshot.View) error {
		p, err := s.acceptedBy(v, caller, r.GetUid())
		if err != nil {
			return err
		}
		if err := checkHandOut(p, r); err != nil {
			return err
		}
		if !counted {
			if err := s.budgets.claim(caller.Name, p.GetUid(), s.Now()); err != nil {
				return err
			}
			counted = true
		}
		next, n, err := peering.Claimed(p.GetStatus().GetToken(), peering.Claim{Generation: r.GetGeneration(), Agent: caller.Name}, s.Now())
		if err != nil {
			return err
		}
		attempt = n
		return s.writeToken(ctx, p, next, store.Write{Events: []*isthmusv1.Event{
			s.event(ctx, caller, resource.ActionClaim, p, fmt.Sprintf("token generation %d, attempt %d%s", r.GetGeneration(), n, handOut(r))),
		}})
	})
	if err != nil {
		return nil, err
	}
	return &isthmusv1.ClaimTokenResponse{Attempt: attempt}, nil
}

// acceptedBy finds a peering whose tokens the caller makes. Nobody believes one that is not approved.
func (s *Service) acceptedBy(v *snapshot.View, caller auth.Caller, uid string) (*isthmusv1.Peering, error) {
	if err := believed(v, caller); err != nil {
		return nil, err
	}
	p, err := s.peeringOf(v, caller, uid)
	if err != nil {
		return nil, err
	}
	switch {
	case p.GetSpec().GetAcceptor() != caller.Datacenter:
		return nil, fault.New(fault.Denied, "datacenter %s does not make the tokens of Peering %s: %s accepts it", caller.Datacenter, p.GetName(),
			p.GetSpec().GetAcceptor()+p.GetSpec().GetExternalAcceptor())
	case p.GetDeleteTime() != nil:
		return nil, fault.New(fault.Refused, "Peering %s is being deleted", p.GetName())
	}
	return p, nil
}

// checkHandOut: a token leaves the fleet only for a peering whose dialer is outside of it, and an agent by itself never
// makes one there.
func checkHandOut(p *isthmusv1.Peering, r *isthmusv1.ClaimTokenRequest) error {
	handOut := r.GetExternalRecipient() != "" || r.GetExternalPlain()
	external := p.GetSpec().GetExternalDialer()
	switch {
	case handOut && external == "":
		return fault.New(fault.Refused, "the dialer of Peering %s is datacenter %s: its agent gets the token by itself", p.GetName(), p.GetSpec().GetDialer())
	case !handOut && external != "":
		return fault.New(fault.Refused, "the token of Peering %s goes to %s: make it with isthmus peering token", p.GetName(), external)
	}
	return nil
}

func handOut(r *isthmusv1.ClaimTokenRequest) string {
	switch {
	case r.GetExternalPlain():
		return ", handed out in the clear on the agent's host"
	case r.GetExternalRecipient() != "":
		return ", handed out on the agent's host, sealed to " + plainText(r.GetExternalRecipient(), maxText)
	}
	return ""
}

// writeToken writes a peering's token status over the one that was read; events alone when it stays as it is.
func (s *Service) writeToken(ctx context.Context, p *isthmusv1.Peering, token *isthmusv1.TokenStatus, w store.Write) error {
	if token == p.GetStatus().GetToken() {
		return s.write(ctx, w)
	}
	next := resource.Clone(p)
	if next.Status == nil {
		next.Status = &isthmusv1.PeeringStatus{}
	}
	next.Status.Token = token
	w.Puts = append(w.Puts, store.Put{Object: next, Part: store.PartStatus})
	w.Requires = append(w.Requires, store.Require{Key: store.Key{Kind: resource.KindPeering, Name: p.GetName()}, Index: p.GetIndex()})
	w.DeleteSecrets = peering.Spent(p.GetStatus().GetToken(), token)
	return s.write(ctx, w)
}

// StoreToken implements the RPC. Storing the same token twice is no error: an answer can get lost.
func (s *Service) StoreToken(ctx context.Context, r *isthmusv1.StoreTokenRequest) (*isthmusv1.StoreTokenResponse, error) {
	caller := auth.CallerOf(ctx)
	if err := s.budgets.spend(caller.Name, 1, s.Now()); err != nil {
		return nil, err
	}
	if r.GetExternal() {
		return s.handedOut(ctx, caller, r)
	}
	payload := r.GetPayload()
	digest := seal.Digest(payload)
	body, err := seal.Encode(payload)
	if err != nil {
		return nil, err
	}
	var stored string
	err = s.retry(ctx, func(v *snapshot.View) error {
		p, err := s.acceptedBy(v, caller, payload.GetUid())
		if err != nil {
			return err
		}
		stored = p.GetName()
		if err := s.checkPayload(v, caller, p, payload); err != nil {
			return err
		}
		made := peering.Token{
			Generation: payload.GetGeneration(), Attempt: payload.GetAttempt(), Agent: caller.Name, SecretDigest: digest,
			Recipients: payload.GetRecipients(), ExpireTime: payload.GetExpireTime().AsTime(),
		}
		next, err := peering.Made(p.GetStatus().GetToken(), made, s.Now())
		if err != nil {
			return err
		}
		if next == p.GetStatus().GetToken() {
			return nil
		}
		return s.writeToken(ctx, p, next, store.Write{
			Secrets: []store.Secret{{Digest: digest, Kind: payload.GetKind(), Body: body, ExpireTime: payload.GetExpireTime().AsTime()}},
			Events: []*isthmusv1.Event{s.event(ctx, caller, resource.ActionMint, p, fmt.Sprintf("token generation %d, attempt %d, sealed to %d agents of %s",
				payload.GetGeneration(), payload.GetAttempt(), len(payload.GetRecipients()), payload.GetToDatacenter()))},
		})
	})
	if err != nil {
		return nil, err
	}
	s.hints.put(digest, stored)
	return &isthmusv1.StoreTokenResponse{Digest: digest}, nil
}

// handedOut notes that an external dialer's token was made.
func (s *Service) handedOut(ctx context.Context, caller auth.Caller, r *isthmusv1.StoreTokenRequest) (*isthmusv1.StoreTokenResponse, error) {
	err := s.retry(ctx, func(v *snapshot.View) error {
		p, err := s.acceptedBy(v, caller, r.GetUid())
		if err != nil {
			return err
		}
		if p.GetSpec().GetExternalDialer() == "" {
			return fault.New(fault.Refused, "the dialer of Peering %s is datacenter %s: its token has to be stored for its agents", p.GetName(), p.GetSpec().GetDialer())
		}
		next, err := peering.Made(p.GetStatus().GetToken(), peering.Token{Generation: r.GetGeneration(), Attempt: r.GetAttempt(), Agent: caller.Name}, s.Now())
		if err != nil {
			return err
		}
		if next == p.GetStatus().GetToken() {
			return nil
		}
		return s.writeToken(ctx, p, next, store.Write{Events: []*isthmusv1.Event{s.event(ctx, caller, resource.ActionMint, p,
			fmt.Sprintf("token generation %d, attempt %d, handed out for %s", r.GetGeneration(), r.GetAttempt(), p.GetSpec().GetExternalDialer()))}})
	})
	if err != nil {
		return nil, err
	}
	return &isthmusv1.StoreTokenResponse{}, nil
}

// checkPayload refuses what is not what it should be as far as that can be seen from outside: the dialer's agents check
// all of it again, and more.
func (s *Service) checkPayload(v *snapshot.View, caller auth.Caller, p *isthmusv1.Peering, payload *isthmusv1.SealedPayload) error {
	want := seal.Shape{
		Kind: seal.KindPeeringToken, UID: p.GetUid(), From: caller.Name, FromDatacenter: caller.Datacenter, ToDatacenter: p.GetSpec().GetDialer(),
	}
	for _, t := range plan.Recipients(v, p) {
		want.Recipients = append(want.Recipients, t.GetAttestation().GetAgeRecipient())
	}
	if err := seal.CheckShape(payload, want, s.Now()); err != nil {
		return err
	}
	maker, err := enrolledAs(v, caller)
	if err != nil {
		return err
	}
	return seal.VerifyMaker(payload, maker.GetSpec().GetAttestation())
}

// FetchSecrets implements the RPC: those that the present plan of the caller's datacenter names, and no others.
func (s *Service) FetchSecrets(ctx context.Context, r *isthmusv1.FetchSecretsRequest) (*isthmusv1.FetchSecretsResponse, error) {
	caller := auth.CallerOf(ctx)
	if len(r.GetDigests()) > maxFetch {
		return nil, fault.New(fault.TooLarge, "%d secrets at once; at most %d", len(r.GetDigests()), maxFetch)
	}
	if err := s.budgets.spend(caller.Name, max(1, len(r.GetDigests())), s.Now()); err != nil {
		return nil, err
	}
	response := &isthmusv1.FetchSecretsResponse{}
	for _, digest := range r.GetDigests() {
		payload, err := s.fetch(ctx, caller, digest)
		if err != nil {
			return nil, err
		}
		response.Payloads = append(response.Payloads, payload)
	}
	return response, nil
}

// fetch gives one secret. That an agent reads it for the first time is in the audit log before the agent has it.
func (s *Service) fetch(ctx context.Context, caller auth.Caller, digest string) (*isthmusv1.SealedPayload, error) {
	var payload *isthmusv1.SealedPayload
	err := s.retry(ctx, func(v *snapshot.View) error {
		if err := believed(v, caller); err != nil {
			return err
		}
		p, dialed := s.dialedWith(v, caller, digest)
		f, bundled := bundledFor(v, caller, digest)
		if !dialed && !bundled {
			return fault.New(fault.NotFound, "the plan of datacenter %s names no such secret: pull again", caller.Datacenter)
		}
		secret, err := s.Vault.Secret(ctx, digest)
		if err != nil {
			return err
		}
		if payload, err = seal.Decode(secret.Body); err != nil {
			return err
		}
		if s.budgets.hasRead(caller.Name, digest, s.Now()) {
			return nil
		}
		what := fmt.Sprintf("%s, generation %d, of %s", payload.GetKind(), payload.GetGeneration(), payload.GetFrom())
		if bundled {
			return s.write(ctx, store.Write{Events: []*isthmusv1.Event{s.event(ctx, caller, resource.ActionReadSecret, f, what)}})
		}
		w := store.Write{Events: []*isthmusv1.Event{s.event(ctx, caller, resource.ActionReadSecret, p, what)}}
		return s.writeToken(ctx, p, peering.Delivered(p.GetStatus().GetToken(), payload.GetGeneration(), caller.Name, s.Now()), w)
	})
	if err == nil {
		s.budgets.reads(caller.Name, digest, s.Now())
	}
	return payload, err
}

// dialedWith finds the peering whose dialer the caller is, and whose token has that digest.
func (s *Service) dialedWith(v *snapshot.View, caller auth.Caller, digest string) (*isthmusv1.Peering, bool) {
	waiting := func(p *isthmusv1.Peering) string { return peering.Waiting(p.GetStatus().GetToken()) }
	right := func(p *isthmusv1.Peering) bool {
		return p.GetSpec().GetDialer() == caller.Datacenter && p.GetDeleteTime() == nil && digest != "" && waiting(p) == digest
	}
	return s.hints.find(v, caller, digest, right, waiting)
}
