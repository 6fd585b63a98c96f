package session_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"isthmus/fault"
	"isthmus/identity"
	isthmusv1 "isthmus/proto/isthmus/v1"
	"isthmus/resource"
	"isthmus/server/auth"
	"isthmus/server/session"
	"isthmus/store"
	"isthmus/store/snapshot"
	"isthmus/store/sqlite"
)

// away is a store that takes no writes for a while.
type away struct {
	store.Store
	is atomic.Bool
}

func (a *away) Write(ctx context.Context, w store.Write) (store.Revision, error) {
	if a.is.Load() {
		return store.Revision{}, fault.New(fault.Unavailable, "the store is away")
	}
	return a.Store.Write(ctx, w)
}

// answered is a call whose headers nobody looks at.
type answered struct{ grpc.ServerTransportStream }

func (answered) SetHeader(metadata.MD) error { return nil }

// database is an empty fleet's, with what a server shows of it.
func database(t *testing.T) (store.Store, store.Journal, *snapshot.Snapshot) {
	t.Helper()
	opened, err := sqlite.Open(t.Context(), t.TempDir(), hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	})
	shown, err := snapshot.Open(t.Context(), opened, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	return opened, opened, shown
}

// logsOut is a call by which a session is logged out.
func logsOut(t *testing.T, sealed string) context.Context {
	t.Helper()
	ctx := auth.WithCaller(metadata.NewIncomingContext(t.Context(), metadata.Pairs(auth.SessionKey, sealed)), auth.Caller{Role: auth.Viewer})
	return grpc.NewContextWithServerTransportStream(ctx, answered{})
}

// inBackground runs a service until the test ends.
func inBackground(t *testing.T, s *session.Service) {
	t.Helper()
	running, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(running) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// refuses waits until a replica takes a session no more; look is done before each look.
func refuses(t *testing.T, k *session.Keeper, sealed string, look func() error) {
	t.Helper()
	patience, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for _, err := k.Open(sealed); err == nil; _, err = k.Open(sealed) {
		select {
		case <-patience.Done():
			t.Fatal("a replica goes on to take the session")
		case <-tick.C:
		}
		if err := look(); err != nil {
			t.Fatal(err)
		}
	}
}

// A logout whose entry cannot be written is told, refused here at once, and written as soon as it can be, so that it is one everywhere.
func TestLogoutIsWrittenLater(t *testing.T) {
	t.Parallel()
	opened, journal, shown := database(t)
	st := &away{Store: opened}
	key := serverKey(t)
	k, other := keeperNow(t, key), keeperNow(t, key)
	service := &session.Service{Keeper: k, Store: st, Journal: journal, Snapshot: shown, Now: time.Now, Log: hclog.NewNullLogger()}
	if err := service.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	sealed := seal(t, k, k.Begin(alice(), time.Time{}))

	st.is.Store(true)
	if _, err := service.DeleteSession(logsOut(t, sealed), &isthmusv1.DeleteSessionRequest{}); fault.CodeOf(err) != fault.Unavailable {
		t.Fatalf("a logout that is not written: %v", err)
	}
	if _, err := k.Open(sealed); reason(err) != auth.ReasonSessionEnded {
		t.Errorf("the session: %v", err)
	}
	inBackground(t, service)
	st.is.Store(false)

	replica := &session.Service{Keeper: other, Store: opened, Journal: journal, Snapshot: shown, Now: time.Now, Log: hclog.NewNullLogger()}
	refuses(t, other, sealed, func() error { return replica.Load(t.Context()) })
	events, err := journal.Events(t.Context(), store.EventQuery{Action: resource.ActionLogout, Limit: 10})
	if err != nil || len(events) != 1 || !strings.Contains(events[0].GetSpec().GetMessage(), "session ") {
		t.Errorf("the audit log has %v, %v", events, err)
	}
}

// After a restore the numbers of the audit log are lower than those that a server has seen: it hears of logouts all the same.
func TestLogoutsAfterARestore(t *testing.T) {
	t.Parallel()
	key := serverKey(t)
	opened, journal, shown := database(t)
	follows := keeperNow(t, key)
	follower := &session.Service{Keeper: follows, Store: opened, Journal: journal, Snapshot: shown, Now: time.Now, Log: hclog.NewNullLogger()}
	ending := func(s *session.Service) string {
		t.Helper()
		sealed := seal(t, s.Keeper, s.Keeper.Begin(alice(), time.Time{}))
		if _, err := s.DeleteSession(logsOut(t, sealed), &isthmusv1.DeleteSessionRequest{}); err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	for range 3 {
		ending(follower)
	}
	if err := follower.Load(t.Context()); err != nil {
		t.Fatal(err)
	}

	restored, itsJournal, itsShown := database(t)
	follower.Store, follower.Journal, follower.Snapshot = restored, itsJournal, itsShown
	inBackground(t, follower)
	elsewhere := &session.Service{Keeper: keeperNow(t, key), Store: restored, Journal: itsJournal, Snapshot: itsShown, Now: time.Now, Log: hclog.NewNullLogger()}
	refuses(t, follows, ending(elsewhere), func() error { return nil })
}

// keeperNow is a Keeper with the machine's clock.
func keeperNow(t *testing.T, key *identity.ServerKey) *session.Keeper {
	t.Helper()
	k, err := session.NewKeeper(key, idle, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
