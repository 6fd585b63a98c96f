package agent

import (
	"context"
	"errors"

	"google.golang.org/protobuf/types/known/timestamppb"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
)

// pullWait is how long one long poll waits: the longest that servers allow. Older ones allow five minutes.
const pullWait = "15m"

// follow asks for desired states until ctx ends, or until the server refuses this agent for good. While the server is away, the
// agent goes on with what it has.
func (t *tether) follow(ctx context.Context) error {
	pause := newBackoff()
	pulls := &pulls{link: t.link}
	defer pulls.end()
	// whole: what changed is not enough.
	failing, whole := false, false
	// ask: the server may have lost what was reported: another server, another store, or the datacenter was declared anew. A poll that ends
	// without news is a good moment to make sure, every quarter of an hour at most.
	ask := true
	epoch, _, _ := t.memory.newest()
	for ctx.Err() == nil {
		if ask || whole {
			pulls.end()
		}
		answer, err := pulls.next(ctx, func() *isthmusv1.PullRequest { return t.request(whole, ask) })
		if err == nil {
			err = t.take(answer)
			whole = err != nil && answer.GetDelta() != nil
		}
		if err != nil {
			if err := final(err, false); errors.As(err, new(*exitError)) {
				return err
			}
			if !failing && ctx.Err() == nil {
				t.log.Warn("the server gives no desired state; going on with the last one", "error", err)
			}
			failing, ask = true, true
			t.link.rest(ctx, max(pause.NextBackOff(), min(fault.RetryAfter(err), maxRetryAfter)))
			continue
		}
		pause.Reset()
		if failing {
			t.log.Info("the server answers again")
		}
		asked := ask
		ask = answer.GetEpoch() != epoch || answer.GetState() == nil && answer.GetDelta() == nil
		switch {
		case answer.GetReports() == resource.ReportsWanted:
			t.reporter.resend()
			ask = false
		case answer.GetReports() == "" && asked:
			t.reporter.resend() // it is too old to say
		}
		failing, epoch = false, answer.GetEpoch()
	}
	return nil
}

// request is what the agent asks the server.
func (t *tether) request(whole, ask bool) *isthmusv1.PullRequest {
	epoch, minIndex, have := t.memory.newest()
	r := &isthmusv1.PullRequest{
		Epoch: epoch, MinIndex: minIndex, Have: have, Wait: pullWait, Version: t.config.Version, Features: t.features, Deltas: !whole,
		Clock: timestamppb.New(t.link.now()),
	}
	if ask {
		r.Reported = t.reporter.told()
	}
	return r
}

// take keeps an answer and has it worked on.
func (t *tether) take(answer *isthmusv1.PullResponse) error {
	before, _, _ := t.memory.current()
	changed, err := t.memory.receive(answer, t.self.datacenter())
	if err != nil {
		return fault.Wrap(fault.CodeOf(err), err, "the desired state is not accepted")
	}
	if !changed {
		return nil
	}
	after, from, held := t.memory.current()
	t.log.Info("received a desired state", "digest", answer.GetDigest(), "index", answer.GetIndex(), "epoch", answer.GetEpoch(),
		"items", len(answer.GetState().GetItems())+len(answer.GetDelta().GetItems()), "whole", answer.GetDelta() == nil)
	if held > 0 {
		t.log.Warn("the state of a restored store removes too much at once; going on with the former one until an operator confirms",
			"removals", held, "working-by", from.Digest)
	}
	if deleted, of := deletions(before, after); tooMany(deleted, of) {
		t.log.Warn("many peerings are to be deleted at once", "deletions", deleted, "of", of, "digest", from.Digest)
	}
	t.news()
	return nil
}
