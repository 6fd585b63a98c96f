package agentapi

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"isthmus/fault"
	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/auth"
	"isthmus/server/request"
	"isthmus/store/snapshot"
)

const (
	// maxPull is the longest that a Pull waits, and what it waits when it does not say.
	maxPull = 5 * time.Minute
	// catchupWait is how long a replica that is behind an agent tries to catch up before it says so.
	catchupWait = 5 * time.Second
	// pullJitter: up to wait/16 less, so that agents that began together come back apart.
	pullJitter = 16
)

// Pull implements the RPC: it answers when the digest of the datacenter's plan is not the one that the agent has, with the changes alone where
// the agent can merge them, and this server knows what it has.
func (s *Service) Pull(ctx context.Context, r *isthmusv1.PullRequest) (*isthmusv1.PullResponse, error) {
	caller := auth.CallerOf(ctx)
	wait, err := pullWait(r.GetWait())
	if err != nil {
		return nil, err
	}
	if err := s.caughtUp(ctx, r); err != nil {
		return nil, err
	}
	// The connection's keep-alive ends the call when the agent is gone.
	defer s.Observations.Attend(caller.Datacenter, caller.Name)()
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	start := s.Now()
	defer func() { request.Waited(ctx, s.Now().Sub(start)) }()
	d, end := s.Planner.wait(caller.Datacenter)
	defer end()
	to := audienceOf(caller, r.GetFeatures())
	for {
		over := !s.holdBack(ctx, s.Planner.holdBack(d, to, r), timeout.C)
		deleted, err := s.stillThere(s.Snapshot.View(), caller)
		if err != nil {
			return nil, err
		}
		response, changed := s.Planner.answer(d, caller.Datacenter, to, r)
		if response.GetState() != nil || response.GetDelta() != nil {
			s.Log.Info("sent a desired state", "agent", caller.Name, "datacenter", caller.Datacenter, "index", response.GetIndex(),
				"digest", response.GetDigest(), "items", len(response.GetState().GetItems())+len(response.GetDelta().GetItems()), "whole", response.GetDelta() == nil)
			return response, nil
		}
		if over || !s.pause(ctx, changed, deleted, timeout.C) {
			return response, ctx.Err()
		}
	}
}

// holdBack waits for a moment; false when the wait is over.
func (s *Service) holdBack(ctx context.Context, d time.Duration, timeout <-chan time.Time) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-s.Stopping:
		return false
	case <-timeout:
		return false
	case <-timer.C:
		return true
	}
}

// pause waits until there is a reason to look again; false when the wait is over.
func (s *Service) pause(ctx context.Context, changed, deleted <-chan struct{}, timeout <-chan time.Time) bool {
	select {
	case <-ctx.Done():
		return false
	case <-s.Stopping:
		return false
	case <-timeout:
		return false
	case <-changed:
		return true
	case <-deleted:
		return true
	}
}

func pullWait(text string) (time.Duration, error) {
	if text == "" {
		return maxPull - rand.N(maxPull/pullJitter), nil //nolint:gosec // spreads load; nobody gains by guessing it.
	}
	wait, err := time.ParseDuration(text)
	if err != nil || wait < 0 {
		return 0, fault.Violated(fault.Violation{Field: "wait", Reason: "Invalid", Message: "is not a time to wait; expected for example 60s or 5m"})
	}
	wait = min(wait, maxPull)
	return wait - rand.N(wait/pullJitter+1), nil //nolint:gosec // as above.
}

// caughtUp makes sure that this replica knows at least what the agent knows. Indexes of another epoch say nothing.
func (s *Service) caughtUp(ctx context.Context, r *isthmusv1.PullRequest) error {
	v := s.Snapshot.View()
	if r.GetEpoch() != v.Revision().Epoch || v.Revision().Index >= r.GetMinIndex() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, catchupWait)
	defer cancel()
	_, err := s.Snapshot.WaitIndex(ctx, r.GetMinIndex())
	return err
}

// stillThere refuses an agent that was deleted while it waited; gone is closed when that may have happened.
func (s *Service) stillThere(v *snapshot.View, caller auth.Caller) (gone <-chan struct{}, err error) {
	gone = v.WatchName(resource.KindAgent, caller.Name)
	_, err = enrolledAs(v, caller)
	return gone, err
}

// audienceOf are those who are told what a caller is told: an agent all of its datacenter, a gateway its routes.
func audienceOf(caller auth.Caller, features []string) audience {
	if caller.Role == auth.Gateway {
		return audience{gateway: true}
	}
	var out audience
	for i, feature := range plan.Features() {
		if slices.Contains(features, feature) {
			out.features |= 1 << i
		}
	}
	return out
}
