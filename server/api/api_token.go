package api

import (
	"context"
	"crypto/rand"
	"strings"

	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
	"isthmus/store/snapshot"
)

// suffixLength of a made-up name: 40 bits tell apart all tokens that a fleet will ever have.
const suffixLength = 8

// APITokenService serves APITokens.
type APITokenService struct {
	isthmusv1.UnimplementedAPITokenServiceServer
	*Core
}

// ListAPITokens implements the RPC.
func (s *APITokenService) ListAPITokens(ctx context.Context, r *isthmusv1.ListRequest) (*isthmusv1.ListAPITokensResponse, error) {
	return list(ctx, s.Core, resource.KindAPIToken, r, &isthmusv1.ListAPITokensResponse{})
}

// GetAPIToken implements the RPC.
func (s *APITokenService) GetAPIToken(ctx context.Context, r *isthmusv1.GetRequest) (*isthmusv1.APIToken, error) {
	return get[*isthmusv1.APIToken](ctx, s.Core, resource.KindAPIToken, r)
}

// CreateAPIToken implements the RPC.
func (s *APITokenService) CreateAPIToken(ctx context.Context, r *isthmusv1.CreateAPITokenRequest) (*isthmusv1.CreateAPITokenResponse, error) {
	sent := r.GetApiToken()
	if sent == nil {
		return nil, fault.New(fault.Invalid, "there is no APIToken in the request")
	}
	sent = resource.Clone(sent)
	if sent.GetName() == "" {
		sent.Name = sent.GetSpec().GetRole() + "-" + strings.ToLower(rand.Text()[:suffixLength])
	}
	if end := sent.GetSpec().GetExpireTime(); end != nil && !s.Now().Before(end.AsTime()) {
		return nil, fault.Violated(fault.Violation{Field: "spec.expireTime", Reason: "Expired", Message: "is over"})
	}
	secret, hash, err := identity.NewAPISecret(sent.GetName())
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "making an API token")
	}
	token, err := one[*isthmusv1.APIToken](s.submit(ctx, false, func(v *snapshot.View) (*batch, error) {
		e, err := creation(v, sent)
		if err != nil {
			return nil, err
		}
		e.after.(*isthmusv1.APIToken).Status = &isthmusv1.APITokenStatus{State: stateActive, SecretHash: hash} //nolint:forcetypeassert // creation keeps the type.
		e.message = "role " + sent.GetSpec().GetRole()
		return &batch{edits: []*edit{e}}, nil
	}))
	if err != nil {
		return nil, err
	}
	return &isthmusv1.CreateAPITokenResponse{ApiToken: token, Secret: secret}, nil
}

// DeleteAPIToken implements the RPC. The last admin stays: nobody could let anybody in any more.
func (s *APITokenService) DeleteAPIToken(ctx context.Context, r *isthmusv1.DeleteRequest) (*isthmusv1.DeleteResponse, error) {
	return removeIf(ctx, s.Core, resource.KindAPIToken, r, func(v *snapshot.View, before resource.Object, b *batch) error {
		token := before.(*isthmusv1.APIToken) //nolint:forcetypeassert // the kind's type is fixed by the registry.
		if token.GetSpec().GetRole() != resource.RoleAdmin || r.GetForce() {
			return nil
		}
		other := s.otherAdmin(v, token)
		if other == nil {
			return fault.New(fault.Refused, "%s is the last admin token: without it nobody can manage API tokens; create another one first, or use force", r.GetName())
		}
		// Whoever deletes that one at this moment, and counts on this one, must not succeed as well.
		b.requires = append(b.requires, store.Require{Key: store.Key{Kind: resource.KindAPIToken, Name: other.GetName()}, Index: other.GetIndex()})
		return nil
	})
}

// otherAdmin is the admin token besides one that is good for longest; nil when there is none.
func (s *APITokenService) otherAdmin(v *snapshot.View, token *isthmusv1.APIToken) *isthmusv1.APIToken {
	var longest *isthmusv1.APIToken
	for other := range resource.All[*isthmusv1.APIToken](v, resource.KindAPIToken) {
		end, best := other.GetSpec().GetExpireTime(), longest.GetSpec().GetExpireTime()
		switch {
		case other.GetName() == token.GetName() || other.GetSpec().GetRole() != resource.RoleAdmin:
		case end != nil && !s.Now().Before(end.AsTime()):
		case longest == nil, best != nil && (end == nil || end.AsTime().After(best.AsTime())):
			longest = other
		}
	}
	return longest
}
