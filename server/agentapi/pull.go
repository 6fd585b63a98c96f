package agentapi

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
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
	p, err := s.poll(ctx, r, nil)
	if err != nil {
		return nil, err
	}
	if err := p.wait(ctx); err != nil {
		return nil, err
	}
	return p.answer, nil
}

// Follow implements the RPC: one Pull after the other, each with what the one before answered, over one call.
func (s *Service) Follow(r *isthmusv1.PullRequest, stream isthmusv1.SyncService_FollowServer) error {
	ctx := stream.Context()
	p, err := s.poll(ctx, r, stream)
	if err != nil {
		return err
	}
	return p.wait(ctx)
}

// poll is a caller that waits for another state than it has.
type poll struct {
	*Service
	caller auth.Caller
	to     audience
	*waiter
	// stream takes the answers of one who follows; nil: there is one answer, and the call is over.
	stream isthmusv1.SyncService_FollowServer
	answer *isthmusv1.PullResponse
	// has is what there still is to know of its request. It is the look's, as gone is and reports.
	has *isthmusv1.PullRequest
	// reports is what it is told of its reports with the next answer.
	reports string
	// gone is closed when the caller's Agent may be another one; watch has it when it is another channel.
	gone  <-chan struct{}
	watch chan (<-chan struct{})
	// over: the time to wait is.
	over    atomic.Bool
	timeout *time.Timer
	end     func()
	// ended is closed when the call shall end, with err, or as a look did that panicked; late: an answer is still being sent.
	ended  chan struct{}
	once   sync.Once
	err    error
	failed any
	late   atomic.Bool
}

// poll begins one; its wait has to be called.
func (s *Service) poll(ctx context.Context, r *isthmusv1.PullRequest, stream isthmusv1.SyncService_FollowServer) (*poll, error) {
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
		leave(0)
		return nil, err
	}
	// There are thousands that wait: each keeps what it still needs.
	p := &poll{
		Service: s, caller: caller, to: audienceOf(caller, r.GetFeatures()), stream: stream, reports: reports, timeout: time.NewTimer(wait),
		has:   &isthmusv1.PullRequest{Epoch: r.GetEpoch(), Have: r.GetHave(), Deltas: r.GetDeltas()},
		watch: make(chan (<-chan struct{}), 1), ended: make(chan struct{}),
	}
	start := s.Now()
	p.waiter = &waiter{look: p.look}
	p.end = func() {
		request.Waited(ctx, s.Now().Sub(start))
		p.timeout.Stop()
		s.Planner.leave(p.waiter, p.late.Load())
		leave(auth.Silence(ctx))
	}
	s.Planner.arrive(caller.Datacenter, p.waiter)
	return p, nil
}

// wait waits until the call is over, and ends it.
func (p *poll) wait(ctx context.Context) error {
	defer p.end()
	var gone <-chan struct{}
	stopping, timeout := p.Stopping, p.timeout.C
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.ended:
			if p.failed != nil {
				panic(p.failed) // as if it had been done here
			}
			return p.err
		case gone = <-p.watch:
			continue
		case <-gone:
			gone = nil
		case <-stopping:
			stopping = nil
			p.over.Store(true)
		case <-timeout:
			timeout = nil
			p.over.Store(true)
		}
		p.Planner.hurry(p.waiter)
	}
}

// finish ends the call, if nothing else has.
func (p *poll) finish(note func()) {
	p.once.Do(func() {
		note()
		close(p.ended)
	})
}

// look finds out what to answer now, and tells it when it is news, or when the time to wait is over.
func (p *poll) look(h *hand) (hold time.Duration) {
	defer func() {
		if failed := recover(); failed != nil {
			p.finish(func() { p.failed = failed })
		}
	}()
	over, err := p.over.Load(), p.stillThere()
	if err != nil {
		p.finish(func() { p.err = err })
		return 0
	}
	atOnce := over || p.reports == resource.ReportsWanted
	if !atOnce {
		if hold := p.Planner.holdBack(p.desk, p.to, p.has); hold > 0 {
			return hold
		}
	}
	answer := p.Planner.answer(p.desk, p.caller.Datacenter, p.to, p.has)
	if !atOnce && !news(answer) {
		return 0
	}
	answer.Reports = p.reports
	p.tell(h, answer, over)
	return 0
}

// tell gives an answer to the caller.
func (p *poll) tell(h *hand, answer *isthmusv1.PullResponse, last bool) {
	if news(answer) {
		p.Log.Info("sent a desired state", "agent", p.caller.Name, "datacenter", p.caller.Datacenter, "index", answer.GetIndex(),
			"digest", answer.GetDigest(), "items", len(answer.GetState().GetItems())+len(answer.GetDelta().GetItems()), "whole", answer.GetDelta() == nil)
	}
	if p.stream == nil {
		p.finish(func() { p.answer = answer })
		return
	}
	// One who does not read is sent away: nothing else would end its call, not even its deletion.
	err := h.send(p.stream, answer, sendTime, func(err error) {
		p.late.Store(true)
		p.finish(func() { p.err = err })
	})
	if err != nil || last {
		p.finish(func() { p.err = err })
		return
	}
	p.has.Epoch, p.has.Have, p.reports = answer.GetEpoch(), answer.GetDigest(), ""
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

func news(r *isthmusv1.PullResponse) bool { return r.GetState() != nil || r.GetDelta() != nil }

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

// stillThere refuses an agent that was deleted while it waited.
func (p *poll) stillThere() error {
	if p.gone == nil {
		p.gone = p.caller.Standing
	} else if !over(p.gone) {
		return nil
	}
	if p.gone == nil || over(p.gone) {
		v := p.Snapshot.View()
		p.gone = v.WatchName(resource.KindAgent, p.caller.Name)
		if _, err := enrolledAs(v, p.caller); err != nil {
			return err
		}
	}
	select {
	case <-p.watch: // it was not heard of yet
	default:
	}
	p.watch <- p.gone
	return nil
}

func over(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
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
