package agentapi

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/auth"
	"isthmus/store/snapshot"
)

// turnTTL is how long a turn lasts without being asked for again: a Consul server restarts and finds its peers in seconds, and an agent
// that died in its turn holds the others up no longer.
const turnTTL = 3 * time.Minute

// leasePrefix of the lease of a datacenter's restarts: restart/<federation's uid>/<datacenter>.
const leasePrefix = "restart/"

// TakeTurn implements the RPC. Whoever has the turn gets it again, for longer.
func (s *Service) TakeTurn(ctx context.Context, r *isthmusv1.TakeTurnRequest) (*isthmusv1.TakeTurnResponse, error) {
	name, caller, err := s.turn(ctx, r.GetUid())
	if err != nil {
		return nil, err
	}
	lease, err := s.Leaser.Acquire(ctx, name, caller.Name, turnTTL)
	switch {
	case err == nil:
		return &isthmusv1.TakeTurnResponse{Granted: true, Holder: caller.Name, ExpireTime: timestamppb.New(lease.Expires)}, nil
	case fault.CodeOf(err) != fault.Conflict:
		return nil, err
	}
	lease, err = s.Leaser.Held(ctx, name)
	switch {
	case fault.CodeOf(err) == fault.NotFound:
		// It ended in between: who asks again gets it.
		return &isthmusv1.TakeTurnResponse{}, nil
	case err != nil:
		return nil, err
	}
	return &isthmusv1.TakeTurnResponse{Holder: lease.Holder, ExpireTime: timestamppb.New(lease.Expires)}, nil
}

// EndTurn implements the RPC. Ending a turn that one does not have is no error: it may have expired.
func (s *Service) EndTurn(ctx context.Context, r *isthmusv1.EndTurnRequest) (*isthmusv1.EndTurnResponse, error) {
	name, caller, err := s.turn(ctx, r.GetUid())
	if err != nil {
		return nil, err
	}
	lease, err := s.Leaser.Held(ctx, name)
	switch {
	case err == nil && lease.Holder == caller.Name:
		err = s.Leaser.Release(ctx, lease)
	case err == nil, fault.CodeOf(err) == fault.NotFound:
		err = nil
	}
	if err != nil {
		return nil, err
	}
	return &isthmusv1.EndTurnResponse{}, nil
}

// turn is the name of the lease for restarts in the caller's datacenter, because of a federation that it is in.
func (s *Service) turn(ctx context.Context, uid string) (string, auth.Caller, error) {
	caller := auth.CallerOf(ctx)
	if err := s.budgets.spend(caller.Name, 1, s.Now()); err != nil {
		return "", caller, err
	}
	v := s.Snapshot.View()
	if err := believed(v, caller); err != nil {
		return "", caller, err
	}
	if _, err := federationOf(v, caller, uid); err != nil {
		return "", caller, err
	}
	return leasePrefix + uid + "/" + caller.Datacenter, caller, nil
}

// federationOf finds the federation of a uid, which the caller's datacenter is in, or about to leave. Of others it says what it says
// of none.
func federationOf(v *snapshot.View, caller auth.Caller, uid string) (*isthmusv1.Federation, error) {
	if m, ok := resource.MembershipOf(v, caller.Datacenter); ok && m.Federation.GetUid() == uid {
		return m.Federation, nil
	}
	return nil, fault.New(fault.NotFound, "datacenter %s is in no federation with uid %q", caller.Datacenter, plainText(uid, maxText))
}
