package session

import (
	"context"
	"strconv"
	"strings"
	"time"

	"isthmus/fault"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/store"
)

const (
	// lookEvery is how often a replica looks for sessions that were logged out at others.
	lookEvery = time.Second
	// endedPrefix stands before the mark of a session in the audit log's entry of its logout.
	endedPrefix = "session "
	// lookLimit is how many logouts are read at once.
	lookLimit = 500
)

// Load learns which sessions were logged out before this server started, and could still be shown. It is called before sessions are served,
// and by Run when the store was restored.
func (s *Service) Load(ctx context.Context) error {
	at := store.Revision{Epoch: s.Snapshot.View().Revision().Epoch}
	oldest := s.Now().Add(-Longest)
	newest := uint64(0)
	for after := uint64(0); ; {
		events, err := s.Journal.Events(ctx, store.EventQuery{After: after, Descending: true, Action: resource.ActionLogout, Limit: lookLimit})
		if err != nil {
			return err
		}
		read := 0
		for _, e := range events {
			if after, err = s.heardOf(e); err != nil {
				return err
			}
			newest = max(newest, after)
			if e.GetCreateTime().AsTime().Before(oldest) {
				break
			}
			read++
		}
		if read < lookLimit {
			// Only now: one that fails is begun again.
			s.heard, s.looked = newest, at
			return nil
		}
	}
}

// follow learns of those that were logged out at other replicas since.
func (s *Service) follow(ctx context.Context) error {
	// The entry of a logout is a write as any other: as long as the snapshot stands where it stood, there is none.
	at := s.Snapshot.View().Revision()
	if at == s.looked {
		return nil
	}
	if at.Epoch != s.looked.Epoch {
		// Numbers of a restored audit log begin again where it was saved.
		if err := s.Load(ctx); err != nil {
			return err
		}
	}
	for {
		events, err := s.Journal.Events(ctx, store.EventQuery{After: s.heard, Action: resource.ActionLogout, Limit: lookLimit})
		if err != nil {
			return err
		}
		for _, e := range events {
			number, err := s.heardOf(e)
			if err != nil {
				return err
			}
			s.heard = max(s.heard, number)
		}
		if len(events) < lookLimit {
			s.looked = at
			return nil
		}
	}
}

// heardOf ends the session of a logout's entry, and gives the entry's number.
func (s *Service) heardOf(e *isthmusv1.Event) (uint64, error) {
	number, err := strconv.ParseUint(e.GetName(), 10, 64)
	if err != nil {
		return 0, fault.Wrap(fault.Internal, err, "an entry of the audit log has no number")
	}
	// An older server's entry names no session.
	if mark, ok := strings.CutPrefix(e.GetSpec().GetMessage(), endedPrefix); ok {
		s.Keeper.endMark(mark, e.GetCreateTime().AsTime().Add(Longest))
	}
	return number, nil
}

// Run looks for logouts at other replicas, tells the audit log of those here that it does not have yet and, once a minute at most, of refused
// logins that were only counted. It returns when ctx ends.
func (s *Service) Run(ctx context.Context) error {
	tell := time.NewTicker(refusedEvery)
	defer tell.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
			s.settle(ctx)
			if err := s.follow(ctx); err != nil {
				s.Log.Debug("cannot look for sessions that were logged out at other servers", "error", err)
			}
		case <-tell.C:
			s.tell(ctx)
		}
	}
}

// settle writes the logouts that could not be written before. One of which nobody knows whether it was comes twice.
func (s *Service) settle(ctx context.Context) {
	events := s.owed.take()
	if len(events) == 0 {
		return
	}
	if _, err := s.Store.Write(ctx, store.Write{Events: events}); err != nil {
		s.owed.add(events...)
		s.Log.Debug("cannot write to the audit log that sessions were logged out: other servers still take them", "sessions", len(events), "error", err)
		return
	}
	s.Log.Info("wrote to the audit log that sessions were logged out", "sessions", len(events))
}

func (s *Service) tell(ctx context.Context) {
	notices := s.quota.due(s.Now())
	if len(notices) == 0 {
		return
	}
	events := make([]*isthmusv1.Event, 0, len(notices))
	for _, n := range notices {
		events = append(events, n.event)
	}
	if s.recordRefused(ctx, events...) {
		s.quota.told(notices)
	}
}
