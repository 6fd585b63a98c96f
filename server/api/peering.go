package api

import (
	"context"
	"fmt"
	"time"

	"isthmus/fault"
	"isthmus/peering"
	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/seal"
	"isthmus/store"
	"isthmus/store/snapshot"
)

// PeeringService serves Peerings.
type PeeringService struct {
	isthmusv1.UnimplementedPeeringServiceServer
	*Core
}

// ListPeerings implements the RPC.
func (s *PeeringService) ListPeerings(ctx context.Context, r *isthmusv1.ListRequest) (*isthmusv1.ListPeeringsResponse, error) {
	return list(ctx, s.Core, resource.KindPeering, r, &isthmusv1.ListPeeringsResponse{})
}

// GetPeering implements the RPC.
func (s *PeeringService) GetPeering(ctx context.Context, r *isthmusv1.GetRequest) (*isthmusv1.Peering, error) {
	return get[*isthmusv1.Peering](ctx, s.Core, resource.KindPeering, r)
}

// CreatePeering implements the RPC.
func (s *PeeringService) CreatePeering(ctx context.Context, r *isthmusv1.CreatePeeringRequest) (*isthmusv1.Peering, error) {
	return create(ctx, s.Core, r.GetPeering())
}

// UpdatePeering implements the RPC.
func (s *PeeringService) UpdatePeering(ctx context.Context, r *isthmusv1.UpdatePeeringRequest) (*isthmusv1.Peering, error) {
	return update(ctx, s.Core, r.GetPeering(), r)
}

// DeletePeering implements the RPC.
func (s *PeeringService) DeletePeering(ctx context.Context, r *isthmusv1.DeleteRequest) (*isthmusv1.DeleteResponse, error) {
	return remove(ctx, s.Core, resource.KindPeering, r)
}

// RotatePeering implements the RPC: it raises spec.tokenGeneration, which group-owned peerings may have raised too.
func (s *PeeringService) RotatePeering(ctx context.Context, r *isthmusv1.RotatePeeringRequest) (*isthmusv1.Peering, error) {
	return one[*isthmusv1.Peering](s.submit(ctx, false, func(v *snapshot.View) (*batch, error) {
		before, err := existing(v, resource.KindPeering, r.GetName(), r.GetIndex())
		if err != nil {
			return nil, err
		}
		after := resource.Clone(before).(*isthmusv1.Peering) //nolint:forcetypeassert // the kind's type is fixed by the registry.
		if after.GetSpec().GetExternalAcceptor() != "" {
			return nil, fault.New(fault.Refused, "the token of Peering %q is made by %s, who is not of this fleet: import a new one",
				r.GetName(), after.GetSpec().GetExternalAcceptor())
		}
		after.Spec.TokenGeneration = peering.NextRequest(after)
		return &batch{edits: []*edit{{
			kind: resource.KindOf(before), before: before, after: after, action: "rotate",
			message: "a new token was asked for",
		}}}, nil
	}))
}

// HealPeering implements the RPC: it marks the next step as wanted now, and the controller takes it.
func (s *PeeringService) HealPeering(ctx context.Context, r *isthmusv1.HealPeeringRequest) (*isthmusv1.Peering, error) {
	return one[*isthmusv1.Peering](s.submit(ctx, false, func(v *snapshot.View) (*batch, error) {
		before, err := existing(v, resource.KindPeering, r.GetName(), r.GetIndex())
		if err != nil {
			return nil, err
		}
		after := resource.Clone(before).(*isthmusv1.Peering) //nolint:forcetypeassert // the kind's type is fixed by the registry.
		if after.Status, err = peering.RequestHeal(after); err != nil {
			return nil, err
		}
		return &batch{edits: []*edit{{
			kind: resource.KindOf(before), before: before, after: after, action: resource.ActionHeal, status: true,
			message: "the next step of healing is wanted now",
		}}}, nil
	}))
}

// ImportPeering implements the RPC.
func (s *PeeringService) ImportPeering(ctx context.Context, r *isthmusv1.ImportPeeringRequest) (*isthmusv1.Peering, error) {
	payload := r.GetPayload()
	body, err := seal.Encode(payload)
	if err != nil {
		return nil, err
	}
	secret := store.Secret{Digest: seal.Digest(payload), Kind: payload.GetKind(), Body: body, ExpireTime: payload.GetExpireTime().AsTime()}
	return one[*isthmusv1.Peering](s.submit(ctx, false, func(v *snapshot.View) (*batch, error) {
		before, err := existing(v, resource.KindPeering, r.GetName(), 0)
		if err != nil {
			return nil, err
		}
		after := resource.Clone(before).(*isthmusv1.Peering) //nolint:forcetypeassert // the kind's type is fixed by the registry.
		if err := checkImport(v, after, payload, s.Now()); err != nil {
			return nil, err
		}
		if after.Status == nil {
			after.Status = &isthmusv1.PeeringStatus{}
		}
		token := peering.Token{
			Generation: payload.GetGeneration(), Agent: peering.Operator, SecretDigest: secret.Digest,
			Recipients: payload.GetRecipients(), ExpireTime: secret.ExpireTime,
		}
		old := after.GetStatus().GetToken()
		if after.Status.Token, err = peering.Imported(old, token, s.Now()); err != nil {
			return nil, err
		}
		return &batch{
			edits: []*edit{{
				kind: resource.KindOf(before), before: before, after: after, action: "import", status: true,
				message: fmt.Sprintf("token generation %d of %s", payload.GetGeneration(), after.GetSpec().GetExternalAcceptor()),
			}},
			secrets: []store.Secret{secret}, spent: peering.Spent(old, after.GetStatus().GetToken()),
		}, nil
	}))
}

// checkImport refuses a payload that the dialer's agents would refuse, as far as that can be seen from outside.
func checkImport(v *snapshot.View, p *isthmusv1.Peering, payload *isthmusv1.SealedPayload, now time.Time) error {
	switch {
	case p.GetSpec().GetExternalAcceptor() == "":
		return fault.New(fault.Refused, "Peering %q has the acceptor %s, whose agent makes the token; only that of an externalAcceptor is brought in",
			p.GetName(), p.GetSpec().GetAcceptor())
	case p.GetDeleteTime() != nil:
		return fault.New(fault.Refused, "Peering %q is being deleted", p.GetName())
	}
	want := seal.Shape{
		Kind: seal.KindPeeringToken, UID: p.GetUid(), From: seal.Operator,
		FromDatacenter: p.GetSpec().GetExternalAcceptor(), ToDatacenter: p.GetSpec().GetDialer(),
	}
	for _, t := range plan.Recipients(v, p) {
		want.Recipients = append(want.Recipients, t.GetAttestation().GetAgeRecipient())
	}
	return seal.CheckShape(payload, want, now)
}
