package api

import (
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/auth"
	"isthmus/server/feed"
	"isthmus/server/limit"
	"isthmus/server/request"
)

// changesWait is how long ListChanges blocks when the request does not say: a dashboard asks again and again.
const changesWait = time.Minute

// changesQuery is ListChangesRequest as a blocking query.
type changesQuery struct{ *isthmusv1.ListChangesRequest }

func (changesQuery) GetIndex() uint64    { return 0 }
func (changesQuery) GetMinIndex() uint64 { return 0 }

// ListChanges implements the RPC: a blocking query over everything that the feed tells of, and the caller may know of.
func (s *OverviewService) ListChanges(ctx context.Context, r *isthmusv1.ListChangesRequest) (*isthmusv1.ListChangesResponse, error) {
	q, err := queryOf(changesQuery{r})
	if err != nil {
		return nil, err
	}
	if r.GetWait() == "" {
		q.wait = changesWait
	}
	defer s.Feed.Listen()()
	if r.GetCursor() == "" {
		return s.told(ctx, s.Feed.Begin()), nil
	}
	cursor, err := feed.ParseCursor(r.GetCursor())
	if err != nil {
		return nil, err
	}
	// A replica that is behind the one that gave the cursor would take the reader back.
	if v := s.Snapshot.View(); v.Revision().Epoch == cursor.Epoch {
		if _, err := s.viewAt(ctx, cursor.Index, cursor.Index); err != nil {
			return nil, err
		}
	}
	answer, err := s.await(ctx, cursor, q.wait)
	if err != nil {
		return nil, err
	}
	return s.told(ctx, answer), nil
}

// await blocks until there is something to tell that came after a cursor, or the wait is over.
func (s *OverviewService) await(ctx context.Context, cursor feed.Cursor, wait time.Duration) (feed.Answer, error) {
	answer, changed := s.since(ctx, cursor)
	if !answer.Empty() {
		return answer, nil
	}
	done, err := limit.Wait(ctx)
	if err != nil {
		return feed.Answer{}, err
	}
	defer done()
	revoked := auth.Revocation(ctx, s.Snapshot.View())
	start := s.Now()
	defer func() { request.Waited(ctx, s.Now().Sub(start)) }()
	timeout := time.NewTimer(wait + rand.N(wait/jitterPart+1)) //nolint:gosec // spreads load; nobody gains by guessing it.
	defer timeout.Stop()
	for answer.Empty() {
		select {
		case <-ctx.Done():
			return feed.Answer{}, ctx.Err()
		case <-timeout.C:
			return answer, nil
		case <-s.Stopping:
			return answer, nil
		case <-changed:
		case <-revoked:
		}
		revoked = auth.Revocation(ctx, s.Snapshot.View())
		answer, changed = s.since(ctx, answer.Cursor)
		if err := auth.Still(ctx); err != nil {
			return feed.Answer{}, err
		}
	}
	return answer, nil
}

// since is what came after a cursor that the caller may know of: API tokens are for admins.
func (s *OverviewService) since(ctx context.Context, cursor feed.Cursor) (feed.Answer, <-chan struct{}) {
	answer, changed := s.Feed.Since(cursor)
	if auth.CallerOf(ctx).Role == auth.Admin {
		return answer, changed
	}
	var may []feed.Change
	for _, c := range answer.Changes {
		if c.Key.Kind != resource.KindAPIToken {
			may = append(may, c)
		}
	}
	answer.Changes = may
	return answer, changed
}

// told is an answer in the API's words.
func (s *OverviewService) told(ctx context.Context, a feed.Answer) *isthmusv1.ListChangesResponse {
	out := &isthmusv1.ListChangesResponse{
		Cursor: a.Cursor.String(), Reset_: a.Reset, Observed: a.Observed, Index: a.Cursor.Index, Time: timestamppb.New(s.Now()),
	}
	for _, c := range a.Changes {
		out.Changes = append(out.Changes, &isthmusv1.ChangedResource{Kind: c.Key.Kind, Name: c.Key.Name, Deleted: c.Deleted, Index: c.Index})
	}
	if a.Everywhere {
		for o := range s.Snapshot.View().List(resource.KindDatacenter) {
			out.Observed = append(out.Observed, o.GetName())
		}
	}
	request.At(ctx, a.Cursor.Index)
	return out
}
