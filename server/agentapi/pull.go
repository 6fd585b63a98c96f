package agentapi

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"isthmus/fault"
	"isthmus/plan"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/auth"
	"isthmus/server/request"
)

const (
	// maxPull is the longest that a Pull waits, usualPull what it waits when it does not say.
	maxPull   = 15 * time.Minute
	usualPull = 5 * time.Minute
	// catchupWait is how long a replica that is behind an agent tries to catch up before it says so.
	catchupWait = 5 * time.Second
	// pullJitter: up to wait/16 less, so that agents that began together come back apart.
	pullJitter = 16
	// sendTime is how long one who follows may take to read an answer, however large it is and slow the way.
	sendTime = 2 * time.Minute
	// maxPullRequest is far above what an agent has to say that asks what there is.
	maxPullRequest = 64 << 10
)

// Pull implements the RPC: it answers when the digest of the datacenter's plan is not the one that the agent has, with the changes alone where
// the agent can merge them, and this server knows what it has.
func (s *Service) Pull(ctx context.Context, r *isthmusv1.PullRequest) (*isthmusv1.PullResponse, error) {
	p, err := s.poll(ctx, r)
	if err != nil {
		return nil, err
	}
	defer p.end()
	answer, _, err := p.next(ctx)
	return answer, err
}

// Follow implements the RPC: one Pull after the other, each with what the one before answered, over one call.
func (s *Service) Follow(r *isthmusv1.PullRequest, stream isthmusv1.SyncService_FollowServer) error {
	ctx := stream.Context()
	p, err := s.poll(ctx, r)
	if err != nil {
		return err
	}
	defer p.end()
	for {
		answer, over, err := p.next(ctx)
		if err != nil {
			return err
		}
		if err := send(stream, answer, sendTime); err != nil || over {
			return err
		}
		p.has.Epoch, p.has.Have, p.reports = answer.GetEpoch(), answer.GetDigest(), ""
	}
}

// send sends an answer. One who does not read is sent away: nothing else would end its call, not even its deletion.
func send(stream isthmusv1.SyncService_FollowServer, answer *isthmusv1.PullResponse, within time.Duration) error {
	late := time.NewTimer(within)
	defer late.Stop()
	sent := make(chan error, 1)
	// It ends with the call at the latest: gRPC stops sending when that returns.
	go func() { sent <- stream.Send(answer) }()
	select {
	case err := <-sent:
		return err //nolint:wrapcheck // gRPC's own, to gRPC
	case <-late.C:
		return fault.New(fault.Timeout, "an answer of %d bytes was not read within %s", proto.Size(answer), within)
	}
}

// poll is a caller that waits for another state than it has.
type poll struct {
	*Service
	caller auth.Caller
	desk   *desk
	to     audience
	// has is what there still is to know of its request.
	has *isthmusv1.PullRequest
	// reports is what it is told of its reports.
	reports string
	timeout *time.Timer
	end     func()
}

// poll begins one; its end has to be called.
func (s *Service) poll(ctx context.Context, r *isthmusv1.PullRequest) (*poll, error) {
	caller := auth.CallerOf(ctx)
	if n := proto.Size(r); n > maxPullRequest {
		return nil, fault.New(fault.TooLarge, "a poll of %d bytes; at most %d KiB are taken", n, maxPullRequest>>10)
	}
	wait, err := pullWait(r.GetWait())
	if err != nil {
		return nil, err
	}
	if end := caller.CertificateExpires; !end.IsZero() {
		wait = min(wait, max(0, end.Sub(s.Now())))
	}
	if err := s.caughtUp(ctx, r); err != nil {
		return nil, err
	}
	// The connection's keep-alive ends the call when the agent is gone.
	leave := s.Observations.Attend(caller.Datacenter, caller.Name)
	reports, err := s.reports(caller, r)
	if err != nil {
		leave()
		return nil, err
	}
	d, end := s.Planner.wait(caller.Datacenter)
	// There are thousands that wait: each keeps what it still needs.
	p := &poll{
		Service: s, caller: caller, desk: d, to: audienceOf(caller, r.GetFeatures()), reports: reports, timeout: time.NewTimer(wait),
		has: &isthmusv1.PullRequest{Epoch: r.GetEpoch(), Have: r.GetHave(), Deltas: r.GetDeltas()},
	}
	start := s.Now()
	p.end = func() {
		request.Waited(ctx, s.Now().Sub(start))
		p.timeout.Stop()
		end()
		leave()
	}
	return p, nil
}

// next waits for an answer; over: the time to wait is.
func (p *poll) next(ctx context.Context) (answer *isthmusv1.PullResponse, over bool, err error) {
	atOnce := p.reports == resource.ReportsWanted
	for {
		over = !atOnce && !p.holdBack(ctx, p.Planner.holdBack(p.desk, p.to, p.has), p.timeout.C)
		found, err := p.look(ctx, p.desk, p.caller, p.to, p.has)
		if err != nil {
			return nil, false, err
		}
		found.response.Reports = p.reports
		if !news(found.response) && !over && !atOnce {
			if p.pause(ctx, found, p.timeout.C) {
				continue
			}
			over = true
		}
		return found.response, over, ctx.Err()
	}
}

// reports takes in the agent's clock, as far as it may report now (the next poll tells it again), and tells whether what it has reported is known; empty: it does not ask.
func (s *Service) reports(caller auth.Caller, r *isthmusv1.PullRequest) (string, error) {
	if r.GetClock() != nil {
		if err := r.GetClock().CheckValid(); err != nil {
			return "", fault.Violated(fault.Violation{Field: "clock", Reason: "Invalid", Message: "is no time"})
		}
		if s.budgets.report(caller.Name, s.Now()) == nil {
			if err := s.Observations.Clock(caller.Datacenter, caller.Name, r.GetClock()); err != nil {
				return "", err
			}
		}
	}
	switch r.GetReported() {
	case "":
		return "", nil
	case s.Observations.ReportsOf(caller.Datacenter, caller.Name):
		return resource.ReportsKnown, nil
	}
	return resource.ReportsWanted, nil
}

// found is what one look found: the answer as it is now, and what is closed when there may be another one.
type found struct {
	response         *isthmusv1.PullResponse
	changed, deleted <-chan struct{}
}

func news(r *isthmusv1.PullResponse) bool { return r.GetState() != nil || r.GetDelta() != nil }

// look finds out what to answer now. As many calls look at a time as there are processors, in goroutines of the Planner: when all of a fleet
// has to be told something, others' calls go between, and the stacks of those who wait stay small.
func (s *Service) look(ctx context.Context, d *desk, caller auth.Caller, to audience, r *isthmusv1.PullRequest) (out found, err error) {
	worked := s.Planner.work(ctx, func() {
		if out.deleted, err = s.stillThere(caller); err != nil {
			return
		}
		out.response, out.changed = s.Planner.answer(d, caller.Datacenter, to, r)
		if news(out.response) {
			s.Log.Info("sent a desired state", "agent", caller.Name, "datacenter", caller.Datacenter, "index", out.response.GetIndex(),
				"digest", out.response.GetDigest(), "items", len(out.response.GetState().GetItems())+len(out.response.GetDelta().GetItems()),
				"whole", out.response.GetDelta() == nil)
		}
	})
	if worked != nil {
		return found{}, worked
	}
	return out, err
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
func (s *Service) pause(ctx context.Context, f found, timeout <-chan time.Time) bool {
	select {
	case <-ctx.Done():
		return false
	case <-s.Stopping:
		return false
	case <-timeout:
		return false
	case <-f.changed:
		return true
	case <-f.deleted:
		return true
	}
}

func pullWait(text string) (time.Duration, error) {
	if text == "" {
		return usualPull - rand.N(usualPull/pullJitter), nil //nolint:gosec // spreads load; nobody gains by guessing it.
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
func (s *Service) stillThere(caller auth.Caller) (gone <-chan struct{}, err error) {
	select {
	case <-caller.Standing:
	default:
		if caller.Standing != nil {
			return caller.Standing, nil
		}
	}
	v := s.Snapshot.View()
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
