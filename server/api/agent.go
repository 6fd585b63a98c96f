package api

import (
	"bytes"
	"context"

	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store/snapshot"
)

// AgentService serves Agents.
type AgentService struct {
	isthmusv1.UnimplementedAgentServiceServer
	*Core
	// Forget drops what an agent said of itself.
	Forget func(ctx context.Context, datacenter, agent string) error
}

// ListAgents implements the RPC.
func (s *AgentService) ListAgents(ctx context.Context, r *isthmusv1.ListRequest) (*isthmusv1.ListAgentsResponse, error) {
	return list(ctx, s.Core, resource.KindAgent, r, &isthmusv1.ListAgentsResponse{})
}

// GetAgent implements the RPC.
func (s *AgentService) GetAgent(ctx context.Context, r *isthmusv1.GetRequest) (*isthmusv1.Agent, error) {
	return get[*isthmusv1.Agent](ctx, s.Core, resource.KindAgent, r)
}

// DeleteAgent implements the RPC.
func (s *AgentService) DeleteAgent(ctx context.Context, r *isthmusv1.DeleteRequest) (*isthmusv1.DeleteResponse, error) {
	datacenter := ""
	response, err := removeIf(ctx, s.Core, resource.KindAgent, r, func(_ *snapshot.View, before resource.Object, _ *batch) error {
		datacenter = before.(*isthmusv1.Agent).GetSpec().GetDatacenter() //nolint:forcetypeassert // the kind's type is fixed by the registry.
		return nil
	})
	if err != nil {
		return nil, err
	}
	// The agent is gone; that its last words are still there harms nobody, and is no failure of the deletion.
	if err := s.Forget(ctx, datacenter, r.GetName()); err != nil {
		s.Log.Warn("cannot forget what a deleted agent said", "agent", r.GetName(), "datacenter", datacenter, "error", err)
	}
	return response, nil
}

// ApproveAgent implements the RPC. The server pins no fleet key: it checks that the approval is what it says, and agents
// check that it is by the key that they have pinned.
func (s *AgentService) ApproveAgent(ctx context.Context, r *isthmusv1.ApproveAgentRequest) (*isthmusv1.Agent, error) {
	return one[*isthmusv1.Agent](s.submit(ctx, false, func(v *snapshot.View) (*batch, error) {
		before, err := existing(v, resource.KindAgent, r.GetName(), 0)
		if err != nil {
			return nil, err
		}
		after := resource.Clone(before).(*isthmusv1.Agent) //nolint:forcetypeassert // the kind's type is fixed by the registry.
		after.Spec.Approval = r.GetApproval()
		if identity.TrustOf(after.GetSpec().GetAttestation(), nil) == identity.TrustFleet {
			return nil, fault.New(fault.Refused, "agent %s needs no approval: the fleet key signed its join token", r.GetName())
		}
		if identity.TrustOf(after.GetSpec().GetAttestation(), r.GetApproval()) != identity.TrustApproved {
			return nil, fault.Violated(fault.Violation{
				Field: "approval.signature", Reason: "Invalid",
				Message: "is not the fleet key's over the keys of this agent",
			})
		}
		if old := before.(*isthmusv1.Agent).GetSpec().GetApproval(); bytes.Equal(old.GetSignature(), r.GetApproval().GetSignature()) {
			return &batch{edits: []*edit{revised(before, resource.Clone(before))}}, nil
		}
		if after.Status == nil {
			after.Status = &isthmusv1.AgentStatus{}
		}
		after.Status.Trust = identity.TrustApproved
		return &batch{edits: []*edit{{
			kind: resource.KindOf(before), before: before, after: after, action: "approve", status: true,
			message: "keys " + after.GetStatus().GetFingerprint() + ", by fleet key " + identity.KeyID(r.GetApproval().GetFleetKey()),
		}}}, nil
	}))
}
