package api

import (
	"context"
	"slices"
	"strings"

	"isthmus/fault"
	"isthmus/history"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
	"isthmus/store/snapshot"
)

// Of one history, how many entries of the audit log are read at once, and at most: more are looked through in vain only of a datacenter, whose
// removal makes some that tell nothing of its agents.
const (
	historyPage    = 1000
	historyEntries = 10 * historyPage
)

// GetHistory implements the RPC. Of a resource that was deleted and made anew, only what it was since is told. It never blocks.
func (s *OverviewService) GetHistory(ctx context.Context, r *isthmusv1.GetHistoryRequest) (*isthmusv1.History, error) {
	if !slices.Contains(history.Kinds(), r.GetKind()) {
		return nil, fault.Violated(fault.Violation{Field: "kind", Reason: resource.ReasonInvalid, Message: "has no history; expected one of " + strings.Join(history.Kinds(), ", ")})
	}
	if r.GetName() == "" {
		return nil, fault.Violated(fault.Violation{Field: "name", Reason: resource.ReasonRequired, Message: "is required: whose history it is"})
	}
	v, err := s.newest(ctx)
	if err != nil {
		return nil, err
	}
	o, ok := v.Get(r.GetKind(), r.GetName())
	if !ok {
		return nil, notFound(r.GetKind(), r.GetName())
	}
	events, err := s.transitions(ctx, v, o)
	if err != nil {
		return nil, err
	}
	return history.Of(o, events), nil
}

// transitions are the last ones of a resource that tell of its state, oldest first: as many as a history has. What the view has not seen is
// left out, so that they end where the resource stands.
func (s *OverviewService) transitions(ctx context.Context, v *snapshot.View, o resource.Object) ([]*isthmusv1.Event, error) {
	q := store.EventQuery{Descending: true, Kind: resource.KindOf(o).Name, Target: o.GetName(), Action: resource.ActionTransition, Limit: historyPage}
	var out []*isthmusv1.Event
	for read := 0; read < historyEntries && len(out) < history.MaxSpans; read += historyPage {
		page, err := s.Journal.Events(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			if e.GetIndex() <= v.Revision().Index && e.GetSpec().GetTargetUid() == o.GetUid() && history.Tells(q.Kind, e) {
				out = append(out, e)
			}
		}
		if len(page) < historyPage {
			break
		}
		if q.After, err = store.EventNumber(page[len(page)-1].GetName()); err != nil {
			return nil, err
		}
	}
	slices.Reverse(out)
	return out, nil
}
