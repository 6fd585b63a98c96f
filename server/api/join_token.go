package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store/snapshot"
)

const (
	// The longest that a token minted by the server may live: it is worth less than one of the CLI, and lies around more.
	maxMintTTL = 24 * time.Hour
	// maxUses of one token: more agents than any datacenter has.
	maxUses = 1000
	// clockSkew is how much faster than the server's the clock of who minted a token may be.
	clockSkew = 5 * time.Minute
	// stateActive of join tokens and API tokens.
	stateActive = "active"
)

// JoinTokenService serves JoinTokens.
type JoinTokenService struct {
	isthmusv1.UnimplementedJoinTokenServiceServer
	*Core
	// Address is where agents reach the server; CAFingerprint is what they pin.
	Address       func() string
	CAFingerprint string
}

// ListJoinTokens implements the RPC.
func (s *JoinTokenService) ListJoinTokens(ctx context.Context, r *isthmusv1.ListRequest) (*isthmusv1.ListJoinTokensResponse, error) {
	return list(ctx, s.Core, resource.KindJoinToken, r, &isthmusv1.ListJoinTokensResponse{})
}

// GetJoinToken implements the RPC.
func (s *JoinTokenService) GetJoinToken(ctx context.Context, r *isthmusv1.GetRequest) (*isthmusv1.JoinToken, error) {
	return get[*isthmusv1.JoinToken](ctx, s.Core, resource.KindJoinToken, r)
}

// CreateJoinToken implements the RPC.
func (s *JoinTokenService) CreateJoinToken(ctx context.Context, r *isthmusv1.CreateJoinTokenRequest) (*isthmusv1.JoinToken, error) {
	grant := r.GetJoinToken().GetSpec().GetGrant()
	if len(grant.GetSignature()) > 0 {
		if err := identity.VerifyGrant(grant, grant.GetFleetKey()); err != nil {
			return nil, invalidGrant(err)
		}
	}
	if err := s.checkGrant(grant); err != nil {
		return nil, err
	}
	return s.register(ctx, r.GetJoinToken())
}

// checkGrant bounds what a token that was minted elsewhere lets in, whoever signed it: a lost one is good for so long, and so
// often. That the fields are there, the kind checks.
func (s *JoinTokenService) checkGrant(grant *isthmusv1.JoinGrant) error {
	var wrong []fault.Violation
	if end := grant.GetExpireTime(); end != nil {
		switch latest := s.Now().Add(identity.MaxTTL + clockSkew); {
		case !s.Now().Before(end.AsTime()):
			wrong = append(wrong, fault.Violation{Field: "spec.grant.expireTime", Reason: "Expired", Message: "is over: nobody could enrol with it"})
		case end.AsTime().After(latest):
			wrong = append(wrong, fault.Violation{Field: "spec.grant.expireTime", Reason: "Invalid", Message: "is more than 30 days ahead: mint a token that ends sooner"})
		}
	}
	if grant.GetMaxUses() > maxUses {
		wrong = append(wrong, fault.Violation{Field: "spec.grant.maxUses", Reason: "Invalid", Message: fmt.Sprintf("is more than %d", maxUses)})
	}
	if len(wrong) > 0 {
		return fault.Violated(wrong...)
	}
	return nil
}

// invalidGrant: a grant that does not hold is the caller's mistake here, not a refused agent.
func invalidGrant(err error) error {
	message := err.Error()
	if f, ok := errors.AsType[*fault.Error](err); ok {
		message = f.Message
	}
	return fault.Violated(fault.Violation{Field: "spec.grant.signature", Reason: "Invalid", Message: message})
}

func (s *JoinTokenService) register(ctx context.Context, sent *isthmusv1.JoinToken) (*isthmusv1.JoinToken, error) {
	return one[*isthmusv1.JoinToken](s.submit(ctx, false, func(v *snapshot.View) (*batch, error) {
		e, err := creation(v, sent)
		if err != nil {
			return nil, err
		}
		token := e.after.(*isthmusv1.JoinToken) //nolint:forcetypeassert // creation keeps the type.
		token.Status = &isthmusv1.JoinTokenStatus{State: stateActive}
		e.message = fmt.Sprintf("for datacenter %s, %d uses, until %s", token.GetSpec().GetGrant().GetDatacenter(),
			token.GetSpec().GetGrant().GetMaxUses(), token.GetSpec().GetGrant().GetExpireTime().AsTime().Format(time.RFC3339))
		return &batch{edits: []*edit{e}}, nil
	}))
}

// MintJoinToken implements the RPC.
func (s *JoinTokenService) MintJoinToken(ctx context.Context, r *isthmusv1.MintJoinTokenRequest) (*isthmusv1.MintJoinTokenResponse, error) {
	options, err := s.mintOptions(r)
	if err != nil {
		return nil, err
	}
	token, err := identity.MintJoinToken(nil, options, s.Now())
	if err != nil {
		return nil, err
	}
	stored, err := s.register(ctx, &isthmusv1.JoinToken{Name: token.Grant.GetName(), Spec: &isthmusv1.JoinTokenSpec{Grant: token.Grant}})
	if err != nil {
		return nil, err
	}
	return &isthmusv1.MintJoinTokenResponse{JoinToken: stored, Token: token.String()}, nil
}

func (s *JoinTokenService) mintOptions(r *isthmusv1.MintJoinTokenRequest) (identity.MintOptions, error) {
	o := identity.MintOptions{
		Datacenter: r.GetDatacenter(), Kind: r.GetKind(), Uses: r.GetUses(), Address: s.Address(), CAFingerprint: s.CAFingerprint,
	}
	var wrong []fault.Violation
	if !resource.ValidName(r.GetDatacenter()) {
		wrong = append(wrong, fault.Violation{Field: "datacenter", Reason: "Invalid", Message: "is not the name of a datacenter"})
	}
	if k := r.GetKind(); k != "" && k != resource.AgentKindAgent && k != resource.AgentKindGateway {
		wrong = append(wrong, fault.Violation{Field: "kind", Reason: "Invalid", Message: "is not one of agent, gateway"})
	}
	if r.GetUses() < 0 || r.GetUses() > maxUses {
		wrong = append(wrong, fault.Violation{Field: "uses", Reason: "Invalid", Message: fmt.Sprintf("must be from 1 to %d", maxUses)})
	}
	if text := r.GetTtl(); text != "" {
		ttl, err := time.ParseDuration(text)
		if err != nil || ttl <= 0 || ttl > maxMintTTL {
			wrong = append(wrong, fault.Violation{Field: "ttl", Reason: "Invalid", Message: "is not a time up to 24h; expected for example 15m"})
		}
		o.TTL = ttl
	}
	if len(wrong) > 0 {
		return o, fault.Violated(wrong...)
	}
	return o, nil
}

// DeleteJoinToken implements the RPC.
func (s *JoinTokenService) DeleteJoinToken(ctx context.Context, r *isthmusv1.DeleteRequest) (*isthmusv1.DeleteResponse, error) {
	return remove(ctx, s.Core, resource.KindJoinToken, r)
}
