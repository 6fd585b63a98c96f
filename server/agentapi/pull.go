package agentapi

import (
	"context"
	"math/rand/v2"
	"strings"
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
	// heartbeatEvery is how often an open Pull counts as being heard of. The connection's keep-alive ends it when the
	// agent is gone.
	heartbeatEvery = 5 * time.Second
	// catchupWait is how long a replica that is behind an agent tries to catch up before it says so.
	catchupWait = 5 * time.Second
	// pullJitter: up to wait/16 less, so that agents that began together come back apart.
	pullJitter = 16
)

// Pull implements the RPC: it answers when the digest of the datacenter's plan is not the one that the agent has.
func (s *Service) Pull(ctx context.Context, r *isthmusv1.PullRequest) (*isthmusv1.PullResponse, error) {
	caller := auth.CallerOf(ctx)
	wait, err := pullWait(r.GetWait())
	if err != nil {
		return nil, err
	}
	if err := s.caughtUp(ctx, r); err != nil {
		return nil, err
	}
	s.Observations.Heard(caller.Datacenter, caller.Name)
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	heartbeat := time.NewTicker(heartbeatEvery)
	defer heartbeat.Stop()
	start := s.Now()
	defer func() { request.Waited(ctx, s.Now().Sub(start)) }()
	for {
		w := s.Planner.watch(caller.Datacenter)
		v := s.Snapshot.View()
		deleted, err := s.stillThere(v, caller)
		if err != nil {
			return nil, err
		}
		response := s.planned(v, w, caller, r)
		if state := response.GetState(); state != nil {
			s.Log.Info("sent a desired state", "agent", caller.Name, "datacenter", caller.Datacenter, "index", response.GetIndex(),
				"digest", response.GetDigest(), "items", len(state.GetItems()))
			return response, nil
		}
		if !s.pause(ctx, caller, w.changed, deleted, heartbeat.C, timeout.C) {
			return response, ctx.Err()
		}
	}
}

// pause waits until there is a reason to look again; false when the wait is over.
func (s *Service) pause(ctx context.Context, caller auth.Caller, changed, deleted <-chan struct{}, heartbeat, timeout <-chan time.Time) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-s.Stopping:
			return false
		case <-timeout:
			s.Observations.Heard(caller.Datacenter, caller.Name)
			return false
		case <-changed:
			return true
		case <-deleted:
			return true
		case <-heartbeat:
			s.Observations.Heard(caller.Datacenter, caller.Name)
		}
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

// planned is the answer at a view that was taken after the watch, without the state when the agent has it already. What is known to be as
// the agent has it is not planned again.
func (s *Service) planned(v *snapshot.View, w *watch, caller auth.Caller, r *isthmusv1.PullRequest) *isthmusv1.PullResponse {
	response := &isthmusv1.PullResponse{Epoch: v.Revision().Epoch, Index: v.Revision().Index, Digest: r.GetHave()}
	current := r.GetEpoch() == response.GetEpoch()
	to := audience(caller, r.GetFeatures())
	if current && w.is(to, r.GetHave()) {
		return response
	}
	state := s.wanted(v, caller, r.GetFeatures())
	response.Digest = plan.Digest(state)
	w.made(to, response.GetDigest())
	if !current || response.GetDigest() != r.GetHave() {
		response.State = state
	}
	return response
}

// audience are those callers of a datacenter that are told the same.
func audience(caller auth.Caller, features []string) string {
	return string(caller.Role) + " " + strings.Join(features, " ")
}

// wanted is what a caller shall make so: an agent all of its datacenter, a gateway its routes.
func (s *Service) wanted(v *snapshot.View, caller auth.Caller, features []string) *isthmusv1.DesiredState {
	if caller.Role == auth.Gateway {
		return plan.ForGateway(v, caller.Datacenter)
	}
	state, _ := plan.For(v, caller.Datacenter, features)
	return state
}
