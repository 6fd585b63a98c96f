package api

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/auth"
	"isthmus/server/request"
	"isthmus/store"
	"isthmus/store/snapshot"
)

// EventService serves the audit log.
type EventService struct {
	isthmusv1.UnimplementedEventServiceServer
	*Core
	Journal store.Journal
}

// hidden is the kind whose events a caller is not shown; empty: none. Who holds which API token is for admins.
func hidden(ctx context.Context) string {
	if auth.CallerOf(ctx).Role == auth.Admin {
		return ""
	}
	return resource.KindAPIToken
}

// ListEvents implements the RPC.
func (s *EventService) ListEvents(ctx context.Context, r *isthmusv1.ListEventsRequest) (*isthmusv1.ListEventsResponse, error) {
	q, err := queryOf(r)
	if err != nil {
		return nil, err
	}
	scope, eq, err := s.query(r)
	if err != nil {
		return nil, err
	}
	eq.ExceptKind = hidden(ctx)
	page, err := ask(ctx, s.Core, q, eventPage{journal: s.Journal, query: eq})
	if err != nil {
		return nil, err
	}
	return &isthmusv1.ListEventsResponse{Events: page.events, NextPageToken: scope.token(page.next)}, nil
}

// eventPage is the answer to ListEvents.
type eventPage struct {
	journal store.Journal
	query   store.EventQuery
}

type events struct {
	events []*isthmusv1.Event
	// next is the last name of the page when there may be more.
	next string
}

// read asks the journal, which may know more than the view. What the view has not seen is left out: a query that waited
// with it already in hand would not see it come.
func (a eventPage) read(ctx context.Context, v *snapshot.View) (events, <-chan struct{}, error) {
	changed := v.Watch(store.KindEvent)
	found, err := a.journal.Events(ctx, a.query)
	if err != nil {
		return events{}, changed, err
	}
	var page events
	if n := fitting(found); n < len(found) || n == a.query.Limit {
		found = found[:n]
		page.next = found[n-1].GetName()
	}
	page.events = slices.DeleteFunc(found, func(e *isthmusv1.Event) bool { return e.GetIndex() > v.Revision().Index })
	return page, changed, nil
}

// fitting is how many of some entries a page has room for; the first always fits.
func fitting(entries []*isthmusv1.Event) int {
	bytes := 0
	for i, e := range entries {
		if bytes += proto.Size(e); bytes > maxListBytes && i > 0 {
			return i
		}
	}
	return len(entries)
}

func (a eventPage) newer(v *snapshot.View, _ events, index uint64) bool {
	return v.KindIndex(store.KindEvent) > index
}

func (a eventPage) same(x, y events) bool {
	return slices.EqualFunc(x.events, y.events, func(a, b *isthmusv1.Event) bool { return a.GetName() == b.GetName() })
}

// query is what to ask the journal for, and the list that page tokens belong to.
func (s *EventService) query(r *isthmusv1.ListEventsRequest) (listScope, store.EventQuery, error) {
	scope := listScope{Kind: store.KindEvent, Selector: fmt.Sprintf("kind=%s,target=%s,actor=%q,action=%q,descending=%t",
		r.GetKind(), r.GetTarget(), r.GetActor(), r.GetAction(), r.GetDescending())}
	q := store.EventQuery{Descending: r.GetDescending(), Kind: r.GetKind(), Target: r.GetTarget(), Actor: r.GetActor(), Action: r.GetAction(), Limit: int(r.GetPageSize())}
	if q.Limit < 0 || q.Limit > maxPage {
		return scope, q, fault.Violated(fault.Violation{Field: "pageSize", Reason: "Invalid", Message: "must be from 0 (which is 100) to 1000"})
	}
	if q.Limit == 0 {
		q.Limit = defaultPage
	}
	after, err := scope.open(r.GetPageToken())
	if err != nil {
		return scope, q, err
	}
	field := "pageToken"
	if after == "" {
		after, field = r.GetAfter(), "after"
	}
	if after == "" {
		return scope, q, nil
	}
	if q.After, err = store.EventNumber(after); err != nil {
		return scope, q, fault.Violated(fault.Violation{Field: field, Reason: "Invalid", Message: "is not an event's name; expected 12 digits"})
	}
	return scope, q, nil
}

// GetEvent implements the RPC. An event never changes, so there is nothing to block for.
func (s *EventService) GetEvent(ctx context.Context, r *isthmusv1.GetRequest) (*isthmusv1.Event, error) {
	number, err := store.EventNumber(r.GetName())
	if err != nil || number == 0 {
		return nil, notFound(store.KindEvent, r.GetName())
	}
	events, err := s.Journal.Events(ctx, store.EventQuery{After: number - 1, Limit: 1, ExceptKind: hidden(ctx)})
	if err != nil {
		return nil, err
	}
	request.At(ctx, s.Snapshot.View().Revision().Index)
	if len(events) == 0 || events[0].GetName() != r.GetName() {
		return nil, notFound(store.KindEvent, r.GetName())
	}
	return events[0], nil
}
